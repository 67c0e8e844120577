//! Every attribute of a job, seen from outside: when it runs, as whom, within which limits, and how it ends.

use crate::lab::{Lab, PATIENCE, alive, programs, wait_for};

/// Lines `start SECONDS` and `end SECONDS` of a log that a script keeps, as (is a start, time).
fn turns(lab: &Lab, file: &str) -> Vec<(bool, f64)> {
    lab.lines(file)
        .iter()
        .filter_map(|line| {
            let (word, time) = line.split_once(' ')?;
            Some((word == "start", time.parse().ok()?))
        })
        .collect()
}

/// Waits until so many starts are in the log, and gives their times.
fn starts(lab: &Lab, file: &str, count: usize) -> Vec<f64> {
    wait_for(&format!("{count} starts in {file}"), PATIENCE, || {
        let times: Vec<f64> = turns(lab, file)
            .into_iter()
            .filter_map(|(start, time)| start.then_some(time))
            .collect();
        (times.len() >= count).then_some(times)
    })
}

/// A job that writes down when it starts and ends, and takes so many seconds.
fn timed(lab: &Lab, name: &str, attributes: &str, log: &str, seconds: &str) {
    lab.job(
        name,
        &format!(
            "<exec name='{name}' {attributes}><command>sh -c \"echo start $(date +%s.%N) >> {home}/{log}; sleep {seconds}; \
             echo end $(date +%s.%N) >> {home}/{log}\"</command></exec>",
            home = lab.path("").display()
        ),
    );
}

/// The results of the job's past runs.
fn results(lab: &Lab, job: &str) -> Vec<String> {
    let runs = lab.history(job).into_iter();
    runs.filter_map(|run| run["result"].as_str().map(str::to_owned))
        .collect()
}

#[test]
fn schedules_overlaps_and_pools() {
    let mut lab = Lab::new();
    lab.write(
        "procctl.xml",
        "<procctl><pool name='two' size='2'/></procctl>",
    );
    timed(&lab, "every", "every='1s'", "every.out", "0.5");
    timed(&lab, "after", "after='every'", "after.out", "0");
    timed(
        &lab,
        "cron",
        "cron='*/2 * * * * *' tz='Asia/Kathmandu'",
        "cron.out",
        "0",
    );
    timed(
        &lab,
        "splayed",
        "cron='* * * * * *' splay='800ms'",
        "splayed.out",
        "0",
    );
    timed(
        &lab,
        "queues",
        "cron='* * * * * *' overlap='queue'",
        "queues.out",
        "1.5",
    );
    timed(
        &lab,
        "skips",
        "cron='* * * * * *' overlap='skip'",
        "skips.out",
        "1.5",
    );
    timed(
        &lab,
        "replaces",
        "cron='*/2 * * * * *' overlap='replace'",
        "replaces.out",
        "100",
    );
    for seat in 0..4 {
        timed(
            &lab,
            &format!("seat{seat}"),
            "every='100ms' pool='two'",
            "pool.out",
            "0.3",
        );
    }
    lab.supervise();

    let every = starts(&lab, "every.out", 3);
    for pair in every.windows(2) {
        let distance = pair[1] - pair[0];
        assert!(
            (1.4..4.0).contains(&distance),
            "1 s after the end of 0.5 s: {distance}"
        );
    }
    assert!(starts(&lab, "after.out", 2)[0] > every[0] + 0.4);
    for time in starts(&lab, "cron.out", 3) {
        assert!(time.rem_euclid(2.0) < 1.5, "an even second: {time}");
    }
    starts(&lab, "splayed.out", 2);
    for file in ["queues.out", "skips.out"] {
        starts(&lab, file, 3);
        let mut running = 0;
        for (start, _) in turns(&lab, file) {
            running += if start { 1 } else { -1 };
            assert!((0..=1).contains(&running), "{file}: one at a time");
        }
    }
    let skipped = starts(&lab, "skips.out", 3);
    assert!(
        skipped[1] - skipped[0] > 1.7,
        "not at the end of the run before: {skipped:?}"
    );
    starts(&lab, "replaces.out", 3);
    wait_for("replaced runs are in the history", PATIENCE, || {
        results(&lab, "replaces")
            .contains(&"replaced".to_owned())
            .then_some(())
    });
    starts(&lab, "pool.out", 8);
    let (mut seated, mut most) = (0, 0);
    let mut order = turns(&lab, "pool.out");
    order.sort_by(|one, other| one.1.total_cmp(&other.1));
    for (start, _) in order {
        seated += if start { 1 } else { -1 };
        most = most.max(seated);
    }
    assert_eq!(most, 2, "never more, and not fewer, than the pool's size");
}

#[test]
fn times_missed_while_down_are_skipped_or_made_up_for_once() {
    let mut lab = Lab::new();
    timed(
        &lab,
        "once",
        "cron='*/2 * * * * *' missed='once'",
        "once.out",
        "0",
    );
    timed(&lab, "skip", "cron='*/2 * * * * *'", "skip.out", "0");
    lab.supervise();
    starts(&lab, "once.out", 1);
    starts(&lab, "skip.out", 1);
    lab.stop();
    // rare from now on, so that what comes next is what was missed
    let count = turns(&lab, "once.out").len();
    let stopped = std::time::Instant::now();
    wait_for("two times have been missed", PATIENCE, || {
        (stopped.elapsed().as_secs() >= 4).then_some(())
    });
    lab.supervise();
    starts(&lab, "once.out", count + 2);
    wait_for("the history tells of both", PATIENCE, || {
        let reason = |job: &str, text: &str| {
            let runs = lab.history(job);
            runs.iter().any(|run| run.to_string().contains(text))
        };
        (reason("once", "missed") && reason("skip", "missed")).then_some(())
    });
}

