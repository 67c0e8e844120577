//! What is written reads back the same, whatever it is; what others wrote badly is told, never a panic.

use std::io::{Cursor, Read};

use proptest::prelude::*;

use super::*;

/// Text in another encoding.
pub(crate) fn encode_for_tests(text: &str, encoding: &str) -> Vec<u8> {
    let (bytes, _, unmappable) = encoding_of(encoding).unwrap().encode(text);
    assert!(!unmappable);
    bytes.into_owned()
}

/// Bytes, packed.
pub(crate) fn pack_for_tests(bytes: &[u8], compression: Compression) -> Vec<u8> {
    let mut packer = Packer::new(Vec::new(), compression).unwrap();
    std::io::Write::write_all(&mut packer, bytes).unwrap();
    packer.finish().unwrap()
}

pub(super) type Table = Vec<Vec<Option<Vec<u8>>>>;

fn write(format: Format, compression: Compression, columns: &[Column], table: &Table) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), format, compression, columns).unwrap();
    for row in table {
        let cells: Vec<Option<&[u8]>> = row.iter().map(Option::as_deref).collect();
        writer.row(&cells).unwrap();
    }
    writer.finish().unwrap()
}

/// Reads everything; columns that no row brought are NULL in every row.
pub(super) fn read(
    bytes: Vec<u8>,
    format: Format,
    compression: Compression,
    columns: &[Column],
) -> Table {
    let reading = Reading {
        compression,
        ..Reading::of(format, "")
    };
    let mut rows = reading.open(Box::new(Cursor::new(bytes))).unwrap();
    let (mut record, mut table) = (Record::new(), Table::new());
    loop {
        match rows.read(&mut record).unwrap() {
            Step::End => return table,
            Step::Bad(bad) => panic!("{bad}"),
            Step::Row => {
                let cell = |column: &Column| {
                    let at = rows
                        .columns()
                        .iter()
                        .position(|name| *name == column.name)?;
                    if column.form == Form::Binary {
                        record.spell_hex(at);
                    }
                    record.cell(at).map(<[u8]>::to_vec)
                };
                table.push(columns.iter().map(cell).collect());
            }
        }
    }
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    let nasty = prop::sample::select(vec![
        "",
        " ",
        "\"",
        "\"\"",
        ",",
        "\r",
        "\n",
        "\r\n",
        "\t",
        "<a>&amp;]]>",
        "\0",
        "\x01",
        "\u{FFFE}",
        "\u{FEFF}x",
        "null",
        "true",
        "1e5",
        "007",
        "\\",
        "\u{1F600}",
        "中文",
    ]);
    prop_oneof![
        4 => any::<String>().prop_map(String::into_bytes),
        2 => nasty.prop_map(|s| s.as_bytes().to_vec()),
        1 => (nasty_pair()).prop_map(String::into_bytes),
    ]
}

fn nasty_pair() -> impl Strategy<Value = String> {
    (
        any::<String>(),
        prop::sample::select(vec!["\r", "\"", "\n", ",", "\r\n", "\u{FFFF}"]),
    )
        .prop_map(|(a, b)| a + b)
}

fn cell(form: Form) -> BoxedStrategy<Option<Vec<u8>>> {
    let value = match form {
        Form::Text => text().boxed(),
        Form::Number => prop_oneof![
            any::<i64>().prop_map(|n| n.to_string().into_bytes()),
            any::<f64>().prop_map(|n| n.to_string().into_bytes()),
            Just(b"12345678901234567890.10".to_vec()),
        ]
        .boxed(),
        Form::Boolean => {
            prop::sample::select(vec![b"1".to_vec(), b"0".to_vec(), b"yes".to_vec()]).boxed()
        }
        Form::Binary => any::<Vec<u8>>()
            .prop_map(|bytes| {
                bytes
                    .iter()
                    .map(|b| format!("{b:02x}"))
                    .collect::<String>()
                    .into_bytes()
            })
            .boxed(),
    };
    prop_oneof![1 => Just(None), 4 => value.prop_map(Some)].boxed()
}

