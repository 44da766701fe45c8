//! How many steps a second the scheduler takes with a thousand and with a million jobs queued, what
//! single steps cost (in processor time), and how much memory a queued job takes. Prints a table;
//! asserts nothing. `cargo bench --bench scheduler -- keyed` measures one load alone.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use twolane::job::{
    Class, JobId, KeyLimit, Limits, Now, Outcome, QueueRecord, RetryPolicy, State, StoreId, Usage,
    WallTime,
};
use twolane::scheduler::{Action, Demand, Entry, Input, LaneSizes, Options, Scheduler, Start};

const QUEUES: u64 = 10;
const HOSTS: usize = 10_000;
const MUTEXES: usize = 100;
/// As many again go before what is measured: the first ones take the best of the pile, and only when
/// these are through do the jobs that come in and those that go out have the same priorities.
const ROUNDS: u64 = 500_000;
/// Jobs that are made at once, outside of what is measured.
const BLOCK: u64 = 1_000;

/// What the jobs stand under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Load {
    /// No limits by name.
    Plain,
    /// Keys; what is done for one host stands in one queue and asks for the same.
    Keyed,
    /// Keys; what is done for one host is all over the queues, classes and sizes: nearly as many lines
    /// as jobs.
    Scattered,
}

struct Bench {
    scheduler: Scheduler,
    names: Vec<Arc<str>>,
    load: Load,
    /// For each host its limit alone, and with one of the mutexes.
    hosts: Vec<[Arc<Limits>; 2]>,
    next_id: u64,
    steps: u64,
    actions: Vec<Action>,
    running: VecDeque<Start>,
}

fn now(micros: u64) -> Now {
    Now { boot: Duration::from_micros(micros), wall: WallTime(micros as i64) }
}

impl Bench {
    fn new(load: Load) -> Self {
        let hosts = (0..HOSTS).map(host_limits).collect();
        let lanes = LaneSizes { cpu: 64, io: 64, blocking: 16 };
        let mut bench = Self {
            scheduler: Scheduler::new(Options::default(), lanes, StoreId::new(1), 1),
            names: (0..QUEUES).map(|queue| Arc::from(format!("queue-{queue}"))).collect(),
            load,
            hosts,
            next_id: 1,
            steps: 0,
            actions: Vec::new(),
            running: VecDeque::new(),
        };
        for (index, name) in bench.names.clone().iter().enumerate() {
            let max = (index % 2 == 0).then_some(20);
            let weight = 100 * (index as u32 % 3 + 1);
            bench.step(Input::QueueSet(QueueRecord { max, weight, ..QueueRecord::named(name) }));
        }
        bench
    }

    /// A mix of classes, sizes, priorities, queues and retry policies.
    fn entry(&mut self) -> Entry {
        let id = self.next_id;
        self.next_id += 1;
        let dice = id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        let alike = if self.load == Load::Keyed { (dice >> 17) % HOSTS as u64 } else { dice };
        let class = [Class::Cpu, Class::Cpu, Class::Io, Class::Blocking][(alike % 4) as usize];
        let permits = if class == Class::Cpu { 1 + (alike >> 3) as u32 % 4 } else { 0 };
        let retries = (dice >> 6) as u32 % 3;
        Entry {
            id: JobId::new(id).expect("an id in range"),
            owner: 1000,
            place: None,
            state: State::Queued,
            not_before: None,
            submitted_at: now(id).wall,
            turn: None,
            queue: Arc::clone(&self.names[(alike >> 9) as usize % self.names.len()]),
            priority: (dice >> 13) as i32 % 5,
            demand: Demand { class, permits, inside: class == Class::Io },
            retry: RetryPolicy { retries, ..RetryPolicy::default() },
            attempts: 0,
            pardoned: 0,
            suspicion: None,
            reason: None,
            requires: Vec::new(),
            limits: self.limits(dice),
        }
    }

    /// Three in four jobs count under one of many hosts, few at once; one in eight under a mutex too.
    fn limits(&mut self, dice: u64) -> Option<Arc<Limits>> {
        if self.load == Load::Plain || dice.is_multiple_of(4) {
            return None;
        }
        let host = (dice >> 17) as usize % HOSTS;
        Some(Arc::clone(&self.hosts[host][usize::from((dice >> 3).is_multiple_of(8))]))
    }

    fn step(&mut self, input: Input) {
        self.scheduler.step(now(self.next_id), input, &mut self.actions);
        self.steps += 1;
    }

    fn submit(&mut self, entry: Entry) {
        self.step(Input::Submitted(vec![entry]));
        self.perform();
    }

    fn fill(&mut self, jobs: u64) {
        for _ in 0..jobs {
            let entry = self.entry();
            self.submit(entry);
        }
    }

