//! Changing jobs: from the fields of a call to what each job is to be.
//!
//! Everything that can be refused is refused here, before any job is touched; what only the control
//! loop knows (that a job has started, or would wait for itself) is told job by job.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::super::event::{Ask, Edition, JobChange, NewBegin};
use super::arrays::{Folds, grouped, pass_over};
use super::jobs::with_declined;
use super::select::{Usual, some_are_named};
use super::submit::{begin, limits};
use super::{Bounds, Session};
use crate::job::{
    Context, JobId, KeyLimit, Limits, Move, Requirement, RetryOn, Spec, parse_duration,
};
use crate::protocol::{ChangeReply, Edit, Error, JobSpec, Selector};
use crate::store::{FoldedElements, Work};

/// Fields that count after an attempt, and so can still be changed while it runs.
const LATER: [&str; 7] = ["name", "priority", "retries", "backoff", "retry_on", "timeout", "grace"];

/// The most jobs that are edited by one call: some seconds of work, and each has its own work in memory meanwhile.
const MAX_EDITED: u64 = 100_000;

/// The most jobs that are followed to see whether one would wait for itself.
const MOST_FOLLOWED: usize = 100_000;

/// The fields that can lose their value.
const UNSET: [&str; 11] = [
    "name",
    "retry_on",
    "timeout",
    "grace",
    "output",
    "merge",
    "at_most_once",
    "keys",
    "needs",
    "after",
    "time",
];

