"""Databases side by side: extract and ingest of 1 M real rows against each database's own tools and pgloader, in one run.

Ours is always `jobs run FILE`, a whole process with its plan, ledger and syncs. Servers are private and durable (fsync on).
usage: db.py [--times 5] [--only WORD] [--jobs PATH]      WORD is looked for in the lines' names; PATH is another build of ours
"""
import argparse, os, pathlib, shutil, subprocess, sys, tempfile

import flights, pairs

QUIET = {"postgres": "SET client_min_messages = warning; ", "mariadb": ""}


class Bench:
    """The private servers, a home folder for our jobs, and one table of flights in each database."""

    def __init__(self, folder, jobs):
        self.folder, self.jobs, self.runs = folder, jobs, 0
        self.home = folder / "home"
        for name in ("in", "out", "jobs"):
            (self.home / name).mkdir(parents=True)
        told = subprocess.run([flights.TOP / "scripts" / "services", "start", folder / "s"], check=True, stdout=subprocess.PIPE,
                              env={**os.environ, "DURABLE": "1"}, text=True).stdout
        self.told = dict(line.split("=", 1) for line in told.splitlines() if "=" in line)
        self.sqlite = self.home / "flights.db"
        self.urls = {"postgres": self.told["POSTGRES_URL"], "mariadb": self.told["MARIADB_URL"], "sqlite": f"sqlite:{self.sqlite}"}
        host, port = self.urls["mariadb"].split("@")[1].split("/")[0].split(":")
        self.mariadb = ["mariadb", "--no-defaults", f"-h{host}", f"-P{port}", "-uapp", "-psecret", "--local-infile=1", "app"]
        self.dump = ["mariadb-dump", *self.mariadb[1:6]]
        self.psql = ["psql", "-qX", "-v", "ON_ERROR_STOP=1", self.urls["postgres"]]

    def stop(self):
        subprocess.run([flights.TOP / "scripts" / "services", "stop", self.folder / "s"], check=True)

    def sql(self, engine, text):
        command = {"postgres": [*self.psql, "-c", text], "mariadb": [*self.mariadb, "-e", text], "sqlite": ["sqlite3", str(self.sqlite), text]}[engine]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    def count(self, engine):
        text = "SELECT count(*) FROM flights"
        command = {"postgres": [*self.psql, "-Atc", text], "mariadb": [*self.mariadb, "-Ne", text], "sqlite": ["sqlite3", str(self.sqlite), text]}[engine]
        return int(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)

    def empty(self, engine):
        """An empty table with its primary key, and nothing left to be written by the server."""
        if engine == "sqlite":
            for file in self.home.glob("flights.db*"):
                file.unlink()
            self.sql(engine, "PRAGMA journal_mode=WAL; " + flights.ddl(engine))
            return
        self.sql(engine, QUIET[engine] + "DROP TABLE IF EXISTS flights")
        self.sql(engine, flights.ddl(engine))
        if engine == "postgres":
            self.sql(engine, "CHECKPOINT")

    def full(self, engine):
        """The table with all rows, loaded by the engine's own tool."""
        self.empty(engine)
        self.load_by_its_own(engine)
        if engine == "postgres":
            self.sql(engine, "VACUUM ANALYZE flights")

    def load_by_its_own(self, engine):
        if engine == "postgres":
            return pairs.run([*self.psql, "-c", f"\\copy flights from '{flights.FOLDER}/flights.csv' csv header"])
        if engine == "mariadb":
            load = f"LOAD DATA LOCAL INFILE '{flights.FOLDER}/flights.mysql' INTO TABLE flights FIELDS TERMINATED BY ','"
            return pairs.run([*self.mariadb, "-e", load])
        return pairs.run(["sqlite3", str(self.sqlite), f".import --csv --skip 1 {flights.FOLDER}/flights.csv flights"])

    def job(self, name, text):
        path = self.home / "jobs" / f"{name}.xml"
        path.write_text(text)
        return pairs.run([self.jobs, "run", "--home", str(self.home), str(path)])

    def extract(self, engine, form):
        shutil.rmtree(self.home / "out")
        (self.home / "out").mkdir()
        done = self.job("out", f'<extract name="out"><source url="{self.urls[engine]}"/><table name="flights"/>'
                               f'<output dir="out" file="FLIGHTS" format="{form}"/></extract>')
        files = [file for file in (self.home / "out").iterdir() if not file.name.startswith(".")]
        assert files and sum(file.stat().st_size for file in files) > 50_000_000, files
        return done

    def ingest(self, engine, form):
        self.empty(engine)
        for file in (self.home / "in").glob("*.*"):
            file.unlink()
        # every run is to load the same file anew: a name of its own, so that no ledger knows it
        self.runs += 1
        os.link(flights.FOLDER / f"flights.{form}", self.home / "in" / f"FLIGHTS_{self.runs}.{form}")
        done = self.job("in", f'<ingest name="in"><target url="{self.urls[engine]}"/><input dir="in" done="done" bad="bad" rejects="rejects"/>'
                              f'<table match="FLIGHTS*" name="flights" mode="insert"/></ingest>')
        for file in (self.home / "done").glob("*"):
            file.unlink()
        assert self.count(engine) == self.rows, "rows are missing"
        return done

    def peer_load(self, engine):
        self.empty(engine)
        return self.load_by_its_own(engine)

    def pgloader(self):
        self.empty("postgres")
        script = self.folder / "flights.load"
        fields = ", ".join(flights.COLUMNS)
        script.write_text(f"LOAD CSV FROM '{flights.FOLDER}/flights.csv' ({fields}) INTO {self.urls['postgres'].replace('postgres://', 'postgresql://')} "
                          f"TARGET TABLE flights ({fields}) WITH skip header = 1, fields terminated by ',', fields optionally enclosed by '\"';\n")
        return pairs.run(["pgloader", "-D", str(self.folder / "pgloader"), str(script)])

    def to_file(self, command):
        with open(self.home / "out" / "peer", "wb") as file:
            done = pairs.run(command, stdout=file)
        (self.home / "out" / "peer").unlink()
        return done


