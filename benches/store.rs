//! How fast the embedded store takes jobs, starts and ends, and reads a million back.
//!
//! Run with `cargo bench --bench store [JOBS]`; the directory is `$TWOLANE_BENCH_DIR`, or the system's
//! temporary one, and decides what a sync costs. Beside the wall time stands the processor time, which
//! a busy machine or a slow disk does not change.

use std::sync::Arc;
use std::time::{Duration, Instant};

use twolane::job::{
    AttemptToken, Change, Class, Context, JobId, Lane, NewJob, Now, Outcome, Spec, State, Usage,
    WallTime,
};
use twolane::store::sqlite::{Options, SqliteStore};
use twolane::store::{Filter, Page, Reader, Recovery, Store, StoreError};

/// How long each batch size is measured.
const SPAN: Duration = Duration::from_secs(2);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let jobs = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(1_000_000);
    let parent = std::env::var_os("TWOLANE_BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    let dir = parent.join(format!("twolane-bench-{}", std::process::id()));
    std::fs::create_dir(&dir)?;
    let result = measure(&dir, jobs);
    std::fs::remove_dir_all(&dir)?;
    Ok(result?)
}

fn measure(dir: &std::path::Path, jobs: u64) -> Result<(), StoreError> {
    let mut bench = Bench::open(dir)?;
    for batch in [1, 64, 1_000, 10_000] {
        bench.submits(batch, 1)?;
    }
    bench.submits(10_000, 10_000)?;
    bench.singles(64)?;
    bench.pairs(64)?;
    bench.pairs(1_000)?;
    while bench.next <= jobs {
        let batch = bench.batch(10_000, 1);
        bench.store.commit(&[batch])?;
    }
    bench.pairs(64)?;
    bench.reads()?;
    drop(bench);
    let begin = Begin::now();
    let mut bench = Bench::open(dir)?;
    println!("reopen: {}", begin.spent());
    bench.pending()?;
    bench.removes()
}

struct Bench {
    store: SqliteStore,
    recovery: Recovery,
    next: u64,
    /// The next job to start.
    start: u64,
    counter: u64,
    context: Arc<Context>,
}

impl Bench {
    fn open(dir: &std::path::Path) -> Result<Self, StoreError> {
        let now = Now { boot: Duration::from_secs(1), wall: WallTime(1_800_000_000_000_000) };
        let (store, recovery) = SqliteStore::open(dir, &Options::default(), now)?;
        let next = recovery.next_id.get();
        let mut context = Context { cwd: "/home/user/project".into(), ..Context::default() };
        for number in 0..40 {
            context.env.insert(format!("VARIABLE_{number}"), "some/value:".repeat(6));
        }
        let context = Arc::new(context);
        Ok(Self { store, recovery, next, start: 1, counter: 0, context })
    }

    /// A submission of `count` jobs; `shared` after each other have the same spec.
    fn batch(&mut self, count: u64, shared: u64) -> Change {
        let first = id(self.next);
        let mut spec = Arc::new(Spec::default());
        let jobs = (0..count)
            .map(|place| {
                if place % shared == 0 {
                    spec = Arc::new(command(self.next + place));
                }
                NewJob {
                    id: first.after(place),
                    owner: 1000,
                    submission: first,
                    place: None,
                    submitted_at: WallTime(1_800_000_000_000_000),
                    state: State::Queued,
                    not_before: None,
                    requirements: Arc::default(),
                    unique: None,
                    run: None,
                    spec: Arc::clone(&spec),
                    context: Arc::clone(&self.context),
                }
            })
            .collect();
        self.next += count;
        Change::Submitted { jobs, fold: None }
    }

    fn submits(&mut self, count: u64, shared: u64) -> Result<(), StoreError> {
        let changes: Vec<_> = (0..64).map(|_| self.batch(count, shared)).collect();
        let mut spent = Spent::default();
        let mut taken = 0;
        for change in &changes {
            let begin = Begin::now();
            self.store.commit(std::slice::from_ref(change))?;
            spent.add(begin);
            taken += count;
            if spent.wall > SPAN {
                break;
            }
        }
        report(&format!("submit, {count} a batch, {shared} a spec"), taken, spent);
        Ok(())
    }

    /// One job a submission, as many clients send them, gathered into commits.
    fn singles(&mut self, clients: u64) -> Result<(), StoreError> {
        let mut spent = Spent::default();
        let mut taken = 0;
        while spent.wall < SPAN {
            let batch: Vec<_> = (0..clients).map(|_| self.batch(1, 1)).collect();
            let begin = Begin::now();
            self.store.commit(&batch)?;
            spent.add(begin);
            taken += clients;
        }
        report(&format!("single submits, {clients} a commit"), taken, spent);
        Ok(())
    }

    /// Starts in one commit, ends in the next.
    fn pairs(&mut self, together: u64) -> Result<(), StoreError> {
        let mut spent = Spent::default();
        let mut taken = 0;
        while spent.wall < SPAN {
            let (mut starts, mut ends) = (Vec::new(), Vec::new());
            for _ in 0..together {
                let (start, end) = self.pair();
                starts.push(start);
                ends.push(end);
            }
            let begin = Begin::now();
            let started = self.store.commit(&starts)?;
            let ended = self.store.commit(&ends)?;
            spent.add(begin);
            assert!(started.iter().chain(&ended).all(Result::is_ok), "a change was refused");
            taken += together;
        }
        report(&format!("start + end, {together} a commit, {} jobs", self.next), taken, spent);
        Ok(())
    }

