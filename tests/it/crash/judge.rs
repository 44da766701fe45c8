//! Compares what a daemon has at the end with what its clients were told and what the work wrote down.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use twolane::client::{CallError, Client};
use twolane::job::{JobId, State};
use twolane::protocol::{Empty, Error, Job, List, Release, Selector, Show, Wait, call};

use super::marks::{self, Marks};
use super::record::{Asked, Flavour, Record, Told};
use crate::fixture::within;

/// How many jobs are asked for at a time.
const PAGE: u32 = 500;

/// Lets everything end, and judges.
pub(super) async fn judge(folder: &Path, record: &mut Record) {
    let mut client = Client::connect(&folder.join("state/twolane.sock")).await.unwrap();
    let held = Selector { states: vec!["held".to_owned()], ..Selector::default() };
    within(client.call::<call::Release>(&Release { jobs: held })).await.unwrap();
    let all = Selector { all: true, ..Selector::default() };
    let waited = within(client.call::<call::Wait>(&Wait { jobs: all })).await.unwrap();
    assert_eq!(waited.remaining, 0);
    let jobs = everything(&mut client).await;
    let marks = marks::read(folder);
    find_unacknowledged(record, &jobs);
    queues(&mut client, record).await;
    let none = Marks::default();
    for (place, told) in record.jobs.iter().enumerate() {
        let Some(id) = told.id else { continue };
        let show = within(client.call::<call::Show>(&Show { id })).await;
        match (told.remove, show) {
            (Asked::No, Ok(reply)) => {
                let marks_of = |id| marks.get(&id).unwrap_or(&none);
                let parent = match told.flavour {
                    Flavour::Child(parent) => record.jobs[parent].id,
                    _ => None,
                };
                let parent = parent.map(|id| (jobs.get(&id), marks_of(id)));
                one(told, &reply.job, marks_of(id), parent);
            }
            (Asked::Sent, Ok(_))
            | (Asked::Sent | Asked::Confirmed, Err(CallError::Refused(Error::NoSuchJob { .. }))) => {
            }
            (asked, other) => panic!("job {id} (place {place}, removal {asked:?}): {other:?}"),
        }
    }
    let ids: Vec<JobId> = record.jobs.iter().filter_map(|told| told.id).collect();
    let known: BTreeSet<JobId> = ids.iter().copied().collect();
    assert_eq!(ids.len(), known.len(), "an id was given twice");
    let strange: Vec<_> = jobs.keys().filter(|id| !known.contains(id)).collect();
    assert!(strange.is_empty(), "nobody submitted {strange:?}");
}

async fn everything(client: &mut Client) -> BTreeMap<JobId, Job> {
    let mut jobs = BTreeMap::new();
    let mut after = None;
    loop {
        let list = List { after, limit: Some(PAGE), ..List::default() };
        let page = within(client.call::<call::List>(&list)).await.unwrap();
        after = page.jobs.last().map(|job| job.id);
        jobs.extend(page.jobs.into_iter().map(|job| (job.id, job)));
        if !page.more {
            return jobs;
        }
    }
}

/// Finds the jobs whose acknowledgement never came: of each submission all are there, or none.
fn find_unacknowledged(record: &mut Record, jobs: &BTreeMap<JobId, Job>) {
    let named: BTreeMap<&str, JobId> =
        jobs.values().filter_map(|job| Some((job.name.as_deref()?, job.id))).collect();
    let mut whole = BTreeMap::<usize, Vec<bool>>::new();
    for told in record.jobs.iter_mut().filter(|told| told.id.is_none()) {
        told.id = told.spec.name.as_deref().and_then(|name| named.get(name).copied());
        whole.entry(told.submission).or_default().push(told.id.is_some());
    }
    for (submission, there) in whole {
        assert!(
            there.windows(2).all(|pair| pair[0] == pair[1]),
            "submission {submission} came in part: {there:?}"
        );
    }
}

