//! Forms of XML files, broken ones, bad rows in good ones.

use super::*;

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
