//! What is refused when the job is made, and what `jobs check` finds.

use super::*;

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
