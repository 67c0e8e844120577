//! HTTP against nginx: each version once, gone on with after a cut, published whole.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use crate::lab::{Lab, PATIENCE, signal, wait_for};
use crate::services::variables;

mod redirects;

struct Server {
    url: String,
    root: PathBuf,
}

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let told = variables("nginx");
        Server {
            url: told["HTTP_URL"].clone(),
            root: PathBuf::from(&told["HTTP_ROOT"]),
        }
    })
}

impl Server {
    /// A file on the server.
    fn put(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, bytes).expect("a file on the server");
    }
}

fn run(lab: &Lab, content: &str) -> Output {
    let path = lab.job("fetch", &format!("<fetch name=\"fetch\">{content}</fetch>"));
    lab.run("jobs", ["run".as_ref(), path.as_os_str()])
}

fn good(lab: &Lab, content: &str) -> String {
    let output = run(lab, content);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{}: {said}", output.status);
    said
}

#[test]
fn each_version_comes_once() {
    let (lab, server) = (Lab::new(), server());
    server.put("once/a.json", "{\"v\":1}");
    let content = format!("<get url=\"{}/once/a.json\" to=\"in\"/>", server.url);
    good(&lab, &content);
    assert_eq!(lab.lines("in/a.json"), ["{\"v\":1}"]);
    let there = fs::metadata(server.root.join("once/a.json"))
        .unwrap()
        .modified()
        .unwrap();
    let here = fs::metadata(lab.path("in/a.json"))
        .unwrap()
        .modified()
        .unwrap();
    assert!(there.duration_since(here).unwrap() < Duration::from_secs(1));
    // whoever takes the file away does not get it again
    fs::remove_file(lab.path("in/a.json")).unwrap();
    assert!(good(&lab, &content).contains("done in"));
    assert!(!lab.path("in/a.json").exists());
    server.put("once/a.json", "{\"v\":22}");
    good(&lab, &content);
    assert_eq!(lab.lines("in/a.json"), ["{\"v\":22}"]);
}

#[test]
fn dates_names_and_packed_bodies() {
    let (lab, server) = (Lab::new(), server());
    let year = wait_for("the year", PATIENCE, || {
        let output = std::process::Command::new("date")
            .args(["-u", "+%Y"])
            .output()
            .ok()?;
        Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
    });
    let text = "line\n".repeat(50_000);
    server.put(&format!("gzip/fc_{year}.txt"), &text);
    let content = format!(
        "<get url=\"{}/gzip/fc_{{yyyy}}.txt\" file=\"last {{yyyy}}.txt\" zone=\"UTC\" to=\"in\"/>",
        server.url
    );
    good(&lab, &content);
    assert_eq!(
        fs::read_to_string(lab.path(format!("in/last {year}.txt"))).unwrap(),
        text
    );
}

