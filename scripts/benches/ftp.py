"""FTP side by side with lftp, against one ProFTPD on loopback, everything on tmpfs.

Small files are 5,000 of 4 KiB over four connections, the long one is 1 GiB. Ours syncs and looks a second time at what it fetched, as always;
it waits for no writer (stable="0s"), as lftp knows no such wait. The server is private and gone afterwards.
usage: ftp.py [--times 5] [--only WORD] [--jobs PROGRAM]
"""
import argparse, os, pathlib, shutil, subprocess, sys, tempfile

import pairs

TOP = pathlib.Path(__file__).resolve().parents[2]
SMALL, LONG = 5000, 1 << 30


def server(folder):
    """Starts a private ProFTPD with everything in that folder; what it tells of itself."""
    started = subprocess.run([TOP / "scripts/services", "start", folder, "proftpd"], capture_output=True, text=True, check=True)
    return dict(line.split("=", 1) for line in started.stdout.splitlines())


def fill(folder, count, size):
    folder.mkdir(parents=True)
    block = os.urandom(min(size, 1 << 20))
    for n in range(count):
        with open(folder / f"f{n:06}.bin", "wb") as file:
            for _ in range(max(1, size >> 20)):
                file.write(n.to_bytes(4, "little") + block[4:])
    folder.chmod(0o777)
    return folder


def same(one, other):
    """Whether two folders hold the same names and sizes; the bench is worth nothing if they do not."""
    look = lambda folder: sorted((entry.name, entry.stat().st_size) for entry in os.scandir(folder) if not entry.name.startswith("."))
    if look(one) != look(other):
        sys.exit(f"{one} and {other} differ")


def empty(folder):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    return folder


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--times", type=int, default=5)
    arguments.add_argument("--only", default="")
    arguments.add_argument("--jobs", default=str(TOP / "target/release/jobs"))
    options = arguments.parse_args()
    base = pathlib.Path(tempfile.mkdtemp(prefix="ftp-bench.", dir="/dev/shm"))
    base.chmod(0o755)
    told = server(base / "server")
    host, root = told["FTP_HOST"], pathlib.Path(told["FTP_ROOT"])
    home = base / "home"
    (home / "jobs").mkdir(parents=True)
    env = os.environ | {"PROCCTL_HOME": str(home), "PROCCTL_TABLE": f"bench{os.getpid()}"}

    def ours(inside):
        path = home / "jobs" / "move.xml"
        path.write_text(f'<ftp name="move"><server host="{host}" user="demo" password="secret"/>{inside}</ftp>')
        for file in (home / "state").glob("move.db*"):
            file.unlink()
        return pairs.run([options.jobs, "run", path], env=env)

    def lftp(commands):
        settings = "set net:max-retries 2; set net:timeout 30; set ftp:ssl-allow no; set xfer:log no; set mirror:set-permissions no"
        return pairs.run(["lftp", "-u", "demo,secret", "-e", f"{settings}; {commands}; quit", f"ftp://{host}"])

    def get(name, connections):
        source, target = root / name, base / "got"

        def by_us():
            empty(target)
            took = ours(f'<get from="/{name}" to="{target}" stable="0s" connections="{connections}"/>')
            same(source, target)
            return took

        def by_lftp():
            empty(target)
            took = lftp(f"mirror --parallel={connections} /{name} {target}")
            same(source, target)
            return took

        return by_us, by_lftp

    def put(name, connections):
        source, target = root / name, root / "put"

        def by_us():
            empty(target)
            took = ours(f'<put from="{source}" to="/put" stable="0s" connections="{connections}"/>')
            same(source, target)
            return took

        def by_lftp():
            empty(target)
            took = lftp(f"mirror -R --parallel={connections} {source} /put")
            same(source, target)
            return took

        return by_us, by_lftp

    try:
        root.chmod(0o777)
        fill(root / "small", SMALL, 4096)
        fill(root / "long", 1, LONG)
        lines = [
            pairs.Line("get 5,000 x 4 KiB, 4 connections", *get("small", 4), 1.5, faster=True),
            pairs.Line("get 1 GiB", *get("long", 1), 1.0),
            pairs.Line("put 5,000 x 4 KiB, 4 connections", *put("small", 4), 1.0, faster=True),
        ]
        good = pairs.table([line for line in lines if options.only in line.name], options.times, base)
    finally:
        subprocess.run([TOP / "scripts/services", "stop", base / "server"], check=False)
        shutil.rmtree(base, ignore_errors=True)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
