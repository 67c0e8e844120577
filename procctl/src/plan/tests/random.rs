//! Random lives: whatever happens in whatever order, what must hold holds.

use proptest::prelude::*;

use super::*;
use crate::plan::event::Token;
use crate::plan::outcome::Word;
use crate::recorder::message::Notice;

const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

/// Versions of each job that files may hold.
const VERSIONS: [&str; 14] = [
    "window='12:00-12:01' every='15s' pool='db'",
    "window='12:01-12:02,12:04-12:05' cron='*/10 * * * * *' pool='db' overlap='queue'",
    "",
    "every='20s' pool='db' splay='3s'",
    "cron='*/30 * * * * *' overlap='queue' pool='db'",
    "cron='0 * * * * *' overlap='replace' missed='once' splay='5s'",
    "cron='*/20 * * * * *' overlap='replace-hung' heartbeat='5s'",
    "after='a' pool='db' overlap='queue'",
    "every='5s' max-run='30s' backoff='0' stop-grace='1s'",
    "backoff='0..0' pool='db'",
    "window='12:00-12:02' every='15s'",
    "enabled='false'",
    "every='0' backoff='100ms'",
    "user='other' pool='none'",
];

#[derive(Debug, Clone)]
enum Act {
    Pass(u16),
    Step(i32),
    End(u8, u8),
    Rest(u8),
    TreeGone(u8),
    Refuse(u8),
    Ask(u8, u8),
    File(u8, u8),
    Broken(u8),
    Gone(u8),
    Pools(u8),
    Examined(u8, bool),
    Hang(u8),
    HandOver,
    Crash,
    ClientGone,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (0..400u16).prop_map(Act::Pass),
        1 => prop_oneof![Just(86_400), Just(-86_400), -100..100i32].prop_map(Act::Step),
        8 => (any::<u8>(), 0..4u8).prop_map(|(a, b)| Act::End(a, b)),
        2 => any::<u8>().prop_map(Act::Rest),
        3 => any::<u8>().prop_map(Act::TreeGone),
        1 => any::<u8>().prop_map(Act::Refuse),
        6 => (any::<u8>(), 0..8u8).prop_map(|(a, b)| Act::Ask(a, b)),
        4 => (any::<u8>(), any::<u8>()).prop_map(|(a, b)| Act::File(a, b)),
        1 => any::<u8>().prop_map(Act::Broken),
        2 => any::<u8>().prop_map(Act::Gone),
        1 => (0..4u8).prop_map(Act::Pools),
        2 => (any::<u8>(), any::<bool>()).prop_map(|(a, b)| Act::Examined(a, b)),
        1 => any::<u8>().prop_map(Act::Hang),
        1 => Just(Act::HandOver),
        1 => Just(Act::Crash),
        1 => Just(Act::ClientGone),
    ]
}

/// The processes that the orders would have made, kept apart from the plan's own books.
struct Life {
    w: World,
    /// Live processes, and whether their main process has ended.
    alive: BTreeMap<RunId, (Arc<str>, bool)>,
    files: BTreeMap<String, Arc<JobSpec>>,
    asked: Vec<Token>,
    token: Token,
    size: u32,
}

impl Life {
    fn new() -> Life {
        let mut w = World::unbooted("");
        w.slow = true;
        let mut life = Life {
            w,
            alive: BTreeMap::new(),
            files: BTreeMap::new(),
            asked: Vec::new(),
            token: 0,
            size: 2,
        };
        life.tell(life.settings());
        life.tell(Event::Booted);
        life
    }

    fn settings(&self) -> Event {
        let pools = BTreeMap::from([("db".into(), self.size)]);
        let evidence = PathBuf::new();
        Event::Configured(Settings { pools, evidence })
    }

    fn tell(&mut self, event: Event) {
        let mut events = std::collections::VecDeque::from([event]);
        let mut rounds = 0;
        while let Some(event) = events.pop_front() {
            rounds += 1;
            assert!(rounds < 10_000, "the plan talks to itself");
            for action in plan(&mut self.w.state, event, self.w.now) {
                self.obey(action, &mut events);
            }
            self.check();
        }
    }

