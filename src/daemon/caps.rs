//! Keeps what jobs print within bounds: the middle of what is too long goes, and who prints without end is ended.
//!
//! Owns no file and decides nothing about a job but that it has printed too much. Looks at the captured files of running
//! attempts now and then, off the loop, and only while something runs. Invariant: a user's own file is never looked at.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot, watch};

use super::captured::Captured;
use super::event::{Ask, Event};
use super::session::Bounds;
use crate::handlers::{OutputOptions, give_up, keep_head_and_tail, taken};
use crate::job::{AttemptToken, JobId};

/// How often running attempts are looked at, and while one prints fast.
const EVERY: Duration = Duration::from_secs(1);
const SOON: Duration = Duration::from_millis(100);
/// One that printed this part of its limit since the last look prints fast.
const FAST_PART: u64 = 8;
/// Only an attempt whose output takes this part of the floor is worth ending to win space.
const WORTH_PART: u64 = 8;

/// An attempt: its job, its number, its token.
pub(super) type Running = (JobId, u32, AttemptToken);

/// Attempts that ended since the last look; of more the last look is left out, and the limit of all holds for them.
const ENDED: usize = 16_384;

/// The loop's end: what it tells of attempts as they begin and end.
#[derive(Debug)]
pub(super) struct Press {
    begun: Arc<Notify>,
    ended: mpsc::Sender<Running>,
}

/// The other end of it.
#[derive(Debug)]
pub(super) struct Printing {
    begun: Arc<Notify>,
    ended: mpsc::Receiver<Running>,
}

/// Both ends.
pub(super) fn press() -> (Press, Printing) {
    let begun = Arc::<Notify>::default();
    let (sender, ended) = mpsc::channel(ENDED);
    (Press { begun: Arc::clone(&begun), ended: sender }, Printing { begun, ended })
}

impl Press {
    pub(super) fn begins(&self) {
        self.begun.notify_one();
    }

    pub(super) fn ends(&self, attempt: Running) {
        // Without room it is not looked at again.
        let _ = self.ended.try_send(attempt);
    }
}

/// What attempts print, from look to look.
#[derive(Debug, Default)]
struct Watched {
    /// How long the files of an attempt were at the last look.
    lengths: HashMap<AttemptToken, u64>,
    /// Attempts that were told to end.
    ending: HashSet<AttemptToken>,
}

/// The files of one attempt.
#[derive(Debug)]
struct Printed {
    token: AttemptToken,
    files: Vec<PathBuf>,
    length: u64,
    taken: u64,
}

/// What a look has found.
#[derive(Debug, Default)]
struct Found {
    over: Vec<AttemptToken>,
    fast: bool,
}

/// Watches for as long as it is polled. Attempts that have ended come by `ended`, to be looked at a last time.
pub(super) async fn run(
    events: mpsc::Sender<Event>,
    captured: Captured,
    bounds: watch::Receiver<Bounds>,
    printing: Printing,
) {
    let Printing { begun, mut ended } = printing;
    let mut watched = Watched::default();
    loop {
        let Some(running) = attempts(&events).await else { return };
        let gone: Vec<Running> = std::iter::from_fn(|| ended.try_recv().ok()).collect();
        if running.is_empty() && gone.is_empty() {
            begun.notified().await;
            // Most are short, and none of them is to share its first moments with a look at it.
            tokio::time::sleep(SOON).await;
            continue;
        }
        let (captured, options) = (captured.clone(), bounds.borrow().output);
        let looking = tokio::task::spawn_blocking(move || {
            look_last(&captured, &gone, &options);
            let found = watched.look(&captured, &running, &options);
            (watched, found)
        });
        // The runtime ends only with the daemon.
        let Ok((after, found)) = looking.await else { return };
        watched = after;
        for token in found.over {
            tracing::warn!(%token, "an attempt has printed more than it may and is ended");
            if events.send(Event::Overflowed(token)).await.is_err() {
                return;
            }
        }
        tokio::time::sleep(if found.fast { SOON } else { EVERY }).await;
    }
}

/// Which attempts run; `None` when the daemon has ended.
async fn attempts(events: &mpsc::Sender<Event>) -> Option<Vec<Running>> {
    let (answer, running) = oneshot::channel();
    events.send(Event::Asked(Ask::Attempts(answer))).await.ok()?;
    running.await.ok()
}

