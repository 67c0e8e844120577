//! What a job's process gets, and what it must not inherit.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::home::{Home, alive, signal, wait_for};

#[test]
fn what_cannot_be_started_says_why() {
    let mut home = Home::new();
    fs::write(home.path("plain"), "text").unwrap();
    home.job("missing", "every=\"1h\"", "/no/such/program x");
    home.job("plain", "every=\"1h\"", "./plain");
    home.job("nowhere", "every=\"1h\" dir=\"no/folder\"", "true");
    home.job("nobody", "every=\"1h\" user=\"no-such-user\"", "true");
    home.job("secret", "every=\"1h\"", "true");
    let secret = "<exec name='secret' every='1h'><env name='A' value='${file:no.pw}'/><command>true</command></exec>";
    fs::write(home.path("jobs/secret.xml"), secret).unwrap();
    home.supervise();
    for (job, parts) in [
        ("missing", ["/no/such/program", "No such file"]),
        ("plain", ["plain", "Permission denied"]),
        ("nowhere", ["no/folder", "No such file"]),
        ("nobody", ["no-such-user", "user"]),
        ("secret", ["no.pw", "No such file"]),
    ] {
        let run = home.past(job, |_| true);
        assert_eq!(run["result"], "refused", "{run}");
        let why = run["why"].as_str().unwrap();
        assert!(parts.iter().all(|part| why.contains(part)), "{job}: {why}");
    }
    let said = home.run(&["trigger", "missing"]);
    assert!(
        !said.status.success(),
        "{}",
        String::from_utf8_lossy(&said.stdout)
    );
}

#[test]
fn a_process_gets_what_its_file_says_and_nothing_of_ours() {
    let mut home = Home::new();
    let folder = home.folder.path().display().to_string();
    fs::set_permissions(home.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(home.path("work")).unwrap();
    fs::write(home.path("pw"), "s3cret\n").unwrap();
    let show = home.script(
        "show",
        "echo pwd=$(pwd) umask=$(umask) nofile=$(ulimit -n) nice=$(nice) id=$(id -u):$(id -g) user=$USER pw=$PW run=${PROCCTL_RUN:+set} \
         home=$PROCCTL_HOME job=$PROCCTL_JOB fds=$(ls /proc/self/fd | wc -l) blocked=$(grep SigBlk /proc/self/status | cut -f2) \
         ignored=$(grep SigIgn /proc/self/status | cut -f2) session=$(cut -d' ' -f6 /proc/$$/stat)=$$; [ -t 0 ] || cat",
    );
    let root = nix::unistd::geteuid().is_root();
    let user = if root {
        "user='nobody' nice='3'"
    } else {
        "nice='3'"
    };
    let text = format!(
        "<exec name='show' every='1h' umask='027' nofile='123' dir='work' {user}>\
         <env name='PW' value='${{file:pw}}'/><command>{show}</command></exec>"
    );
    fs::write(home.path("jobs/show.xml"), text).unwrap();
    home.supervise();
    home.past("show", |run| run["result"] == "done");
    let line = home.lines("log/show.log").join(" ");
    let mut wanted = vec![
        format!("pwd={folder}/work"),
        "umask=0027".into(),
        "nofile=123".into(),
        "nice=3".into(),
        "pw=s3cret".into(),
        "run=set".into(),
        format!("home={folder}"),
        "job=show".into(),
        "fds=4".into(),
        "blocked=0000000000000000".into(),
        "ignored=0000000000000000".into(),
    ];
    if root {
        wanted.push("id=65534:65534".into());
        wanted.push("user=nobody".into());
    }
    for part in wanted {
        assert!(line.contains(&part), "{part} is missing: {line}");
    }
    let session = line
        .split("session=")
        .nth(1)
        .unwrap()
        .split_whitespace()
        .next()
        .unwrap();
    let (session, own) = session.split_once('=').unwrap();
    assert_eq!(session, own, "it leads no session of its own");
}

#[test]
fn a_daemon_may_name_another_main_process() {
    let mut home = Home::new();
    let folder = home.folder.path().display();
    let notify = "import os,socket,sys; s=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM); \
                  s.sendto(sys.argv[1].encode(),chr(0)+os.environ[\"NOTIFY_SOCKET\"][1:])";
    fs::write(home.path("notify.py"), notify).unwrap();
    let daemon = home.script(
        "daemon",
        &format!("setsid sleep 1000 & python3 {folder}/notify.py \"MAINPID=$!\nREADY=1\nSTATUS=at work\"; echo $! > {folder}/main; exit 0"),
    );
    home.job("daemon", "beat=\"self\" heartbeat=\"60s\"", &daemon);
    home.supervise();
    let main = home.number("main");
    wait_for("its main process is known", || {
        (home.status("daemon")["pid"].as_u64() == Some(main.into())).then_some(())
    });
    assert_eq!(home.status("daemon")["says"], "at work");
    assert!(home.past_count("daemon") == 0);
    signal(main, Signal::SIGKILL);
    let run = home.past("daemon", |_| true);
    assert_eq!(run["result"], "signalled", "{run}");
}

#[test]
fn the_classic_form_runs_a_program_for_ever_and_kill_leaves_it_alone() {
    let home = Home::new();
    let folder = home.folder.path().display();
    let script = home.script(
        "classic",
        &format!(
            "grep -E 'Sig(Blk|Ign)' /proc/self/status | cut -f2 | sort -u > {folder}/signals\n\
             cut -d' ' -f4 /proc/$$/stat > {folder}/loop; echo $$ >> {folder}/runs; [ -e {folder}/stay ] && exec sleep 1000; exit 0"
        ),
    );
    let begun = Instant::now();
    home.good(&["0", &script, "word"]);
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "it does not detach"
    );
    wait_for("it is run again and again", || {
        (home.lines("runs").len() > 3).then_some(())
    });
    fs::write(home.path("stay"), "").unwrap();
    let last = wait_for("one stays", || {
        let pid = home.lines("runs").last()?.parse::<u32>().ok()?;
        let words = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
        words.starts_with("sleep").then_some(pid)
    });
    assert_eq!(home.lines("signals"), ["0000000000000000"]);
    let loops = home.number("loop");
    for ignored in [
        Signal::SIGTERM,
        Signal::SIGHUP,
        Signal::SIGINT,
        Signal::SIGUSR1,
    ] {
        signal(loops, ignored);
    }
    assert!(alive(loops));
    let ignored = fs::read_to_string(format!("/proc/{loops}/status")).unwrap();
    assert!(
        ignored
            .lines()
            .any(|line| line.starts_with("SigIgn:") && line.ends_with("f")),
        "{ignored}"
    );
    signal(loops, Signal::SIGKILL);
    wait_for("the loop is gone", || (!alive(loops)).then_some(()));
    assert!(alive(last));
    signal(last, Signal::SIGKILL);

    for (program, code) in [("/no/such/program", 127), ("/etc/passwd", 126)] {
        let output = home.run(&["5", program]);
        assert_eq!(output.status.code(), Some(code));
        assert!(String::from_utf8_lossy(&output.stderr).contains(program));
    }
}