    fn obey(&mut self, action: Action, events: &mut std::collections::VecDeque<Event>) {
        match action {
            Action::Start { run, job, .. } => {
                let twice = self.alive.values().any(|(name, _)| *name == job.name);
                assert!(!twice, "two copies of {}", job.name);
                self.alive.insert(run, (job.name.clone(), false));
                events.push_back(Event::Started { run, pid: 9 });
            }
            Action::Reply { token, .. } => {
                let place = self.asked.iter().position(|asked| *asked == token);
                assert!(place.is_some(), "answered twice or unasked: {token}");
                self.asked.swap_remove(place.unwrap());
            }
            Action::Release { run } => assert!(!self.alive.contains_key(&run)),
            Action::Remember { line } => self.w.memory += &format!("{line}\n"),
            Action::Exit => panic!("nobody asked for the end"),
            _ => {}
        }
    }

    fn check(&mut self) {
        self.w.check_wake();
        let (busy, _) = self.w.state.pools.seats("db");
        let held = self
            .w
            .state
            .jobs
            .values()
            .filter_map(|job| job.run.as_ref());
        let held = held.filter(|run| run.seat.as_deref() == Some("db")).count();
        assert_eq!(usize::try_from(busy).unwrap(), held);
        let known: Vec<_> = self.w.state.runs.keys().collect();
        let alive: Vec<_> = self.alive.keys().collect();
        assert_eq!(known, alive);
    }

    fn pass(&mut self, seconds: f64) {
        let end = self.w.now.mono + Duration::from_secs_f64(seconds);
        for _ in 0..10_000 {
            let wake = self.w.state.next_wake();
            let now = self.w.now;
            let wall = wake
                .wall
                .map(|at| now.mono + (at - now.wall).to_std().unwrap_or_default());
            let next = wake.mono.into_iter().chain(wall).min();
            let Some(next) = next.filter(|at| *at <= end) else {
                self.w.move_clock(end);
                return;
            };
            self.w.move_clock(next);
            self.tell(Event::Due);
        }
        panic!("a busy loop");
    }

    fn pick(&self, n: u8) -> Option<RunId> {
        let count = self.alive.len();
        let mut runs = self.alive.keys();
        runs.nth(usize::from(n) % count.max(1)).copied()
    }

    fn end(&mut self, run: RunId, exit: Exit, words: LastWords, rest: bool) {
        let Some((_, over)) = self.alive.get_mut(&run) else {
            return;
        };
        if std::mem::replace(over, true) {
            return;
        }
        if !rest {
            self.alive.remove(&run);
        }
        let usage = Usage::default();
        self.tell(Event::Ended {
            run,
            exit,
            words,
            usage,
            rest,
        });
    }

    fn tree_gone(&mut self, run: RunId) {
        if self.alive.get(&run).is_some_and(|(_, over)| *over) {
            self.alive.remove(&run);
            self.tell(Event::TreeGone { run });
        }
    }

    fn ask(&mut self, n: u8, what: u8) {
        let name = |n: u8| NAMES[usize::from(n) % NAMES.len()].to_string();
        let mut jobs = vec![name(n)];
        if n.is_multiple_of(3) {
            jobs.push(name(n / 3));
        }
        let request = match what {
            0 => Request::Start { jobs },
            1 => Request::Stop { jobs },
            2 => Request::Restart { jobs },
            3 => Request::Trigger { jobs, wait: false },
            4 => Request::Trigger { jobs, wait: true },
            5 => Request::Enable { jobs },
            6 => Request::Disable { jobs },
            _ => Request::Status { job: None },
        };
        self.token += 1;
        let token = self.token;
        self.asked.push(token);
        self.tell(Event::Command { token, request });
    }

    fn crash(&mut self) {
        let mut next = World::unbooted(&self.w.memory);
        next.slow = true;
        next.now = self.w.now;
        next.state = State::new(Memory::parse(&self.w.memory), "boot-1", 3, next.now);
        let old = std::mem::replace(&mut self.w, next);
        self.asked.clear();
        let alive = std::mem::take(&mut self.alive);
        self.tell(self.settings());
        let files = self.files.values().map(valid).collect();
        self.tell(Event::Loaded(Loaded {
            complete: true,
            files,
            answer: None,
        }));
        for (run, (name, over)) in alive {
            let started = old.state.jobs[&name].run.as_ref().unwrap();
            let (started, started_mono) = (started.started, started.started_mono);
            let job = name.to_string();
            if over {
                continue;
            }
            self.alive.insert(run, (name, false));
            self.tell(Event::Adopted(Adopted {
                run,
                job,
                pid: 9,
                started,
                started_mono,
            }));
        }
        self.tell(Event::Booted);
    }

