//! A run: what reaches it, what it passes on, signals, and a second one beside it.

use super::*;

#[test]
fn a_command_runs_and_its_code_is_passed_on() {
    let home = Home::new();
    home.write("good.xml", "<exec><command>echo hello</command></exec>");
    let output = home.run(&["run", "good.xml"]);
    assert_eq!((code(&output), out(&output).as_str()), (0, "hello\n"));
    assert!(
        err(&output).starts_with("good: done in 0."),
        "{}",
        err(&output)
    );
    let output = home.run(&[
        "run",
        "<exec name='x'><command>sh -c 'exit 7'</command></exec>",
    ]);
    assert_eq!(code(&output), 7);
    assert_eq!(err(&output), "x: the command ended with 7\n");
    let output = home.run(&["run", "good.xml", "--set", "command=echo changed"]);
    assert_eq!(out(&output), "changed\n");
}

#[test]
fn standard_input_and_the_environment_reach_the_job() {
    let home = Home::new();
    let job = home.write(
        "env.xml",
        "<exec><env name='GREETING' value='good day'/><command>sh -c 'echo \"$GREETING\"'</command></exec>",
    );
    let output = home
        .command(&["run", "-"])
        .stdin(fs::File::open(job).unwrap())
        .output()
        .unwrap();
    assert_eq!(
        (code(&output), out(&output).as_str()),
        (0, "good day\n"),
        "{}",
        err(&output)
    );
}

#[test]
fn a_second_process_on_a_job_is_75_and_a_stop_143() {
    let home = Home::new();
    home.write(
        "long.xml",
        "<exec><command>sh -c 'echo up >up; sleep 1000'</command></exec>",
    );
    let first = home.start(&["run", "long.xml"]);
    until("the job is up", || home.path("up").exists());
    let output = home.run(&["run", "long.xml"]);
    assert_eq!(code(&output), 75);
    assert!(
        err(&output).contains(&format!("pid {}", first.id())),
        "{}",
        err(&output)
    );
    let output = home.run(&["state", "long", "reset"]);
    assert_eq!(code(&output), 75);
    let (code, took) = end(first, Signal::SIGTERM);
    assert_eq!(code, Some(143));
    assert!(took < Duration::from_secs(2), "{took:?}");
    fs::remove_file(home.path("up")).unwrap();
    let second = home.start(&["run", "long.xml"]);
    until("the job is up again", || home.path("up").exists());
    assert_eq!(end(second, Signal::SIGINT).0, Some(130));
}

#[test]
fn a_resident_goes_on_and_sigusr1_runs_it_now() {
    let home = Home::new();
    home.write(
        "often.xml",
        "<exec every='1h' resident='true'><command>sh -c 'echo pass >>passes'</command></exec>",
    );
    let passes = || {
        fs::read_to_string(home.path("passes"))
            .unwrap_or_default()
            .lines()
            .count()
    };
    let child = home.start(&["run", "--resident", "often.xml"]);
    until("the first pass", || passes() == 1);
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    kill(pid, Signal::SIGUSR1).unwrap();
    until("the second pass", || passes() == 2);
    kill(pid, Signal::SIGUSR1).unwrap();
    until("the third pass", || passes() == 3);
    assert_eq!(end(child, Signal::SIGTERM).0, Some(143));
}

#[test]
fn a_detached_job_logs_to_its_file() {
    let home = Home::new();
    home.write("quiet.xml", "<exec><command>true</command></exec>");
    let status = home
        .command(&["run", "quiet.xml"])
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    let log = fs::read_to_string(home.path("log/quiet.log")).unwrap();
    assert!(log.contains(" INFO quiet: done in "), "{log}");
}

#[test]
fn external_kinds_are_found_listed_checked_and_run() {
    let home = Home::new();
    home.program(
        "kinds/jobs-greet",
        "#!/bin/sh\necho \"$1\"\ntest -n \"$PROCCTL_SLOT\" || exit 1\nexit 9\n",
    );
    let path = home.write("greet.xml", "<greet><whom>world</whom></greet>");
    let path = path.canonicalize().unwrap();
    let output = home.run(&["list"]);
    assert!(
        out(&output).contains("greet        external: "),
        "{}",
        out(&output)
    );
    let output = home.run(&["run", "greet.xml"]);
    assert_eq!(
        (code(&output), out(&output)),
        (9, format!("{}\n", path.display())),
        "{}",
        err(&output)
    );
    let output = home.run(&["check", "greet.xml"]);
    assert_eq!(
        (code(&output), out(&output).as_str()),
        (0, "1 file, no problems\n")
    );
    let output = home.run(&["check", "-v", "greet.xml"]);
    assert!(
        out(&output).contains("parameters are not checked"),
        "{}",
        out(&output)
    );
}

#[test]
fn an_alarm_is_posted() {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    let home = Home::new();
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", server.local_addr().unwrap());
    let listener = std::thread::spawn(move || {
        let (mut stream, _) = server.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        stream
            .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
            .unwrap();
        String::from_utf8(body).unwrap()
    });
    let body = home.write("body", "{\"job\":\"x\"}");
    let status = home
        .command(&["post", &url])
        .stdin(fs::File::open(body).unwrap())
        .status()
        .unwrap();
    assert!(status.success());
    assert_eq!(listener.join().unwrap(), "{\"job\":\"x\"}");
    assert_eq!(code(&home.run(&["post", "http://127.0.0.1:1/"])), 69);
}
