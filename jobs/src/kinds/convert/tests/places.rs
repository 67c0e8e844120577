//! Where files end: broken ones, outputs that wait, a stop.

use super::*;

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