#[test]
fn links_of_an_index_page_are_followed() {
    let (lab, server) = (Lab::new(), server());
    for name in ["OBS_1.csv", "OBS_2 x.csv", "OBS_站.csv", "other.txt"] {
        server.put(&format!("index/{name}"), name);
    }
    let content = format!(
        "<get url=\"{}/index/\" match=\"OBS_*.csv\" to=\"in\"/>",
        server.url
    );
    good(&lab, &content);
    let mut names: Vec<String> = fs::read_dir(lab.path("in"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["OBS_1.csv", "OBS_2 x.csv", "OBS_站.csv"]);
    server.put("index/OBS_3.csv", "new");
    assert!(good(&lab, &content).contains(" 1 file,"));
}

#[test]
fn faults_have_their_codes_and_tell_no_secrets() {
    let (lab, server) = (Lab::new(), server());
    server.put("private/p.txt", "secret text");
    server.put("faults/long.txt", vec![b'x'; 100_000]);
    let url = &server.url;
    for (code, content) in [
        (
            65,
            format!("<get url=\"{url}/none.txt?key=hunter2\" to=\"in\"/>"),
        ),
        (
            0,
            format!("<get url=\"{url}/none.txt\" to=\"in\" optional=\"true\"/>"),
        ),
        (77, format!("<get url=\"{url}/private/p.txt\" to=\"in\"/>")),
        (
            77,
            format!(
                "<get url=\"{url}/private/p.txt\" to=\"in\" user=\"demo\" password=\"hunter2\"/>"
            ),
        ),
        (
            0,
            format!(
                "<get url=\"{url}/private/p.txt\" to=\"in\" user=\"demo\" password=\"secret\"/>"
            ),
        ),
        (
            75,
            format!("<get url=\"{url}/fail\" to=\"in\" retries=\"0\"/>"),
        ),
        (
            65,
            format!("<get url=\"{url}/faults/long.txt\" to=\"in\" max-size=\"50K\"/>"),
        ),
        (
            69,
            "<get url=\"http://127.0.0.1:1/x\" to=\"in\" retries=\"0\"/>".to_owned(),
        ),
        (78, format!("<get url=\"{url}/{{hour}}.txt\" to=\"in\"/>")),
        (78, format!("<get url=\"{url}/\" to=\"in\"/>")),
        (78, "<get url=\"ftp://h/x\" to=\"in\"/>".to_owned()),
    ] {
        let output = run(&lab, &content);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{content}: {said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
    let left: Vec<_> = fs::read_dir(lab.path("in"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["p.txt"]);
}

#[test]
fn killed_and_stopped_it_goes_on_where_it_was() {
    let (lab, server) = (Lab::new(), server());
    let bytes: Vec<u8> = (0..5_000_000_u32)
        .map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3])
        .collect();
    server.put("slow/long.bin", &bytes);
    let path = lab.job(
        "slow",
        &format!(
            "<fetch name=\"fetch\"><get url=\"{}/slow/long.bin\" to=\"in\"/></fetch>",
            server.url
        ),
    );
    let part = || {
        let entry = fs::read_dir(lab.path("in")).ok()?.next()?.ok()?;
        entry
            .file_name()
            .to_str()?
            .starts_with('.')
            .then(|| entry.metadata().map_or(0, |meta| meta.len()))
    };
    for (how, enough) in [
        (nix::sys::signal::Signal::SIGKILL, 200_000),
        (nix::sys::signal::Signal::SIGTERM, 500_000),
    ] {
        let mut child = lab
            .command("jobs")
            .arg("run")
            .arg(&path)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_for("a part has come", PATIENCE, || {
            part().filter(|length| *length > enough)
        });
        let asked = Instant::now();
        signal(child.id(), how);
        child.wait().unwrap();
        assert!(asked.elapsed() < Duration::from_secs(20));
        assert!(!lab.path("in/long.bin").exists());
    }
    let said = good(
        &lab,
        &format!("<get url=\"{}/slow/long.bin\" to=\"in\"/>", server.url),
    );
    assert!(said.contains("goes on at byte"), "{said}");
    assert_eq!(fs::read(lab.path("in/long.bin")).unwrap(), bytes);
    assert_eq!(fs::read_dir(lab.path("in")).unwrap().count(), 1);
}

/// A server that answers every request by this script, request by request.
fn scripted(
    answer: impl Fn(u32, &str, &mut TcpStream) -> std::io::Result<()> + Send + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("its address"));
    thread::spawn(move || {
        for (number, client) in (1..).zip(listener.incoming().flatten()) {
            let mut request = String::new();
            let mut lines = BufReader::new(&client);
            while lines.read_line(&mut request).is_ok_and(|length| length > 2) {}
            let mut client = &client;
            let mut out = client.try_clone().expect("a second descriptor");
            // a client that is gone has heard enough
            let _heard = answer(number, &request.to_ascii_lowercase(), &mut out);
            let _closed = out.shutdown(std::net::Shutdown::Write);
            let _rest = client.read(&mut [0; 1024]);
        }
    });
    url
}

#[test]
fn what_changed_meanwhile_begins_anew() {
    let url = scripted(|number, request, out| {
        // the first answer breaks off; then there is another version, and the part is not asked for in vain
        if number == 1 {
            write!(
                out,
                "HTTP/1.1 200 OK\r\nETag: \"one\"\r\nContent-Length: 400000\r\n\r\n"
            )?;
            return out.write_all(&[b'1'; 300_000]);
        }
        assert!(
            request.contains("if-range: \"one\"") && request.contains("range: bytes=300000-"),
            "{request}"
        );
        write!(
            out,
            "HTTP/1.1 200 OK\r\nETag: \"two\"\r\nContent-Length: 300001\r\nConnection: close\r\n\r\n"
        )?;
        out.write_all(&[b'2'; 300_001])
    });
    let lab = Lab::new();
    good(&lab, &format!("<get url=\"{url}/x.bin\" to=\"in\"/>"));
    assert_eq!(fs::read(lab.path("in/x.bin")).unwrap(), [b'2'; 300_001]);
}

#[test]
fn the_same_bytes_without_validators_are_no_new_version() {
    let url = scripted(|_, _, out| {
        out.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nsame")
    });
    let lab = Lab::new();
    let content = format!("<get url=\"{url}/x.txt\" to=\"in\"/>");
    assert!(good(&lab, &content).contains(" 1 file,"));
    assert!(good(&lab, &content).contains("done in"));
}

#[test]
fn a_server_that_falls_silent_is_given_up() {
    let url = scripted(|_, _, out| {
        out.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nsa")?;
        thread::park_timeout(Duration::from_secs(120));
        Ok(())
    });
    let lab = Lab::new();
    let begun = Instant::now();
    let output = run(
        &lab,
        &format!("<get url=\"{url}/x.txt\" to=\"in\" timeout=\"1s\" retries=\"0\"/>"),
    );
    assert_eq!(
        output.status.code(),
        Some(69),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(begun.elapsed() < Duration::from_secs(90));
    assert_eq!(fs::read_dir(lab.path("in")).unwrap().count(), 0);
}

#[test]
fn nothing_new_is_no_answer_where_nothing_is_known() {
    let url = scripted(|_, _, out| {
        out.write_all(b"HTTP/1.1 304 Not Modified\r\nETag: \"e\"\r\nConnection: close\r\n\r\n")
    });
    let lab = Lab::new();
    let output = run(&lab, &format!("<get url=\"{url}/x.txt\" to=\"in\"/>"));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(65), "{said}");
    assert!(said.contains("304, not modified, though"), "{said}");
}
