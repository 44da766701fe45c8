//! One suite for every store: what the daemon counts on, whatever is behind the trait.

mod editing;
mod folding;
mod keeping;
mod reading;
mod requiring;
mod scheduling;
mod suspecting;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Filter, Page, Pending, Reader, Recovery, Refusal, Store};
use crate::job::{
    ArrayPlace, AttemptToken, Backoff, Change, Class, Context, Deadline, Failure, Job, JobId,
    KeyLimit, Lane, Limits, NewJob, Now, Outcome, QueueRecord, RetryPolicy, Spec, State, StoreId,
    Usage, WallTime,
};

/// A place where one store lives through several lives.
pub(super) trait Home {
    /// Opens the store, whose last owner was dropped, under a boot of this name.
    fn open(&mut self, now: Now, boot: &str) -> (Box<dyn Store>, Recovery);
}

/// One thing that the daemon counts on.
type Case = fn(&mut dyn Home);

/// Runs every case, each in a new home.
pub(super) fn run_all<H: Home>(new_home: impl Fn() -> H) {
    let cases: [(&str, Case); 33] = [
        ("a job reads back as it was submitted", a_job_reads_back),
        ("a submission is all or nothing", a_submission_is_all_or_nothing),
        ("a refused change harms no neighbour", a_refused_change_harms_no_neighbour),
        ("ids are never given twice", ids_are_never_given_twice),
        ("an attempt is recorded from start to end", an_attempt_is_recorded),
        ("an old token changes nothing", an_old_token_changes_nothing),
        ("a retry goes on numbering", a_retry_goes_on_numbering),
        ("moves follow the table", moves_follow_the_table),
        ("pending tells what scheduling needs", pending_tells_what_scheduling_needs),
        ("deadlines follow the boot", deadlines_follow_the_boot),
        ("each life is numbered and knows how the last ended", lives_are_numbered),
        ("only finished jobs are removed", keeping::only_finished_jobs_are_removed),
        ("queues are kept while they are used", keeping::queues_are_kept_while_used),
        ("a turn of a schedule is taken once", scheduling::a_turn_of_a_schedule_is_taken_once),
        ("schedules read back", scheduling::schedules_read_back),
        (
            "moments of the wall clock know no boot",
            scheduling::moments_of_the_wall_clock_know_no_boot,
        ),
        ("held and waiting jobs keep their time", requiring::held_and_waiting_jobs_keep_their_time),
        (
            "a key is unique among unfinished jobs",
            requiring::a_key_is_unique_while_its_job_is_unfinished,
        ),
        ("a hold of a running job is kept", requiring::a_hold_of_a_running_job_is_kept),
        ("requirements read back", requiring::requirements_read_back),
        ("what is passed stays passed", requiring::what_is_passed_stays_passed),
        ("what is waited for is not removed", requiring::what_is_waited_for_stays),
        ("a drain is kept until it is ended", keeping::a_drain_is_kept_until_it_is_ended),
        (
            "a suspicion lasts until an attempt ends otherwise",
            suspecting::a_suspicion_lasts_until_an_attempt_ends_otherwise,
        ),
        (
            "a condemned job says why until it is run again",
            suspecting::a_condemned_job_says_why_until_it_is_run_again,
        ),
        (
            "a life knows whether the boot is that of the last",
            suspecting::a_life_knows_whether_the_boot_is_that_of_the_last,
        ),
        ("an edited job is another one", editing::an_edited_job_is_another),
        ("a turn counts from another job's", editing::a_turn_counts_from_another_job_s),
        ("filters narrow", reading::filters_narrow),
        ("pages follow each other", reading::pages_follow_each_other),
        ("elements are written down as one", folding::elements_are_written_down_as_one),
        ("an array can be told as one job", folding::an_array_can_be_told_as_one_job),
        ("what is folded goes as one", folding::what_is_folded_goes_as_one),
    ];
    for (name, case) in cases {
        // Shown by the test harness when the case fails.
        println!("conformance: {name}");
        case(&mut new_home());
    }
}

