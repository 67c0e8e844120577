"""Rows from database to database side by side: sync of 1 M real rows against psql pipes, pgloader and pt-table-sync, new rows followed at 10,000 and changes at 2,000 a second.

Ours is always `jobs run FILE`, a whole process. Servers are private and durable (fsync on).
usage: sync.py [--times 5] [--only WORD] [--jobs PATH]      WORD is looked for in the lines' names; PATH is another build of ours
"""
import argparse, pathlib, random, shutil, subprocess, sys, tempfile, threading, time

import db, flights, pairs

RATE, CHANGES, SECONDS = 10_000, 2_000, 20


class Bench(db.Bench):
    """The table `flights` in the databases `app`, and its copies in the databases `copy` of the same servers."""

    def __init__(self, folder, jobs):
        super().__init__(folder, jobs)
        for engine in ("postgres", "mariadb"):
            self.sql(engine, "CREATE DATABASE copy")
        self.copies = {engine: self.urls[engine].rsplit("/", 1)[0] + "/copy" for engine in ("postgres", "mariadb")}
        self.psql_copy = [*self.psql[:-1], self.copies["postgres"]]
        self.mariadb_copy = [*self.mariadb[:-1], "copy"]

    def in_copy(self, engine, text):
        command = {"postgres": [*self.psql_copy, "-Atc", text], "mariadb": [*self.mariadb_copy, "-Ne", text]}[engine]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()

    def rows_of(self, engine, text):
        command = {"postgres": [*self.psql, "-Atc", text], "mariadb": [*self.mariadb, "-Ne", text]}[engine]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()

    def empty_copy(self, engine):
        self.in_copy(engine, db.QUIET[engine] + "DROP TABLE IF EXISTS flights")
        self.in_copy(engine, flights.ddl(engine))
        if engine == "postgres":
            self.sql(engine, "CHECKPOINT")

    def sync(self, source, target, table):
        done = self.job("sync", f'<sync name="sync"><source url="{self.urls[source]}"/><target url="{self.copies[target]}"/>{table}</sync>')
        assert int(self.in_copy(target, "SELECT count(*) FROM flights")) == self.rows, "rows are missing"
        return done

    def fill(self, source, target):
        self.empty_copy(target)
        return self.sync(source, target, '<table from="flights"/>')

    def full_copy(self, engine):
        """The copy equal to the table."""
        self.fill(engine, engine)
        if engine == "postgres":
            self.in_copy(engine, "VACUUM ANALYZE flights")

    def pipe(self):
        """psql COPY TO STDOUT into psql COPY FROM STDIN."""
        self.empty_copy("postgres")
        started = time.monotonic()
        reader = subprocess.Popen([*self.psql, "-c", "COPY flights TO STDOUT"], stdout=subprocess.PIPE)
        done = pairs.run([*self.psql_copy, "-c", "COPY flights FROM STDIN"], stdin=reader.stdout)
        reader.stdout.close()
        assert reader.wait() == 0
        return time.monotonic() - started, *done[1:]

    def pgloader(self):
        self.in_copy("postgres", "DROP TABLE IF EXISTS flights; DROP SCHEMA IF EXISTS app CASCADE")
        target = self.copies["postgres"].replace("postgres://", "postgresql://")
        script = self.folder / "sync.load"
        script.write_text(f"LOAD DATABASE FROM {self.urls['mariadb']} INTO {target} WITH include drop, create tables, create indexes INCLUDING ONLY TABLE NAMES MATCHING 'flights';\n")
        return pairs.run(["pgloader", "-D", str(self.folder / "pgloader"), str(script)])

    def table_sync(self):
        """pt-table-sync, which finds nothing to do."""
        host, port = self.urls["mariadb"].split("@")[1].split("/")[0].split(":")
        place = f"h={host},P={port},u=app,p=secret"
        return pairs.run(["pt-table-sync", "--execute", "--no-check-slave", "--no-check-triggers", f"{place},D=app,t=flights", f"{place},D=copy,t=flights"])

    def scatter(self, engine):
        """A thousand rows of the copy changed or gone, all over the table."""
        step = self.rows // 1000
        self.in_copy(engine, f"UPDATE flights SET dep_delay = -999 WHERE id % {step} = 7 AND id % 7 <> 0")
        self.in_copy(engine, f"DELETE FROM flights WHERE id % {step} = 7 AND id % 7 = 0")

    def mend(self, engine, mode):
        self.scatter(engine)
        done = self.sync(engine, engine, f'<table from="flights" mode="{mode}"/>')
        assert int(self.in_copy(engine, "SELECT count(*) FROM flights WHERE dep_delay = -999")) == 0, "changes were not found"
        return done