    fn live(&mut self, act: Act) {
        match act {
            Act::Pass(tenths) => self.pass(f64::from(tenths) / 10.0),
            Act::Step(seconds) => {
                self.w.now.wall += TimeDelta::seconds(seconds.into());
                self.tell(Event::ClockStepped);
            }
            Act::End(n, how) => {
                let exit = [Exit::Code(0), Exit::Code(1), Exit::Signal(9), Exit::Unknown];
                let word = (how == 3).then_some(Word::Done);
                let words = LastWords {
                    word,
                    ..LastWords::default()
                };
                if let Some(run) = self.pick(n) {
                    self.end(run, exit[usize::from(how)], words, false);
                }
            }
            Act::Rest(n) => {
                if let Some(run) = self.pick(n) {
                    self.end(run, Exit::Code(0), LastWords::default(), true);
                }
            }
            Act::TreeGone(n) => {
                if let Some(run) = self.pick(n) {
                    self.tree_gone(run);
                }
            }
            Act::Refuse(n) => {
                if let Some(run) = self.pick(n).filter(|run| !self.alive[run].1) {
                    self.alive.remove(&run);
                    let why = "no".to_string();
                    self.tell(Event::StartFailed { run, why });
                }
            }
            Act::Ask(name, what) => self.ask(name, what),
            Act::File(n, version) => {
                let name = NAMES[usize::from(n) % NAMES.len()];
                let version = VERSIONS[usize::from(version) % VERSIONS.len()];
                let spec = if version.starts_with("every") {
                    sweep(name, version)
                } else {
                    exec(name, version)
                };
                self.files.insert(name.into(), spec.clone());
                let files = vec![valid(&spec)];
                self.tell(Event::Loaded(Loaded {
                    files,
                    ..Loaded::default()
                }));
            }
            Act::Broken(n) => {
                let path = format!("/jobs/{}.xml", NAMES[usize::from(n) % NAMES.len()]);
                let text = "x".to_string();
                let files = vec![file(&path, Content::Broken { name: None, text })];
                self.tell(Event::Loaded(Loaded {
                    files,
                    ..Loaded::default()
                }));
            }
            Act::Gone(n) => {
                let name = NAMES[usize::from(n) % NAMES.len()];
                self.files.remove(name);
                let files = vec![file(&format!("/jobs/{name}.xml"), Content::Gone)];
                self.tell(Event::Loaded(Loaded {
                    files,
                    ..Loaded::default()
                }));
            }
            Act::Pools(size) => {
                self.size = size.into();
                self.tell(self.settings());
            }
            Act::Examined(n, overdue) => {
                if let Some(run) = self.pick(n) {
                    self.tell(Event::Examined { run, overdue });
                }
            }
            Act::Hang(n) => {
                if let Some(run) = self.pick(n) {
                    let notice = Notice::Trigger;
                    self.tell(Event::Noticed { run, notice });
                }
            }
            Act::HandOver => {
                let text = self.w.state.snapshot().unwrap();
                self.w.state = State::restore(&text).unwrap();
                assert_eq!(self.w.state.snapshot().unwrap(), text);
                self.asked.clear();
                self.check();
            }
            Act::Crash => self.crash(),
            Act::ClientGone => {
                if let Some(token) = self.asked.pop() {
                    self.tell(Event::ClientGone { token });
                }
            }
        }
    }

    /// In the end everything is stopped: every client has its answer, and nothing is left over.
    fn finish(&mut self) {
        let jobs: Vec<_> = NAMES.map(String::from).to_vec();
        self.token += 1;
        let token = self.token;
        self.asked.push(token);
        let request = Request::Stop { jobs };
        self.tell(Event::Command { token, request });
        for run in self.alive.keys().copied().collect::<Vec<_>>() {
            self.end(run, Exit::Signal(9), LastWords::default(), false);
            self.tree_gone(run);
        }
        assert!(self.alive.is_empty(), "{:?}", self.alive);
        assert!(self.asked.is_empty(), "unanswered: {:?}", self.asked);
        assert!(self.w.state.waiters.is_empty());
        assert_eq!(self.w.state.pools.seats("db").0, 0);
        assert_eq!(self.w.state.stuck, 0);
        let wake = self.w.state.next_wake();
        assert_eq!((wake.mono, wake.wall), (None, None));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn what_must_hold_holds(acts in prop::collection::vec(act(), 1..120)) {
        let mut life = Life::new();
        for act in acts {
            life.live(act);
        }
        life.finish();
    }
}
