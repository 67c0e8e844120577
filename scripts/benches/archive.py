"""Archiving side by side: 200,000 of 1 M real rows leave for another table of one MariaDB, by our `archive` and by pt-archiver in both its forms; and what
a point query costs meanwhile.

Ours is always `jobs run FILE`, a whole process. The server is private and durable (fsync on). Batches of 200 rows everywhere.
usage: archive.py [--times 3] [--only WORD] [--jobs PATH]      WORD: rows, bulk or points
"""
import argparse, pathlib, shutil, statistics, subprocess, sys, tempfile, time

import flights, pairs
from db import Bench

COLD = 200_000
BATCH = 200

# asks for rows that stay, one at a time, and prints the 50th and the 99th percentile in milliseconds
POINTS = r"""
use strict; use DBI; use Time::HiRes qw(time);
my ($dsn, $seconds, $low, $high) = @ARGV;
my $db = DBI->connect($dsn, 'app', 'secret', { RaiseError => 1, mysql_server_prepare => 1 });
my $ask = $db->prepare('SELECT * FROM flights WHERE id = ?');
my ($end, @took) = (time + $seconds);
srand 7;
while (time < $end) {
  my $id = $low + int rand($high - $low);
  my $begun = time;
  $ask->execute($id); $ask->fetchall_arrayref;
  push @took, 1000 * (time - $begun);
}
@took = sort { $a <=> $b } @took;
printf "%d %.3f %.3f\n", scalar @took, $took[@took / 2], $took[@took * 0.99];
"""


class Archive(Bench):
    """One table of flights, and an empty one for its cold rows."""

    def prepare(self):
        self.full("mariadb")
        self.sql("mariadb", "DROP TABLE IF EXISTS flights_his; CREATE TABLE flights_his LIKE flights")

    def put_back(self):
        self.sql("mariadb", "INSERT INTO flights SELECT * FROM flights_his; TRUNCATE flights_his")

    def check(self):
        text = "SELECT (SELECT count(*) FROM flights), (SELECT count(*) FROM flights_his), (SELECT count(*) FROM flights JOIN flights_his USING (id))"
        told = subprocess.run([*self.mariadb, "-Ne", text], check=True, stdout=subprocess.PIPE, text=True).stdout
        assert told.split() == [str(self.rows - COLD), str(COLD), "0"], told

    def after(self, done):
        self.check()
        self.put_back()
        return done

    def text(self, pause):
        return (f'<archive name="a"><database url="{self.urls["mariadb"]}"/><table name="flights" where="id &lt;= {COLD}" to="flights_his" '
                f'batch="{BATCH}" pause="{pause}"/></archive>')

    def ours(self):
        return self.job("a", self.text("0"))

    def calmly(self):
        """Starts our move with a pause of 20 ms."""
        return subprocess.Popen([self.jobs, "run", "--home", str(self.home), self.text("20ms")], stderr=subprocess.PIPE)

    def peer(self, *more):
        place = f"h={self.host},P={self.port},u=app,p=secret,D=app,A=utf8mb4,L=1"
        return pairs.run(["pt-archiver", "--source", f"{place},t=flights", "--dest", f"{place},t=flights_his", "--where", f"id <= {COLD}",
                          "--limit", str(BATCH), "--commit-each", "--no-check-charset", "--no-version-check", *more])

    def points(self, seconds):
        """Point queries of rows that stay: (how many, p50, p99 in milliseconds)."""
        dsn = f"DBI:mysql:app;host={self.host};port={self.port}"
        command = ["perl", "-e", POINTS, dsn, str(seconds), str(COLD + 1), str(self.rows)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def told(child):
    count, p50, p99 = child.communicate()[0].split()
    assert child.returncode == 0
    return int(count), float(p50), float(p99)


def calm(bench, times):
    """The p99 of point queries while rows leave with a pause of 20 ms, against its quiet value."""
    ratios = []
    for _ in range(times):
        quiet = told(bench.points(8))
        job = bench.calmly()
        time.sleep(1)
        busy = told(bench.points(8))
        assert job.poll() is None, "the archive ended before the measuring did"
        job.terminate()
        assert job.wait() == 143, job.stderr.read().decode()
        bench.put_back()
        ratios.append(busy[2] / quiet[2])
        print(f"  quiet p50 {quiet[1]:.3f} ms, p99 {quiet[2]:.3f} ms of {quiet[0]}; while archiving p50 {busy[1]:.3f} ms, p99 {busy[2]:.3f} ms of {busy[0]}")
    ratio = statistics.median(ratios)
    good = ratio <= 3
    print(f"{'p99 of point queries, pause 20 ms / quiet':<60} {ratio:>7.2f}x  <= 3.00x  {'yes' if good else 'NO'}", flush=True)
    return good


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--only", default="")
    parser.add_argument("--jobs", default=str(flights.TOP / "target" / "release" / "jobs"))
    options = parser.parse_args()
    rows = flights.make()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bench.", dir=flights.FOLDER if len(str(flights.FOLDER)) < 60 else None))
    folder.chmod(0o755)
    bench, good = Archive(folder, options.jobs), True
    bench.rows = rows
    bench.host, bench.port = bench.urls["mariadb"].split("@")[1].split("/")[0].split(":")
    try:
        bench.prepare()
        lines = [
            pairs.Line("bulk: move / pt-archiver in bulk", lambda: bench.after(bench.ours()),
                       lambda: bench.after(bench.peer("--bulk-delete", "--bulk-insert")), 1.2, faster=True),
            pairs.Line("rows: move / pt-archiver row by row", lambda: bench.after(bench.ours()), lambda: bench.after(bench.peer()), 3, faster=True),
        ]
        lines = [line for line in lines if options.only in line.name]
        if lines:
            good = pairs.table(lines, options.times, folder)
        if options.only in "points":
            good = calm(bench, options.times) and good
        print("all targets met" if good else "targets are missed: see NO above")
    finally:
        bench.stop()
        shutil.rmtree(folder)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