def lines(bench):
    line = pairs.Line
    out = str(bench.home / "out" / "peer")
    copy_to = lambda: bench.to_file([*bench.psql, "-c", f"\\copy flights to '{out}' csv header"])
    by_xml = lambda: bench.to_file([*bench.mariadb, "--quick", "--xml", "-e", "SELECT * FROM flights"])
    dump = lambda: bench.to_file([*bench.dump, "--xml", "--no-create-info", "--single-transaction", "--quick", "app", "flights"])
    shell = lambda: bench.to_file(["sqlite3", str(bench.sqlite), ".headers on", ".mode csv", f".once {out}", "SELECT * FROM flights"])
    return {
        "postgres": [
            line("extract PostgreSQL to XML / \\copy to CSV", lambda: bench.extract("postgres", "xml"), copy_to, 1.5),
            line("extract PostgreSQL to CSV / \\copy to CSV", lambda: bench.extract("postgres", "csv"), copy_to, 1.1),
            line("ingest XML to PostgreSQL / \\copy from CSV", lambda: bench.ingest("postgres", "xml"), lambda: bench.peer_load("postgres"), 1.5),
            line("ingest CSV to PostgreSQL / \\copy from CSV", lambda: bench.ingest("postgres", "csv"), lambda: bench.peer_load("postgres"), 1.1),
            line("ingest CSV to PostgreSQL / pgloader CSV", lambda: bench.ingest("postgres", "csv"), bench.pgloader, 8, faster=True),
        ],
        "mariadb": [
            line("extract MariaDB to XML / mariadb --xml", lambda: bench.extract("mariadb", "xml"), by_xml, 3, faster=True),
            line("extract MariaDB to XML / mariadb-dump --xml", lambda: bench.extract("mariadb", "xml"), dump, 3, faster=True),
            line("ingest XML to MariaDB / LOAD DATA LOCAL CSV", lambda: bench.ingest("mariadb", "xml"), lambda: bench.peer_load("mariadb"), 1.5),
        ],
        "sqlite": [
            line("extract SQLite to CSV / .mode csv .once", lambda: bench.extract("sqlite", "csv"), shell, 1.0),
            line("ingest CSV to SQLite / .import", lambda: bench.ingest("sqlite", "csv"), lambda: bench.peer_load("sqlite"), 1.0),
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
    bench.rows = rows
    try:
        good = True
        for engine, some in lines(bench).items():
            some = [line for line in some if options.only in line.name]
            if some:
                bench.full(engine)
                good = pairs.table(some, options.times, folder) and good
        print("all targets met" if good else "targets are missed: see NO above")
    finally:
        bench.stop()
        shutil.rmtree(folder)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