/// A moment `seconds` after a fixed one.
pub(super) fn at(seconds: i64) -> WallTime {
    WallTime(1_800_000_000_000_000 + seconds * 1_000_000)
}

pub(super) fn now(boot_s: u64, wall_s: i64) -> Now {
    Now { boot: Duration::from_secs(boot_s), wall: at(wall_s) }
}

pub(super) fn id(number: u64) -> JobId {
    JobId::new(number).unwrap()
}

/// A queued job of user 1000 that came alone.
pub(super) fn new_job(number: u64) -> NewJob {
    NewJob {
        id: id(number),
        owner: 1000,
        submission: id(number),
        place: None,
        submitted_at: at(number as i64),
        state: State::Queued,
        not_before: None,
        requirements: Arc::default(),
        unique: None,
        run: None,
        spec: Arc::new(Spec { kind: "command".to_owned(), ..Spec::default() }),
        context: Arc::new(Context::default()),
    }
}

pub(super) fn named(number: u64, name: &str, queue: &str) -> NewJob {
    let spec = Spec {
        kind: "command".to_owned(),
        name: Some(name.to_owned()),
        queue: queue.to_owned(),
        ..Spec::default()
    };
    NewJob { spec: Arc::new(spec), ..new_job(number) }
}

pub(super) fn submit(jobs: &[NewJob]) -> Change {
    Change::Submitted { jobs: jobs.to_vec(), fold: None }
}

pub(super) fn token(recovery: &Recovery, counter: u64) -> AttemptToken {
    AttemptToken { store: recovery.store, life: recovery.life, counter }
}

pub(super) fn start(job: u64, attempt: u32, token: AttemptToken) -> Change {
    Change::Started {
        job: id(job),
        attempt,
        token,
        lane: Lane::Pool,
        class: Class::Cpu,
        at: at(100),
    }
}

pub(super) fn end(job: u64, token: AttemptToken, outcome: Outcome) -> Change {
    let next = outcome.final_state();
    let usage = Usage {
        cpu: Duration::from_millis(5),
        wall: Duration::from_nanos(1_234_567_891),
        max_rss_bytes: Some(1 << 40),
    };
    Change::Ended { job: id(job), token, outcome, usage, at: at(200), next, not_before: None }
}

pub(super) fn go(job: u64, from: State, to: State) -> Change {
    let (job, at) = (id(job), at(300));
    Change::Moved { job, from, to, not_before: None, reason: Some("asked".to_owned()), at }
}

/// Commits changes that must all be taken.
pub(super) fn take(store: &mut dyn Store, changes: &[Change]) {
    let answers = store.commit(changes).unwrap();
    for (change, answer) in changes.iter().zip(&answers) {
        assert_eq!(*answer, Ok(()), "{change:?}");
    }
    assert_eq!(answers.len(), changes.len());
}

/// Commits one change that must be refused.
pub(super) fn refuse(store: &mut dyn Store, change: Change) -> Refusal {
    let before = everything(store);
    let refusal = store.commit(&[change]).unwrap().remove(0).unwrap_err();
    assert_eq!(everything(store), before, "a refused change left a trace");
    refusal
}

pub(super) fn all_pending(store: &mut dyn Store) -> Vec<Pending> {
    let mut all = Vec::new();
    store.pending(&mut |pending| all.push(pending)).unwrap();
    all
}

pub(super) const NEWEST: Page =
    Page { newest_first: true, after: None, limit: u32::MAX, collapse: false };

/// All that can be seen of a store.
pub(super) fn everything(store: &mut dyn Store) -> String {
    let mut reader = store.reader().unwrap();
    let jobs = reader.page(&Filter::default(), NEWEST).unwrap();
    let attempts: Vec<_> = jobs.iter().map(|job| reader.job(job.id).unwrap()).collect();
    let counts = (reader.counts().unwrap(), store.schedules().unwrap());
    format!("{jobs:#?} {attempts:#?} {counts:#?} {:#?}", all_pending(store))
}

fn job(reader: &mut dyn Reader, number: u64) -> Job {
    reader.job(id(number)).unwrap().expect("the job is there").0
}

