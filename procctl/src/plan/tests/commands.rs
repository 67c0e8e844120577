//! What operators order.

use super::*;

#[test]
fn start_says_what_became_of_it() {
    let mut w = World::with(&[
        exec("kept", ""),
        exec("cron", "cron='0 0 * * * *'"),
        exec("every", "every='1h'"),
        exec("after", "after='kept'"),
        sweep("once", ""),
        exec("off", "enabled='false'"),
    ]);
    w.exit("every", 0);
    let mut says = |job: &str| w.start(job).last().unwrap().clone();
    assert!(says("kept").contains("kept ok: runs already, pid"));
    assert!(says("cron").ends_with("cron ok: waits until 2026-05-01 13:00:00 UTC"));
    assert!(says("every").contains("every ok: running, pid"));
    assert!(says("after").ends_with("after ok: waits for kept"));
    assert!(says("once").contains("once ok: running, pid"));
    assert!(says("off").ends_with("off no: is disabled: enable it first"));
    assert!(says("nil").ends_with("nil no: no such job"));
}

#[test]
fn several_jobs_are_one_answer() {
    let mut w = World::with(&[exec("a", ""), exec("b", "")]);
    let jobs = ["b", "x", "a", "b"].map(String::from).to_vec();
    let request = Request::Stop { jobs };
    assert_eq!(w.ask(request), ["0 term b", "0 term a"]);
    assert!(w.exit("a", 0).is_empty());
    let answer = "0 reply 1 b ok: stopped; x no: no such job; a ok: stopped";
    assert_eq!(w.exit("b", 0), [answer]);
    assert_eq!(
        w.ask(Request::Start { jobs: vec![] }),
        ["0 reply 2 refused: name at least one job"]
    );
}

#[test]
fn restart_is_stop_and_start() {
    let mut w = World::with(&[exec("a", ""), exec("b", "every='1h' window='01:00-02:00'")]);
    assert_eq!(w.restart("a"), ["0 term a"]);
    let orders = w.exit("a", 0);
    assert_eq!(orders[0], "0 start a operator");
    assert!(orders[1].starts_with("0 reply 1 a ok: running"));
    assert_eq!(w.results(), [("a".into(), Outcome::Stopped)]);
    w.exit("a", 1);
    assert_eq!(w.word("a"), "backoff");
    assert_eq!(
        w.restart("a")[0],
        "0 start a operator",
        "no sitting out the back-off"
    );
    assert_eq!(w.restart("b")[0], "0 start b operator");
    w.stop("a");
    assert!(
        w.restart("a").is_empty(),
        "the stop goes on, and a start follows"
    );
    assert_eq!(w.exit("a", 0)[1], "0 start a operator");
}

#[test]
fn start_during_a_stop_follows_it() {
    let mut w = World::with(&[exec("a", "")]);
    w.stop("a");
    assert!(w.start("a").is_empty());
    let orders = w.exit("a", 0);
    assert_eq!(orders[0], "0 reply 1 a ok: stopped");
    assert_eq!(orders[1], "0 start a operator");
    assert!(orders[2].starts_with("0 reply 2 a ok: running"));
}

#[test]
fn stop_during_a_restart_wins() {
    let mut w = World::with(&[exec("a", "")]);
    w.restart("a");
    assert_eq!(w.stop("a"), ["0 reply 1 a no: was stopped"]);
    assert_eq!(w.exit("a", 0), ["0 reply 2 a ok: stopped"]);
    assert_eq!(w.word("a"), "stopped");
}

#[test]
fn trigger_runs_whatever_else_is_said() {
    let mut w = World::with(&[
        exec("off", "enabled='false'"),
        exec("cron", "cron='0 0 1 1 *' window='00:00-00:01'"),
        exec("stopped", ""),
    ]);
    w.stop("stopped");
    w.exit("stopped", 0);
    for job in ["off", "cron", "stopped"] {
        assert!(w.trigger(job, false)[0].ends_with(&format!("start {job} trigger")));
        assert!(w.exit(job, 0).is_empty(), "{job} runs once");
    }
    assert!(w.pass(1000.0).is_empty());
    assert_eq!(
        (w.word("off"), w.word("stopped")),
        ("disabled".into(), "stopped".into())
    );
}

#[test]
fn a_trigger_can_wait_for_the_result() {
    let mut w = World::with(&[sweep("a", "")]);
    assert_eq!(w.trigger("a", true), ["0 start a trigger"]);
    w.pass(3.0);
    let orders = w.exit("a", 69);
    assert!(orders[0].contains("alarm failed a: exit 69: a server is not reachable after 3.0 s"));
    let text = "3 reply 1 a no: failed (exit 69): exit 69: a server is not reachable after 3.0 s";
    assert_eq!(orders[1], text);
}