#[test]
fn identity_limits_and_environment() {
    let mut lab = Lab::new();
    lab.environment("OUTSIDE", "from-outside");
    let root = nix::unistd::Uid::effective().is_root();
    let who = if root {
        "user='nobody' group='daemon'"
    } else {
        ""
    };
    lab.write("inside/.keep", "");
    lab.job(
        "who",
        &format!(
            "<exec every='1d' {who} umask='027' dir='/tmp' nice='7' nofile='123' memory='96M'>\n\
             <env name='MIXED' value='a ${{env:OUTSIDE}} b'/>\n\
             <command>sh -c 'id -un; id -gn; umask; pwd; nice; ulimit -n; echo $MIXED; ls /proc/self/fd | wc -l; readlink /proc/self/fd/0'</command></exec>"
        ),
    );
    lab.job(
        "greedy",
        "<exec every='1d' memory='30M'><command>sh -c 'set -e; x=$(head -c 200000000 /dev/zero | tr \"\\\\000\" x); echo all of it'</command></exec>",
    );
    lab.job(
        "relative",
        "<exec every='1d' dir='inside'><command>pwd</command></exec>",
    );
    lab.supervise();
    for job in ["who", "greedy", "relative"] {
        wait_for(&format!("{job} has run"), PATIENCE, || {
            (!results(&lab, job).is_empty()).then_some(())
        });
    }
    let printed = |job: &str, count: usize| {
        wait_for(&format!("{job} has printed"), PATIENCE, || {
            let lines = lab.lines(&format!("log/{job}.log"));
            let texts = lines
                .iter()
                .map(|line| line.get(24..).unwrap_or_default().to_owned());
            let texts: Vec<String> = texts.collect();
            (texts.len() >= count).then_some(texts)
        })
    };
    let who = printed("who", 9);
    if root {
        assert_eq!(&who[..2], ["nobody", "daemon"]);
    }
    // `ls` holds the folder open beside the three standard descriptors
    let rest = [
        "0027",
        "/tmp",
        "7",
        "123",
        "a from-outside b",
        "4",
        "/dev/null",
    ];
    assert_eq!(&who[2..], rest);
    assert!(printed("relative", 1)[0].ends_with("/inside"));
    assert!(
        !results(&lab, "greedy").contains(&"done".to_owned()),
        "the limit on memory holds"
    );
}

#[test]
fn ends_backoff_and_stops() {
    let mut lab = Lab::new();
    let tree = lab.script(
        "tree.sh",
        "trap '' TERM\nsetsid sh -c 'trap \"\" TERM; echo $$ > grandchild; sleep 3333; sleep 3333' &\nwhile :; do sleep 1; done",
    );
    lab.job(
        "stubborn",
        &format!(
            "<exec stop-grace='500ms'><command>{}</command></exec>",
            tree.display()
        ),
    );
    lab.job(
        "long",
        "<exec every='1d' max-run='1s' stop-grace='300ms'><command>sh -c 'trap \"\" TERM; sleep 100; sleep 100'</command></exec>",
    );
    timed(
        &lab,
        "fails",
        "backoff='100ms..400ms'",
        "fails.out",
        "0; false; exit 3",
    );
    lab.job(
        "missing",
        "<exec backoff='1s'><command>/nonexistent/program</command></exec>",
    );
    lab.job(
        "off",
        "<exec enabled='false'><command>sleep 1000</command></exec>",
    );
    lab.job(
        "silent",
        "<exec><command>sh -c 'exec >&amp;- 2>&amp;-; sleep 1000'</command></exec>",
    );
    let beat = programs().join("checkproc");
    lab.job(
        "beats",
        &format!(
            "<exec beat='self' heartbeat='2s'><command>sh -c 'n=0; while [ $n -lt 8 ]; do {} beat beats; n=$((n+1)); sleep 0.5; done; sleep 1000'</command></exec>",
            beat.display()
        ),
    );
    lab.supervise();
    lab.running("silent");
    lab.running("beats");
    wait_for("max-run ends it", PATIENCE, || {
        results(&lab, "long")
            .contains(&"timed-out".to_owned())
            .then_some(())
    });
    starts(&lab, "fails.out", 4);
    wait_for("the reason is in the history", PATIENCE, || {
        let runs = lab.history("missing");
        runs.first()?["why"]
            .as_str()?
            .contains("/nonexistent/program")
            .then_some(())
    });
    assert_eq!(lab.status("off")["state"], "disabled");
    let grandchild = wait_for("the grandchild is there", PATIENCE, || {
        lab.lines("grandchild").first()?.parse::<u32>().ok()
    });
    lab.good("procctl", ["stop", "stubborn"]);
    assert!(!alive(grandchild), "a session of its own is no way out");
    wait_for(
        "whoever stops beating by `checkproc beat` hangs",
        PATIENCE,
        || {
            results(&lab, "beats")
                .contains(&"hung".to_owned())
                .then_some(())
        },
    );
    let run = lab.history("beats").pop().expect("its first run");
    assert!(
        run["duration_ms"].as_u64().is_some_and(|took| took > 4_000),
        "{run}"
    );
}
