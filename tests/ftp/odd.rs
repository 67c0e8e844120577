//! Servers that can do less than others, or do it their own way: no renaming, no REST, times in a zone of their own, IPv6 alone, a trickle
//! of bytes. A small script of FTP answers stands in for most of them.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::{element, fill, good, run, tree};
use crate::lab::{Lab, PATIENCE, signal, wait_for};
use crate::services::variables;

/// What a server holds and how it is odd.
#[derive(Default)]
struct Odd {
    files: Mutex<BTreeMap<String, Vec<u8>>>,
    /// What was said to it.
    heard: Mutex<Vec<String>>,
    /// Lines of its FEAT.
    features: &'static str,
    /// The time in its listings.
    time: String,
    /// Bytes of the first file sent to it after which it hangs up; none when 0.
    breaks_after: Mutex<usize>,
    /// It knows RNFR and RNTO.
    renames: bool,
    /// Bytes go out one by one.
    trickles: bool,
}

impl Odd {
    /// Starts it; its address.
    fn serve(self: &Arc<Odd>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let host = listener.local_addr().expect("its address").to_string();
        let odd = Arc::clone(self);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let odd = Arc::clone(&odd);
                // a client that is gone ends the talk
                thread::spawn(move || drop(odd.talk(&client)));
            }
        });
        host
    }

    fn talk(&self, client: &TcpStream) -> std::io::Result<()> {
        let mut out = client.try_clone()?;
        let data = TcpListener::bind("127.0.0.1:0")?;
        let port = data.local_addr()?.port();
        let mut from = String::new();
        out.write_all(b"220 at your service\r\n")?;
        for line in BufReader::new(client).lines() {
            let line = line?;
            self.heard.lock().expect("heard").push(line.clone());
            let (verb, word) = line.split_once(' ').unwrap_or((&line, ""));
            let name = word.trim_start_matches("/").to_owned();
            match verb {
                "USER" => out.write_all(b"331 password\r\n")?,
                "PASS" => out.write_all(b"230 in\r\n")?,
                "FEAT" => write!(out, "211-Features\r\n{}211 End\r\n", self.features)?,
                "PWD" => out.write_all(b"257 \"/\"\r\n")?,
                "EPSV" => write!(out, "229 fine (|||{port}|)\r\n")?,
                "SIZE" => match self.files.lock().expect("files").get(&name) {
                    Some(bytes) => write!(out, "213 {}\r\n", bytes.len())?,
                    None => out.write_all(b"550 no such file\r\n")?,
                },
                "LIST" | "RETR" | "STOR" | "APPE" => {
                    out.write_all(b"150 here it comes\r\n")?;
                    let (stream, _) = data.accept()?;
                    if !self.transfer(verb, &name, stream)? {
                        return Ok(());
                    }
                    out.write_all(b"226 done\r\n")?;
                }
                "RNFR" if self.renames => {
                    from = name;
                    out.write_all(b"350 to what\r\n")?;
                }
                "RNTO" if self.renames => {
                    let mut files = self.files.lock().expect("files");
                    let bytes = files.remove(&from).unwrap_or_default();
                    files.insert(name, bytes);
                    out.write_all(b"250 done\r\n")?;
                }
                "CWD" => out.write_all(b"250 fine\r\n")?,
                "QUIT" => out.write_all(b"221 bye\r\n")?,
                "RNFR" | "RNTO" | "REST" | "MDTM" | "MFMT" | "DELE" => {
                    out.write_all(b"502 not here\r\n")?
                }
                _ => out.write_all(b"200 fine\r\n")?,
            }
        }
        Ok(())
    }

    /// Moves the bytes; `false` when it hangs up in the midst of them.
    fn transfer(&self, verb: &str, name: &str, mut stream: TcpStream) -> std::io::Result<bool> {
        match verb {
            "LIST" => {
                for (name, bytes) in self.files.lock().expect("files").iter() {
                    let (size, time) = (bytes.len(), &self.time);
                    write!(stream, "-rw-r--r-- 1 a b {size:>9} {time} {name}\r\n")?;
                }
            }
            "RETR" => {
                let bytes = self.files.lock().expect("files").get(name).cloned();
                for byte in bytes
                    .unwrap_or_default()
                    .chunks(if self.trickles { 1 } else { 4096 })
                {
                    stream.write_all(byte)?;
                    if self.trickles {
                        thread::park_timeout(Duration::from_millis(20));
                    }
                }
            }
            _ => {
                let most = std::mem::take(&mut *self.breaks_after.lock().expect("a number"));
                let mut came = Vec::new();
                if most > 0 {
                    stream.take(most as u64).read_to_end(&mut came)?;
                } else {
                    stream.read_to_end(&mut came)?;
                }
                let mut files = self.files.lock().expect("files");
                let file = files.entry(name.to_owned()).or_default();
                if verb == "STOR" {
                    file.clear();
                }
                file.extend_from_slice(&came);
                return Ok(most == 0);
            }
        }
        Ok(true)
    }

    fn said(&self, verb: &str) -> usize {
        let heard = self.heard.lock().expect("heard");
        heard.iter().filter(|line| line.starts_with(verb)).count()
    }
}

