//! Pools.

use super::*;

fn three() -> World {
    let mut w = World::unbooted("");
    w.pools(&[("db", 2)]);
    w.load_all(&["a", "b", "c", "d"].map(|name| exec(name, "every='10s' pool='db'")));
    w
}

#[test]
fn no_more_than_its_size_run_and_the_rest_is_served_in_order() {
    let mut w = three();
    assert_eq!(
        w.event(Event::Booted),
        ["0 start a every", "0 start b every"]
    );
    assert_eq!(
        (w.word("c"), w.word("d")),
        ("queued".into(), "queued".into())
    );
    let problem = w.row("d").problem.unwrap();
    assert_eq!(
        problem,
        "waits for a seat in pool db (2 of 2 taken), place 2"
    );
    assert_eq!(w.exit("b", 0), ["0 start c every"]);
    w.pass(10.0);
    assert_eq!(w.word("b"), "queued", "b is last now");
    assert_eq!(w.exit("c", 0), ["10 start d every"]);
    assert_eq!(w.exit("a", 0), ["10 start b every"]);
}

#[test]
fn triggers_wait_for_a_seat_and_say_so() {
    let mut w = three();
    w.event(Event::Booted);
    w.exit("a", 0);
    let orders = w.trigger("a", false);
    assert!(
        orders[0].contains("a ok: waits for a seat in pool db"),
        "{orders:?}"
    );
    assert!(w.trigger("a", true).is_empty());
    w.exit("b", 0);
    assert_eq!(w.exit("c", 0), ["0 start a trigger"]);
    assert_eq!(
        w.exit("a", 7)[1],
        "0 reply 2 a no: failed (exit 7): exit 7 after 0 ms"
    );
}

#[test]
fn whoever_is_stopped_leaves_the_queue() {
    let mut w = three();
    w.event(Event::Booted);
    assert_eq!(w.stop("c"), ["0 reply 1 c ok: stopped"]);
    assert_eq!(w.exit("a", 0), ["0 start d every"]);
    w.disable("d");
    w.load(vec![file("/jobs/c.xml", Content::Gone)]);
    assert!(w.exit("b", 0).is_empty());
}

#[test]
fn sizes_change_under_the_runs() {
    let mut w = three();
    w.event(Event::Booted);
    assert_eq!(w.pools(&[("db", 3)]), ["0 start c every"]);
    assert!(w.pools(&[("db", 1)]).is_empty());
    assert!(w.exit("a", 0).is_empty());
    assert!(w.exit("b", 0).is_empty());
    assert_eq!(w.exit("c", 0), ["0 start d every"]);
    assert!(w.pools(&[]).is_empty());
    w.exit("d", 0);
    w.pass(10.0);
    assert_eq!(w.row("a").problem.unwrap(), "pool db is not in procctl.xml");
    assert_eq!(w.word("a"), "queued");
    assert_eq!(w.pools(&[("db", 9)]).len(), 4);
}

#[test]
fn a_start_whose_time_is_over_gives_its_turn_away() {
    let mut w = World::unbooted("");
    w.pools(&[("db", 1)]);
    w.load_all(&[
        exec("a", "pool='db'"),
        exec("b", "cron='0 * * * * *' window='12:00-12:05' pool='db'"),
        exec("c", "every='1s' pool='db'"),
    ]);
    w.event(Event::Booted);
    w.pass(60.0);
    w.pass(600.0);
    assert_eq!(w.word("b"), "queued");
    w.stop("a");
    let orders = w.exit("a", 0);
    assert!(
        orders.contains(&"660 start c every".to_string()),
        "{orders:?}"
    );
    assert!(w.exit("c", 0).is_empty());
    assert_eq!(w.word("b"), "waiting");
    assert_eq!(w.pass(1.0), ["661 start c every"]);
}

#[test]
fn moving_to_another_pool_or_none_is_no_restart() {
    let mut w = three();
    w.event(Event::Booted);
    let moved = exec("c", "every='10s'");
    assert_eq!(w.load(vec![valid(&moved)]), ["0 start c every"]);
    // a keeps the seat it took until its end
    w.load(vec![valid(&exec("a", "every='10s'"))]);
    assert_eq!(w.word("d"), "queued");
    assert_eq!(w.exit("a", 0), ["0 start d every"]);
}

#[test]
fn adopted_runs_hold_seats() {
    let jobs = ["a", "b", "c"].map(|name| exec(name, "every='10s' pool='db'"));
    let mut w = World::unbooted("");
    w.pools(&[("db", 2)]);
    w.load_all(&jobs);
    w.event(Event::Booted);
    let (mut w, _) = {
        let (mut next, orders) = w.crash(&jobs, 1.0);
        assert!(orders.is_empty(), "no pool is known yet: {orders:?}");
        let orders = next.pools(&[("db", 2)]);
        (next, orders)
    };
    assert_eq!(w.word("c"), "queued");
    assert_eq!(w.exit("a", 0), ["1 start c every"]);
}

#[test]
fn triggers_outside_the_window_wait_their_turn() {
    let mut w = World::unbooted("");
    w.pools(&[("db", 1)]);
    let names = ["a", "b", "c"];
    w.load_all(&names.map(|name| exec(name, "every='1h' window='01:00-02:00' pool='db'")));
    w.event(Event::Booted);
    for name in names {
        w.trigger(name, false);
    }
    assert_eq!(w.exit("a", 0), ["0 start b trigger"]);
    assert_eq!(w.exit("b", 0), ["0 start c trigger"]);
}