async fn queues(client: &mut Client, record: &Record) {
    let found = within(client.call::<call::Queues>(&Empty {})).await.unwrap().queues;
    let found: BTreeMap<_, _> = found.into_iter().map(|queue| (queue.name, queue.max)).collect();
    for (name, (confirmed, _)) in &record.queues {
        if let Some(max) = confirmed {
            assert_eq!(found.get(name), Some(&Some(*max)), "queue {name}");
        }
    }
}

/// Judges one job, with the marks of its work, and its parent's if it has one.
fn one(told: &Told, job: &Job, marks: &Marks, parent: Option<(Option<&Job>, &Marks)>) {
    let id = job.id;
    let details = job.details.as_ref().expect("show tells everything");
    assert_eq!(job.name, told.spec.name, "job {id}");
    if let Some(argv) = &told.spec.argv {
        assert_eq!(details.params.get("argv"), Some(&serde_json::json!(argv)), "job {id}");
    }
    assert!(job.state.is_final(), "job {id} is {:?}", job.state);
    if let Some(reported) = &told.reported {
        let now = (job.state, &job.outcome, job.exit_code.unwrap_or(reported.exit_code));
        let then = (reported.state, &reported.outcome, reported.exit_code);
        assert_eq!(now, then, "job {id} ended otherwise before: {told:?}, {details:?}");
    }
    attempts(told, job);
    let cancelled = told.cancel != Asked::No && job.state == State::Cancelled;
    if told.cancel == Asked::Confirmed {
        assert!(
            cancelled || marks.done() > 0 || job.state != State::Succeeded,
            "job {id} was cancelled"
        );
    }
    if !cancelled {
        natural_end(told, job, marks, parent.and_then(|(parent, _)| parent));
    }
    if let Some((_, parents)) = parent
        && let Some(began) = marks.first_began
    {
        assert!(parents.first_done.is_some_and(|done| done < began), "job {id} ran too early");
    }
}

/// Attempts are numbered without a gap, each ended, and only the last one may have succeeded.
fn attempts(told: &Told, job: &Job) {
    let attempts = &job.details.as_ref().expect("show tells everything").attempts;
    let id = job.id;
    let tokens: BTreeSet<&str> = attempts.iter().map(|attempt| attempt.token.as_str()).collect();
    assert_eq!(tokens.len(), attempts.len(), "job {id}: a token came twice");
    for (number, attempt) in (1..).zip(attempts) {
        assert_eq!(attempt.number, number, "job {id}");
        let outcome = attempt.outcome.as_deref();
        assert!(outcome.is_some(), "job {id}: nobody knows how attempt {number} ended");
        let last = number as usize == attempts.len();
        let failing = told.flavour == Flavour::Fails && outcome == Some("exit");
        assert!(last || failing || outcome == Some("interrupted"), "job {id}: {attempts:?}");
    }
}

fn natural_end(told: &Told, job: &Job, marks: &Marks, parent: Option<&Job>) {
    let id = job.id;
    let attempts = &job.details.as_ref().expect("show tells everything").attempts;
    let interrupted = job.outcome.as_deref() == Some("interrupted");
    match told.flavour {
        _ if told.flavour.is_once() => {
            assert!(marks.began() <= 1, "job {id} ran more than once");
            if interrupted {
                assert_eq!(job.state, State::Failed, "job {id}");
            } else {
                assert_eq!((job.state, marks.done()), (State::Succeeded, 1), "job {id}");
            }
            assert_eq!(attempts.len(), 1, "job {id}");
        }
        Flavour::Fails => {
            assert_eq!((job.state, job.exit_code), (State::Failed, Some(3)), "job {id}");
            let failed =
                |attempt: &&twolane::protocol::Attempt| attempt.outcome.as_deref() == Some("exit");
            let count = attempts.iter().filter(failed).count();
            assert_eq!(count, 3, "job {id}: a crash used up a retry, or gave one");
        }
        Flavour::Child(_) if parent.is_none_or(|parent| parent.state != State::Succeeded) => {
            assert_eq!((job.state, marks.began()), (State::Skipped, 0), "job {id}");
        }
        _ => {
            assert_eq!(job.state, State::Succeeded, "job {id}: {job:?}");
            assert!(marks.done() >= 1, "job {id} succeeded and was never done");
        }
    }
}