/// Bytes that tell where they are.
fn numbered(length: u32) -> Vec<u8> {
    (0..length)
        .map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3])
        .collect()
}

#[test]
fn without_rest_a_long_file_is_appended_to() {
    let (lab, bytes) = (Lab::new(), numbered(3_000_000));
    lab.write("out/long.bin", &bytes);
    let odd = Arc::new(Odd {
        features: " EPSV\r\n SIZE\r\n",
        breaks_after: Mutex::new(1_000_000),
        renames: true,
        ..Odd::default()
    });
    let put = format!(
        "{}<put from=\"out\" to=\"/\" stable=\"0s\"/>",
        element(&odd.serve(), "retries=\"1\"")
    );
    good(&lab, "put", &put);
    let held = odd.files.lock().expect("files")["long.bin"].clone();
    assert!(held == bytes, "{} bytes", held.len());
    assert_eq!((odd.said("APPE"), odd.said("REST")), (1, 0));
}

#[test]
fn a_server_that_forbids_renaming_gets_files_under_their_names() {
    let lab = Lab::new();
    lab.write("out/a.xml", "<a/>");
    let odd = Arc::new(Odd {
        features: " EPSV\r\n SIZE\r\n REST STREAM\r\n",
        ..Odd::default()
    });
    let server = element(&odd.serve(), "retries=\"0\"");
    let put =
        |further: &str| format!("{server}<put from=\"out\" to=\"/\" stable=\"0s\" {further}/>");
    let refused = run(&lab, "put", &put(""));
    assert_ne!(refused.status.code(), Some(0), "{refused:?}");
    assert!(!odd.files.lock().expect("files").contains_key("a.xml"));
    good(&lab, "put", &put("temporary=\"false\" then=\"delete\""));
    assert_eq!(odd.files.lock().expect("files")["a.xml"], b"<a/>");
    assert!(tree(&lab.path("out")).is_empty());
}