fn full_spec() -> Spec {
    let params =
        serde_json::json!({"argv": ["a", "ø\u{1F600}", ""], "n": 0.1, "deep": {"x": null}});
    Spec {
        kind: "command".to_owned(),
        params: params.as_object().unwrap().clone(),
        class: Class::Blocking,
        queue: "gpu".to_owned(),
        priority: -7,
        name: Some("encode/1".to_owned()),
        cpus: 3,
        retry: RetryPolicy {
            retries: 4,
            backoff: Backoff::Fixed(Duration::from_millis(1)),
            retry_on: "1,75-80,timeout".parse().unwrap(),
        },
        timeout: Some(Duration::from_micros(1_500_001)),
        grace: Some(Duration::ZERO),
        at_most_once: true,
        output: Some("out/{id}".into()),
        merge: true,
        limits: Some(Box::new(Limits {
            keys: vec![KeyLimit { key: "host:a".to_owned(), max: Some(4) }],
            array: Some(50),
            resources: BTreeMap::from([("gpu".to_owned(), 2)]),
        })),
    }
}

fn full_context() -> Context {
    let env = BTreeMap::from([("A".to_owned(), "1".to_owned()), ("B".to_owned(), "ü".to_owned())]);
    Context { cwd: "/srv/x y".into(), umask: Some(0o27), env }
}

fn a_job_reads_back(home: &mut dyn Home) {
    let (mut store, _) = home.open(now(10, 0), "boot");
    let not_before = Some(Deadline::after(now(10, 0), Duration::from_nanos(90_000_000_001)));
    let place = Some(ArrayPlace { array: id(2), index: 70 });
    let full = NewJob {
        submission: id(1),
        place,
        state: State::Scheduled,
        not_before,
        owner: u32::MAX,
        spec: Arc::new(full_spec()),
        context: Arc::new(full_context()),
        ..new_job(2)
    };
    take(&mut *store, &[submit(&[new_job(1), full.clone()])]);
    let (job, attempts) = store.reader().unwrap().job(id(2)).unwrap().unwrap();
    assert!(attempts.is_empty());
    assert_eq!(job.spec, full.spec);
    assert_eq!(job.context, full.context);
    let told = (job.id, job.owner, job.submission, job.place, job.state, job.not_before);
    assert_eq!(told, (id(2), u32::MAX, id(1), place, State::Scheduled, not_before));
    assert_eq!((job.submitted_at, job.started_at, job.finished_at), (at(2), None, None));
    assert_eq!((job.attempts, job.outcome, job.cancel_asked), (0, None, false));
    assert_eq!((job.reason, job.lane), (None, None));
    let works = store.reader().unwrap().specs(&[id(2), id(9), id(1)]).unwrap();
    assert_eq!(works.iter().map(|work| work.id).collect::<Vec<_>>(), [id(2), id(1)]);
    assert_eq!((&works[0].spec, &works[0].context), (&full.spec, &full.context));
    assert!(store.reader().unwrap().job(id(3)).unwrap().is_none());
}

fn a_submission_is_all_or_nothing(home: &mut dyn Home) {
    let (mut store, _) = home.open(now(0, 0), "boot");
    let place = Some(ArrayPlace { array: id(1), index: 5 });
    let element = |number| NewJob { place, ..new_job(number) };
    for jobs in [
        vec![new_job(1), new_job(1)],
        vec![new_job(2), new_job(1)],
        vec![element(1), new_job(2), element(3)],
        vec![new_job(1), NewJob { state: State::Running, ..new_job(2) }],
        vec![new_job(1), NewJob { state: State::Scheduled, ..new_job(2) }],
    ] {
        assert!(matches!(refuse(&mut *store, submit(&jobs)), Refusal::Invariant(_)), "{jobs:?}");
    }
    take(&mut *store, &[submit(&[new_job(1), new_job(2)])]);
    assert_eq!(all_pending(&mut *store).len(), 2);
}