impl Watched {
    fn look(&mut self, captured: &Captured, running: &[Running], options: &OutputOptions) -> Found {
        let printed: Vec<_> = running.iter().filter_map(|one| printed(captured, *one)).collect();
        let mut found = Found::default();
        let limit = share(&printed, options);
        for attempt in &printed {
            let before = self.lengths.get(&attempt.token).copied().unwrap_or(0);
            found.fast |= attempt.length.saturating_sub(before) > limit / FAST_PART;
            let cut = cut(attempt, limit);
            if attempt.length > options.hard_limit_bytes || cut.is_err() {
                found.over.push(attempt.token);
            }
        }
        if found.over.is_empty() && is_short(captured.folder(), options) {
            found.over.extend(self.greediest(&printed, options));
        }
        let alive: HashSet<_> = running.iter().map(|(.., token)| *token).collect();
        self.ending.retain(|token| alive.contains(token));
        found.over.retain(|token| self.ending.insert(*token));
        self.lengths = printed.iter().map(|one| (one.token, one.length)).collect();
        found
    }

    /// Whom to end when the disk is nearly full: one at a time, and nobody whose output is not the reason.
    fn greediest(&self, printed: &[Printed], options: &OutputOptions) -> Option<AttemptToken> {
        if !self.ending.is_empty() {
            return None;
        }
        let most = printed.iter().max_by_key(|attempt| attempt.taken)?;
        (most.taken >= options.free_floor_bytes / WORTH_PART).then_some(most.token)
    }
}

/// Looks at attempts that have ended, which may have printed much in a moment.
fn look_last(captured: &Captured, ended: &[Running], options: &OutputOptions) {
    for attempt in ended.iter().filter_map(|one| printed(captured, *one)) {
        // Where it can't be cut it has ended at least.
        let _ = cut(&attempt, options.job_limit_bytes);
    }
}

/// How much each attempt may keep: its own limit, or its part of all if that is less.
fn share(printed: &[Printed], options: &OutputOptions) -> u64 {
    let all: u64 = printed.iter().map(|attempt| attempt.taken).sum();
    if all <= options.total_limit_bytes {
        return options.job_limit_bytes;
    }
    options.job_limit_bytes.min(options.total_limit_bytes / printed.len().max(1) as u64)
}

/// The files of an attempt that has printed something.
fn printed(captured: &Captured, (job, attempt, token): Running) -> Option<Printed> {
    let mut found = Printed { token, files: Vec::new(), length: 0, taken: 0 };
    for path in [captured.out(job, attempt), captured.err(job, attempt)] {
        let Ok(about) = path.symlink_metadata() else { continue };
        if about.is_file() && about.len() > 0 {
            found.length += about.len();
            found.taken += taken(&about);
            found.files.push(path);
        }
    }
    (!found.files.is_empty()).then_some(found)
}