fn tables() -> impl Strategy<Value = (Vec<Column>, Table)> {
    let form = prop::sample::select(vec![
        Form::Text,
        Form::Text,
        Form::Number,
        Form::Boolean,
        Form::Binary,
    ]);
    let name = prop_oneof![3 => "[a-z_]{1,8}", 1 => "\\PC{1,12}", 1 => Just("row".to_owned()), 1 => Just("field".into())];
    prop::collection::hash_map(name, form, 1..6).prop_flat_map(|named| {
        let columns: Vec<Column> = named
            .into_iter()
            .map(|(name, form)| Column { name, form })
            .collect();
        let row: Vec<_> = columns.iter().map(|column| cell(column.form)).collect();
        (Just(columns), prop::collection::vec(row, 0..8))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_table_survives_every_format((columns, table) in tables()) {
        for format in [Format::Xml, Format::Csv, Format::Jsonl] {
            for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
                let bytes = write(format, compression, &columns, &table);
                prop_assert_eq!(&bytes, &write(format, compression, &columns, &table), "same rows, same bytes");
                let back = read(bytes, format, compression, &columns);
                prop_assert_eq!(&back, &table, "{:?} {:?}", format, compression);
            }
        }
    }

    #[test]
    fn text_that_is_not_utf8_survives_xml(bytes in any::<Vec<u8>>()) {
        let columns = [Column::text("a")];
        let table = vec![vec![Some(bytes)]];
        let file = write(Format::Xml, Compression::None, &columns, &table);
        prop_assert_eq!(read(file, Format::Xml, Compression::None, &columns), table);
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in any::<Vec<u8>>(), cut in 0_usize..400, flip in any::<(u16, u8)>()) {
        let good = "<data><row><a>1</a><b enc=\"base64\">AAE=</b></row><!-- x --><row><field name=\"c d\"><![CDATA[x]]>&#13;</field></row></data>";
        let csv = "a,b,c\n1,\"x\"\"y\",\n,,\"\"\n";
        let json = "{\"a\":1,\"b\":[1,{\"c\":\"\\u4e2d\"}]}\n{\"a\":null}\n";
        for sample in [bytes, good.into(), csv.into(), json.into()] {
            let mut sample = sample;
            sample.truncate(cut);
            let at = usize::from(flip.0) % sample.len().max(1);
            if let Some(byte) = sample.get_mut(at) {
                *byte = flip.1;
            }
            for layout in [Format::Xml.into(), Format::Csv.into(), Format::Jsonl.into(), Layout::Json] {
                for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
                    drop(drain(sample.clone(), layout.clone(), compression));
                }
            }
        }
    }

    #[test]
    fn a_cut_xml_file_is_never_whole((columns, table) in tables(), part in 0.0..1.0) {
        let mut file = write(Format::Xml, Compression::None, &columns, &table);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a part of a small length")]
        file.truncate(((file.len() - 1) as f64 * part) as usize);
        // Only the line feed behind the root may be missing.
        prop_assert!(drain(file, Format::Xml.into(), Compression::None).is_err());
    }
}

/// Reads to the end or the first error; tells rows and bad rows.
fn drain(
    bytes: Vec<u8>,
    layout: Layout,
    compression: Compression,
) -> Result<(usize, Vec<BadRow>), BadFile> {
    let reading = Reading {
        compression,
        ..Reading::of(layout, "")
    };
    let mut rows = reading.open(Box::new(Cursor::new(bytes)))?;
    let (mut record, mut good, mut bad) = (Record::new(), 0, Vec::new());
    loop {
        match rows.read(&mut record)? {
            Step::Row => good += 1,
            Step::Bad(row) => bad.push(*row),
            Step::End => return Ok((good, bad)),
        }
    }
}

pub(super) fn xml(text: &str) -> Result<(usize, Vec<BadRow>), BadFile> {
    drain(
        text.as_bytes().to_vec(),
        Format::Xml.into(),
        Compression::None,
    )
}

fn csv(text: &str) -> Result<(usize, Vec<BadRow>), BadFile> {
    drain(
        text.as_bytes().to_vec(),
        Format::Csv.into(),
        Compression::None,
    )
}

#[test]
fn the_three_xml_forms_are_read() {
    for form in [
        "<data><row><a>1</a><b>2</b></row><row><a>3</a></row></data>",
        "\u{FEFF}<?xml version='1.0'?><!-- x --><data>\n<a>1</a><b>2</b><endl/>\n<a>3</a><endl></endl>\n</data>\n<!-- end -->",
        "<resultset xmlns:xsi='x'><row><field name='a'>1</field><field name='b'>2</field></row>\
         <row><field name='a'>3</field><field name='b' xsi:nil='true'/></row></resultset>",
    ] {
        let table = read(
            form.as_bytes().to_vec(),
            Format::Xml,
            Compression::None,
            &[Column::text("a"), Column::text("b")],
        );
        let expected = [[Some("1"), Some("2")], [Some("3"), None]];
        assert_eq!(
            table,
            expected.map(|row| row.map(|c| c.map(|t| t.as_bytes().to_vec())).to_vec()),
            "{form}"
        );
    }
}