/// A field and what is wrong with it.
type Wrong = (&'static str, String);

/// The old work and surroundings of a job, by where they lie.
type Old = (*const Spec, *const Context, bool);

impl Session {
    pub(super) async fn edit(&self, edit: Edit) -> Result<ChangeReply, Error> {
        let bounds = self.hub.bounds.borrow().clone();
        let fields = fields(&edit).map_err(told)?;
        let turn = edit.place.as_deref().map(turn).transpose().map_err(told)?;
        if fields.is_empty() && turn.is_none() {
            let message = "nothing is to be changed: name a field and its new value".to_owned();
            return Err(told(("set", message)));
        }
        let begin = new_begin(&edit).map_err(told)?;
        some_are_named(&edit.jobs)?;
        let filter = self.filter(&edit.jobs, Usual::Unfinished)?;
        let folds = self.folds(&filter).await?;
        refuse_too_many(&folds.live)?;
        // What ended as one is passed over as one.
        let folds = Folds { live: Vec::new(), ..folds };
        let found = self.found_beside(&edit.jobs, filter, &folds).await?;
        let (open, ended): (Vec<_>, Vec<_>) =
            found.iter().cloned().partition(|job| !job.state.is_final());
        let ids: Vec<JobId> = open.iter().map(|job| job.id).collect();
        refuse_more_than_most(ids.len() as u64)?;
        let requires = self.new_requirements(&edit, &ids).await?;
        if let Some(Move::Before(other) | Move::Behind(other)) = turn {
            // It has to be there and to be the caller's, or of somebody whom the caller may see.
            let all_users = edit.jobs.all_users;
            let ids = vec![crate::protocol::IdRange { first: other, last: other }];
            let named = Selector { ids, all_users, ..Selector::default() };
            self.select(&named, Usual::Any).await?;
        }
        let works = self.new_works(&edit, ids.clone(), &bounds).await?;
        let later = turn.is_none() && fields.iter().all(|field| LATER.contains(&field.as_str()));
        let edition = Edition { works, begin, requires, turn, later };
        let change = JobChange::Edit(Arc::new(edition));
        let ids = in_order(ids, turn);
        let reply = self.hub.request(|answer| Ask::Change(change, ids, answer)).await?;
        let mut reply = with_declined(reply, ended, "it has ended: submit what it is to be anew");
        pass_over(&mut reply, &folds.ended, "can't be edited: submit what it is to be anew");
        Ok(grouped(&edit.jobs, &found, reply))
    }

    /// What the jobs are to require of others, if that changes.
    async fn new_requirements(
        &self,
        edit: &Edit,
        ids: &[JobId],
    ) -> Result<Option<Arc<[Requirement]>>, Error> {
        if edit.set.after.is_empty() {
            let none = edit.unset.iter().any(|field| field == "after");
            return Ok(none.then(Arc::default));
        }
        let requires = self.resolve_edited(&edit.set.after).await.map_err(|error| match error {
            Error::InvalidJob { field, message, .. } => Error::InvalidValue { field, message },
            other => other,
        })?;
        self.refuse_circles(&requires, ids).await?;
        Ok(Some(requires))
    }

    /// Refuses what would have a job wait for itself, also through jobs that have ended and would wait
    /// again if they were run again.
    async fn refuse_circles(&self, requires: &[Requirement], ids: &[JobId]) -> Result<(), Error> {
        let wrong = |message: String| Err(told(("after", message)));
        let own: HashSet<JobId> = ids.iter().copied().collect();
        if let Some(other) = requires.iter().find(|other| own.contains(&other.job)) {
            return wrong(format!("job {} would wait for itself", other.job));
        }
        let mut seen: HashSet<JobId> = requires.iter().map(|other| other.job).collect();
        let mut layer: Vec<JobId> = seen.iter().copied().collect();
        while !layer.is_empty() {
            let edges = self.hub.readers.query(move |reader| reader.requirements(&layer)).await?;
            let open = || edges.iter().filter(|edge| !edge.passed);
            let back = open().find(|edge| own.contains(&edge.awaited.requirement.job));
            if let Some(edge) = back {
                let (job, other) = (edge.awaited.requirement.job, edge.job);
                return wrong(format!("job {job} would wait for itself: job {other} waits for it"));
            }
            let next = open().map(|edge| edge.awaited.requirement.job);
            layer = next.filter(|job| seen.insert(*job)).collect();
            if seen.len() > MOST_FOLLOWED {
                return wrong(format!(
                    "more than {MOST_FOLLOWED} jobs wait for each other behind these: wait for a later one of them"
                ));
            }
        }
        Ok(())
    }

    /// What each job is to be; jobs that were alike stay so.
    async fn new_works(
        &self,
        edit: &Edit,
        ids: Vec<JobId>,
        bounds: &Bounds,
    ) -> Result<HashMap<JobId, Work>, Error> {
        let old = self.hub.readers.query(move |reader| reader.specs(&ids)).await?;
        let mut known: HashMap<Old, (Arc<Spec>, Arc<Context>)> = HashMap::new();
        let mut works = HashMap::with_capacity(old.len());
        for work in &old {
            let array = work.place.is_some();
            let key = (Arc::as_ptr(&work.spec), Arc::as_ptr(&work.context), array);
            let (spec, context) = if let Some(new) = known.get(&key) {
                new.clone()
            } else {
                let new = self.new_work(edit, work, bounds)?;
                known.insert(key, new.clone());
                new
            };
            let edits = edit.edits.unwrap_or(work.edits);
            works.insert(work.id, Work { id: work.id, place: work.place, edits, spec, context });
        }
        Ok(works)
    }

    fn new_work(
        &self,
        edit: &Edit,
        old: &Work,
        bounds: &Bounds,
    ) -> Result<(Arc<Spec>, Arc<Context>), Error> {
        let (mut spec, mut context) = (Spec::clone(&old.spec), Context::clone(&old.context));
        for field in &edit.unset {
            unset(&mut spec, &mut context, field);
        }
        set(&mut spec, &mut context, &edit.set)
            .map_err(|(field, message)| told((field, format!("job {}: {message}", old.id))))?;
        let invalid = |field: &str, message: String| Error::InvalidValue {
            field: field.to_owned(),
            message: format!("job {}: {message}", old.id),
        };
        self.check_spec(&mut spec, &context, old.place.is_some(), bounds, &invalid)?;
        let context =
            if context == *old.context { Arc::clone(&old.context) } else { Arc::new(context) };
        Ok((Arc::new(spec), context))
    }
}

/// The order in which jobs take their places, so that they keep their order among each other.
fn in_order(mut ids: Vec<JobId>, turn: Option<Move>) -> Vec<JobId> {
    if matches!(turn, Some(Move::First | Move::Behind(_))) {
        ids.reverse();
    }
    ids
}

/// The names of the fields that change.
fn fields(edit: &Edit) -> Result<Vec<String>, Wrong> {
    let fixed = [
        ("unique", edit.set.unique.is_some() || edit.set.on_conflict.is_some()),
        ("hold", edit.set.hold),
    ];
    if let Some((field, _)) = fixed.into_iter().find(|(_, given)| *given) {
        let message = match field {
            "hold" => "hold and release are verbs of their own".to_owned(),
            _ => format!("{field} can't be edited: cancel the job and submit it anew"),
        };
        return Err((field, message));
    }
    for field in &edit.unset {
        let one = field.strip_prefix("env.").or_else(|| field.strip_prefix("params."));
        if one.is_none_or(str::is_empty) && !UNSET.contains(&field.as_str()) {
            let known = UNSET.join(", ");
            let message = format!(
                "{field:?} is nothing that a job can be without: there are {known}, env.NAME and params.NAME"
            );
            return Err(("unset", message));
        }
    }
    let Ok(serde_json::Value::Object(set)) = serde_json::to_value(&edit.set) else {
        return Err(("set", "it can't be read".to_owned()));
    };
    let named = set.into_iter().map(|(field, _)| field).filter(|field| field != "kind");
    Ok(named.chain(edit.unset.iter().cloned()).collect())
}

/// What is folded becomes jobs of their own, each of which is edited by itself: not for a million of them.
fn refuse_too_many(folds: &[FoldedElements]) -> Result<(), Error> {
    refuse_more_than_most(folds.iter().map(|elements| elements.fold.count).sum())
}

fn refuse_more_than_most(count: u64) -> Result<(), Error> {
    if count <= MAX_EDITED {
        return Ok(());
    }
    let message = format!(
        "{count} jobs would be edited one by one, and {MAX_EDITED} is the most at once: name some of them, as in ARRAY_1-1000, or cancel them and submit them anew"
    );
    Err(Error::LimitReached { limit: "edited".to_owned(), message })
}

/// The place that a text names.
fn turn(text: &str) -> Result<Move, Wrong> {
    let job = |text: &str| text.parse::<JobId>().ok();
    let found = match text.split_once(':') {
        None if text == "first" => Some(Move::First),
        None if text == "last" => Some(Move::Last),
        Some(("before", other)) => job(other).map(Move::Before),
        Some(("behind", other)) => job(other).map(Move::Behind),
        _ => None,
    };
    found.ok_or_else(|| {
        ("place", format!("{text:?} is no place: write first, last, before:ID or behind:ID"))
    })
}

/// When the jobs may start, if that changes.
fn new_begin(edit: &Edit) -> Result<Option<NewBegin>, Wrong> {
    if let Some(later) = begin(&edit.set)? {
        return Ok(Some(NewBegin::Later(later)));
    }
    let now = edit.unset.iter().any(|field| field == "time");
    Ok(now.then_some(NewBegin::Now))
}

/// Takes a value away.
fn unset(spec: &mut Spec, context: &mut Context, field: &str) {
    match field {
        "name" => spec.name = None,
        "retry_on" => spec.retry.retry_on = RetryOn::default(),
        "timeout" => spec.timeout = None,
        "grace" => spec.grace = None,
        "output" => spec.output = None,
        "merge" => spec.merge = false,
        "at_most_once" => spec.at_most_once = false,
        "keys" => change_limits(spec, |limits| limits.keys.clear()),
        "needs" => change_limits(spec, |limits| limits.resources.clear()),
        other => {
            if let Some(name) = other.strip_prefix("env.") {
                context.env.remove(name);
            } else if let Some(name) = other.strip_prefix("params.") {
                spec.params.remove(name);
            }
        }
    }
}

fn change_limits(spec: &mut Spec, change: impl FnOnce(&mut Limits)) {
    let mut limits = spec.limits.take().map(|limits| *limits).unwrap_or_default();
    change(&mut limits);
    spec.limits = (!limits.is_empty()).then(|| Box::new(limits));
}

/// Gives fields their new values.
fn set(spec: &mut Spec, context: &mut Context, new: &JobSpec) -> Result<(), Wrong> {
    if new.kind.as_ref().is_some_and(|kind| *kind != spec.kind) {
        let message = format!("its kind is {} and can't be edited: submit a job anew", spec.kind);
        return Err(("kind", message));
    }
    if let Some(argv) = &new.argv {
        if spec.kind != "command" {
            let message = format!(
                "its kind is {kind}: give key=value parameters, with --kind {kind}",
                kind = spec.kind
            );
            return Err(("argv", message));
        }
        spec.params.insert("argv".to_owned(), argv.clone().into());
    }
    spec.params.extend(new.params.clone());
    if let Some(class) = &new.class {
        spec.class = class.parse().map_err(wrong("class"))?;
    }
    spec.queue = new.queue.clone().unwrap_or_else(|| std::mem::take(&mut spec.queue));
    spec.priority = new.priority.unwrap_or(spec.priority);
    spec.name = new.name.clone().or_else(|| spec.name.take());
    spec.cpus = new.cpus.unwrap_or(spec.cpus);
    spec.retry.retries = new.retries.unwrap_or(spec.retry.retries);
    if let Some(backoff) = &new.backoff {
        spec.retry.backoff = backoff.parse().map_err(wrong("backoff"))?;
    }
    if let Some(retry_on) = &new.retry_on {
        spec.retry.retry_on = retry_on.parse().map_err(wrong("retry_on"))?;
    }
    if let Some(timeout) = &new.timeout {
        spec.timeout = Some(parse_duration(timeout).map_err(wrong("timeout"))?);
    }
    if let Some(grace) = &new.grace {
        spec.grace = Some(parse_duration(grace).map_err(wrong("grace"))?);
    }
    spec.at_most_once |= new.at_most_once;
    spec.merge |= new.merge;
    spec.output = new.output.clone().map(Into::into).or_else(|| spec.output.take());
    if let Some(cwd) = &new.cwd {
        context.cwd = context.cwd.join(cwd);
    }
    context.env.extend(new.env.clone());
    add_limits(spec, new)
}

fn wrong<E: std::fmt::Display>(field: &'static str) -> impl Fn(E) -> Wrong {
    move |error| (field, error.to_string())
}

/// Keys and needs that are named take the place of those of the same name.
fn add_limits(spec: &mut Spec, new: &JobSpec) -> Result<(), Wrong> {
    let Some(added) = limits(&new.keys, new.needs.clone(), new.memory.as_deref())? else {
        return Ok(());
    };
    change_limits(spec, |limits| {
        let mut keys: BTreeMap<String, KeyLimit> = BTreeMap::new();
        for key in limits.keys.drain(..).chain(added.keys) {
            keys.insert(key.key.clone(), key);
        }
        limits.keys = keys.into_values().collect();
        limits.resources.extend(added.resources);
    });
    match &spec.limits {
        Some(limits) => limits.check().map_err(wrong("keys")),
        None => Ok(()),
    }
}

fn told((field, message): Wrong) -> Error {
    Error::InvalidValue { field: field.to_owned(), message }
}