fn a_refused_change_harms_no_neighbour(home: &mut dyn Home) {
    let (mut store, recovery) = home.open(now(0, 0), "boot");
    let answers = store
        .commit(&[
            submit(&[named(1, "a", "new-queue")]),
            submit(&[named(2, "b", "other-queue"), new_job(2)]),
            start(7, 1, token(&recovery, 1)),
            submit(&[named(2, "c", "other-queue")]),
            start(2, 1, token(&recovery, 1)),
            start(1, 1, token(&recovery, 1)),
        ])
        .unwrap();
    let taken: Vec<_> = answers.iter().map(Result::is_ok).collect();
    assert_eq!(taken, [true, false, false, true, true, false]);
    let mut reader = store.reader().unwrap();
    assert_eq!(job(&mut *reader, 1).state, State::Queued);
    assert_eq!(job(&mut *reader, 2).spec.name.as_deref(), Some("c"));
    let counts = reader.counts().unwrap();
    let expected = [("new-queue", State::Queued, 1), ("other-queue", State::Running, 1)];
    assert_eq!(counts, expected.map(|(queue, state, jobs)| (queue.to_owned(), state, jobs)));
}

fn ids_are_never_given_twice(home: &mut dyn Home) {
    let (mut store, recovery) = home.open(now(0, 0), "boot");
    assert_eq!(recovery.next_id, id(1));
    let cancelled = go(8, State::Queued, State::Cancelled);
    take(&mut *store, &[submit(&[new_job(8)]), cancelled, Change::Removed { jobs: vec![id(8)] }]);
    assert!(matches!(refuse(&mut *store, submit(&[new_job(8)])), Refusal::Invariant(_)));
    drop(store);
    let (mut store, recovery) = home.open(now(0, 0), "boot");
    assert_eq!(recovery.next_id, id(9));
    assert!(matches!(refuse(&mut *store, submit(&[new_job(3)])), Refusal::Invariant(_)));
    take(&mut *store, &[submit(&[new_job(9)])]);
}

fn an_attempt_is_recorded(home: &mut dyn Home) {
    let (mut store, recovery) = home.open(now(0, 0), "boot");
    let name = token(&recovery, 41);
    take(&mut *store, &[submit(&[new_job(1)]), start(1, 1, name)]);
    let mut reader = store.reader().unwrap();
    let (running, attempts) = reader.job(id(1)).unwrap().unwrap();
    assert_eq!(
        (running.state, running.attempts, running.lane),
        (State::Running, 1, Some(Lane::Pool))
    );
    assert_eq!((running.started_at, running.finished_at), (Some(at(100)), None));
    assert_eq!((attempts[0].token, attempts[0].usage), (name, None));
    let asked = Change::CancelAsked { job: id(1), reason: Some("enough".to_owned()) };
    take(&mut *store, &[asked]);
    assert!(job(&mut *reader, 1).cancel_asked);
    take(&mut *store, &[end(1, name, Outcome::Failed(Failure::Error("no".to_owned())))]);
    let (ended, attempts) = reader.job(id(1)).unwrap().unwrap();
    assert_eq!((ended.state, ended.finished_at), (State::Failed, Some(at(200))));
    assert_eq!((ended.cancel_asked, ended.reason.as_deref()), (false, Some("enough")));
    assert_eq!(ended.outcome, Some(Outcome::Failed(Failure::Error("no".to_owned()))));
    assert_eq!(attempts.len(), 1);
    let attempt = &attempts[0];
    assert_eq!((attempt.number, attempt.class, attempt.started_at), (1, Class::Cpu, at(100)));
    assert_eq!((attempt.finished_at, &attempt.outcome), (Some(at(200)), &ended.outcome));
    assert_eq!(attempt.usage.unwrap().wall, Duration::from_nanos(1_234_567_891));
}

