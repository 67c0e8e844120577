//! Files go in, files come out; power is cut at every operation and nothing is lost or doubled.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::*;
use crate::data::Compression;
use crate::disk::{Disk, FakeDisk};

fn job(xml: &str) -> Convert {
    let file = jobfile::JobFile::from_text(Path::new("convert.xml"), xml.as_bytes()).unwrap();
    Convert::new(file.params().unwrap()).unwrap()
}

fn invalid(xml: &str) -> String {
    let file = jobfile::JobFile::from_text(Path::new("convert.xml"), xml.as_bytes()).unwrap();
    match file.params() {
        Err(problems) => problems.to_string(),
        Ok(params) => Convert::new(params).map(|_| ()).unwrap_err().at,
    }
}

const PLAIN: &str = r#"<convert name="c"><input dir="raw" match="*.csv" stable="0s" max-bad="1"/><format type="csv" na="NA"/>
    <output dir="out" file="W" format="csv"/></convert>"#;

struct Home {
    dir: tempfile::TempDir,
    cx: Context,
}

impl Home {
    fn new() -> Home {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("raw")).unwrap();
        let cx = Context::fake(dir.path());
        Home { dir, cx }
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        fs::write(self.dir.path().join("raw").join(name), bytes).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.dir.path().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
    }

    fn names(&self, dir: &str) -> Vec<String> {
        let entries = crate::disk::RealDisk
            .list(&self.dir.path().join(dir))
            .unwrap_or_default();
        entries
            .iter()
            .filter(|entry| !entry.meta.folder)
            .map(crate::disk::Entry::name)
            .collect()
    }
}

#[test]
fn the_sample_converts_gbk_with_types_and_rejects() {
    let mut home = Home::new();
    home.cx
        .set_now(chrono::Utc::now() + chrono::TimeDelta::seconds(10));
    let text = "站号,站名,纬度,建站日期\n58015,\"砀山, 安徽\",+34.50,1956/01/01\n58016,萧县,north,NA\n,无,1,NA\n58017,-,NA,NA\n";
    home.put("st.csv", &crate::data::encode_for_tests(text, "gbk"));
    let tally = job(Convert::SAMPLE).run(&mut home.cx).unwrap();
    assert_eq!(
        (tally.read, tally.written, tally.rejected, tally.files),
        (4, 2, 2, 1)
    );
    let out = home.read("in/STATION_st.xml");
    assert!(out.contains("<row><obtid>58015</obtid><cityname>砀山, 安徽</cityname><lat>34.50</lat><opened>1956-01-01</opened></row>\n<row><obtid>58017</obtid></row>"), "{out}");
    let rejects = home.read("raw/bad/st.csv.rejects.xml");
    assert!(
        rejects.contains(
            r#"column="纬度" value="north" reason="not a decimal number"><站号>58016</站号>"#
        ),
        "{rejects}"
    );
    assert_eq!(
        (home.names("raw").len(), home.names("raw/done")),
        (0, vec!["st.csv".to_owned()])
    );
}

#[test]
fn too_many_bad_rows_and_broken_files_go_to_bad_whole() {
    let mut home = Home::new();
    home.put("a.csv", b"a,b\n1\n2\n3,4\n");
    home.put("b.csv", b"a,a\n1,2\n");
    home.put("c.csv", b"a,b\n1,2\n3\n");
    let error = job(PLAIN).run(&mut home.cx).unwrap_err();
    assert_eq!(error.exit_code(), 65);
    assert!(
        error.to_string().starts_with("2 files of 3 moved to"),
        "{error}"
    );
    assert_eq!(home.names("out"), ["W_c.csv"]);
    assert_eq!(home.names("raw/done"), ["c.csv"]);
    assert_eq!(
        home.names("raw/bad"),
        [
            "a.csv",
            "a.csv.rejects.xml",
            "b.csv",
            "b.csv.rejects.xml",
            "c.csv.rejects.xml"
        ]
    );
    assert!(
        home.read("raw/bad/b.csv.rejects.xml")
            .contains("the column a stands twice")
    );
}