/// Cuts what is too long. Where that can't be done the attempt has no other bound than its limit.
fn cut(attempt: &Printed, limit: u64) -> io::Result<()> {
    if attempt.taken <= limit {
        return Ok(());
    }
    let each = limit / attempt.files.len() as u64;
    attempt.files.iter().try_for_each(|path| match keep_head_and_tail(path, each) {
        // Its job was removed a moment ago.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    })
}

/// Whether there is less free than is to be.
fn is_short(dir: &Path, options: &OutputOptions) -> bool {
    let free = rustix::fs::statvfs(dir);
    free.is_ok_and(|free| free.f_bavail.saturating_mul(free.f_frsize) < options.free_floor_bytes)
}

/// Gives up the output of the oldest finished jobs until all that is kept is within its limit; tells of how many.
pub(super) async fn keep_total(
    events: &mpsc::Sender<Event>,
    captured: Captured,
    limit: u64,
) -> io::Result<usize> {
    let Some(running) = attempts(events).await else { return Ok(0) };
    let busy: HashSet<JobId> = running.into_iter().map(|(job, ..)| job).collect();
    let work = move || give_up_oldest(&captured, &busy, limit);
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

fn give_up_oldest(captured: &Captured, busy: &HashSet<JobId>, limit: u64) -> io::Result<usize> {
    let jobs = captured.all()?;
    let sizes: Vec<u64> = jobs.values().map(|paths| size(paths)).collect();
    let mut all: u64 = sizes.iter().sum();
    let mut given_up = 0;
    for ((job, paths), size) in jobs.iter().zip(sizes) {
        if all <= limit {
            break;
        }
        if size == 0 || busy.contains(job) {
            continue;
        }
        for path in paths {
            give_up(path)?;
        }
        all -= size;
        given_up += 1;
    }
    Ok(given_up)
}

fn size(paths: &[PathBuf]) -> u64 {
    paths.iter().filter_map(|path| path.symlink_metadata().ok()).map(|about| taken(&about)).sum()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::handlers::Cut;
    use crate::job::StoreId;

    fn id(number: u64) -> JobId {
        JobId::new(number).unwrap()
    }

    fn running(number: u64) -> Running {
        (id(number), 1, AttemptToken { store: StoreId::new(1), life: 1, counter: number })
    }

    fn place() -> (tempfile::TempDir, Captured) {
        let dir = tempfile::tempdir().unwrap();
        let captured = Captured::below(dir.path().to_owned());
        (dir, captured)
    }

    fn print(captured: &Captured, job: u64, bytes: usize) -> PathBuf {
        let path = captured.out(id(job), 1);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, vec![b'x'; bytes]).unwrap();
        path
    }

    const OPTIONS: OutputOptions = OutputOptions {
        job_limit_bytes: 1 << 20,
        hard_limit_bytes: 8 << 20,
        total_limit_bytes: 4 << 20,
        free_floor_bytes: 0,
    };

    #[test]
    fn one_that_prints_too_much_is_cut_and_one_that_prints_without_end_is_ended_once() {
        let (_dir, captured) = place();
        let (quiet, loud) = (print(&captured, 1, 1 << 19), print(&captured, 2, 3 << 20));
        let mut watched = Watched::default();
        let both = [running(1), running(2)];
        let found = watched.look(&captured, &both, &OPTIONS);
        assert!(found.over.is_empty() && found.fast);
        assert!(Cut::of(&quiet).unwrap().is_none() && Cut::of(&loud).unwrap().is_some());
        assert!(!watched.look(&captured, &both, &OPTIONS).fast, "nobody printed meanwhile");
        print(&captured, 2, 9 << 20);
        assert_eq!(watched.look(&captured, &both, &OPTIONS).over, [both[1].2]);
        assert!(watched.look(&captured, &both, &OPTIONS).over.is_empty());
    }

    #[test]
    fn all_together_share_what_there_is() {
        let (_dir, captured) = place();
        let jobs: Vec<_> = (1..=8).map(running).collect();
        let paths: Vec<_> = (1..=8).map(|job| print(&captured, job, 1 << 20)).collect();
        Watched::default().look(&captured, &jobs, &OPTIONS);
        let all: u64 = paths.iter().map(|path| taken(&fs::metadata(path).unwrap())).sum();
        assert!(all <= OPTIONS.total_limit_bytes + (1 << 18), "{all}");
    }

    #[test]
    fn a_disk_that_is_nearly_full_costs_the_one_whose_output_fills_it() {
        let (dir, captured) = place();
        print(&captured, 1, 100);
        let short = OutputOptions { free_floor_bytes: u64::MAX, ..OPTIONS };
        let mut watched = Watched::default();
        assert!(watched.look(&captured, &[running(1)], &short).over.is_empty(), "too little");
        let free = rustix::fs::statvfs(dir.path()).unwrap();
        let floor = free.f_bavail * free.f_frsize + (1 << 30);
        let (jobs, worth) = ([running(1), running(2)], floor / WORTH_PART);
        // As if its output took so much.
        let printed = |token, taken| Printed { token, files: Vec::new(), length: 0, taken };
        let all = [printed(jobs[0].2, worth - 1), printed(jobs[1].2, worth)];
        let options = OutputOptions { free_floor_bytes: floor, ..OPTIONS };
        assert!(is_short(dir.path(), &options));
        assert_eq!(watched.greediest(&all, &options), Some(jobs[1].2));
        watched.ending.insert(jobs[1].2);
        assert_eq!(watched.greediest(&all, &options), None, "one at a time");
    }

    #[test]
    fn the_output_of_the_oldest_finished_jobs_goes_first() {
        let (dir, captured) = place();
        let paths: Vec<_> = (1..=4).map(|job| print(&captured, job, 1 << 20)).collect();
        let busy = HashSet::from([id(1)]);
        assert_eq!(give_up_oldest(&captured, &busy, 2 << 20).unwrap(), 2);
        let lengths = paths.iter().map(|path| fs::metadata(path).unwrap().len());
        assert_eq!(lengths.collect::<Vec<_>>(), [1 << 20, 0, 0, 1 << 20]);
        assert_eq!(Cut::of(&paths[1]).unwrap(), Some(Cut { begin: 0, end: 1 << 20 }));
        assert_eq!(give_up_oldest(&captured, &busy, 2 << 20).unwrap(), 0);
        assert_eq!(give_up_oldest(&Captured::below(dir.path().join("none")), &busy, 0).unwrap(), 0);
    }
}
