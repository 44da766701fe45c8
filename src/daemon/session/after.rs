//! From what jobs require, as it was written, to the jobs that are meant.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::super::event::{Draft, Endings};
use super::Session;
use super::select::Usual;
use crate::job::{Condition, Ending, JobId, Requirement};
use crate::protocol::{After, Error, MAX_BATCH_REQUIREMENTS, MAX_REQUIREMENTS, Whom};
use crate::store::Selected;

/// What was found for the texts of one call: most jobs of a call require the same.
#[derive(Default)]
struct Found {
    by_text: HashMap<String, Arc<[Selected]>>,
    endings: Endings,
}

/// What one job requires, as it is gathered.
#[derive(Default)]
struct Gathered {
    earlier: HashMap<JobId, Condition>,
    beside: BTreeMap<u64, Condition>,
}

impl Session {
    /// Finds the jobs that are required and puts them into the drafts; returns how those ended that
    /// have.
    pub(super) async fn resolve_after(
        &self,
        after: &[Vec<String>],
        drafts: &mut [Draft],
    ) -> Result<Endings, Error> {
        let mut found = Found::default();
        let mut latest: Option<(&[String], Arc<[Requirement]>)> = None;
        for (place, (texts, draft)) in (0u64..).zip(after.iter().zip(&mut *drafts)) {
            if texts.is_empty() {
                continue;
            }
            if let Some((_, requirements)) = latest.as_ref().filter(|(same, _)| *same == texts) {
                draft.requirements = Arc::clone(requirements);
                continue;
            }
            let gathered = self.gather(place, texts, after.len() as u64, &mut found).await?;
            let mut requirements: Vec<_> =
                gathered.earlier.into_iter().map(|(job, on)| Requirement { job, on }).collect();
            requirements.sort_unstable();
            draft.requirements = requirements.into();
            draft.beside = gathered.beside.into_iter().map(|(place, on)| (on, place)).collect();
            latest = draft.beside.is_empty().then(|| (&**texts, Arc::clone(&draft.requirements)));
        }
        find_cycle(drafts)?;
        Ok(found.endings)
    }

    /// Finds the jobs that an edited one is to require.
    pub(super) async fn resolve_edited(
        &self,
        texts: &[String],
    ) -> Result<Arc<[Requirement]>, Error> {
        let gathered = self.gather(0, texts, 0, &mut Found::default()).await?;
        let mut all: Vec<_> =
            gathered.earlier.into_iter().map(|(job, on)| Requirement { job, on }).collect();
        all.sort_unstable();
        Ok(all.into())
    }

    async fn gather(
        &self,
        index: u64,
        texts: &[String],
        jobs: u64,
        found: &mut Found,
    ) -> Result<Gathered, Error> {
        let mut gathered = Gathered::default();
        for text in texts {
            let parts = After::parse(text).map_err(|error| invalid(index, error.to_string()))?;
            for (After { on, whom }, part) in parts.into_iter().zip(text.split(',')) {
                match whom {
                    Whom::Place(place) if place >= jobs => {
                        let message = format!("{text:?}: there is no job @{place} in this call");
                        return Err(invalid(index, message));
                    }
                    Whom::Place(place) => {
                        let other = gathered.beside.insert(place, on);
                        once(index, &format!("@{place}"), other, on)?;
                    }
                    Whom::Earlier(selector) => {
                        let whom = part.split_once(':').map_or(part, |(_, whom)| whom);
                        let jobs = if let Some(jobs) = found.by_text.get(whom) {
                            Arc::clone(jobs)
                        } else {
                            let jobs: Arc<[Selected]> =
                                self.find(&selector, Usual::Any).await?.into();
                            found.note(whom, &jobs);
                            jobs
                        };
                        if jobs.is_empty() {
                            let message = format!("{whom:?} selects no job of yours that is there");
                            return Err(invalid(index, message));
                        }
                        for job in &*jobs {
                            let other = gathered.earlier.insert(job.id, on);
                            once(index, &job.id.to_string(), other, on)?;
                        }
                    }
                }
            }
        }
        let count = gathered.earlier.len() + gathered.beside.len();
        if count > MAX_REQUIREMENTS {
            let message = format!(
                "a job can wait for {MAX_REQUIREMENTS} others at most, not for {count}: put one job between that waits for some of them"
            );
            return Err(Error::LimitReached { limit: "requirements".to_owned(), message });
        }
        Ok(gathered)
    }
}

impl Found {
    fn note(&mut self, text: &str, jobs: &Arc<[Selected]>) {
        self.by_text.insert(text.to_owned(), Arc::clone(jobs));
        for job in jobs.iter().filter(|job| job.state.is_final()) {
            let ending = Ending::Final { state: job.state, outcome: job.outcome.clone() };
            self.endings.insert(job.id, ending);
        }
    }
}

