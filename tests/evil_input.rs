//! Files made to hurt: each ends with a clear error and exit code 65, in the `bad` folder, and costs next to no memory;
//! and files of any length pass in the same memory.
//!
//! `FULL=1` makes giants a gigabyte and the long file 5 GB, instead of 256 MB and 30 MB.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use crate::chance::count;
use crate::lab::{Lab, wait_for};

/// What any of it may cost: resident memory at its peak, in KiB.
const FLAT: u64 = 64 << 10;
/// How long a run may take; far above what is expected.
const PATIENCE: Duration = Duration::from_secs(600);

/// The length of giants.
fn giant() -> u64 {
    count(256 << 20, 1 << 30)
}

/// What a run came to.
struct Run {
    code: Option<i32>,
    said: String,
    /// The highest resident memory that was seen, in KiB.
    peak: u64,
}

/// Runs a job to its end and watches its memory.
fn run(lab: &Lab, job: &Path) -> Run {
    let said = fs::File::create(lab.path("said")).expect("a file for what it says");
    let mut child = lab
        .command("jobs")
        .arg("run")
        .arg(job)
        .stdout(said.try_clone().expect("a second descriptor"))
        .stderr(Stdio::from(said))
        .spawn()
        .expect("starting jobs");
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    let code = wait_for("the end of the run", PATIENCE, || {
        let seen = fs::read_to_string(&status).unwrap_or_default();
        peak = peak.max(high_water(&seen));
        child.try_wait().expect("asking for the child")
    });
    Run {
        code: code.code(),
        said: fs::read_to_string(lab.path("said")).expect("what it said"),
        peak,
    }
}

/// The peak of resident memory in a process's status (proc(5)), in KiB.
fn high_water(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or_default()
}

/// A file of a beginning, so many zero bytes that take no room on the disk, and an end.
fn sparse(path: &Path, head: &str, zeros: u64, tail: &str) {
    let mut file = fs::File::create(path).expect("a file");
    file.write_all(head.as_bytes()).expect("its beginning");
    let length = head.len() as u64 + zeros;
    file.set_len(length).expect("its middle");
    let mut end = fs::File::options()
        .append(true)
        .open(path)
        .expect("the same file");
    end.write_all(tail.as_bytes()).expect("its end");
}

/// How an evil file is made.
enum Content {
    Bytes(Vec<u8>),
    /// A beginning, more zeros than memory may be taken, an end.
    Giant(&'static str, &'static str),
}

/// Name, content, and a word that the error holds.
type Evil = (&'static str, Content, &'static str);

fn text(text: impl Into<Vec<u8>>) -> Content {
    Content::Bytes(text.into())
}

