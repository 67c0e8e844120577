"""Supervision side by side: procctl, supervisord, runit and s6 with the same workers, in one run.

For each: start N workers, let it settle, then its private memory and CPU while idle, the delay of 20 single restarts after `kill -9`
(from the kill to the first instruction of the new worker, on CLOCK_MONOTONIC), the time until all are back after all were killed at
once, and the number of copies after the supervisor itself was killed and started again.

The peers are Debian packages, unpacked into target/peers without being installed. s6 has /usr/bin compiled in, so everything runs in a private mount
namespace where an overlay adds the unpacked programs; that needs root.
usage: supervise.py [--workers 200] [--only procctl,runit] [--big 5000]
"""
import argparse, glob, os, pathlib, shutil, signal, statistics, subprocess, sys, tempfile, time

TOP = pathlib.Path(__file__).resolve().parents[2]
PEERS = TOP / "target" / "peers"
PACKAGES = ["runit", "s6", "libs6-2.11", "libskarnet2.13", "execline", "libexecline2.9", "supervisor"]
BIN = TOP / "target" / "release"


def unpack():
    """Fetches and unpacks the peers once."""
    if (PEERS / "done").exists():
        return
    PEERS.mkdir(parents=True, exist_ok=True)
    subprocess.run(["apt-get", "update", "-qq"], check=True)
    for package in PACKAGES:
        subprocess.run(["apt-get", "download", "-q", "-o", "APT::Sandbox::User=root", package], cwd=PEERS, check=True, stdout=subprocess.DEVNULL)
    for deb in glob.glob(str(PEERS / "*.deb")):
        subprocess.run(["dpkg-deb", "-x", deb, str(PEERS / "root")], check=True)
    (PEERS / "done").touch()


def into_namespace():
    """Runs this script again where /usr/bin also holds the peers' programs."""
    if os.environ.get("BENCH_INSIDE") or os.geteuid() != 0:
        return
    work = tempfile.mkdtemp(prefix="bench-overlay.")
    script = (
        f"mount -t tmpfs none {work} && mkdir {work}/up {work}/wk && "
        f"mount -t overlay overlay -o lowerdir={PEERS}/root/usr/bin:/usr/bin,upperdir={work}/up,workdir={work}/wk /usr/bin && exec \"$@\""
    )
    os.environ["BENCH_INSIDE"] = "1"
    os.environ["LD_LIBRARY_PATH"] = ":".join(glob.glob(f"{PEERS}/root/lib/*") + glob.glob(f"{PEERS}/root/usr/lib/x86_64-linux-gnu"))
    os.environ["PYTHONPATH"] = f"{PEERS}/root/usr/lib/python3/dist-packages"
    os.environ["BENCH_PYTHON"] = sys.executable
    os.execvp("unshare", ["unshare", "-m", "sh", "-c", script, "sh", sys.executable, __file__, *sys.argv[1:]])


def now():
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


def wait_for(what, condition, seconds=60.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.001)
    raise TimeoutError(f"{what} did not happen within {seconds} s")


class Stamps:
    """The file into which each worker writes `name pid nanoseconds` as it starts."""

    def __init__(self, path):
        self.path = path
        path.touch()

    def read(self):
        rows = [line.split() for line in self.path.read_text().splitlines()]
        return [(row[0], int(row[1]), int(row[2])) for row in rows if len(row) == 3]

    def living(self):
        return {name: pid for name, pid, _ in self.read() if alive(pid)}


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def told(pid):
    """Command line and working folder of a process: both name the bench's private folder."""
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes() + os.readlink(f"/proc/{pid}/cwd").encode()
    except OSError:
        return b""


def children(pid):
    found, todo = [], [pid]
    while todo:
        parent = todo.pop()
        for task in glob.glob(f"/proc/{parent}/task/*/children"):
            try:
                kids = [int(kid) for kid in pathlib.Path(task).read_text().split()]
            except OSError:
                continue
            found += kids
            todo += kids
    return found


