//! Senders for `scripts/bench forward`: many connections that send lines as fast as they are acknowledged, or at a rate; and
//! the floor, a bare loop of write and fdatasync, as fast as it goes or of records that come at a rate.
//!
//! usage: senders send ADDRESS SENDERS WINDOW BYTES SECONDS [RATE]   (RATE: records a second of all together, with latencies)
//!        senders pour ADDRESS SENDERS BYTES RECORDS                 (no acknowledgements)
//!        senders floor FILE BYTES SECONDS [RATE]                    (writes of so many bytes, each synced; RATE: records a second, those
//!                                                                   that are due share a write and a sync)
//!        senders room FILE BYTES SECONDS                            (the same over zeros that are durable already)
//!        senders publish ADDRESS SENDERS WINDOW BYTES SECONDS       (to NATS JetStream, on the subject `bench`)

use std::{
    collections::VecDeque,
    env,
    fs::File,
    io::{self, ErrorKind, Read as _, Seek as _, Write as _},
    net::TcpStream,
    os::fd::AsFd as _,
    rc::Rc,
    time::{Duration, Instant},
};

use rustix::event::{Timespec, epoll};

/// Records in the buffer that everything is sent from.
const REPEAT: usize = 256;
/// How long the last acknowledgements may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// How the other side tells what it has.
#[derive(Clone, Copy, PartialEq)]
enum Speech {
    /// The count so far on a line.
    Counts,
    /// A reply for each message.
    Replies,
}

struct Sender {
    stream: TcpStream,
    /// Some records behind each other.
    text: Rc<[u8]>,
    sent_bytes: usize,
    acked: usize,
    /// Answers that say no: the record is not kept.
    refused: usize,
    /// What was read of an answer that is not whole.
    rest: Vec<u8>,
    /// Counts and when they were sent.
    times: VecDeque<(usize, Instant)>,
}

struct Load {
    senders: Vec<Sender>,
    /// Bytes of a record.
    record: usize,
    window: usize,
    speech: Speech,
    epoll: rustix::fd::OwnedFd,
    latencies: Vec<Duration>,
}

