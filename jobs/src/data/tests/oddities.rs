//! What others write: foreign XML, every encoding, odd lines and quotes, markup that is none.

use super::*;

/// Columns and rows of a foreign file, bad rows as what is wrong with them.
fn foreign(text: &str, row: &str) -> (Vec<String>, Vec<String>) {
    let row = Some(row.split('/').map(str::to_owned).collect());
    let reading = Reading::of(Layout::Xml(XmlLayout { row }), "");
    let mut rows = reading
        .open(Box::new(Cursor::new(text.as_bytes().to_vec())))
        .unwrap();
    let (mut record, mut seen) = (Record::new(), Vec::new());
    loop {
        let row = match rows.read(&mut record).unwrap() {
            Step::End => return (rows.columns().to_vec(), seen),
            Step::Bad(bad) => bad.to_string(),
            Step::Row => rows
                .columns()
                .iter()
                .enumerate()
                .filter_map(|(i, name)| {
                    Some(format!(
                        "{name}={}",
                        String::from_utf8_lossy(record.cell(i)?)
                    ))
                })
                .collect::<Vec<_>>()
                .join(" "),
        };
        seen.push(row);
    }
}

#[test]
fn what_is_inside_foreign_rows_is_named_by_its_path() {
    let text = "<f:feed xmlns:f='x'><list>between<item id='7' xmlns:g='y'><t lang='de'>a&amp;b</t><g:geo>\n<lat u='°'>1.5</lat>\n<lon/></g:geo>\
        <tag>x</tag><tag><![CDATA[<y>]]></tag><p>so <b>it</b> is</p><n xsi:nil='true'/><bin enc='base64'>AEE=</bin></item>\n<item>alone</item><item/></list></f:feed>";
    for way in ["f:feed/list/item", "item"] {
        let (columns, rows) = foreign(text, way);
        assert_eq!(
            columns[..6],
            [
                "@id",
                "t/@lang",
                "t",
                "g:geo/lat/@u",
                "g:geo/lat",
                "g:geo/lon"
            ]
        );
        assert_eq!(
            rows,
            [
                "@id=7 t/@lang=de t=a&b g:geo/lat/@u=° g:geo/lat=1.5 g:geo/lon= tag=x tag[2]=<y> p/b=it p=so  is bin=\0A",
                "item=alone",
                "item="
            ],
            "{way}"
        );
    }
    let (_, rows) = foreign("<item><a>1</a></item>", "item");
    assert_eq!(rows, ["a=1"]);
    let twins = "<t>x</t>".repeat(300);
    let (_, rows) = foreign(
        &format!("<l><i>{twins}</i><i><t>&odd;</t></i><i><t>y</t></i></l>"),
        "l/i",
    );
    assert!(
        rows[0].contains("more than 256") && rows[1].contains("&odd;"),
        "{rows:?}"
    );
    assert_eq!(rows[2], "t=y");
}

#[test]
fn rows_of_a_dump_in_xml_are_read_and_no_more() {
    let dump = |name: &str| {
        format!(
            "<?xml version='1.0'?>\n<mysqldump xmlns:xsi='x'>\n<database name='d'>\n\t<table_structure name='t'>\n\t\t\
             <field Field='id' Type='int' Null='NO' Key='PRI' Extra='' Comment=''/>\n\t\t<key Table='t' Key_name='PRIMARY'/>\n\t\t\
             <options Name='t' Engine='InnoDB'/>\n\t</table_structure>\n\t<!-- none -->\n\t<table_data name='t'>\n\t<row>\n\t\t\
             <field name='id'>1</field>\n\t\t<field name='a' xsi:nil='true' />\n\t</row>\n\t<row>\n\t\t<field name='id'>2</field>\n\t\t\
             <field name='a'>x</field>\n\t</row>\n\t</table_data>\n\t<table_data name='{name}'>\n\t</table_data>\n</database>\n</mysqldump>\n"
        )
    };
    let columns = [Column::text("id"), Column::text("a")];
    let table = read(
        dump("t").into_bytes(),
        Format::Xml,
        Compression::None,
        &columns,
    );
    let cell = |text: &str| Some(text.as_bytes().to_vec());
    assert_eq!(table, [[cell("1"), None], [cell("2"), cell("x")]]);
    let error = xml(&dump("u")).expect_err("two tables").to_string();
    assert!(error.contains("two tables, t and u"), "{error}");
    let (_, bad) = xml("<data><ROW><a>1</a></ROW></data>").unwrap();
    assert!(bad[0].to_string().contains("<row>"), "{}", bad[0]);
}

#[test]
fn markup_that_xml_does_not_know_is_refused() {
    for (text, word) in [
        (
            "<data><row><a b='<'>1</a></row></data>",
            "character that XML does not allow",
        ),
        (
            "<data><row><a b='&#1;'>1</a></row></data>",
            "character that XML does not allow",
        ),
        ("<data><row><a\0b>1</a\0b></row></data>", "no name"),
        ("<data><row><1a>1</1a></row></data>", "no name"),
        (
            "<data></data><?xml version='1.0'?><data></data>",
            "another file begins here",
        ),
        ("<data><row>\0</row>\0</data>", "between rows"),
        ("<data><row><a>1</a></row><!doctype x></data>", "DOCTYPE"),
        (
            "<data><row><a><![CDATA[x]]</a></row></data>",
            "CDATA section",
        ),
        ("<data><!-- -- --></data>", "--"),
        (
            "<?xml version='1.0' encoding='klingon'?><data/>",
            "`klingon` is not known",
        ),
        ("\0\0\0\0", "not XML"),
    ] {
        let error = xml(text)
            .err()
            .unwrap_or_else(|| panic!("{text}"))
            .to_string();
        assert!(error.contains(word), "{text}: {error}");
    }
}