fn evil_xml() -> Vec<Evil> {
    let laughs: String = (1..10)
        .map(|i| format!("<!ENTITY l{i} \"{}\">", format!("&l{};", i - 1).repeat(10)))
        .collect();
    let laughs =
        format!("<!DOCTYPE d [<!ENTITY l0 \"ha\">{laughs}]><data><row><a>&l9;</a></row></data>");
    let xxe = "<?xml version=\"1.0\"?><!DOCTYPE d [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><data><row><a>&x;</a></row></data>";
    let whole = "<data>\n<row><a>1</a></row>\n<row><a>2</a></row>\n</data>\n";
    let flood: String = (0..100_000).map(|i| format!(" a{i}=''")).collect();
    vec![
        ("laughs", text(laughs), "DOCTYPE"),
        ("xxe", text(xxe), "DOCTYPE"),
        ("entity", text("<data><row><a>&x;</a></row></data>"), "unknown entity &x;"),
        ("deep", text("<a>".repeat(1_000_000)), "inside each other"),
        ("deep_row", text(format!("<data><row>{}", "<a>".repeat(1_000_000))), "inside each other"),
        ("attribute", Content::Giant("<data><row><a b=\"", "\">1</a></row></data>"), "tag or comment is longer"),
        ("tag", Content::Giant("<data><row><a", ">1</a></row></data>"), "tag or comment is longer"),
        ("comment", Content::Giant("<data><!-- ", " --></data>"), "tag or comment is longer"),
        ("doctype", Content::Giant("<!DOCTYPE d [ <!-- ", " --> ]><data/>"), "DOCTYPE"),
        ("flood", text(format!("<data><row><a{flood}>1</a></row></data>")), "attributes"),
        ("nul", text("<data><row><a>x\0y</a></row></data>"), "does not allow"),
        ("nul_name", text("<data><row><a\0>1</a\0></row></data>"), "no name"),
        ("control", text("<data><row><a>&#1;</a></row></data>"), "does not allow"),
        ("zeros", Content::Giant("", ""), "not XML"),
        ("half", text(&whole[..30]), "not closed"),
        ("half_tag", text(&whole[..whole.len() - 5]), "line 4"),
        ("twice", text(whole.repeat(2)), "another file begins"),
        ("empty", text(""), "no root"),
        ("not_utf8", text(b"<?xml version=\"1.0\" encoding=\"UTF-8\"?><data><row><a>\xB1\xB1\xBE\xA9</a></row></data>".to_vec()), "not UTF-8"),
        ("klingon", text("<?xml version=\"1.0\" encoding=\"klingon\"?><data/>"), "`klingon` is not known"),
        ("utf32", text(b"\xFF\xFE\0\0<\0\0\0d\0\0\0".to_vec()), "not XML"),
    ]
}

fn evil_others() -> Vec<(&'static str, Evil)> {
    vec![
        (
            "csv",
            (
                "quote",
                text(format!("a,b\n1,\"2\n{}", "3,4\n".repeat(1000))),
                "inside quotes",
            ),
        ),
        (
            "csv",
            ("header", Content::Giant("a,b", "\n1,2\n"), "longer than"),
        ),
        (
            "csv",
            (
                "ragged",
                text("a,b\n1,2,3\n"),
                "3 fields where there are 2 columns",
            ),
        ),
        (
            "jsonl",
            ("deep", text("[".repeat(1_000_000)), "longer than"),
        ),
        (
            "jsonl",
            (
                "deep_row",
                text(format!(
                    "{{\"a\":{}{}}}",
                    "[".repeat(1_000_000),
                    "]".repeat(1_000_000)
                )),
                "inside each other",
            ),
        ),
        ("jsonl", ("zeros", Content::Giant("", ""), "longer than")),
        ("jsonl", ("half", text("{\"a\":1}\n{\"a\":"), "EOF")),
    ]
}

fn put(path: &Path, content: &Content) {
    match content {
        Content::Bytes(bytes) => fs::write(path, bytes).expect("an evil file"),
        Content::Giant(head, tail) => sparse(path, head, giant(), tail),
    }
}

/// Runs the job on one file alone, which must end in `raw/bad`.
fn refuses(lab: &Lab, job: &Path, ending: &str, evil: &Evil) {
    let (name, content, word) = evil;
    let file = format!("{name}.{ending}");
    put(&lab.path("raw").join(&file), content);
    let run = run(lab, job);
    let what = format!("{} on {file}: {}", job.display(), run.said);
    assert_eq!(run.code, Some(65), "{what}");
    assert!(
        run.said.contains(word) && run.said.contains(&file),
        "{word}: {what}"
    );
    assert!(!run.said.contains("panicked"), "{what}");
    assert!(run.peak > 0 && run.peak < FLAT, "{} KiB: {what}", run.peak);
    assert!(lab.path("raw/bad").join(&file).exists(), "{what}");
    assert!(!lab.path("raw").join(&file).exists(), "{what}");
    fs::remove_dir_all(lab.path("raw/bad")).expect("clearing the bad files");
}

