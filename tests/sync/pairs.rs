//! Each mode between each two of the three databases: what is there in the end is what the source has, and what is equal is known to be.

use super::run;
use crate::lab::Lab;
use crate::place::{ENGINES, Place};

#[test]
fn every_mode_between_every_two_databases() {
    let lab = Lab::new();
    let places = ENGINES.map(|engine| Place::new(&lab, engine, "sync_pairs"));
    for source in &places {
        source.make("s");
        source.insert("s", 1..=400, 0);
        for target in &places {
            let table = |mode: &str| format!("t_{:?}_{mode}", source.engine).to_lowercase();
            let mut tables = String::new();
            for mode in ["refresh", "batch", "increment"] {
                target.make(&table(mode));
                tables.push_str(&format!(
                    r#"<table from="s" to="{}" mode="{mode}" batch="30"/>"#,
                    table(mode)
                ));
            }
            let way = format!("{:?} to {:?}", source.engine, target.engine);
            let name = format!("{:?}_{:?}", source.engine, target.engine);
            let xml = format!(
                r#"<sync><source url="{}"/><target url="{}"/>{tables}</sync>"#,
                source.url, target.url
            );
            run(&lab, &name, &xml);
            let all = source.content("s");
            assert_eq!(all.len(), 400);
            for mode in ["refresh", "batch", "increment"] {
                assert_eq!(target.content(&table(mode)), all, "{way} by {mode}");
            }
            source.run("DELETE FROM s WHERE id IN (5, 77, 399)");
            source.run("UPDATE s SET amount = 5.5, flag = NULL WHERE id > 200 AND id < 215");
            source.insert("s", 401..=430, 7);
            run(&lab, &name, &xml);
            let all = source.content("s");
            assert_eq!(all.len(), 427);
            for mode in ["refresh", "batch"] {
                assert_eq!(target.content(&table(mode)), all, "{way} by {mode}");
            }
            let copied = target.content(&table("increment"));
            assert_eq!(
                (copied.len(), copied.last()),
                (430, all.last()),
                "{way} by increment"
            );
            let told = run(&lab, &name, &xml);
            let nothing = told.matches("0 inserted, 0 updated, 0 deleted").count()
                + told.matches("no difference").count();
            assert_eq!(nothing, 2, "{way}: {told}");
            source.run("DELETE FROM s");
            source.insert("s", 1..=400, 0);
        }
    }
}