fn an_old_token_changes_nothing(home: &mut dyn Home) {
    let (mut store, recovery) = home.open(now(0, 0), "boot");
    let (first, second) = (token(&recovery, 1), token(&recovery, 2));
    take(&mut *store, &[submit(&[new_job(1)]), start(1, 1, first)]);
    let stranger = AttemptToken { store: StoreId::new(recovery.store.get() ^ 1), ..first };
    let succeeded = |token| end(1, token, Outcome::Succeeded);
    assert_eq!(refuse(&mut *store, succeeded(second)), Refusal::Stale(id(1)));
    assert_eq!(refuse(&mut *store, succeeded(stranger)), Refusal::Stale(id(1)));
    let again = Change::Ended {
        job: id(1),
        token: first,
        outcome: Outcome::Interrupted,
        usage: Usage::default(),
        at: at(5),
        next: State::Queued,
        not_before: None,
    };
    take(&mut *store, &[again]);
    assert_eq!(all_pending(&mut *store)[0].pardoned, 1, "nobody failed");
    assert_eq!(refuse(&mut *store, succeeded(first)), Refusal::Stale(id(1)));
    assert!(matches!(refuse(&mut *store, start(1, 2, first)), Refusal::Invariant(_)));
    assert!(matches!(refuse(&mut *store, start(1, 2, stranger)), Refusal::Invariant(_)));
    take(&mut *store, &[start(1, 2, second)]);
    assert_eq!(refuse(&mut *store, succeeded(first)), Refusal::Stale(id(1)));
    take(&mut *store, &[succeeded(second)]);
    assert_eq!(refuse(&mut *store, succeeded(second)), Refusal::Stale(id(1)));
    let missing = end(4, second, Outcome::Succeeded);
    assert_eq!(refuse(&mut *store, missing), Refusal::NoSuchJob(id(4)));
}

fn a_retry_goes_on_numbering(home: &mut dyn Home) {
    let (mut store, recovery) = home.open(now(0, 0), "boot");
    let (first, second) = (token(&recovery, 1), token(&recovery, 2));
    let failed = end(1, first, Outcome::Failed(Failure::Exit(3)));
    take(&mut *store, &[submit(&[new_job(1)]), start(1, 1, first), failed]);
    take(&mut *store, &[go(1, State::Failed, State::Queued)]);
    let mut reader = store.reader().unwrap();
    let retried = job(&mut *reader, 1);
    assert_eq!((retried.state, retried.finished_at, retried.attempts), (State::Queued, None, 1));
    assert_eq!((retried.pardoned, all_pending(&mut *store)[0].pardoned), (1, 1));
    assert_eq!(retried.outcome, Some(Outcome::Failed(Failure::Exit(3))));
    for wrong in [1, 3] {
        let refusal = refuse(&mut *store, start(1, wrong, second));
        assert!(matches!(refusal, Refusal::Invariant(_)), "{refusal}");
    }
    take(&mut *store, &[start(1, 2, second)]);
    assert_eq!(job(&mut *reader, 1).outcome, Some(Outcome::Failed(Failure::Exit(3))));
    take(&mut *store, &[end(1, second, Outcome::Succeeded)]);
    let (done, attempts) = reader.job(id(1)).unwrap().unwrap();
    assert_eq!((done.state, done.outcome), (State::Succeeded, Some(Outcome::Succeeded)));
    assert_eq!(attempts.iter().map(|attempt| attempt.number).collect::<Vec<_>>(), [1, 2]);
}

fn moves_follow_the_table(home: &mut dyn Home) {
    let (mut store, recovery) = home.open(now(0, 0), "boot");
    take(&mut *store, &[submit(&[new_job(1), new_job(2)]), start(2, 1, token(&recovery, 1))]);
    let elsewhere = |job, found, expected| Refusal::Elsewhere { job: id(job), found, expected };
    let held_to_queued = refuse(&mut *store, go(1, State::Held, State::Queued));
    assert_eq!(held_to_queued, elsewhere(1, State::Queued, State::Held));
    let twice = refuse(&mut *store, start(2, 2, token(&recovery, 2)));
    assert_eq!(twice, elsewhere(2, State::Running, State::Queued));
    let asked = Change::CancelAsked { job: id(1), reason: None };
    assert_eq!(refuse(&mut *store, asked), elsewhere(1, State::Queued, State::Running));
    for (from, to) in [
        (State::Queued, State::Skipped),
        (State::Queued, State::Running),
        (State::Queued, State::Succeeded),
        (State::Queued, State::Scheduled),
    ] {
        assert!(matches!(refuse(&mut *store, go(1, from, to)), Refusal::Invariant(_)), "{to}");
    }
    let running = refuse(&mut *store, go(2, State::Running, State::Held));
    assert!(matches!(running, Refusal::Invariant(_)));
    assert_eq!(refuse(&mut *store, go(5, State::Held, State::Queued)), Refusal::NoSuchJob(id(5)));
    take(&mut *store, &[go(1, State::Queued, State::Held), go(1, State::Held, State::Cancelled)]);
    let cancelled = job(&mut *store.reader().unwrap(), 1);
    assert_eq!((cancelled.state, cancelled.finished_at), (State::Cancelled, Some(at(300))));
    assert_eq!(cancelled.reason.as_deref(), Some("asked"));
}

