//! Workbooks made by hand, part by part, and what is read from them.

use std::io::{Cursor, Write};

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::data::{Asides, BadFile, Layout, Reading, Record, Rows, SheetLayout, Step};

const MAIN: &str = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
const RELS: &str = "http://schemas.openxmlformats.org/package/2006/relationships";
const DOC: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";

/// A workbook of sheets by name, each given as the content of its `sheetData`.
pub(crate) fn workbook(sheets: &[(&str, &str)], shared: &[&str]) -> Vec<u8> {
    let (mut list, mut relations) = (String::new(), String::new());
    let mut parts = Vec::new();
    for (i, (name, data)) in sheets.iter().enumerate() {
        let n = i + 1;
        list.push_str(&format!(
            r#"<sheet name="{name}" sheetId="{n}" r:id="rId{n}"/>"#
        ));
        relations.push_str(&format!(
            r#"<Relationship Id="rId{n}" Type="{DOC}/worksheet" Target="worksheets/sheet{n}.xml"/>"#
        ));
        parts.push((
            format!("xl/worksheets/sheet{n}.xml"),
            format!(r#"<worksheet xmlns="{MAIN}"><sheetData>{data}</sheetData></worksheet>"#),
        ));
    }
    let texts: String = shared
        .iter()
        .map(|text| format!("<si><t>{text}</t></si>"))
        .collect();
    let formats = r#"<numFmts count="1"><numFmt numFmtId="164" formatCode="yyyy\-mm\-dd\ hh:mm:ss"/></numFmts>
        <cellXfs count="4"><xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="164"/><xf numFmtId="46"/></cellXfs>"#;
    parts.extend([
        ("_rels/.rels".into(), format!(r#"<Relationships xmlns="{RELS}"><Relationship Id="rId1" Type="{DOC}/officeDocument" Target="xl/workbook.xml"/></Relationships>"#)),
        ("xl/workbook.xml".into(), format!(r#"<workbook xmlns="{MAIN}" xmlns:r="{DOC}"><sheets>{list}</sheets></workbook>"#)),
        ("xl/_rels/workbook.xml.rels".into(), format!(r#"<Relationships xmlns="{RELS}">{relations}</Relationships>"#)),
        ("xl/sharedStrings.xml".into(), format!(r#"<sst xmlns="{MAIN}">{texts}</sst>"#)),
        ("xl/styles.xml".into(), format!(r#"<styleSheet xmlns="{MAIN}">{formats}</styleSheet>"#)),
    ]);
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in parts {
        zip.start_file(name, SimpleFileOptions::default()).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

const STATIONS: &str = r#"
    <row r="1"><c r="A1" t="inlineStr"><is><t>stations of 2026</t></is></c></row>
    <row r="3"><c r="A3" t="s"><v>0</v></c><c r="B3" t="inlineStr"><is><t> opened </t></is></c><c r="D3" t="s"><v>1</v></c></row>
    <row r="4"><c r="A4"><v>58015</v></c><c r="B4" s="1"><v>45943</v></c><c r="D4" t="b"><v>1</v></c></row>
    <row r="5"><c r="A5" s="1"/><c r="B5" s="2"/></row>
    <row r="7"><c r="A7" t="str"><f>"a"&amp;"b"</f><v>ab</v></c><c r="B7" s="2"><v>45943.541</v></c></row>
    <row r="8"><c r="A8" t="e"><v>#DIV/0!</v></c></row>
    <row r="9"><c r="A9"><f>1/3</f><v>0.33333333333333331</v></c><c r="C9"><v>7</v></c></row>
    <row r="10"><c r="B10" s="3"><v>1.5</v></c></row>"#;

fn open(
    bytes: Vec<u8>,
    sheet: Option<&str>,
    header: bool,
    skip: u64,
) -> Result<Box<dyn Rows>, BadFile> {
    let layout = Layout::Sheet(SheetLayout {
        sheet: sheet.map(str::to_owned),
        header,
    });
    let asides = Asides {
        skip,
        comment: None,
    };
    let reading = Reading {
        asides,
        ..Reading::of(layout, "a.xlsx")
    };
    reading.open(Box::new(Cursor::new(bytes)))
}

/// Every row as its cells, or as what is wrong with it.
fn read(mut rows: Box<dyn Rows>) -> (Vec<String>, Vec<String>) {
    let mut record = Record::new();
    let mut seen = Vec::new();
    loop {
        let text = match rows.read(&mut record).unwrap() {
            Step::End => return (rows.columns().to_vec(), seen),
            Step::Bad(bad) => bad.to_string(),
            Step::Row => (0..rows.columns().len())
                .map(|i| {
                    record
                        .cell(i)
                        .map_or("NULL".into(), String::from_utf8_lossy)
                })
                .collect::<Vec<_>>()
                .join("|"),
        };
        seen.push(text);
    }
}

#[test]
fn a_sheet_is_rows_by_its_header() {
    let bytes = workbook(&[("first", ""), ("站", STATIONS)], &["obtid", "active"]);
    for sheet in ["站", "2"] {
        let (columns, rows) = read(open(bytes.clone(), Some(sheet), true, 1).unwrap());
        assert_eq!(columns, ["obtid", "opened", "active"]);
        assert_eq!(
            rows,
            [
                "58015|2025-10-13|1",
                "ab|2025-10-13 12:59:02.4|NULL",
                "row 8, column obtid: the cell holds the error #DIV/0!",
                "row 9, column C: a value in column C, which has no name",
                "NULL|36:00:00|NULL",
            ]
        );
    }
}

#[test]
fn without_a_header_columns_are_places() {
    let bytes = workbook(
        &[(
            "a",
            r#"<row><c><v>1</v></c><c/><c><v>3</v></c></row><row><c><v>4</v></c></row>"#,
        )],
        &[],
    );
    let (columns, rows) = read(open(bytes, None, false, 0).unwrap());
    assert_eq!(
        (columns.len(), rows),
        (3, vec!["1|NULL|3".to_owned(), "4|NULL|NULL".to_owned()])
    );
}

#[test]
fn what_is_no_such_workbook_is_told() {
    let bytes = workbook(
        &[
            ("a", ""),
            (
                "twice",
                r#"<row><c t="s"><v>0</v></c><c t="s"><v>0</v></c></row>"#,
            ),
        ],
        &["x"],
    );
    for (bytes, sheet, word) in [
        (b"a,b\n1,2\n".to_vec(), None, "no workbook"),
        (
            b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1 and more".to_vec(),
            None,
            ".xls of old",
        ),
        (b"PK\x03\x04".to_vec(), None, "package is broken"),
        (bytes[..bytes.len() / 2].to_vec(), None, "package is broken"),
        (bytes.clone(), Some("b"), "no sheet b; it has a, twice"),
        (bytes.clone(), None, "no header row"),
        (bytes, Some("twice"), "the column x stands twice"),
    ] {
        let error = open(bytes, sheet, true, 0).err().unwrap().to_string();
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn broken_sheets_are_told_and_never_a_panic() {
    for data in [
        r#"<row r="2"><c r="A2"><v>1</v></c></row><row r="1"><c r="A1"><v>1</v></c></row>"#,
        r#"<row><c r="A99999999999"><v>1</v></c></row>"#,
        r#"<row><c r="ZZZZZ1"><v>1</v></c></row>"#,
        r#"<row><c t="s"><v>99</v></c></row>"#,
        r#"<row><c t="x"><v>1</v></c></row>"#,
    ] {
        let rows = open(workbook(&[("a", data)], &["x"]), None, false, 0);
        let Ok(mut rows) = rows else { continue };
        let mut record = Record::new();
        let steps = std::iter::repeat_with(|| rows.read(&mut record)).take(5);
        let told = steps
            .into_iter()
            .any(|step| matches!(step, Err(BadFile::Content { .. })));
        assert!(told, "{data}");
    }
}
