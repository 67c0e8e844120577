//! CSV, JSON, other encodings and endless cells.

use super::*;

#[test]
fn csv_tells_null_from_empty_and_bad_rows_from_bad_files() {
    let table = read(
        b"\xEF\xBB\xBFa,b\n,\"\"\r\n\n\"x\n\"\"y\"\"\",5\" pipe".to_vec(),
        Format::Csv,
        Compression::None,
        &[Column::text("a"), Column::text("b")],
    );
    assert_eq!(
        table,
        vec![
            vec![None, Some(vec![])],
            vec![Some(b"x\n\"y\"".to_vec()), Some(b"5\" pipe".to_vec())]
        ]
    );
    let (good, bad) = csv("a,b\n1,2\n1\n1,2,3\n\"x\"y,2\n5,6\n").unwrap();
    assert_eq!((good, bad.len()), (2, 3));
    assert_eq!(
        bad[1].to_string(),
        "row 3, line 4, byte 10: 3 fields where there are 2 columns"
    );
    assert_eq!(bad[2].text.as_deref(), Some(&b"\"x\"y,2"[..]));
    for (text, word) in [
        ("", "no header"),
        ("a,a\n", "twice"),
        ("a,,b\n", "no name"),
        ("a\n\"x\n", "inside quotes"),
    ] {
        assert!(csv(text).unwrap_err().to_string().contains(word), "{text}");
    }
    let (good, bad) = drain(
        b"a,b\nx,\xFF\n1,2\n".to_vec(),
        Format::Csv.into(),
        Compression::None,
    )
    .unwrap();
    assert_eq!(
        (good, bad[0].reason.as_str()),
        (1, "bytes that are not UTF-8 at byte 6 of the file")
    );
}

#[test]
fn csv_without_header_and_with_another_delimiter() {
    let layout = Layout::Csv(CsvLayout {
        delimiter: b';',
        header: false,
        ..CsvLayout::default()
    });
    let mut rows = Reading::of(layout, "")
        .open(Box::new(&b"1;2\n3;4,5\n"[..]))
        .unwrap();
    let mut record = Record::new();
    assert_eq!(rows.columns(), ["c1", "c2"]);
    assert!(matches!(rows.read(&mut record).unwrap(), Step::Row));
    assert_eq!((record.cell(0), record.place().row), (Some(&b"1"[..]), 1));
    assert!(matches!(rows.read(&mut record).unwrap(), Step::Row));
    assert_eq!((record.cell(1), record.place().row), (Some(&b"4,5"[..]), 2));
}

#[test]
fn gbk_is_decoded_before_it_is_split() {
    // The second byte of 弢 is 0x7C, the delimiter here.
    let text = "名称|值\n弢|1\n";
    let bytes = encode_for_tests(text, "gbk");
    let layout = Layout::Csv(CsvLayout {
        delimiter: b'|',
        ..CsvLayout::default()
    });
    let reading = Reading {
        encoding: encoding_of("gb2312"),
        ..Reading::of(layout, "")
    };
    let mut rows = reading.open(Box::new(Cursor::new(bytes))).unwrap();
    let mut record = Record::new();
    assert_eq!(rows.columns(), ["名称", "值"]);
    assert!(matches!(rows.read(&mut record).unwrap(), Step::Row));
    assert_eq!(record.cell(0), Some("弢".as_bytes()));
}

#[test]
fn json_arrays_and_single_objects() {
    let json = |text: &str| drain(text.as_bytes().to_vec(), Layout::Json, Compression::None);
    assert_eq!(json("[]").unwrap().0, 0);
    assert_eq!(json(" [ {\"a\":\"]\"} ,\n{\"a\":[{}]} ] \n").unwrap().0, 2);
    assert_eq!(json("{\"a\":1}").unwrap().0, 1);
    let (good, bad) = json("[1,{\"a\":1},\"x\"]").unwrap();
    assert_eq!((good, bad.len()), (1, 2));
    for broken in ["", "x", "[{}", "[{},]", "[{} {}]", "[{}] x", "[{}"] {
        assert!(json(broken).is_err(), "{broken}");
    }
}

#[test]
fn an_endless_cell_ends_at_its_limit() {
    for (head, format) in [
        ("<data><row><a>", Format::Xml),
        ("a\n\"", Format::Csv),
        ("{\"", Format::Jsonl),
    ] {
        let limits = Limits {
            cell: 1 << 20,
            row: 1 << 20,
            ..Limits::default()
        };
        let reading = Reading {
            limits,
            ..Reading::of(format, "")
        };
        let input = head.as_bytes().chain(std::io::repeat(b'x'));
        let mut rows = reading.open(Box::new(input)).unwrap();
        assert!(rows.read(&mut Record::new()).is_err(), "{format:?}");
    }
}
