//! Clients that ask for all kinds of things and write down what they were told.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use twolane::client::{CallError, Client};
use twolane::job::JobId;
use twolane::protocol::{
    Cancel, ChangeReply, Context, Explain, IdRange, Method, Release, Remove, Selector, SetQueue,
    Show, Submit, Wait, call,
};

use super::breaking::FULL;
use super::dice::Dice;
use super::record::{Asked, Flavour, Record};
use crate::fixture::PATIENCE;

/// The most jobs of one submission.
const MOST_AT_ONCE: u64 = 3;

/// One client with a connection of its own.
pub(super) struct User {
    pub(super) dice: Dice,
    pub(super) folder: PathBuf,
    pub(super) record: Arc<Mutex<Record>>,
    /// Told after each reply, with their number.
    pub(super) replied: Box<dyn Fn(u64) + Send + Sync>,
}

impl User {
    /// Asks for so many things, or until the daemon is gone; tells whether it is.
    pub(super) async fn lives(mut self, requests: u64) -> bool {
        let Ok(mut client) = Client::connect(&self.folder.join("state/twolane.sock")).await else {
            return true;
        };
        for _ in 0..requests {
            let done = match self.dice.roll(200) {
                0..=88 => self.submits(&mut client, false).await,
                89 => self.fills_the_disk(&mut client).await,
                90..=99 => self.submits(&mut client, true).await,
                100..=119 => self.releases(&mut client).await,
                120..=159 => self.waits(&mut client).await,
                160..=179 => self.cancels(&mut client).await,
                180..=189 => self.removes(&mut client).await,
                _ => self.sets_a_queue(&mut client).await,
            };
            // Another client may have removed what this one asked for.
            if done.is_err_and(|error| !matches!(error, CallError::Refused(_))) {
                return true;
            }
        }
        false
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap()
    }

    /// A reply has come: it counts as told from here on.
    fn hears(&self, note: impl FnOnce(&mut Record)) {
        let replies = {
            let mut record = self.record();
            note(&mut record);
            record.replies += 1;
            record.replies
        };
        (self.replied)(replies);
    }

    async fn submits(&mut self, client: &mut Client, held: bool) -> Result<(), CallError> {
        let count = 1 + self.dice.roll(MOST_AT_ONCE);
        let (places, jobs) = {
            let mut record = self.record.lock().unwrap();
            let known: Vec<usize> = (0..record.jobs.len())
                .filter(|place| record.jobs[*place].id.is_some())
                .filter(|place| record.jobs[*place].remove == Asked::No)
                .collect();
            let mut jobs = Vec::new();
            for _ in 0..count {
                let name = format!("{}.{}", record.submissions, jobs.len());
                let parent = if self.dice.roll(8) == 0 { self.dice.pick(&known) } else { None };
                let flavour = match parent {
                    Some(parent) => Flavour::Child(parent),
                    None => self.dice.pick(&Flavour::SIMPLE).unwrap(),
                };
                let parent = parent.and_then(|parent| record.jobs[parent].id);
                let mut spec = flavour.spec(&name, &self.folder, parent);
                spec.hold = held;
                jobs.push((flavour, spec));
            }
            let specs = jobs.iter().map(|(_, spec)| spec.clone()).collect();
            (record.sends(jobs, held), specs)
        };
        let path = std::env::var("PATH").unwrap_or_default();
        let context = Context {
            cwd: "/".to_owned(),
            env: [("PATH".to_owned(), path)].into(),
            ..Context::default()
        };
        let submit = Submit { jobs, context: Some(context), ..Submit::default() };
        let reply = asks::<call::Submit>(client, &submit).await?;
        let first = reply.first.expect("nothing is unique, so there are new jobs");
        self.hears(|record| {
            for (step, place) in (0..).zip(places) {
                record.jobs[place].id = Some(first.after(step));
            }
        });
        Ok(())
    }

    /// A job that was acknowledged and is as wanted.
    fn one(&mut self, wanted: impl Fn(&Record, usize) -> bool) -> Option<(usize, JobId)> {
        let record = self.record.lock().unwrap();
        let places: Vec<usize> =
            (0..record.jobs.len()).filter(|place| wanted(&record, *place)).collect();
        let place = self.dice.pick(&places)?;
        Some((place, record.jobs[place].id?))
    }

    async fn releases(&mut self, client: &mut Client) -> Result<(), CallError> {
        let Some((place, id)) = self.one(|record, place| record.jobs[place].held) else {
            return Ok(());
        };
        let release = Release { jobs: only(id) };
        let reply = asks::<call::Release>(client, &release).await?;
        self.hears(|record| {
            record.jobs[place].held &= !reply.changed.contains(&id);
        });
        Ok(())
    }

