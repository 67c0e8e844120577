"""File transfer side by side: `tcp` with its `fileserver` against the rsync daemon, lftp with proftpd, and a bare sendfile-to-recv pair.

All servers are private, on loopback ports of their own, and gone afterwards. Small files are 5,000 of 4 KiB; everything but the durable lines
is on tmpfs with sync off, as rsync and FTP servers do not sync either. `--delay` lines go through a proxy that holds bytes back for 10 ms each way.
usage: transfer.py [--times 5] [--only WORD] [--jobs PROGRAM]
"""
import argparse, itertools, os, pathlib, shutil, signal, socket, subprocess, sys, tempfile, threading, time

import pairs

TOP = pathlib.Path(__file__).resolve().parents[2]
KEY = "0123456789abcdef0123456789abcdef"
SMALL, LARGE, KNOWN = 5000, 1 << 30, 100_000
# what a server or a client may need at most, in MB
MEMORY = 32
children = []


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def serve(command, port, **more):
    """Starts a server and waits until it listens."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **more)
    children.append(child)
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return child
        except OSError:
            time.sleep(0.05)
    sys.exit(f"{command[0]} does not listen on {port}")


def fill(folder, count, size):
    folder.mkdir(parents=True)
    # in pieces: the memory of this process would show as that of the programs it starts
    block = os.urandom(min(size, 1 << 20))
    for n in range(count):
        with open(folder / f"f{n:06}.bin", "wb", buffering=0) as file:
            file.write(n.to_bytes(4, "little") + block[4:])
            for piece in range(1, -(-size // len(block))):
                file.write(piece.to_bytes(4, "little") + block[4:])
    return folder


def apart(work, *arguments):
    """Does it in a process of its own: what this one ever held in memory shows as that of the programs it starts."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work(*arguments)
            code = 0
        finally:
            os._exit(code)
    return os.waitpid(pid, 0)[1] == 0


def compare(one, other):
    look = lambda folder: sorted((entry.name, entry.stat().st_size) for entry in os.scandir(folder) if not entry.name.startswith("."))
    assert look(one) == look(other)


def same(one, other):
    """Whether two folders hold the same names and sizes; the bench is worth nothing if they do not."""
    if not apart(compare, one, other):
        sys.exit(f"{one} and {other} differ")


def empty(folder):
    apart(shutil.rmtree, folder, True)
    folder.mkdir(parents=True)
    return folder


class Ours:
    """A home with a fileserver in it."""

    def __init__(self, program, base):
        self.program, self.home, self.port = program, base / "home", free_port()
        # the greatest memory of a client so far, in MB
        self.most = 0
        for folder in ("jobs", "log", "state", "run", "xfer"):
            (self.home / folder).mkdir(parents=True)
        self.env = os.environ | {"PROCCTL_HOME": str(self.home), "PROCCTL_TABLE": f"bench{os.getpid()}"}
        job = f'<fileserver name="files"><listen address="127.0.0.1:{self.port}"/><account name="n" key="{KEY}" root="xfer"/></fileserver>'
        self.server = serve([program, "run", self.job("files", job)], self.port, env=self.env)

    def job(self, name, text):
        path = self.home / "jobs" / f"{name}.xml"
        path.write_text(text)
        return str(path)

    def move(self, inside, address="127.0.0.1", forget=True):
        job = f'<tcp name="move"><server host="{address}:{self.port}" account="n" key="{KEY}"/>{inside}</tcp>'
        if forget:
            for file in (self.home / "state").glob("move.db*"):
                file.unlink()
        took = pairs.run([self.program, "run", self.job("move", job)], env=self.env)
        self.most = max(self.most, took[1])
        return took

    def put(self, source, sync="false", to="put", **more):
        target = self.home / "xfer" / to
        if more.get("forget", True):
            empty(target)
        took = self.move(f'<put from="{source}" to="{to}" stable="0s" sync="{sync}"/>', **more)
        same(source, target)
        return took

    def get(self, source, target):
        served = self.home / "xfer" / source.name
        if not served.exists():
            # links: a second gigabyte in memory would drive others out of it
            shutil.copytree(source, served, copy_function=os.link)
        empty(target)
        took = self.move(f'<get from="{source.name}" to="{target}" stable="0s" sync="false"/>')
        same(source, target)
        return took

    def peak(self):
        for line in open(f"/proc/{self.server.pid}/status"):
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024


def rsync_daemon(base):
    port, root = free_port(), empty(base / "rsync")
    (base / "rsyncd.conf").write_text(f"use chroot = no\nuid = {os.getuid()}\ngid = {os.getgid()}\n[m]\npath = {root}\nread only = no\n")
    serve(["rsync", "--daemon", "--no-detach", f"--port={port}", f"--config={base}/rsyncd.conf", "--address=127.0.0.1"], port)

    def put(source, clean=True):
        if clean:
            empty(root / "put")
        took = pairs.run(["rsync", "-a", f"{source}/", f"rsync://127.0.0.1:{port}/m/put/"])
        same(source, root / "put")
        return took

    def get(source, target):
        if not (root / "get").exists():
            shutil.copytree(source, root / "get")
        empty(target)
        took = pairs.run(["rsync", "-a", f"rsync://127.0.0.1:{port}/m/get/", f"{target}/"])
        same(source, target)
        return took

    return put, get