#[test]
fn broken_xml_files_are_refused() {
    for (text, word) in [
        ("", "no root"),
        ("a,b", "not XML"),
        ("<!DOCTYPE x [<!ENTITY a 'b'>]><data/>", "DOCTYPE"),
        ("<data><row><a>1</a></row>", "ends before"),
        ("<data><row><a>1", "ends before"),
        ("<data></data><data></data>", "second root"),
        ("<data></data>x", "behind the root"),
        ("<data></data>&amp;", "behind the root"),
        ("<data><row><a>1</b></row></data>", "expected"),
        ("<data><row></row>text</data>", "between rows"),
        ("<data><a>1</a><row></row></data>", "endl"),
    ] {
        let error = xml(text).unwrap_err().to_string();
        assert!(
            error.contains(word) && error.contains("line 1"),
            "{text}: {error}"
        );
    }
    assert!(
        xml(&"<a>".repeat(100_000))
            .unwrap_err()
            .to_string()
            .contains("inside each other")
    );
    assert!(
        xml(&format!("<{}/>", "n".repeat(300)))
            .unwrap_err()
            .to_string()
            .contains("longer")
    );
    let flood: String = (0..5000).map(|i| format!(" a{i}=''")).collect();
    assert!(
        xml(&format!("<data><row{flood}/><row><a{flood}/></row></data>"))
            .unwrap_err()
            .to_string()
            .contains("attributes")
    );
    let wide: String = (0..5000).map(|i| format!("<a{i}/>")).collect();
    assert!(
        xml(&format!("<data><row>{wide}</row></data>"))
            .unwrap_err()
            .to_string()
            .contains("columns")
    );
}

#[test]
fn bad_xml_rows_leave_the_others_alone() {
    let (good, bad) = xml("<data>\n<row><a>1</a></row>\n<row><a>&nbsp;</a></row>\n<row><a><b/></a></row>\n\
        <row><a>1</a><a>2</a></row>\n<row>x<a>1</a></row>\n<row><a>&#1;</a></row>\n<row><a enc='base64'>*</a></row>\n\
        <row><a>&#xD800;</a></row>\n<row><a enc='rot13'>1</a></row>\n<row reason='r'></row>\n<row><a>9</a></row>\n</data>").unwrap();
    assert_eq!(good, 2);
    let reasons: Vec<String> = bad.iter().map(|b| b.reason.clone()).collect();
    assert_eq!(
        bad.iter().map(|b| b.place.row).collect::<Vec<_>>(),
        (2..=10).collect::<Vec<_>>(),
        "{reasons:?}"
    );
    assert_eq!(bad[0].place.line, 3);
    assert_eq!(
        (bad[0].column.as_deref(), reasons[0].as_str()),
        (Some("a"), "unknown entity &nbsp;")
    );
    let (good, bad) = drain(
        b"<data><row><a>\xFF</a></row><row><a>1</a></row></data>".to_vec(),
        Format::Xml.into(),
        Compression::None,
    )
    .unwrap();
    assert_eq!(good, 1);
    assert!(
        bad[0].reason.ends_with("UTF-8 at byte 14 of the file"),
        "{}",
        bad[0]
    );
}

#[test]
fn rows_of_foreign_xml_are_found_by_their_way() {
    let text = "<feed><head><item>no</item></head><list><item id='1'><t>a</t></item><other><item/></other><item><t>b</t></item></list></feed>";
    let way = ["feed", "list", "item"].map(String::from).to_vec();
    let layout = Layout::Xml(XmlLayout { row: Some(way) });
    let reading = Reading::of(layout, "");
    let mut rows = reading.open(Box::new(text.as_bytes())).unwrap();
    let mut record = Record::new();
    assert!(matches!(rows.read(&mut record).unwrap(), Step::Row));
    assert_eq!(
        (record.cell(0), record.cell(1)),
        (Some(&b"1"[..]), Some(&b"a"[..]))
    );
    assert!(matches!(rows.read(&mut record).unwrap(), Step::Row));
    assert_eq!((record.cell(0), record.cell(1)), (None, Some(&b"b"[..])));
    assert!(matches!(rows.read(&mut record).unwrap(), Step::End));
    assert_eq!(rows.columns(), ["@id", "t"]);
    assert!(reading.open(Box::new(&b"<food/>"[..])).is_err());
}

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