def private_kb(pids):
    total = 0
    for pid in pids:
        try:
            for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith(("Private_Clean", "Private_Dirty")):
                    total += int(line.split()[1])
        except OSError:
            pass
    return total


def cpu_ms(pids):
    ticks = 0
    for pid in pids:
        try:
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        except OSError:
            pass
    return ticks * 1000 / os.sysconf("SC_CLK_TCK")


class Peer:
    """A supervisor under test: how its workers are described, and how it starts."""

    name = ""

    def __init__(self, folder, workers):
        self.folder, self.workers, self.process = folder, workers, None
        self.stamps = Stamps(folder / "stamps")
        self.command = [str(PEERS / "worker")]

    def prepare(self):
        raise NotImplementedError

    def argv(self):
        raise NotImplementedError

    def start(self):
        self.process = subprocess.Popen(self.argv(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, cwd=self.folder)

    def own(self):
        """The pids of the supervisor's own processes: its tree without the workers."""
        workers = set(self.stamps.living().values())
        return [pid for pid in [self.process.pid, *children(self.process.pid)] if pid not in workers]

    def copies(self):
        return sum(1 for _, pid, _ in set(self.stamps.read()) if alive(pid))

    def end(self):
        """Kills everything that was started, until nothing of it is left: what supervises restarts what is killed beside it."""
        mark = str(self.folder).encode()
        for _ in range(200):
            left = [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if pid != os.getpid() and mark in told(pid)]
            if not left:
                return
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except OSError:
                    pass
            time.sleep(0.05)


class Procctl(Peer):
    name = "procctl"

    def prepare(self):
        jobs = self.folder / "jobs"
        jobs.mkdir()
        for n in range(self.workers):
            (jobs / f"w{n}.xml").write_text(f'<exec name="w{n}" backoff="0s"><command>{self.command[0]} w{n} {self.stamps.path}</command></exec>')
        os.environ["PROCCTL_TABLE"] = f"bench.{os.getpid()}"

    def argv(self):
        return [str(BIN / "procctl"), "run", "--home", str(self.folder)]

    def end(self):
        if alive(self.process.pid):
            subprocess.run([str(BIN / "procctl"), "stop", "--home", str(self.folder)], check=False, stdout=subprocess.DEVNULL)
        super().end()
        pathlib.Path(f"/dev/shm/procctl-heartbeat-{os.getuid()}-{os.environ['PROCCTL_TABLE']}").unlink(missing_ok=True)


class Supervisord(Peer):
    name = "supervisord"

    def prepare(self):
        text = f"[supervisord]\nnodaemon=true\nlogfile=/dev/null\nlogfile_maxbytes=0\npidfile={self.folder}/pid\nminfds=4096\n"
        text += f"[unix_http_server]\nfile={self.folder}/sock\n[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n"
        for n in range(self.workers):
            text += f"[program:w{n}]\ncommand={self.command[0]} w{n} {self.stamps.path}\nautorestart=true\nstartsecs=0\nstdout_logfile=NONE\nstderr_logfile=NONE\n"
        (self.folder / "supervisord.conf").write_text(text)

    def argv(self):
        return [os.environ.get("BENCH_PYTHON", sys.executable), "-c", "from supervisor.supervisord import main; main()", "-n", "-c", str(self.folder / "supervisord.conf")]


class Runit(Peer):
    name = "runit"

    def prepare(self):
        for n in range(self.workers):
            service = self.folder / "services" / f"w{n}"
            service.mkdir(parents=True)
            run = service / "run"
            run.write_text(f"#!/bin/sh\nexec {self.command[0]} w{n} {self.stamps.path}\n")
            run.chmod(0o755)

    def argv(self):
        return ["runsvdir", "-P", str(self.folder / "services")]

    def start(self):
        super().start()


class S6(Runit):
    name = "s6"

    def argv(self):
        return ["s6-svscan", "-c", str(self.workers + 8), str(self.folder / "services")]


def restarts(peer, times):
    """Delays in ms of single restarts after kill -9."""
    delays = []
    for n in range(times):
        name = f"w{n * 7 % peer.workers}"
        old = peer.stamps.living()[name]
        seen = peer.stamps.path.stat().st_size
        killed = now()
        os.kill(old, signal.SIGKILL)

        def back():
            if peer.stamps.path.stat().st_size == seen:
                return None
            return next((at for who, pid, at in peer.stamps.read() if who == name and at > killed and pid != old), None)

        delays.append((wait_for(f"{peer.name}: restart of {name}", back, 20) - killed) / 1e6)
        time.sleep(0.05)
    return delays


def all_at_once(peer):
    before = peer.stamps.living()
    killed = now()
    for pid in before.values():
        os.kill(pid, signal.SIGKILL)

    def back():
        fresh = {name: at for name, pid, at in peer.stamps.read() if at > killed}
        return len(fresh) == peer.workers and max(fresh.values())

    return (wait_for(f"{peer.name}: all back", back, 60) - killed) / 1e9


def measure(kind, workers, single=20):
    folder = pathlib.Path(tempfile.mkdtemp(prefix=f"bench-{kind.name}."))
    peer = kind(folder, workers)
    row = {"name": kind.name, "workers": workers}
    try:
        peer.prepare()
        begun = now()
        peer.start()
        wait_for(f"{kind.name}: all started", lambda: len({name for name, _, _ in peer.stamps.read()}) == workers, 120)
        row["start"] = (max(at for _, _, at in peer.stamps.read()) - begun) / 1e9
        time.sleep(5)
        own = peer.own()
        row["processes"], row["private"] = len(own), private_kb(own)
        before = cpu_ms(own)
        time.sleep(10)
        row["idle"] = (cpu_ms(own) - before) / 10
        delays = restarts(peer, single)
        row["restart"] = (min(delays), statistics.median(delays), max(delays))
        time.sleep(2)
        row["all"] = all_at_once(peer)
        time.sleep(2)
        old = peer.process
        os.kill(old.pid, signal.SIGKILL)
        old.wait()
        peer.start()
        time.sleep(6)
        row["copies"] = f"{peer.copies()} of {workers}"
    finally:
        peer.end()
        shutil.rmtree(folder, ignore_errors=True)
    return row


def show(rows):
    print(f"{'':12} {'workers':>7} {'start all':>10} {'processes':>9} {'private kB':>10} {'kB a job':>9} {'idle ms/s':>9} {'restart min/p50/max ms':>26} {'all back':>9} {'copies after its kill -9':>25}")
    for row in rows:
        restart = " / ".join(f"{value:.1f}" for value in row["restart"])
        print(f"{row['name']:12} {row['workers']:>7} {row['start']:>8.2f} s {row['processes']:>9} {row['private']:>10} {row['private'] / row['workers']:>9.1f} {row['idle']:>9.1f} {restart:>26} {row['all']:>7.2f} s {row['copies']:>25}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=200)
    parser.add_argument("--only", default="procctl,supervisord,runit,s6")
    parser.add_argument("--big", type=int, default=5000, help="procctl alone once more with so many workers; 0: not")
    options = parser.parse_args()
    unpack()
    subprocess.run(["cc", "-O2", "-static", "-o", str(PEERS / "worker"), str(TOP / "scripts" / "benches" / "worker.c")], check=True)
    into_namespace()
    kinds = {kind.name: kind for kind in (Procctl, Supervisord, Runit, S6)}
    rows = []
    for name in options.only.split(","):
        try:
            rows.append(measure(kinds[name], options.workers))
        except (TimeoutError, OSError) as error:
            print(f"{name}: {error}", file=sys.stderr)
    if options.big and "procctl" in options.only:
        rows.append(measure(Procctl, options.big))
    show(rows)


if __name__ == "__main__":
    main()
