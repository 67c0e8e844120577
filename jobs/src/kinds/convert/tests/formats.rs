//! Every format is read, with types, rejects and compression.

use super::*;

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