/// Whether any file below the folder holds the words.
fn is_anywhere(folder: &Path, words: &str) -> bool {
    let entries = fs::read_dir(folder).expect("a folder").flatten();
    entries.map(|entry| entry.path()).any(|path| {
        if path.is_dir() {
            return is_anywhere(&path, words);
        }
        let bytes = fs::read(&path).unwrap_or_default();
        bytes
            .windows(words.len())
            .any(|part| part == words.as_bytes())
    })
}

fn convert(lab: &Lab, format: &str) -> std::path::PathBuf {
    let job = format!(
        r#"<convert name="c"><input dir="raw" stable="0s"/><format {format}/><output dir="out"/></convert>"#
    );
    lab.write("convert.xml", job)
}

#[test]
fn convert_refuses_evil_files_in_flat_memory() {
    let lab = Lab::new();
    fs::create_dir(lab.path("raw")).expect("the input folder");
    let job = convert(&lab, r#"type="xml""#);
    for evil in evil_xml() {
        refuses(&lab, &job, "xml", &evil);
    }
    let job = convert(&lab, r#"type="xml" row="feed/item""#);
    for (name, content, word) in [
        (
            "deep",
            text(format!("<feed><item>{}", "<a>".repeat(1_000_000))),
            "inside each other",
        ),
        (
            "attribute",
            Content::Giant("<feed><item b=\"", "\"/></feed>"),
            "tag or comment is longer",
        ),
        (
            "other",
            Content::Giant("<food><item>", "</item></food>"),
            "not <feed>",
        ),
    ] {
        refuses(&lab, &job, "xml", &(name, content, word));
    }
    for (ending, evil) in evil_others() {
        let job = convert(&lab, &format!(r#"type="{ending}""#));
        refuses(&lab, &job, ending, &evil);
    }
    // What one value may take is the job's to say.
    for (format, ending, head, word) in [
        (
            r#"type="xml" max-cell="1M""#,
            "xml",
            "<data><row><a>",
            "longer than",
        ),
        (
            r#"type="csv" max-cell="1M""#,
            "csv",
            "a,b\n1,\"",
            "longer than",
        ),
        (
            r#"type="json" max-cell="1M""#,
            "json",
            "[{\"a\":\"",
            "longer than",
        ),
        (
            r#"type="regex" pattern="(?P&lt;a>.*)" max-cell="1M""#,
            "txt",
            "x",
            "longer than",
        ),
        (r#"type="xlsx""#, "xlsx", "PK\x03\x04", "larger than"),
    ] {
        let job = convert(&lab, format);
        refuses(
            &lab,
            &job,
            ending,
            &("giant", Content::Giant(head, ""), word),
        );
    }
    assert!(!is_anywhere(&lab.path("raw"), "root:x:0"));
    assert!(
        fs::read_dir(lab.path("out")).map_or(0, Iterator::count) == 0,
        "nothing was converted"
    );
}

#[test]
fn ingest_refuses_evil_files_in_flat_memory() {
    let lab = Lab::new();
    fs::create_dir(lab.path("raw")).expect("the input folder");
    let db = rusqlite::Connection::open(lab.path("t.db")).expect("a database");
    db.execute_batch("CREATE TABLE t (a TEXT, b TEXT)")
        .expect("a table");
    let job = lab.write(
        "ingest.xml",
        r#"<ingest name="i"><target url="sqlite:t.db"/><input dir="raw" stable="0s"/><table match="*" name="t" mode="insert"/></ingest>"#,
    );
    for evil in evil_xml() {
        refuses(&lab, &job, "xml", &evil);
    }
    for (ending, evil) in evil_others() {
        refuses(&lab, &job, ending, &evil);
    }
    let rows: i64 = db
        .query_row("SELECT count(*) FROM t", [], |row| row.get(0))
        .expect("counting");
    assert_eq!(rows, 0, "nothing of a bad file is loaded");
}

#[test]
fn what_unpacks_without_end_is_refused_in_flat_memory() {
    let lab = Lab::new();
    fs::create_dir(lab.path("raw")).expect("the input folder");
    let zeros = lab.path("zeros");
    sparse(&zeros, "", 1 << 20, "");
    let packed = std::process::Command::new("gzip")
        .arg("-c")
        .arg(&zeros)
        .output()
        .expect("gzip runs");
    // Members one after the other are one stream: a gigabyte in a megabyte.
    let bomb = packed.stdout.repeat(1024);
    for (format, ending, word) in [
        (r#"type="csv""#, "csv.gz", "longer than"),
        (r#"type="jsonl""#, "jsonl.gz", "longer than"),
        (r#"type="xml""#, "xml.gz", "not XML"),
        (
            r#"type="regex" pattern="(?P&lt;a>.*)""#,
            "txt.gz",
            "longer than",
        ),
    ] {
        let job = convert(&lab, format);
        refuses(
            &lab,
            &job,
            ending,
            &("bomb", Content::Bytes(bomb.clone()), word),
        );
    }
}

#[test]
fn a_file_of_any_length_passes_in_the_same_memory() {
    let lab = Lab::new();
    fs::create_dir(lab.path("raw")).expect("the input folder");
    let rows = count(300_000, 50_000_000);
    let mut file = BufWriter::new(fs::File::create(lab.path("raw/long.xml")).expect("a file"));
    file.write_all(b"<data>\n").expect("its beginning");
    for i in 0..rows {
        writeln!(
            file,
            "<row><id>{i}</id><name>station &amp; {i}</name><lat>34.5</lat><lon>116.25</lon><note>some text of a row</note></row>"
        )
        .expect("a row");
    }
    file.write_all(b"</data>\n").expect("its end");
    drop(file);
    let job = convert(&lab, r#"type="xml""#);
    let run = run(&lab, &job);
    assert_eq!(run.code, Some(0), "{}", run.said);
    assert!(run.peak < FLAT, "{} KiB", run.peak);
    fs::remove_dir_all(lab.path("raw")).expect("making room");
}

/// Files that would be moved from a folder into itself stay where they are, and nothing of them is taken.
#[test]
fn a_folder_that_files_come_from_and_go_to_is_refused() {
    let lab = Lab::new();
    std::fs::create_dir(lab.path("in")).expect("a folder");
    for words in ["bad=\"in\"", "done=\"./in\"", "bad=\"in/../in\""] {
        lab.write("in/only.csv", "id,v\nonly copy\n");
        let input = format!(r#"<input dir="in" {words}/>"#);
        for xml in [
            format!(
                r#"<ingest name="s"><target url="sqlite:t.db"/>{input}<table match="*.csv" name="t" create="true"/></ingest>"#
            ),
            format!(
                r#"<convert name="c">{input}<format type="csv"/><output dir="out" file="C" format="xml"/></convert>"#
            ),
        ] {
            let output = lab.run("jobs", ["run", xml.as_str()]);
            let told = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(78), "{xml}: {told}");
            assert!(
                told.contains("is the folder that files are taken from"),
                "{told}"
            );
            assert_eq!(lab.lines("in/only.csv"), ["id,v", "only copy"], "{xml}");
        }
    }
}

/// Such a name can match no pattern; silence would leave the file lying for ever.
#[test]
fn a_name_that_is_not_utf8_is_told_of() {
    let lab = Lab::new();
    let name = OsStr::from_bytes(b"in/\xff.csv");
    fs::create_dir_all(lab.path("in")).expect("a folder");
    fs::write(lab.path(name), "id\n1\n").expect("a file");
    let job = lab.write(
        "i.xml",
        r#"<ingest name="i"><target url="sqlite:a.db"/><input dir="in"/><table match="*.csv" name="t" create="true"/></ingest>"#,
    );
    let done = lab.run("jobs", [Path::new("run"), &job]);
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(
        said.contains("its name is not UTF-8: it is not taken"),
        "{said}"
    );
    assert!(done.status.success() && lab.path(name).exists(), "{said}");
}
