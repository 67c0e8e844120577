"""Times whole programs side by side: ours and a peer take turns, the medians are compared, and the verdict stands beside the target."""
import os, statistics, subprocess, sys, time


def run(command, cwd=None, env=None, stdin=None, stdout=subprocess.DEVNULL):
    """Runs a program to its end: (seconds, greatest resident set in MB, its own CPU seconds, the server's not among them). A failure ends the bench with what the program said."""
    started = time.monotonic()
    child = subprocess.Popen(command, cwd=cwd, env=env, stdin=stdin or subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE)
    said = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.monotonic() - started
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\nended with {child.returncode}: {said.decode(errors='replace')[-2000:]}")
    return seconds, usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime


class Line:
    """One comparison. `ours` and `peer` are functions that prepare, run and return (seconds, MB, CPU seconds)."""

    def __init__(self, name, ours, peer, target, faster=False):
        # target: the greatest ratio of ours to the peer's time; with `faster`, how many times faster ours must be
        self.name, self.ours, self.peer, self.target, self.faster = name, ours, peer, target, faster

    def measure(self, times):
        pairs = [(self.ours(), self.peer()) for _ in range(times)]
        ours = statistics.median(pair[0][0] for pair in pairs)
        peer = statistics.median(pair[1][0] for pair in pairs)
        memory = max(pair[0][1] for pair in pairs)
        cpu = [statistics.median(pair[side][2] for pair in pairs) for side in (0, 1)]
        ratio = peer / ours if self.faster else ours / peer
        good = ratio >= self.target if self.faster else ratio <= self.target
        want = f">= {self.target:.1f}x faster" if self.faster else f"<= {self.target:.2f}x"
        print(f"{self.name:<44} {ours:>8.2f} s {peer:>8.2f} s {ratio:>7.2f}x  {want:<15} {'yes' if good else 'NO':<4} {memory:>6.1f} MB  {cpu[0]:>5.2f} / {cpu[1]:.2f} s", flush=True)
        return good


def fdatasync_p50(folder):
    """The median of 50 synced appends of 4 KiB, in milliseconds: what a durable write costs in this minute."""
    path = folder / "fdatasync.probe"
    with open(path, "wb", buffering=0) as file:
        times = []
        for _ in range(50):
            started = time.monotonic()
            file.write(bytes(4096))
            os.fdatasync(file.fileno())
            times.append(time.monotonic() - started)
    path.unlink()
    return statistics.median(times) * 1000


def table(lines, times, folder):
    """Measures and prints all lines; true if every target is met."""
    print(f"medians of {times} in pairs; fdatasync p50 {fdatasync_p50(folder):.2f} ms; load {os.getloadavg()[0]:.1f}")
    print(f"{'':<44} {'ours':>10} {'peer':>10} {'ratio':>8}  {'target':<15} {'met':<4} {'memory':>9}  {'own CPU'}")
    return all([line.measure(times) for line in lines])
