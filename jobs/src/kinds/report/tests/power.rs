//! The power fails at every operation: each window is there once.

use super::*;

/// The power fails at each operation of a run over three windows; then a run catches up. Steps and target must agree with the calendar.
fn survives_power_cuts(body: &str, agrees: impl Fn(&Path, &FakeDisk) -> String, want: &str) {
    let mut cut = 0;
    loop {
        cut += 1;
        let dir = tempfile::tempdir().unwrap();
        let db = source(dir.path());
        rusqlite::Connection::open(dir.path().join("t.db"))
            .unwrap()
            .execute_batch("CREATE TABLE daily (day TEXT, amount INTEGER)")
            .unwrap();
        let disk = FakeDisk::new();
        disk.power().cut_at(disk.power().spent() + cut);
        let pass = |disk: &FakeDisk| {
            let mut cx = Context::fake_on(disk, dir.path());
            cx.set_now(at("2026-01-04T12:00:00Z"));
            daily(body).run(&mut cx)
        };
        let ended = pass(&disk).is_ok();
        let off = disk.power().is_off();
        disk.reboot(cut);
        pass(&disk).unwrap();
        assert_eq!(agrees(dir.path(), &disk), want, "cut {cut}");
        if body.contains("<step>") {
            assert_eq!(text(&db, LOGGED), "01:24 02:24 03:24", "cut {cut}");
        }
        if ended && !off {
            break;
        }
        assert!(cut < 500, "a run never ends");
    }
    assert!(cut > 10, "a run has more operations than {cut}");
}

fn amounts_in_files(_: &Path, disk: &FakeDisk) -> String {
    let files = disk
        .files()
        .into_iter()
        .filter(|(path, _)| path.to_string_lossy().contains("/out/"));
    let lines = files.map(|(path, bytes)| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = String::from_utf8(bytes).unwrap();
        format!("{name}={}", text.lines().nth(1).unwrap_or_default())
    });
    lines.collect::<Vec<_>>().join(" ")
}

const FILES: &str = "S_2026-01-01.csv=2026-01-01,276 S_2026-01-02.csv=2026-01-02,852 S_2026-01-03.csv=2026-01-03,1428";

#[test]
fn power_cuts_leave_each_window_in_one_file() {
    let output = format!("{SELECT}<output dir=\"out\" file=\"S\"/>");
    survives_power_cuts(&output, amounts_in_files, FILES);
    survives_power_cuts(&format!("{LOG}{output}"), amounts_in_files, FILES);
}

#[test]
fn power_cuts_leave_each_window_once_in_another_database() {
    let amounts = |dir: &Path, _: &FakeDisk| {
        let db = rusqlite::Connection::open(dir.join("t.db")).unwrap();
        text(&db, DAILY)
    };
    let into = format!("{SELECT}<into table=\"daily\" url=\"sqlite:t.db\"/>");
    survives_power_cuts(&into, amounts, "01:276 02:852 03:1428");
    survives_power_cuts(&format!("{LOG}{into}"), amounts, "01:276 02:852 03:1428");
    // what the steps made for the query alone is there in each window
    let temporary = format!(
        "{LOG}<step>DROP TABLE IF EXISTS temp.x</step><step>CREATE TEMP TABLE x AS SELECT substr(:from, 1, 10) AS day, sum(amount) AS amount FROM sale WHERE at >= :from AND at &lt; :to</step><select>SELECT * FROM x</select><into table=\"daily\" url=\"sqlite:t.db\"/>"
    );
    survives_power_cuts(&temporary, amounts, "01:276 02:852 03:1428");
}