#[test]
fn a_client_that_has_gone_is_forgotten() {
    let mut w = World::with(&[exec("a", "")]);
    w.stop("a");
    w.event(Event::ClientGone { token: 1 });
    assert!(w.state.waiters.is_empty());
    assert!(w.exit("a", 0).is_empty());
}

#[test]
fn disable_lasts_and_enable_ends_it() {
    let jobs = [
        exec("kept", ""),
        exec("every", "every='5s'"),
        exec("cron", "cron='* * * * *'"),
    ];
    let mut w = World::with(&jobs);
    assert_eq!(w.disable("kept"), ["0 term kept"]);
    assert_eq!(w.exit("kept", 0), ["0 reply 1 kept ok: stopped"]);
    assert_eq!(
        w.disable("every"),
        ["0 reply 2 every ok: disabled; its run may finish"]
    );
    w.exit("every", 0);
    w.disable("cron");
    assert!(w.pass(200.0).is_empty());
    let (mut w, orders) = w.crash(&jobs, 500.0);
    assert!(orders.is_empty(), "{orders:?}");
    assert_eq!(w.word("kept"), "disabled");
    assert_eq!(w.enable("kept")[0], "700 start kept kept");
    assert!(w.enable("every")[1].contains("start every every"));
    let orders = w.enable("cron");
    assert_eq!(
        orders,
        ["700 reply 3 cron ok: enabled"],
        "nothing to make up for"
    );
    assert_eq!(w.pass(20.0), ["720 start cron cron"]);
    assert!(!w.memory.is_empty());
}

#[test]
fn the_files_own_word_is_overruled_until_it_changes() {
    let off = exec("a", "enabled='false'");
    let mut w = World::with(std::slice::from_ref(&off));
    assert_eq!(w.word("a"), "disabled");
    assert!(w.enable("a")[0].contains("start a kept"));
    let (mut w, orders) = w.crash(std::slice::from_ref(&off), 1.0);
    assert!(orders.is_empty());
    assert_eq!(w.word("a"), "running");
    w.load(vec![valid(&exec("a", ""))]);
    assert_eq!(w.load(vec![valid(&off)]), ["1 term a"]);
    w.exit("a", 0);
    assert_eq!(w.word("a"), "disabled");
}

#[test]
fn stop_holds_across_a_crash_but_not_a_clean_end() {
    let jobs = [exec("a", ""), exec("b", "cron='* * * * *'")];
    let mut w = World::with(&jobs);
    w.stop("a");
    w.stop("b");
    let (mut w, orders) = w.crash(&jobs, 300.0);
    assert_eq!(
        orders,
        ["300 term a"],
        "the stop that was under way goes on"
    );
    w.exit("a", 0);
    assert_eq!(
        (w.word("a"), w.word("b")),
        ("stopped".into(), "stopped".into())
    );
    w.event(Event::Terminate);
    w.pass(1000.0);
    let (_, orders) = w.crash(&jobs, 30.0);
    assert_eq!(orders[0], "1330 start a kept");
    // b was stopped until the end at 12:05, and down since
    assert!(
        orders[1].contains("missed b: 17 cron times missed since 2026-05-01 12:06"),
        "{orders:?}"
    );
}

#[test]
fn reload_and_reexec_go_through_the_loop() {
    let mut w = World::with(&[exec("a", "")]);
    assert_eq!(w.ask(Request::Reload { jobs: vec![] }), ["0 reread 1 []"]);
    let jobs = vec!["a".to_string()];
    assert_eq!(
        w.ask(Request::Reload { jobs }),
        ["0 reread 2 [\"/jobs/a.xml\"]"]
    );
    let jobs = vec!["x".to_string()];
    assert_eq!(
        w.ask(Request::Reload { jobs }),
        ["0 reply 3 refused: no such job: x"]
    );
    let loaded = Loaded {
        complete: true,
        files: vec![valid(&exec("b", ""))],
        answer: Some(1),
    };
    let orders = w.event(Event::Loaded(loaded));
    assert!(
        orders.contains(&"0 reply 1 done: 2 jobs: 1 new, 0 changed, 1 gone, 0 broken".to_string()),
        "{orders:?}"
    );
    w.stop("b");
    let orders = w.ask(Request::Restart { jobs: vec![] });
    assert_eq!(
        orders,
        [
            "0 reply 4 refused: procctl restarts: ask again",
            "0 reexec 5"
        ]
    );
}

#[test]
fn status_of_one_job_and_of_none() {
    let mut w = World::with(&[exec("a", ""), exec("b", "")]);
    let job = Some("a".to_string());
    assert_eq!(w.ask(Request::Status { job }), ["0 reply 1 1 rows"]);
    let job = Some("x".to_string());
    assert_eq!(
        w.ask(Request::Status { job }),
        ["0 reply 2 refused: no such job: x"]
    );
    assert_eq!(w.ask(Request::Status { job: None }), ["0 reply 3 2 rows"]);
}