#[test]
fn packed_input_packed_output_and_rows_that_bring_their_columns() {
    let mut home = Home::new();
    let packed = crate::data::pack_for_tests(
        b"{\"a\":1}\n{\"b\":[true, null],\"a\":null}\n",
        Compression::Zstd,
    );
    home.put("x.jsonl.zst", &packed);
    let xml = r#"<convert name="c"><input dir="raw" match="*.jsonl.*" stable="0s"/><format type="jsonl"/><output dir="out" format="csv" compress="gzip"/></convert>"#;
    job(xml).run(&mut home.cx).unwrap();
    let file = fs::File::open(home.dir.path().join("out/x.csv.gz")).unwrap();
    let mut text = String::new();
    Compression::Gzip
        .unpack(Box::new(file))
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(text, "a,b\n1,\n,\"[true,null]\"\n");
}

#[test]
fn every_other_format_is_read() {
    for (format, columns, input) in [
        (
            r#"type="fixed""#,
            r#"<column name="id" at="1" len="3"/><column name="v" at="4" len="3" type="integer"/>"#,
            "7  042\n",
        ),
        (r#"type="json""#, "", r#"[{"id":7,"v":42}]"#),
        (
            r#"type="xml" row="feed/item""#,
            r#"<column name="id" from="@id"/><column name="v"/>"#,
            "<feed><item id='7'><v>42</v></item></feed>",
        ),
        (
            r#"type="xml" row="item""#,
            r#"<column name="id" from="@id"/><column name="v" from="x/v"/>"#,
            "<feed><item id='7'><x><v>42</v></x></item></feed>",
        ),
        (
            r#"type="regex" pattern="^(?P&lt;id>\d+) (?P&lt;v>\d+)" unmatched="skip""#,
            "",
            "7 42\nnothing\n",
        ),
        (
            r#"type="csv" skip="1" comment="//" quote="'" delimiter=";""#,
            "",
            "title\n// note\n id ; v\n'7';42\n",
        ),
        (
            r#"type="csv" header="false" delimiter="tab""#,
            r#"<column name="id" from="c1"/><column name="v" from="c2"/>"#,
            "7\t42\n",
        ),
    ] {
        let mut home = Home::new();
        home.put("x.txt", input.as_bytes());
        let xml = format!(
            r#"<convert name="c"><input dir="raw" stable="0s"/><format {format}/>{columns}<output dir="out" format="csv"/></convert>"#
        );
        job(&xml).run(&mut home.cx).unwrap();
        assert_eq!(home.read("out/x.csv"), "id,v\n7,42\n", "{format}");
    }
}

#[test]
fn a_workbook_is_converted() {
    let mut home = Home::new();
    let sheet = r#"<row><c t="inlineStr"><is><t>站号</t></is></c><c t="inlineStr"><is><t>day</t></is></c></row>
        <row><c><v>58015</v></c><c s="1"><v>45943</v></c></row><row><c><v>x</v></c></row>"#;
    let bytes = crate::data::workbook_for_tests(&[("one", ""), ("two", sheet)], &[]);
    home.put("a.xlsx", &bytes);
    home.put("b.xlsx", b"PK\x03\x04 no more");
    let xml = r#"<convert name="c"><input dir="raw" match="*.xlsx" stable="0s" max-bad="1"/><format type="xlsx" sheet="two"/>
        <column name="id" from="站号" type="integer"/><column name="at" from="day" type="timestamp"/><output dir="out" format="csv"/></convert>"#;
    let error = job(xml).run(&mut home.cx).unwrap_err();
    assert!(error.to_string().contains("1 file of 2 moved"), "{error}");
    assert_eq!(home.read("out/a.csv"), "id,at\n58015,2025-10-13 00:00:00\n");
    assert_eq!(
        home.names("raw/bad"),
        ["a.xlsx.rejects.xml", "b.xlsx", "b.xlsx.rejects.xml"]
    );
}

#[test]
fn a_waiting_output_is_not_replaced_and_rejects_keep_apart() {
    let mut home = Home::new();
    for text in ["a,b\n1,2\n3\n", "a,b\n4,5\n6\n", "a,b\n4,5\n6\n"] {
        home.put("x.csv", text.as_bytes());
        job(PLAIN).run(&mut home.cx).unwrap();
    }
    assert_eq!(home.names("out").len(), 3);
    assert_eq!(home.read("out/W_x.csv"), "a,b\n1,2\n");
    assert_eq!(home.names("raw/bad").len(), 2);
    assert_eq!(home.names("raw/done"), ["x.csv", "x.csv.1", "x.csv.2"]);
}

#[test]
fn a_stop_leaves_everything_as_it_was() {
    let mut home = Home::new();
    let rows = "1,2\n".repeat(5000);
    home.put("x.csv", format!("a,b\n{rows}").as_bytes());
    home.cx.stop_at_checkpoint(4);
    let error = job(PLAIN).run(&mut home.cx).unwrap_err();
    assert!(matches!(error, Error::Stopped(15)), "{error}");
    assert_eq!(
        (home.names("raw"), home.names("out").len()),
        (vec!["x.csv".to_owned()], 0)
    );
}

#[test]
fn what_cannot_be_is_refused_when_the_job_is_made() {
    let with = |format: &str, rest: &str| {
        format!(
            r#"<convert name="c"><input dir="raw" {rest}/><format {format}/><output dir="raw"/></convert>"#
        )
    };
    for (xml, word) in [
        (
            with(r#"type="csv" encoding="klingon""#, r#"match="*.csv""#),
            "format.encoding",
        ),
        (
            with(r#"type="csv" delimiter="ab""#, r#"match="*.csv""#),
            "format.delimiter",
        ),
        (
            with(r#"type="csv" row="a/b""#, r#"match="*.csv""#),
            "format.row",
        ),
        (with(r#"type="fixed""#, r#"match="*.csv""#), "column"),
        (
            with(r#"type="csv""#, r#"marker="ok" match="*.csv""#),
            "input.marker",
        ),
        (with(r#"type="csv""#, ""), "output.dir"),
        (
            with(r#"type="xlsx" delimiter=";""#, r#"match="*.xlsx""#),
            "format.delimiter",
        ),
        (
            with(r#"type="xlsx" encoding="gbk""#, r#"match="*.xlsx""#),
            "format.encoding",
        ),
        (
            with(r#"type="json" skip="1""#, r#"match="*.csv""#),
            "format.skip",
        ),
        (
            with(r#"type="csv" sheet="1""#, r#"match="*.csv""#),
            "format.sheet",
        ),
        (
            with(r#"type="csv" delimiter=" ""#, r#"match="*.csv""#),
            "format.delimiter",
        ),
        (
            with(r#"type="csv" quote=",""#, r#"match="*.csv""#),
            "format.quote",
        ),
        (
            with(r#"type="csv" max-cell="1""#, r#"match="*.csv""#),
            "format.max-cell",
        ),
        (with(r#"type="regex""#, r#"match="*.csv""#), "format.type"),
        (
            with(r#"type="regex" pattern="(""#, r#"match="*.csv""#),
            "format.pattern",
        ),
        (
            with(r#"type="xml" row="a//b""#, r#"match="*.csv""#),
            "format.row",
        ),
    ] {
        let said = invalid(&xml);
        assert!(said.contains(word), "{xml}: {said}");
    }
    let column = r#"<convert name="c"><input dir="raw"/><format type="csv"/><column name="a" type="date" pattern="%Q"/><output dir="out"/></convert>"#;
    assert_eq!(invalid(column), "column[1].pattern");
    let column = r#"<convert name="c"><input dir="raw"/><format type="csv"/><column name="a"/><column name="b" len="2"/><output dir="out"/></convert>"#;
    assert_eq!(invalid(column), "column[2].len");
    let column = r#"<convert name="c"><input dir="raw"/><format type="regex" pattern="(?P&lt;a>x)"/><column name="b"/><output dir="out"/></convert>"#;
    assert_eq!(invalid(column), "column[1].name");
}

#[test]
fn check_looks_and_suggests() {
    let mut home = Home::new();
    home.cx
        .set_now(chrono::Utc::now() + chrono::TimeDelta::seconds(10));
    home.put(
        "st.csv",
        &crate::data::encode_for_tests("站号,站名\n58015,砀山\n", "gbk"),
    );
    let xml = r#"<convert name="c"><input dir="raw"/><format type="csv"/><column name="a" from="站号"/><output dir="out"/></convert>"#;
    let mut report = Report::default();
    job(xml).check(&mut home.cx, &mut report).unwrap();
    let problems: Vec<String> = report
        .problems
        .iter()
        .map(|p| format!("{}: {}", p.at, p.message))
        .collect();
    assert!(
        problems[0].contains("gb18030") && problems[0].starts_with("format.encoding"),
        "{problems:?}"
    );
    // one line that does not decode is a bad row, as the run would have it
    let mut text = crate::data::encode_for_tests("站号\n58015\n", "gbk");
    text.extend_from_slice(b"\xff\xff\n");
    home.put("st.csv", &text);
    for (max_bad, fits) in [(0, false), (1, true)] {
        let xml = format!(
            r#"<convert name="c"><input dir="raw" max-bad="{max_bad}"/><format type="csv" encoding="gbk"/><output dir="out"/></convert>"#
        );
        let mut report = Report::default();
        job(&xml).check(&mut home.cx, &mut report).unwrap();
        assert_eq!(report.problems.is_empty(), fits, "{:?}", report.problems);
    }
    assert_eq!(home.names("raw"), ["st.csv"]);
}

/// Runs the job, ends it at operation `cut`, and runs it again; tells what was published in all. With a seed the power is
/// cut; without one only the process dies, and the outputs are taken by the next in line before it runs again.
fn survive(cut: u64, seed: Option<u64>) -> Option<BTreeMap<String, Vec<u8>>> {
    let (disk, home) = (FakeDisk::new(), Path::new("/home"));
    disk.create_dirs(&home.join("raw")).unwrap();
    disk.create_dirs(&home.join("out")).unwrap();
    disk.create_dirs(&home.join("raw/bad")).unwrap();
    disk.put(&home.join("raw/a.csv"), b"a,b\n1,2\n3\n");
    disk.put(&home.join("raw/b.csv"), b"a,b\n4,5\n");
    let mut consumed = BTreeMap::new();
    let power = disk.power();
    power.cut_at(power.spent() + cut);
    let run = || job(PLAIN).run(&mut Context::fake_on(&disk, home));
    if run().is_ok() {
        return None;
    }
    match seed {
        Some(seed) => disk.reboot(seed),
        None => {
            disk.revive();
            consume(&disk, &mut consumed);
        }
    }
    run().unwrap_or_else(|e| panic!("cut {cut} {seed:?}: {}", e.chain()));
    consume(&disk, &mut consumed);
    let rest: Vec<PathBuf> = disk
        .files()
        .into_keys()
        .filter(|path| !path.starts_with("/home/state"))
        .collect();
    let kept = [
        "raw/bad/a.csv.rejects.xml",
        "raw/done/a.csv",
        "raw/done/b.csv",
    ]
    .map(|path| home.join(path));
    assert_eq!(rest, kept, "cut {cut} {seed:?}");
    Some(consumed)
}

/// Takes every published output away, durably, as whoever waits for them does.
fn consume(disk: &FakeDisk, consumed: &mut BTreeMap<String, Vec<u8>>) {
    for (path, bytes) in disk.files() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.starts_with("/home/out") && !name.starts_with('.') {
            assert!(
                consumed.insert(name.clone(), bytes).is_none(),
                "{name} was published twice"
            );
            disk.remove(&path).unwrap();
        }
    }
    disk.sync_dir(Path::new("/home/out")).unwrap();
}

#[test]
fn death_at_every_operation_loses_and_doubles_nothing() {
    let expected = BTreeMap::from([
        ("W_a.csv".to_owned(), b"a,b\n1,2\n".to_vec()),
        ("W_b.csv".to_owned(), b"a,b\n4,5\n".to_vec()),
    ]);
    for cut in 1.. {
        let seeds = (0..12).map(Some).chain([None]);
        let outcomes: Vec<_> = seeds.filter_map(|seed| survive(cut, seed)).collect();
        for consumed in &outcomes {
            assert_eq!(consumed, &expected, "cut {cut}");
        }
        if outcomes.is_empty() {
            assert!(cut > 25, "only {cut} operations");
            break;
        }
    }
}