def ftp_server(base):
    port, root = free_port(), empty(base / "ftp")
    passive = 30000 + os.getpid() % 300 * 100
    password = subprocess.run(["openssl", "passwd", "-6", "secret1"], capture_output=True, text=True, check=True).stdout.strip()
    owner = 65534 if os.geteuid() == 0 else os.getuid()
    (base / "passwd").write_text(f"u1:{password}:{owner}:{owner}::{root}:/bin/false\n")
    # proftpd trusts no file of accounts that others may read or replace
    (base / "passwd").chmod(0o600)
    base.chmod(0o755)
    root.chmod(0o777)
    (base / "proftpd.conf").write_text(
        f"""ServerName bench
ServerType standalone
DefaultAddress 127.0.0.1
# not every address of this machine: the proxy has the same port on another one
SocketBindTight on
Port {port}
UseIPv6 off
UseReverseDNS off
User {"nobody" if os.geteuid() == 0 else os.environ.get("USER", "nobody")}
Group {"nogroup" if os.geteuid() == 0 else os.environ.get("USER", "nogroup")}
PidFile {base}/proftpd.pid
ScoreboardFile {base}/scoreboard
DelayEngine off
WtmpLog off
TransferLog none
SystemLog {base}/proftpd.log
AuthOrder mod_auth_file.c
AuthUserFile {base}/passwd
RequireValidShell off
AllowOverwrite on
PassivePorts {passive} {passive + 99}
UseSendfile on
MaxInstances 50
"""
    )
    serve(["proftpd", "-n", "-q", "-c", f"{base}/proftpd.conf"], port)

    def lftp(commands, host="127.0.0.1"):
        settings = "set net:max-retries 2; set net:timeout 30; set ftp:ssl-allow no; set xfer:log no; set mirror:set-permissions no; set ftp:ignore-pasv-address yes"
        return pairs.run(["lftp", "-u", "u1,secret1", "-e", f"{settings}; {commands}; quit", f"ftp://{host}:{port}"])

    def put(source, host="127.0.0.1", many=True):
        empty(root / "put").chmod(0o777)
        took = lftp(f"mirror -R --parallel={4 if many else 1} {source} put", host)
        same(source, root / "put")
        return took

    return put, port, (passive, passive + 99)


def pair_of(source, target):
    """A bare pair of processes: sendfile into a socket, recv into a file."""
    listener = socket.create_server(("127.0.0.1", 0))
    started = time.monotonic()
    sender = os.fork()
    if sender == 0:
        with socket.create_connection(listener.getsockname()) as out, open(source, "rb") as file:
            at, size = 0, os.fstat(file.fileno()).st_size
            while at < size:
                at += os.sendfile(out.fileno(), file.fileno(), at, 1 << 20)
        os._exit(0)
    came, _ = listener.accept()
    buffer = memoryview(bytearray(1 << 20))
    with open(target, "wb", buffering=0) as file:
        while length := came.recv_into(buffer):
            file.write(buffer[:length])
    os.waitpid(sender, 0)
    return time.monotonic() - started, 0, 0


def fsync_each(source, target):
    """What a receiver does that knows no groups: write, sync, rename, file after file."""
    empty(target)
    started = time.monotonic()
    for entry in os.scandir(source):
        content = pathlib.Path(entry.path).read_bytes()
        with open(target / f".{entry.name}", "wb", buffering=0) as file:
            file.write(content)
            os.fsync(file.fileno())
        os.rename(target / f".{entry.name}", target / entry.name)
    return time.monotonic() - started, 0, 0


def delayed(address, ports, server, seconds=0.01):
    """A proxy on `address` that holds every byte back for a while, in both directions, without limiting the rate."""

    def hold(source, target):
        queue, ready = [], threading.Condition()

        def deliver():
            while True:
                with ready:
                    while not queue:
                        ready.wait()
                    due, data = queue.pop(0)
                time.sleep(max(0.0, due - time.monotonic()))
                try:
                    if not data:
                        target.shutdown(socket.SHUT_WR)
                        return
                    target.sendall(data)
                except OSError:
                    return

        threading.Thread(target=deliver, daemon=True).start()
        while True:
            try:
                data = source.recv(1 << 18)
            except OSError:
                data = b""
            with ready:
                queue.append((time.monotonic() + seconds, data))
                ready.notify()
            if not data:
                return

    def accept(listener, port):
        while True:
            client, _ = listener.accept()
            upstream = socket.create_connection((server, port))
            for link in (client, upstream):
                link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for source, target in ((client, upstream), (upstream, client)):
                threading.Thread(target=hold, args=(source, target), daemon=True).start()

    # here, so that a port that is taken ends the bench, not a child that would clean up after it
    listeners = [(socket.create_server((address, port), backlog=64), port) for port in ports]
    bench = os.getpid()
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for served in listeners:
            threading.Thread(target=accept, args=served, daemon=True).start()
        while os.getppid() == bench:
            time.sleep(0.5)
        os._exit(0)
    for listener, _ in listeners:
        listener.close()
    return pid