def follow(bench):
    """New rows at a steady rate, and how far the copy is behind, by the server's own clock: (median, greatest) in seconds."""
    bench.sql("postgres", "DROP TABLE IF EXISTS news; CREATE TABLE news (id BIGSERIAL PRIMARY KEY, at TIMESTAMPTZ DEFAULT clock_timestamp(), text TEXT)")
    bench.in_copy("postgres", "DROP TABLE IF EXISTS news; CREATE TABLE news (id BIGINT PRIMARY KEY, at TIMESTAMPTZ, text TEXT)")
    path = bench.home / "jobs" / "follow.xml"
    path.write_text(f'<sync name="follow" every="100ms" resident="true"><source url="{bench.urls["postgres"]}"/><target url="{bench.copies["postgres"]}"/><table from="news" mode="increment"/></sync>')
    ours = subprocess.Popen([bench.jobs, "run", "--resident", "--home", str(bench.home), str(path)], stderr=subprocess.PIPE)
    writer = subprocess.Popen(bench.psql, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    lags = []

    def write():
        started = time.monotonic()
        for number in range(SECONDS * 10):
            writer.stdin.write(f"INSERT INTO news (text) SELECT 'row ' || n FROM generate_series(1, {RATE // 10}) n;\n")
            writer.stdin.flush()
            time.sleep(max(0, started + (number + 1) / 10 - time.monotonic()))
        writer.stdin.close()

    thread = threading.Thread(target=write)
    thread.start()
    time.sleep(2)
    while thread.is_alive():
        lags.append(float(bench.in_copy("postgres", "SELECT extract(epoch FROM clock_timestamp() - max(at)) FROM news") or 99))
        time.sleep(0.1)
    thread.join()
    writer.wait()
    expected, deadline = SECONDS * RATE, time.monotonic() + 30
    while int(bench.in_copy("postgres", "SELECT count(*) FROM news")) < expected and time.monotonic() < deadline:
        time.sleep(0.05)
    found = int(bench.in_copy("postgres", "SELECT count(*) FROM news"))
    ours.terminate()
    ours.communicate()
    assert found == expected, f"{found} of {expected} rows"
    lags.sort()
    return lags[len(lags) // 2], lags[-1]


def follow_changes(bench):
    """Mixed changes at a steady rate by one writer, and how far the copy is behind: (median, greatest) in seconds. A row of its own, changed with every hundredth, tells the time of its change."""
    table = "(id BIGINT PRIMARY KEY, n BIGINT, at DOUBLE PRECISION)"
    bench.sql("postgres", f"DROP TABLE IF EXISTS moods; CREATE TABLE moods {table}; INSERT INTO moods VALUES (0, 0, 0)")
    bench.in_copy("postgres", f"DROP TABLE IF EXISTS moods; CREATE TABLE moods {table}")
    path = bench.home / "jobs" / "changes.xml"
    path.write_text(f'<sync name="changes" every="100ms" resident="true"><source url="{bench.urls["postgres"]}"/><target url="{bench.copies["postgres"]}"/><table from="moods" mode="capture"/></sync>')
    for order in (["capture", "install"], ["run"]):
        pairs.run([bench.jobs, *order, "--home", str(bench.home), str(path)])
    ours = subprocess.Popen([bench.jobs, "run", "--resident", "--home", str(bench.home), str(path)], stderr=subprocess.PIPE)
    writer = subprocess.Popen(bench.psql, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    lags, dice = [], random.Random(1)

    def change(number):
        what, row = dice.random(), dice.randint(1, number + 1)
        if what < 0.5:
            return f"INSERT INTO moods VALUES ({number + 1}, 0, 0);"
        return f"UPDATE moods SET n = {number} WHERE id = {row};" if what < 0.8 else f"DELETE FROM moods WHERE id = {row};"

    def write():
        started = time.monotonic()
        for hundred in range(CHANGES * SECONDS // 100):
            changes = [change(hundred * 100 + number) for number in range(99)]
            writer.stdin.write("BEGIN;" + "\n".join(changes) + "UPDATE moods SET at = extract(epoch FROM clock_timestamp()) WHERE id = 0; COMMIT;\n")
            writer.stdin.flush()
            time.sleep(max(0, started + (hundred + 1) * 100 / CHANGES - time.monotonic()))
        writer.stdin.close()

    thread = threading.Thread(target=write)
    thread.start()
    time.sleep(2)
    while thread.is_alive():
        lags.append(float(bench.in_copy("postgres", "SELECT extract(epoch FROM clock_timestamp()) - at FROM moods WHERE id = 0")))
        time.sleep(0.1)
    thread.join()
    writer.wait()
    look = "SELECT count(*), sum(id), sum(n) FROM moods"
    expected, deadline = bench.rows_of("postgres", look), time.monotonic() + 30
    while bench.in_copy("postgres", look) != expected and time.monotonic() < deadline:
        time.sleep(0.05)
    found = bench.in_copy("postgres", look)
    ours.terminate()
    ours.communicate()
    assert found == expected, f"{found} instead of {expected}"
    lags.sort()
    return lags[len(lags) // 2], lags[-1]


def lines(bench):
    line = pairs.Line
    return {
        "empty": [
            line("refresh PostgreSQL to PostgreSQL / psql | psql", lambda: bench.fill("postgres", "postgres"), bench.pipe, 1.2),
            line("refresh MariaDB to PostgreSQL / pgloader", lambda: bench.fill("mariadb", "postgres"), bench.pgloader, 2, faster=True),
        ],
        "mariadb": [
            line("batch MariaDB, nothing to do / pt-table-sync", lambda: bench.sync("mariadb", "mariadb", '<table from="flights" mode="batch"/>'), bench.table_sync, 1.5, faster=True),
            line("batch MariaDB, 1,000 changes / full refresh", lambda: bench.mend("mariadb", "batch"), lambda: bench.mend("mariadb", "refresh"), 0.5),
        ],
        "postgres": [
            line("batch PostgreSQL, 1,000 changes / full refresh", lambda: bench.mend("postgres", "batch"), lambda: bench.mend("postgres", "refresh"), 0.5),
        ],
    }


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--times", type=int, default=5)
    options.add_argument("--only", default="")
    options.add_argument("--jobs", default=flights.TOP / "target" / "release" / "jobs")
    options = options.parse_args()
    rows = flights.make()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bench.", dir=flights.FOLDER if len(str(flights.FOLDER)) < 60 else None))
    folder.chmod(0o755)
    bench = Bench(folder, options.jobs)
    bench.rows, good = rows, True
    try:
        wanted = {place: [line for line in some if options.only in line.name] for place, some in lines(bench).items()}
        for engine in ("postgres", "mariadb"):
            if any(wanted.values()):
                bench.full(engine)
        for place, some in wanted.items():
            if some and place in bench.copies:
                bench.full_copy(place)
            good = (not some or pairs.table(some, options.times, folder)) and good
        if options.only in "increment":
            median, greatest = follow(bench)
            met = greatest < 1
            print(f"increment at {RATE:,} rows/s for {SECONDS} s: behind by {median:.2f} s (median), {greatest:.2f} s at most; target < 1 s: {'yes' if met else 'NO'}")
            good = good and met
        if options.only in "capture":
            median, greatest = follow_changes(bench)
            met = greatest < 1
            print(f"capture of {CHANGES:,} mixed changes/s for {SECONDS} s: behind by {median:.2f} s (median), {greatest:.2f} s at most; target < 1 s: {'yes' if met else 'NO'}")
            good = good and met
        print("all targets met" if good else "targets are missed: see NO above")
    finally:
        bench.stop()
        shutil.rmtree(folder)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