fn pending_tells_what_scheduling_needs(home: &mut dyn Home) {
    let (mut store, recovery) = home.open(now(0, 0), "boot");
    let full = NewJob { spec: Arc::new(full_spec()), ..new_job(3) };
    let name = token(&recovery, 1);
    take(
        &mut *store,
        &[
            submit(&[new_job(1), new_job(2), full, new_job(4)]),
            start(4, 1, name),
            go(1, State::Queued, State::Held),
            go(2, State::Queued, State::Cancelled),
            Change::CancelAsked { job: id(4), reason: None },
        ],
    );
    let pending = all_pending(&mut *store);
    let told: Vec<_> = pending.iter().map(|p| (p.id.get(), p.state, p.attempts, p.token)).collect();
    let expected = [
        (1, State::Held, 0, None),
        (3, State::Queued, 0, None),
        (4, State::Running, 1, Some(name)),
    ];
    assert_eq!(told, expected);
    assert!(pending[2].cancel_asked && !pending[0].cancel_asked);
    let (third, spec) = (&pending[1], full_spec());
    assert_eq!((&*third.queue, &*third.kind), ("gpu", "command"));
    assert_eq!((third.priority, third.class, third.cpus), (-7, Class::Blocking, 3));
    assert_eq!((&third.retry, third.at_most_once), (&spec.retry, true));
    assert_eq!((third.owner, third.submitted_at), (1000, at(3)));
}

fn deadlines_follow_the_boot(home: &mut dyn Home) {
    let (mut store, _) = home.open(now(100, 0), "first");
    let due = Deadline::after(now(100, 0), Duration::from_secs(60));
    let scheduled = NewJob { state: State::Scheduled, not_before: Some(due), ..new_job(1) };
    take(&mut *store, &[submit(&[scheduled])]);
    drop(store);
    let (mut store, _) = home.open(now(110, 10), "first");
    assert_eq!(all_pending(&mut *store)[0].not_before, Some(due));
    drop(store);
    let (mut store, _) = home.open(now(5, 20), "second");
    let rebased = due.rebased(now(5, 20));
    assert_eq!(rebased.boot, Duration::from_secs(45));
    assert_eq!(all_pending(&mut *store)[0].not_before, Some(rebased));
    assert_eq!(job(&mut *store.reader().unwrap(), 1).not_before, Some(rebased));
    let again = Change::Moved {
        job: id(1),
        from: State::Scheduled,
        to: State::Scheduled,
        not_before: Some(due),
        reason: None,
        at: at(1),
    };
    take(&mut *store, &[again]);
    assert_eq!(all_pending(&mut *store)[0].not_before, Some(due), "made under this boot");
}

fn lives_are_numbered(home: &mut dyn Home) {
    let (mut store, first) = home.open(now(0, 0), "boot");
    assert_eq!((first.life, first.clean), (1, true));
    take(&mut *store, &[submit(&[new_job(1)])]);
    drop(store);
    let (mut store, second) = home.open(now(0, 0), "boot");
    assert_eq!((second.life, second.clean, second.store), (2, false, first.store));
    store.close().unwrap();
    drop(store);
    let (mut store, third) = home.open(now(0, 0), "boot");
    assert_eq!((third.life, third.clean, third.store), (3, true, first.store));
    assert_eq!(all_pending(&mut *store).len(), 1);
}