    fn pair(&mut self) -> (Change, Change) {
        let (job, at) = (id(self.start), WallTime(1_800_000_000_000_000));
        self.start += 1;
        self.counter += 1;
        let Recovery { store, life, .. } = self.recovery;
        let token = AttemptToken { store, life, counter: self.counter };
        let (lane, class) = (Lane::Pool, Class::Cpu);
        let usage = Usage { max_rss_bytes: Some(1 << 20), ..Usage::default() };
        let outcome = Outcome::Succeeded;
        let next = State::Succeeded;
        (
            Change::Started { job, attempt: 1, token, lane, class, at },
            Change::Ended { job, token, outcome, usage, at, next, not_before: None },
        )
    }

    fn reads(&mut self) -> Result<(), StoreError> {
        self.pending()?;
        let mut reader = self.store.reader()?;
        let newest = Page { newest_first: true, after: None, limit: 50, collapse: false };
        let words = |word: &str| vec![word.to_owned()];
        let states = |states: &[State]| Filter { states: states.to_vec(), ..Filter::default() };
        for (what, filter) in [
            ("all", Filter::default()),
            ("queued", states(&[State::Queued])),
            ("unfinished", states(&State::ALL[..5])),
            ("running", states(&[State::Running])),
            ("succeeded", states(&[State::Succeeded])),
            ("last", Filter { last: true, owner: Some(1000), ..Filter::default() }),
            ("absent name", Filter { names: words("x*"), ..Filter::default() }),
            ("absent queue", Filter { queues: words("x"), ..Filter::default() }),
            ("absent kind", Filter { kinds: words("x"), ..Filter::default() }),
        ] {
            let begin = Begin::now();
            let found = reader.page(&filter, newest)?.len();
            println!("first page of {what}: {found} jobs in {}", begin.spent());
        }
        let begin = Begin::now();
        let old = Filter { finished_before: Some(WallTime(i64::MAX)), ..states(&State::ALL[5..]) };
        let found = reader.select(&old)?.len();
        println!("select finished: {found} jobs in {}", begin.spent());
        specs(&mut *reader, self.start)?;
        let begin = Begin::now();
        let counts = reader.counts()?.len();
        println!("counts: {counts} rows in {}", begin.spent());
        Ok(())
    }

    fn pending(&mut self) -> Result<(), StoreError> {
        let begin = Begin::now();
        let mut jobs = 0;
        self.store.pending(&mut |_| jobs += 1)?;
        report("pending", jobs, begin.spent());
        Ok(())
    }

    fn removes(&mut self) -> Result<(), StoreError> {
        let old = Filter { finished_before: Some(WallTime(i64::MAX)), ..Filter::default() };
        let found = self.store.reader()?.select(&old)?;
        let begin = Begin::now();
        for part in found.chunks(1_000) {
            let jobs = part.iter().map(|found| found.id).collect();
            self.store.commit(&[Change::Removed { jobs }])?;
        }
        report("remove, 1000 a commit", found.len() as u64, begin.spent());
        Ok(())
    }
}

fn specs(reader: &mut dyn Reader, from: u64) -> Result<(), StoreError> {
    let begin = Begin::now();
    let ids: Vec<_> = (from..from + 1_000).map(id).collect();
    let found = reader.specs(&ids)?.len();
    println!("specs: {found} in {}", begin.spent());
    Ok(())
}

fn command(number: u64) -> Spec {
    let mut spec = Spec { kind: "command".to_owned(), ..Spec::default() };
    let argv = serde_json::json!(["convert", format!("picture-{number}.png"), "-resize", "50%"]);
    spec.params.insert("argv".to_owned(), argv);
    spec
}

fn id(number: u64) -> JobId {
    JobId::new(number).expect("the bench stays within the ids")
}

/// When something began, by the wall and by this process's processor time.
#[derive(Clone, Copy)]
struct Begin {
    wall: Instant,
    cpu: Duration,
}

#[derive(Clone, Copy, Default)]
struct Spent {
    wall: Duration,
    cpu: Duration,
}

impl Begin {
    fn now() -> Self {
        let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        let cpu = Duration::new(cpu.tv_sec.unsigned_abs(), cpu.tv_nsec as u32);
        Self { wall: Instant::now(), cpu }
    }

    fn spent(self) -> Spent {
        let now = Self::now();
        Spent { wall: now.wall - self.wall, cpu: now.cpu.saturating_sub(self.cpu) }
    }
}

impl Spent {
    fn add(&mut self, begin: Begin) {
        let more = begin.spent();
        self.wall += more.wall;
        self.cpu += more.cpu;
    }
}

impl std::fmt::Display for Spent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.1?} ({:.1?} of processor time)", self.wall, self.cpu)
    }
}

fn report(what: &str, jobs: u64, spent: Spent) {
    let rate = jobs as f64 / spent.wall.as_secs_f64();
    let each = |span: Duration| span.as_secs_f64() * 1e6 / jobs.max(1) as f64;
    let (wall, cpu) = (each(spent.wall), each(spent.cpu));
    println!("{what}: {rate:.0}/s ({wall:.2} µs each, {cpu:.2} µs of processor time; {jobs} jobs)");
}