impl Load {
    fn new(
        address: &str,
        senders: usize,
        window: usize,
        record: &dyn Fn(usize) -> Rc<[u8]>,
        speech: Speech,
    ) -> io::Result<Load> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut load = Load {
            senders: Vec::new(),
            record: record(0).len() / REPEAT,
            window,
            speech,
            epoll,
            latencies: Vec::new(),
        };
        for n in 0..senders {
            let mut stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            if speech == Speech::Replies {
                let hello = format!("CONNECT {{\"verbose\":false}}\r\nSUB {} 1\r\n", inbox(n));
                stream.write_all(hello.as_bytes())?;
            }
            stream.set_nonblocking(true)?;
            let flags = epoll::EventFlags::IN;
            epoll::add(
                &load.epoll,
                stream.as_fd(),
                epoll::EventData::new_u64(n as u64),
                flags,
            )?;
            load.senders.push(Sender {
                stream,
                text: record(n),
                sent_bytes: 0,
                acked: 0,
                refused: 0,
                rest: Vec::new(),
                times: VecDeque::new(),
            });
        }
        Ok(load)
    }

    fn acked(&self) -> usize {
        self.senders.iter().map(|sender| sender.acked).sum()
    }

    fn refused(&self) -> usize {
        self.senders.iter().map(|sender| sender.refused).sum()
    }

    fn sent(&self) -> usize {
        self.senders
            .iter()
            .map(|sender| sender.sent_bytes / self.record)
            .sum()
    }

    /// Sends up to so many records more, as far as window and socket allow.
    fn push(&mut self, n: usize, most: usize, timed: bool) -> io::Result<()> {
        let sender = &mut self.senders[n];
        let limit = (sender.acked + sender.refused + self.window)
            .min((sender.sent_bytes / self.record).saturating_add(most));
        while sender.sent_bytes < limit * self.record {
            let from = sender.sent_bytes % sender.text.len();
            let left = limit * self.record - sender.sent_bytes;
            let to = (from + left).min(sender.text.len());
            match sender.stream.write(&sender.text[from..to]) {
                Ok(bytes) => sender.sent_bytes += bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        if timed {
            sender
                .times
                .push_back((sender.sent_bytes / self.record, Instant::now()));
        }
        Ok(())
    }

    /// Waits a little and takes answers; gives who answered.
    fn listen(&mut self, long: Duration) -> io::Result<Vec<usize>> {
        let mut events = Vec::with_capacity(256);
        let long = Timespec::try_from(long).unwrap_or_default();
        match epoll::wait(
            &self.epoll,
            rustix::buffer::spare_capacity(&mut events),
            Some(&long),
        ) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut told = Vec::new();
        for event in events {
            let n = usize::try_from(event.data.u64()).unwrap_or(0);
            self.hear(n)?;
            told.push(n);
        }
        Ok(told)
    }

    fn hear(&mut self, n: usize) -> io::Result<()> {
        let sender = &mut self.senders[n];
        let mut buffer = [0; 16 << 10];
        match sender.stream.read(&mut buffer) {
            Ok(0) => return Err(io::Error::other("the other side has hung up")),
            Ok(bytes) => sender.rest.extend_from_slice(&buffer[..bytes]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
        let Some(end) = sender.rest.iter().rposition(|byte| *byte == b'\n') else {
            return Ok(());
        };
        let text = String::from_utf8_lossy(&sender.rest[..end]).into_owned();
        sender.rest.drain(..=end);
        match self.speech {
            Speech::Counts => {
                let last = text.lines().last().unwrap_or_default();
                sender.acked = last
                    .parse()
                    .map_err(|_| io::Error::other(format!("it said: {last}")))?;
            }
            Speech::Replies => {
                // the second line of each reply holds the number in the stream, or why there is none
                let count = |word| text.lines().filter(|line| line.contains(word)).count();
                sender.acked += count("\"seq\":");
                sender.refused += count("\"error\":");
                if text.lines().any(|line| line.starts_with("PING")) {
                    // a full socket now is asked again
                    let _later = sender.stream.write(b"PONG\r\n");
                }
            }
        }
        let now = Instant::now();
        while let Some((count, at)) = sender.times.front().copied() {
            if count > sender.acked {
                break;
            }
            self.latencies.push(now - at);
            sender.times.pop_front();
        }
        Ok(())
    }

    /// As fast as it goes; gives the records that were acknowledged in that time. A server that works off all that is in flight before it
    /// answers any of it is given the time for one answer to each.
    fn rush(&mut self, long: Duration) -> io::Result<(usize, Duration)> {
        let begun = Instant::now();
        for n in 0..self.senders.len() {
            self.push(n, usize::MAX / self.record / 4, false)?;
        }
        let first = self.senders.len() * self.window;
        let answered = |load: &Load| load.acked() + load.refused() >= first;
        while begun.elapsed() < long || (!answered(self) && begun.elapsed() < PATIENCE) {
            for n in self.listen(Duration::from_millis(50))? {
                self.push(n, usize::MAX / self.record / 4, false)?;
            }
        }
        Ok((self.acked(), begun.elapsed()))
    }

    /// At a rate, in ticks of a millisecond.
    fn pace(&mut self, rate: usize, long: Duration) -> io::Result<(usize, Duration)> {
        let begun = Instant::now();
        let (mut given, mut turn) = (0, 0);
        while begun.elapsed() < long {
            let due = usize::try_from(begun.elapsed().as_micros()).unwrap_or(0) * rate / 1_000_000;
            while given < due {
                self.push(turn % self.senders.len(), 1, true)?;
                (given, turn) = (given + 1, turn + 1);
            }
            self.listen(Duration::from_micros(500))?;
        }
        Ok((self.acked(), begun.elapsed()))
    }

    fn drain(&mut self) -> io::Result<()> {
        let end = Instant::now() + PATIENCE;
        while self.acked() < self.sent() && Instant::now() < end {
            self.listen(Duration::from_millis(50))?;
        }
        Ok(())
    }
}

/// Where a publisher hears of its messages; of the same length for all.
fn inbox(n: usize) -> String {
    format!("acks.{n:05}")
}

fn line(bytes: usize) -> Vec<u8> {
    let mut line = vec![b'x'; bytes.saturating_sub(1)];
    line.push(b'\n');
    line
}

/// A share of sorted latencies, in milliseconds.
fn share(sorted: &[Duration], percent: usize) -> f64 {
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).map_or(0.0, |long| long.as_secs_f64() * 1e3)
}

fn tell(
    (records, refused): (usize, usize),
    took: Duration,
    mut latencies: Vec<Duration>,
) -> io::Result<()> {
    latencies.sort_unstable();
    let (p50, p99) = (share(&latencies, 50), share(&latencies, 99));
    writeln!(
        io::stdout().lock(),
        r#"{{"records":{records},"refused":{refused},"seconds":{:.3},"p50":{p50:.3},"p99":{p99:.3}}}"#,
        took.as_secs_f64()
    )
}

/// Writes of so many bytes, each synced: behind each other in a file that grows, or over and over in one of so many zeros.
fn floor(path: &str, bytes: usize, long: Duration, room: usize) -> io::Result<()> {
    let text = vec![b'x'; bytes];
    let mut file = File::create(path)?;
    file.write_all(&vec![0; room])?;
    file.sync_all()?;
    file.rewind()?;
    let (mut latencies, begun) = (Vec::new(), Instant::now());
    while begun.elapsed() < long {
        let at = Instant::now();
        file.write_all(&text)?;
        file.sync_data()?;
        latencies.push(at.elapsed());
        if room > 0 && file.stream_position()? + bytes as u64 > room as u64 {
            file.rewind()?;
        }
    }
    tell((latencies.len(), 0), begun.elapsed(), latencies)
}

/// Records that come at a rate, from the moment each is due until it is durable: what they wait for the sync before theirs counts.
fn paced_floor(path: &str, bytes: usize, long: Duration, rate: usize) -> io::Result<()> {
    let text = vec![b'x'; bytes * rate];
    let mut file = File::create(path)?;
    let (mut latencies, begun) = (Vec::new(), Instant::now());
    while begun.elapsed() < long {
        let due = usize::try_from(begun.elapsed().as_micros()).unwrap_or(0) * rate / 1_000_000;
        let first = latencies.len();
        if due == first {
            std::thread::yield_now();
            continue;
        }
        file.write_all(&text[..(due - first).min(rate) * bytes])?;
        file.sync_data()?;
        let now = begun.elapsed();
        let at = |n: usize| Duration::from_micros((n * 1_000_000 / rate) as u64);
        latencies.extend((first..due).map(|n| now.saturating_sub(at(n))));
    }
    tell((latencies.len(), 0), begun.elapsed(), latencies)
}

fn pour(address: &str, senders: usize, bytes: usize, records: usize) -> io::Result<()> {
    let text = line(bytes).repeat(REPEAT);
    let begun = Instant::now();
    let mut streams = Vec::new();
    for _ in 0..senders {
        streams.push(TcpStream::connect(address)?);
    }
    let mut sent = 0;
    while sent < records {
        for stream in &mut streams {
            let count = REPEAT.min(records - sent);
            stream.write_all(&text[..count * bytes])?;
            sent += count;
        }
    }
    tell((sent, 0), begun.elapsed(), Vec::new())
}

fn main() -> io::Result<()> {
    let words: Vec<String> = env::args().collect();
    let number = |at: usize| -> io::Result<usize> {
        let word = words.get(at).and_then(|word| word.parse().ok());
        word.ok_or_else(|| io::Error::other(format!("word {at} is to be a number")))
    };
    let word = |at: usize| words.get(at).map_or("", String::as_str);
    let seconds = |at: usize| number(at).map(|n| Duration::from_secs(n as u64));
    match word(1) {
        "floor" => match number(5) {
            Ok(rate) => paced_floor(word(2), number(3)?, seconds(4)?, rate),
            Err(_) => floor(word(2), number(3)?, seconds(4)?, 0),
        },
        "room" => floor(word(2), number(3)?, seconds(4)?, 64 << 20),
        "pour" => pour(word(2), number(3)?, number(4)?, number(5)?),
        "send" => {
            let lines: Rc<[u8]> = line(number(5)?).repeat(REPEAT).into();
            let record = |_| Rc::clone(&lines);
            let mut load = Load::new(word(2), number(3)?, number(4)?, &record, Speech::Counts)?;
            let (acked, took) = match number(7) {
                Ok(rate) => load.pace(rate, seconds(6)?)?,
                Err(_) => load.rush(seconds(6)?)?,
            };
            load.drain()?;
            tell((acked, 0), took, load.latencies)
        }
        "publish" => {
            let size = number(5)?;
            let record = |n: usize| -> Rc<[u8]> {
                let mut record = format!("PUB bench {} {size}\r\n", inbox(n)).into_bytes();
                record.extend(vec![b'x'; size]);
                record.extend(b"\r\n");
                record.repeat(REPEAT).into()
            };
            let mut load = Load::new(word(2), number(3)?, number(4)?, &record, Speech::Replies)?;
            // what is still on its way may take minutes, and is not counted
            let (acked, took) = load.rush(seconds(6)?)?;
            tell((acked, load.refused()), took, load.latencies)
        }
        _ => Err(io::Error::other(
            "usage: senders send|pour|floor|room|publish …",
        )),
    }
}