    /// Submits and finishes so many jobs; how long the scheduler took, without the making of the jobs.
    fn rounds(&mut self, rounds: u64) -> u64 {
        let mut nanos = 0;
        for _ in 0..rounds / BLOCK {
            let entries: Vec<_> = (0..BLOCK).map(|_| self.entry()).collect();
            let start = cpu_nanos();
            for entry in entries {
                self.submit(entry);
                self.finish();
            }
            nanos += cpu_nanos() - start;
        }
        nanos
    }

    /// Commits at once what is to be written and notes what runs.
    fn perform(&mut self) {
        let mut actions = std::mem::take(&mut self.actions);
        while !actions.is_empty() {
            for action in actions.drain(..) {
                match action {
                    Action::Start(start) => self.running.push_back(start),
                    Action::Write(change) => {
                        self.scheduler.step(
                            now(self.next_id),
                            Input::Committed(change),
                            &mut self.actions,
                        );
                        self.steps += 1;
                    }
                    _ => {}
                }
            }
            std::mem::swap(&mut actions, &mut self.actions);
        }
    }

    fn finish(&mut self) {
        let Some(Start { job, token, .. }) = self.running.pop_front() else { return };
        let (outcome, usage) = (Outcome::Succeeded, Usage::default());
        self.step(Input::Ended { job, token, outcome, usage, retry_after: None, retryable: true });
        self.perform();
    }
}

fn host_limits(host: usize) -> [Arc<Limits>; 2] {
    let key = KeyLimit { key: format!("host:{host}"), max: Some(host as u32 % 4 + 1) };
    let mutex = KeyLimit { key: format!("mutex:{}", host % MUTEXES), max: Some(1) };
    let limits = |keys| Arc::new(Limits { keys, ..Limits::default() });
    [limits(vec![key.clone()]), limits(vec![key, mutex])]
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * 4096
}

/// Processor time of this program, so that a busy machine does not spoil the figures.
fn cpu_nanos() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

fn timed(label: &str, count: u64, work: impl FnOnce()) {
    let start = cpu_nanos();
    work();
    let nanos = (cpu_nanos() - start) as f64 / count as f64;
    println!("  {label:<44} {nanos:>9.0} ns");
}

fn measure(jobs: u64, load: Load) {
    let under = match load {
        Load::Plain => String::new(),
        Load::Keyed => format!(", under {HOSTS} keys"),
        Load::Scattered => format!(", under {HOSTS} keys scattered over all queues and classes"),
    };
    println!("{jobs} jobs queued{under}");
    let mut bench = Bench::new(load);
    let before = resident_bytes();
    timed("fill, one job a step, per job", jobs, || bench.fill(jobs));
    let grown = resident_bytes().saturating_sub(before) as f64 / jobs as f64;
    println!("  {:<44} {grown:>9.0} bytes", "resident memory per job");
    bench.rounds(ROUNDS);
    bench.steps = 0;
    let nanos = bench.rounds(ROUNDS) as f64;
    let (rate, round) = (bench.steps as f64 * 1e9 / nanos, nanos / ROUNDS as f64);
    println!("  {:<44} {rate:>9.0} steps/s", "submit, start, finish, commit in steady state");
    println!("  {:<44} {round:>9.0} ns", "one round of these (3 steps)");
    questions(&mut bench);
}

fn questions(bench: &mut Bench) {
    let last = JobId::new(bench.next_id - 1).expect("an id in range");
    timed("explain the youngest job", 100, || {
        for _ in 0..100 {
            std::hint::black_box(bench.scheduler.explain(now(bench.next_id), last));
        }
    });
    let record = QueueRecord::named(&bench.names[1]);
    timed("pause and resume a queue", 100, || {
        for _ in 0..100 {
            bench.step(Input::QueueSet(QueueRecord { paused: true, ..record.clone() }));
            bench.step(Input::QueueSet(record.clone()));
        }
    });
    let ids: Vec<_> = bench.scheduler.jobs_in("queue-1").take(100_000).collect();
    timed("cancel a queued job anywhere (2 steps)", ids.len() as u64, || {
        for job in ids {
            bench.step(Input::Cancel { job, reason: None });
            bench.perform();
        }
    });
}

fn main() {
    let wanted = std::env::args().skip(1).find(|word| !word.starts_with('-'));
    for jobs in [1_000, 1_000_000] {
        for load in [Load::Plain, Load::Keyed, Load::Scattered] {
            let name = format!("{load:?}").to_lowercase();
            if wanted.as_ref().is_none_or(|wanted| *wanted == name) {
                measure(jobs, load);
            }
        }
    }
}