def lines(arguments, tmpfs, disk):
    ours = Ours(arguments.jobs, tmpfs)
    small = fill(tmpfs / "small", SMALL, 4096)
    rsync_put, rsync_get = rsync_daemon(tmpfs)
    ftp_put, ftp_port, passive = ftp_server(empty(tmpfs / "ftp-home"))
    back = tmpfs / "back"
    yield pairs.Line("put 5,000 x 4 KiB, beside rsync", lambda: ours.put(small), lambda: rsync_put(small), 1.1, True)
    yield pairs.Line("get 5,000 x 4 KiB, beside rsync", lambda: ours.get(small, back), lambda: rsync_get(small, back), 1.1, True)
    large = fill(tmpfs / "large", 1, LARGE)
    bare = lambda: pair_of(large / "f000000.bin", empty(back) / "pair")
    yield pairs.Line("put 1 GiB, beside sendfile to recv", lambda: ours.put(large), bare, 1.25)
    yield pairs.Line("get 1 GiB, beside sendfile to recv", lambda: ours.get(large, back), bare, 1.25)
    yield pairs.Line("put 5,000 x 4 KiB, beside lftp -P4", lambda: ours.put(small), lambda: ftp_put(small), 10, True)
    yield pairs.Line("put 1 GiB, beside lftp", lambda: ours.put(large), lambda: ftp_put(large, many=False), 1.1, True)
    # each round in a new folder, far from others: ext4 passes over inodes of files deleted just now one by one, for minutes, which both would wait for
    durable, rounds = Ours(arguments.jobs, disk), itertools.count()
    if shutil.which("chattr"):
        subprocess.run(["chattr", "+T", disk, disk / "home" / "xfer"], stderr=subprocess.DEVNULL, check=False)
    by_us = lambda: durable.put(small, sync="true", to=f"put{next(rounds)}")
    one_by_one = lambda: fsync_each(small, disk / f"each{next(rounds)}")
    yield pairs.Line("put 5,000 x 4 KiB durable, beside fsync each", by_us, one_by_one, 3, True)
    # what takes long to prepare is prepared only where it is asked for
    if arguments.only in (line := "100,000 known files, nothing new, beside rsync"):
        known = fill(tmpfs / "known", KNOWN, 16)
        ours.put(known)
        rsync_put(known)
        yield pairs.Line(line, lambda: ours.put(known, forget=False), lambda: rsync_put(known, clean=False), 1.0)
    if arguments.only in (line := "put 5,000 at 20 ms, beside 2 s and lftp -P4 (200, x25)"):
        proxy = delayed("127.0.0.2", [ours.port, ftp_port, *range(passive[0], passive[1] + 1)], "127.0.0.1")
        few = fill(tmpfs / "few", SMALL // 25, 4096)
        slow = lambda: tuple(value * (25 if at == 0 else 1) for at, value in enumerate(ftp_put(few, "127.0.0.2")))
        yield pairs.Line(line.replace(" and lftp -P4 (200, x25)", ""), lambda: ours.put(small, address="127.0.0.2"), lambda: (2.0, 0, 0), 1.0)
        yield pairs.Line(line.replace("2 s and ", ""), lambda: ours.put(small, address="127.0.0.2"), slow, 10, True)
        os.kill(proxy, signal.SIGTERM)
    most = [ours.most, durable.most, ours.peak(), durable.peak()]
    print("greatest memory: clients {:.1f} MB on tmpfs, {:.1f} MB on disk; servers {:.1f} MB, {:.1f} MB".format(*most), end="; ")
    print(f"under {MEMORY} MB is asked for: {'yes' if max(most) < MEMORY else 'NO'}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--only", default="")
    parser.add_argument("--jobs", default=str(TOP / "target" / "release" / "jobs"))
    arguments = parser.parse_args()
    tmpfs = pathlib.Path(tempfile.mkdtemp(prefix="bench-transfer.", dir="/dev/shm"))
    disk = pathlib.Path(tempfile.mkdtemp(prefix="bench-transfer.", dir=TOP / "target"))
    tmpfs.chmod(0o755)
    try:
        print(f"medians of {arguments.times} in pairs; fdatasync p50 {pairs.fdatasync_p50(disk):.2f} ms; load {os.getloadavg()[0]:.1f}")
        print(f"{'':<44} {'ours':>10} {'peer':>10} {'ratio':>8}  {'target':<15} {'met':<4} {'memory':>9}  own CPU")
        good = [line.measure(arguments.times) for line in lines(arguments, tmpfs, disk) if arguments.only in line.name]
        return 0 if all(good) else 1
    finally:
        for child in children:
            child.kill()
            child.wait()
        for folder in (tmpfs, disk):
            shutil.rmtree(folder, ignore_errors=True)
        for left in pathlib.Path("/dev/shm").glob(f"procctl-heartbeat-*-bench{os.getpid()}"):
            left.unlink()


if __name__ == "__main__":
    sys.exit(main())
