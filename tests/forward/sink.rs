//! A centre: an HTTP/1.1 server that remembers every request and answers as it is told.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use crate::lab::{PATIENCE, wait_for};

/// A request that came in.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) headers: HashMap<String, String>,
    pub(super) body: Vec<u8>,
    /// What was answered; 0 = nothing.
    pub(super) status: u16,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// The spool's numbers of its records.
    pub(super) fn numbers(&self) -> Vec<u64> {
        let number = |text: &str| text.parse::<u64>().expect("a number");
        let plain = format!(
            "{}-{}",
            self.header("spool-first"),
            self.header("spool-last")
        );
        let list = match self.header("spool-numbers") {
            "" => plain.as_str(),
            list => list,
        };
        let runs = list.split(',').map(|run| match run.split_once('-') {
            Some((from, to)) => number(from)..=number(to),
            None => number(run)..=number(run),
        });
        runs.flatten().collect()
    }

    /// Its records, one a line, with their numbers.
    pub(super) fn records(&self) -> Vec<(u64, String)> {
        let text = String::from_utf8(self.body.clone()).expect("UTF-8");
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let numbers = self.numbers();
        assert_eq!(lines.len(), numbers.len(), "{:?}", self.headers);
        assert_eq!(self.header("spool-records"), numbers.len().to_string());
        numbers.into_iter().zip(lines).collect()
    }
}

/// How requests are answered.
#[derive(Debug, Clone)]
pub(super) enum Mode {
    Takes,
    /// With this status and these further headers.
    Says(u16, &'static str),
    /// The connection ends without an answer.
    HangsUp,
    /// 422 for requests with this text in their body.
    Refuses(&'static str),
    /// Takes, after a while.
    Slow(Duration),
}

struct State {
    mode: Mode,
    requests: Vec<Request>,
}

/// The centre.
#[derive(Clone)]
pub(super) struct Sink {
    state: Arc<Mutex<State>>,
    pub(super) url: String,
}

impl Sink {
    pub(super) fn new(mode: Mode) -> Sink {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let sink = Sink {
            state: Arc::new(Mutex::new(State {
                mode,
                requests: Vec::new(),
            })),
            url: format!("http://{address}/in"),
        };
        let serving = sink.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let sink = serving.clone();
                thread::spawn(move || sink.serve(&stream));
            }
        });
        sink
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("no test thread panics while it holds the state")
    }

    pub(super) fn set(&self, mode: Mode) {
        self.state().mode = mode;
    }

    /// Requests that were answered with success.
    pub(super) fn taken(&self) -> Vec<Request> {
        let state = self.state();
        let taken = |request: &&Request| (200..300).contains(&request.status);
        state.requests.iter().filter(taken).cloned().collect()
    }

    pub(super) fn all(&self) -> Vec<Request> {
        self.state().requests.clone()
    }

    /// Records that were taken, in their order of arrival.
    pub(super) fn records(&self) -> Vec<(u64, String)> {
        self.taken().iter().flat_map(Request::records).collect()
    }

    /// Waits until so many different records were taken, and gives all in their order of arrival.
    pub(super) fn wait(&self, count: usize) -> Vec<(u64, String)> {
        wait_for(&format!("{count} records arrive"), PATIENCE * 3, || {
            let records = self.records();
            let mut numbers: Vec<u64> = records.iter().map(|(number, _)| *number).collect();
            numbers.sort_unstable();
            numbers.dedup();
            (numbers.len() >= count).then_some(records)
        })
    }

    fn serve(&self, stream: &TcpStream) {
        let mut reader = BufReader::new(stream);
        while let Some((headers, body)) = read_request(&mut reader) {
            let mode = self.state().mode.clone();
            let (status, more) = match &mode {
                Mode::Takes => (204, ""),
                Mode::Says(status, headers) => (*status, *headers),
                Mode::HangsUp => (0, ""),
                Mode::Refuses(text) => {
                    let found = body.windows(text.len()).any(|part| part == text.as_bytes());
                    (if found { 422 } else { 200 }, "")
                }
                Mode::Slow(long) => {
                    thread::sleep(*long);
                    (200, "")
                }
            };
            // it counts as taken before the answer, as with a real centre: an answer may be lost
            self.state().requests.push(Request {
                headers,
                body,
                status,
            });
            if status == 0 {
                return;
            }
            let answer = format!("HTTP/1.1 {status} X\r\n{more}content-length: 0\r\n\r\n");
            let answer = match status {
                204 => format!("HTTP/1.1 204 X\r\n{more}\r\n"),
                _ => answer,
            };
            let mut out = stream;
            if out.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }
}

fn read_request(reader: &mut impl BufRead) -> Option<(HashMap<String, String>, Vec<u8>)> {
    let mut line = String::new();
    reader
        .read_line(&mut line)
        .ok()
        .filter(|bytes| *bytes > 0)?;
    assert!(line.starts_with("POST /in HTTP/1.1"), "{line}");
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader
            .read_line(&mut line)
            .ok()
            .filter(|bytes| *bytes > 0)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length: usize = headers.get("content-length")?.parse().ok()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((headers, body))
}