#[test]
fn encodings_that_are_declared_are_decoded_once() {
    let text = "<?xml version='1.0' encoding='ENC'?>\n<data><row><名 a='属'>北京&amp;上海</名></row></data>";
    for encoding in ["gbk", "gb18030", "big5", "shift_jis", "euc-jp"] {
        let text = if encoding == "gbk" || encoding == "gb18030" {
            text.to_owned()
        } else {
            text.replace("属", "日")
        };
        let bytes = encode_for_tests(&text.replace("ENC", encoding), encoding);
        let table = read(bytes, Format::Xml, Compression::None, &[Column::text("名")]);
        assert_eq!(
            table,
            [[Some("北京&上海".as_bytes().to_vec())]],
            "{encoding}"
        );
    }
    for big in [false, true] {
        let mut bytes = if big {
            vec![0xFE, 0xFF]
        } else {
            vec![0xFF, 0xFE]
        };
        for unit in text.replace("ENC", "UTF-16").encode_utf16() {
            bytes.extend(if big {
                unit.to_be_bytes()
            } else {
                unit.to_le_bytes()
            });
        }
        for marked in [true, false] {
            let bytes = bytes[if marked { 0 } else { 2 }..].to_vec();
            let table = read(bytes, Format::Xml, Compression::None, &[Column::text("名")]);
            assert_eq!(table, [[Some("北京&上海".as_bytes().to_vec())]]);
        }
    }
}

#[test]
fn rows_read_the_same_however_the_file_is_laid_out() {
    let columns = [Column::text("a"), Column::text("b")];
    let expected: Table = (0..50)
        .map(|i| {
            let text = format!("value {i}").into_bytes();
            vec![Some(text), (i % 3 != 0).then(|| b"x".to_vec())]
        })
        .collect();
    let row = |row: &Vec<Option<Vec<u8>>>, gap: &str| {
        let mut text = format!("<row>{gap}");
        for (column, cell) in columns.iter().zip(row) {
            if let Some(cell) = cell {
                let name = &column.name;
                text.push_str(&format!(
                    "<{name}>{}</{name}>{gap}",
                    String::from_utf8_lossy(cell)
                ));
            }
        }
        text + "</row>"
    };
    for gap in ["", "\n  ", "\r\n\t", "<!-- x -->"] {
        let rows: Vec<String> = expected.iter().map(|cells| row(cells, gap)).collect();
        let file = format!("<data>{gap}{}{gap}</data>", rows.join(gap));
        let table = read(file.into_bytes(), Format::Xml, Compression::None, &columns);
        assert_eq!(table, expected, "{gap:?}");
    }
}

#[test]
fn comments_heads_and_names_in_blanks() {
    let reading = Reading {
        asides: Asides {
            skip: 2,
            comment: Some("#".into()),
        },
        ..Reading::of(Format::Csv, "")
    };
    let text = "a title\n\u{FF},,\n# note\n  a ,\" b \"\n1,2\n#3,4\n5,#6\n";
    let mut rows = reading.open(Box::new(text.as_bytes())).unwrap();
    assert_eq!(rows.columns(), ["a", " b "]);
    let mut record = Record::new();
    assert!(matches!(rows.read(&mut record).unwrap(), Step::Row));
    assert_eq!((record.cell(0), record.place().line), (Some(&b"1"[..]), 5));
    assert!(matches!(rows.read(&mut record).unwrap(), Step::Row));
    assert_eq!((record.cell(1), record.place().line), (Some(&b"#6"[..]), 7));
    assert!(matches!(rows.read(&mut record).unwrap(), Step::End));
}

#[test]
fn quotes_may_be_others_or_none() {
    for (quote, text, cells) in [
        (None, "a,b\n\"1,2\"\n", ["\"1", "2\""]),
        (Some(b'\''), "a,b\n'1,\"',''\n", ["1,\"", ""]),
    ] {
        let layout = Layout::Csv(CsvLayout {
            quote,
            ..CsvLayout::default()
        });
        let mut rows = Reading::of(layout, "")
            .open(Box::new(text.as_bytes()))
            .unwrap();
        let mut record = Record::new();
        assert!(matches!(rows.read(&mut record).unwrap(), Step::Row));
        assert_eq!(
            [0, 1].map(|i| record.cell(i)),
            cells.map(|c| Some(c.as_bytes()))
        );
    }
}

#[test]
fn lines_may_end_with_returns_alone() {
    let table = read(
        b"a,b\r1,2\r3,\r".to_vec(),
        Format::Csv,
        Compression::None,
        &[Column::text("a"), Column::text("b")],
    );
    let cell = |text: &str| Some(text.as_bytes().to_vec());
    assert_eq!(table, [[cell("1"), cell("2")], [cell("3"), None]]);
}