    async fn waits(&mut self, client: &mut Client) -> Result<(), CallError> {
        let Some((place, id)) = self.one(Record::ends) else { return Ok(()) };
        let wait = Wait { jobs: only(id) };
        let reply = match tokio::time::timeout(PATIENCE, client.call::<call::Wait>(&wait)).await {
            Ok(reply) => reply?,
            Err(_) => return self.gives_up(id).await,
        };
        self.hears(|record| {
            // Another client may have removed it a moment ago.
            let Some(told) = reply.finished.into_iter().next() else { return };
            let before = record.jobs[place].reported.replace(told.clone());
            assert!(before.is_none_or(|before| before == told), "job {id} ended twice: {told:?}");
        });
        Ok(())
    }

    /// Tells why a job does not end that was to.
    async fn gives_up(&self, id: JobId) -> Result<(), CallError> {
        let mut client = Client::connect(&self.folder.join("state/twolane.sock")).await.unwrap();
        let explained = client.call::<call::Explain>(&Explain { id }).await;
        let shown = client.call::<call::Show>(&Show { id }).await;
        panic!("job {id} does not end: {explained:?}, {shown:?}");
    }

    async fn cancels(&mut self, client: &mut Client) -> Result<(), CallError> {
        let wanted = |record: &Record, place: usize| {
            let job = &record.jobs[place];
            job.id.is_some() && job.reported.is_none() && job.remove == Asked::No
        };
        let Some((place, id)) = self.one(wanted) else { return Ok(()) };
        self.record().jobs[place].cancel = Asked::Sent;
        let reply: ChangeReply =
            asks::<call::Cancel>(client, &Cancel { jobs: only(id), reason: None }).await?;
        self.hears(|record| {
            if reply.changed.contains(&id) {
                record.jobs[place].cancel = Asked::Confirmed;
            }
        });
        Ok(())
    }

    async fn removes(&mut self, client: &mut Client) -> Result<(), CallError> {
        let wanted = |record: &Record, place: usize| {
            let job = &record.jobs[place];
            let awaited = record.jobs.iter().any(|other| other.flavour == Flavour::Child(place));
            job.reported.is_some() && job.remove == Asked::No && !awaited
        };
        let Some((place, id)) = self.one(wanted) else { return Ok(()) };
        self.record().jobs[place].remove = Asked::Sent;
        let reply: ChangeReply = asks::<call::Remove>(client, &Remove { jobs: only(id) }).await?;
        self.hears(|record| {
            if reply.changed.contains(&id) {
                record.jobs[place].remove = Asked::Confirmed;
            }
        });
        Ok(())
    }

    /// For a while nothing can be written; what ends meanwhile must not be lost.
    async fn fills_the_disk(&mut self, client: &mut Client) -> Result<(), CallError> {
        let full = self.folder.join(FULL);
        std::fs::write(&full, "").unwrap();
        let mut done = Ok(());
        for _ in 0..=self.dice.roll(4) {
            done = match self.dice.roll(2) {
                0 => self.submits(client, false).await,
                _ => self.cancels(client).await,
            };
        }
        // Another client may have had the same idea.
        let _ = std::fs::remove_file(full);
        done
    }

    async fn sets_a_queue(&mut self, client: &mut Client) -> Result<(), CallError> {
        let max = 1 + self.dice.roll(100) as u32;
        let queue = format!("line{}", self.dice.roll(1_000_000));
        self.record().queues.insert(queue.clone(), (None, vec![max]));
        let set = SetQueue { queue: queue.clone(), max: Some(max), weight: None, rate: None };
        asks::<call::SetQueue>(client, &set).await?;
        self.hears(|record| {
            record.queues.insert(queue, (Some(max), Vec::new()));
        });
        Ok(())
    }
}

/// Calls, and names the call whose answer never comes.
async fn asks<M>(client: &mut Client, parameters: &M::Parameters) -> Result<M::Reply, CallError>
where
    M: Method,
    M::Parameters: std::fmt::Debug,
{
    let answer = tokio::time::timeout(PATIENCE, client.call::<M>(parameters)).await;
    answer.unwrap_or_else(|_| panic!("no answer to {} {parameters:?}", M::NAME))
}

pub(super) fn only(id: JobId) -> Selector {
    Selector { ids: vec![IdRange { first: id, last: id }], ..Selector::default() }
}