/// What all jobs of a call require together is one commit, and has to be small enough for one.
pub(super) fn check_sum(drafts: &[Draft]) -> Result<(), Error> {
    let sum: usize = drafts.iter().map(|draft| draft.requirements.len() + draft.beside.len()).sum();
    if sum <= MAX_BATCH_REQUIREMENTS {
        return Ok(());
    }
    let message = format!(
        "these jobs require {sum} others in all, {MAX_BATCH_REQUIREMENTS} are the most of one call: put one job between that waits for all of them"
    );
    Err(Error::LimitReached { limit: "batch_requirements".to_owned(), message })
}

/// One job can't be required to end in two ways.
fn once(index: u64, job: &str, other: Option<Condition>, on: Condition) -> Result<(), Error> {
    match other {
        Some(other) if other != on => {
            Err(invalid(index, format!("job {job} is named twice, with {other}: and with {on}:")))
        }
        _ => Ok(()),
    }
}

fn invalid(index: u64, message: String) -> Error {
    Error::InvalidJob { index, field: "after".to_owned(), message }
}

/// Refuses jobs of one call that wait for each other in a circle: none could ever start.
fn find_cycle(drafts: &[Draft]) -> Result<(), Error> {
    /// How far a job was looked at: not at all, it is on the way that is being followed, or done with.
    #[derive(Clone, Copy, PartialEq)]
    enum Seen {
        No,
        OnTheWay,
        Done,
    }
    let mut seen = vec![Seen::No; drafts.len()];
    for start in 0..drafts.len() {
        // The way so far, each with how many of its requirements were followed.
        let mut way = if seen[start] == Seen::No { vec![(start, 0)] } else { Vec::new() };
        while let Some((place, followed)) = way.last_mut() {
            seen[*place] = Seen::OnTheWay;
            let Some(&(_, next)) = drafts[*place].beside.get(*followed) else {
                seen[*place] = Seen::Done;
                way.pop();
                continue;
            };
            *followed += 1;
            let next = next as usize;
            match seen[next] {
                Seen::No => way.push((next, 0)),
                Seen::Done => {}
                Seen::OnTheWay => {
                    let from = way.iter().position(|(place, _)| *place == next).unwrap_or(0);
                    let circle = way[from..].iter().map(|(place, _)| *place).chain([next]);
                    let circle: Vec<usize> = circle.collect();
                    return Err(told_cycle(drafts, &circle));
                }
            }
        }
    }
    Ok(())
}

fn told_cycle(drafts: &[Draft], circle: &[usize]) -> Error {
    let name = |place: &usize| match &drafts[*place].spec.name {
        Some(name) => name.clone(),
        None => format!("@{place}"),
    };
    let names: Vec<String> = circle.iter().map(name).collect();
    let index = circle.first().copied().unwrap_or(0) as u64;
    let message = if names.len() == 2 {
        format!("{} would wait for itself", names[0])
    } else {
        format!("these jobs would wait for each other for ever: {}", names.join(" -> "))
    };
    invalid(index, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drafts(beside: &[&[u64]]) -> Vec<Draft> {
        let draft = |places: &&[u64]| Draft {
            index: None,
            hold: false,
            unique: None,
            begin: None,
            requirements: Arc::default(),
            beside: places.iter().map(|place| (Condition::Ok, *place)).collect(),
            spec: Arc::default(),
            context: Arc::default(),
        };
        beside.iter().map(draft).collect()
    }

    #[test]
    fn a_circle_is_refused_and_told_in_its_order() {
        let circle = find_cycle(&drafts(&[&[], &[0, 3], &[1], &[2]])).unwrap_err();
        assert!(circle.message().ends_with("@1 -> @3 -> @2 -> @1"), "{}", circle.message());
        let itself = find_cycle(&drafts(&[&[0]])).unwrap_err();
        assert!(itself.message().contains("@0 would wait for itself"));
    }

    #[test]
    fn many_ways_to_one_job_are_no_circle() {
        let diamond: [&[u64]; 4] = [&[], &[0], &[0], &[1, 2, 0]];
        assert_eq!(find_cycle(&drafts(&diamond)), Ok(()));
        let chain: Vec<Vec<u64>> = (0..10_000u64).map(|place| vec![(place + 1) % 10_001]).collect();
        let mut chain: Vec<&[u64]> = chain.iter().map(Vec::as_slice).collect();
        chain.push(&[]);
        assert_eq!(find_cycle(&drafts(&chain)), Ok(()));
    }
}