#[test]
fn times_of_a_listing_are_in_the_zone_of_the_server() {
    let lab = Lab::new();
    let there = SystemTime::now() - Duration::from_secs(30 * 3600);
    let seconds = there
        .duration_since(SystemTime::UNIX_EPOCH)
        .expect("after 1970")
        .as_secs();
    let shown = Command::new("date")
        .args(["-d", &format!("@{seconds}"), "+%b %e %H:%M"])
        .envs([("TZ", "Asia/Shanghai"), ("LC_ALL", "C")])
        .output()
        .expect("running date");
    let odd = Arc::new(Odd {
        features: " EPSV\r\n SIZE\r\n",
        files: Mutex::new([("f.xml".to_owned(), b"<f/>".to_vec())].into()),
        time: String::from_utf8_lossy(&shown.stdout).trim().to_owned(),
        ..Odd::default()
    });
    let get = format!(
        "{}<get from=\"/\" to=\"in\" stable=\"0s\"/>",
        element(&odd.serve(), "server-tz=\"Asia/Shanghai\"")
    );
    good(&lab, "get", &get);
    let time = fs::metadata(lab.path("in/f.xml"))
        .and_then(|meta| meta.modified())
        .expect("its time");
    let apart = there
        .duration_since(time)
        .expect("the minute that was shown has begun before");
    assert!(apart < Duration::from_secs(60), "{apart:?}");
}

#[test]
fn a_trickle_is_waited_for_and_a_stop_heard_in_between() {
    let lab = Lab::new();
    let odd = Arc::new(Odd {
        features: " EPSV\r\n SIZE\r\n REST STREAM\r\n",
        files: Mutex::new([("f.bin".to_owned(), numbered(100))].into()),
        time: "Jan  1  2020".to_owned(),
        trickles: true,
        ..Odd::default()
    });
    let server = element(&odd.serve(), "timeout=\"10s\"");
    let get = format!("{server}<get from=\"/\" to=\"in\" stable=\"0s\"/>");
    good(&lab, "get", &get);
    assert_eq!(tree(&lab.path("in"))["f.bin"], numbered(100));

    // a whole hour of it is cut short by a stop
    odd.files
        .lock()
        .expect("files")
        .insert("g.bin".to_owned(), numbered(200_000));
    let mut child = super::kills::start(&lab, "get", &get);
    wait_for("it is asked for", PATIENCE, || {
        (odd.said("RETR /g.bin") + odd.said("RETR g.bin") > 0).then_some(())
    });
    let asked = Instant::now();
    signal(child.id(), nix::sys::signal::Signal::SIGTERM);
    assert_eq!(child.wait().expect("its end").code(), Some(143));
    assert!(
        asked.elapsed() < Duration::from_secs(20),
        "{:?}",
        asked.elapsed()
    );
    assert!(!lab.path("in/g.bin").exists());
}

#[test]
fn over_ipv6_both_may_open_the_data_connection() {
    let told = variables("pyftpd");
    let Some(host) = told.get("PYFTP6_HOST") else {
        // this machine has no IPv6
        return;
    };
    for (name, mode) in [("epsv", "extended"), ("eprt", "active")] {
        let lab = Lab::new();
        fill(&lab.path("out"), 5);
        let server = element(host, &format!("mode=\"{mode}\""));
        good(
            &lab,
            "put",
            &format!("{server}<put from=\"out\" to=\"/{name}\" recurse=\"true\" stable=\"0s\"/>"),
        );
        good(
            &lab,
            "get",
            &format!("{server}<get from=\"/{name}\" to=\"back\" recurse=\"true\" stable=\"0s\"/>"),
        );
        assert_eq!(tree(&lab.path("back")), tree(&lab.path("out")), "{mode}");
    }
}

#[test]
fn a_folder_to_send_from_that_is_not_there_is_told_and_the_others_go() {
    let lab = Lab::new();
    lab.write("out/a.xml", "<a/>");
    let odd = Arc::new(Odd {
        features: " EPSV\r\n SIZE\r\n",
        renames: true,
        ..Odd::default()
    });
    let server = element(&odd.serve(), "retries=\"0\"");
    let put = |from: &str| format!("<put from=\"{from}\" to=\"/\" stable=\"0s\"/>");
    let content = format!("{server}{}{}", put("typo"), put("out"));
    let output = run(&lab, "put", &content);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(74), "{said}");
    assert!(said.contains("typo: No such file or directory"), "{said}");
    assert_eq!(odd.files.lock().expect("files")["a.xml"], b"<a/>");
}
