//! Checking a submission before the control loop sees it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::super::clock;
use super::super::event::{Ask, Begin, Conflict, Draft, Submission};
use super::super::refuse;
use super::after::check_sum;
use super::unfold::unfold;
use super::{Bounds, Session};
use crate::handlers::{CheckError, Placeholders, expand_output};
use crate::job::{
    Class, Context, JobId, KeyLimit, Limits, LimitsError, RetryOn, RetryOnError, RetryPolicy, Spec,
    WallTime, format_size, parse_duration, parse_size,
};
use crate::protocol::{
    self, Array, Error, Existing, JobSpec, MAX_BATCH, MAX_UNIQUE, Submit, SubmitReply,
    from_rfc3339, to_rfc3339,
};

/// Names that a job gets where only the documented list is passed on; a trailing `*` stands for any
/// ending.
const LISTED: [&str; 12] = [
    "PATH",
    "HOME",
    "LANG",
    "LC_*",
    "TZ",
    "VIRTUAL_ENV",
    "CONDA_*",
    "PYTHONPATH",
    "LD_LIBRARY_PATH",
    "CUDA_*",
    "OMP_*",
    "USER",
];

/// How long ago a moment may be that was not past when its user gave it.
const LATE_MICROS: i64 = 10_000_000;

impl Session {
    pub(super) async fn submit(&self, submit: Submit) -> Result<SubmitReply, Error> {
        let bounds = self.hub.bounds.borrow().clone();
        let context = Arc::new(context(submit.context.unwrap_or_default(), &bounds)?);
        count(submit.jobs.len(), submit.array.as_ref())?;
        let array = submit.array.is_some();
        let mut jobs = submit.jobs;
        let after: Vec<Vec<String>> =
            jobs.iter_mut().map(|job| std::mem::take(&mut job.after)).collect();
        let drafts: Result<Vec<Draft>, Error> = (0..)
            .zip(jobs)
            .map(|(index, job)| self.draft(index, job, array, &context, &bounds))
            .collect();
        let mut drafts = drafts?;
        let endings = self.resolve_after(&after, &mut drafts).await?;
        let fold = match submit.array {
            Some(array) => unfold(&mut drafts, array)?,
            None => None,
        };
        check_sum(&drafts)?;
        if submit.dry_run {
            return Ok(SubmitReply {
                first: None,
                last: None,
                existing: Vec::new(),
                warnings: Vec::new(),
            });
        }
        let submission = Submission {
            owner: self.uid,
            drafts,
            array,
            fold,
            continues: submit.submission,
            endings,
        };
        let taken = self.hub.request(|answer| Ask::Submit(submission, answer)).await?;
        let (first, last) = taken.new.unzip();
        let told = |other: &Existing| format!("job {} has the unique key already", other.id);
        let warnings = taken.existing.iter().map(told).collect();
        Ok(SubmitReply { first, last, existing: taken.existing, warnings })
    }

    pub(super) fn draft(
        &self,
        index: u64,
        mut job: JobSpec,
        array: bool,
        shared: &Arc<Context>,
        bounds: &Bounds,
    ) -> Result<Draft, Error> {
        let invalid = |field: &str, message: String| Error::InvalidJob {
            index,
            field: field.to_owned(),
            message,
        };
        let context = own_context(&mut job, shared);
        let hold = job.hold;
        let begin = begin(&job).map_err(|(field, message)| invalid(field, message))?;
        let unique = unique(&job, array).map_err(|(field, message)| invalid(field, message))?;
        let kind = job.kind.clone().unwrap_or_else(|| "command".to_owned());
        let retries = self.hub.registry.get(&kind).map_or(0, |kind| kind.info.retries);
        let mut spec =
            spec(job, kind, retries).map_err(|(field, message)| invalid(field, message))?;
        self.check_spec(&mut spec, &context, array, bounds, &invalid)?;
        let requirements = Arc::default();
        let beside = Vec::new();
        Ok(Draft {
            index: None,
            hold,
            unique,
            begin,
            requirements,
            beside,
            spec: Arc::new(spec),
            context,
        })
    }

    /// Checks what a job is to do against its kind and against what there is.
    pub(super) fn check_spec(
        &self,
        spec: &mut Spec,
        context: &Context,
        array: bool,
        bounds: &Bounds,
        invalid: &dyn Fn(&str, String) -> Error,
    ) -> Result<(), Error> {
        spec.check().map_err(|error| invalid("job", error.to_string()))?;
        if !bounds.queues.contains(&spec.queue) {
            let known = bounds.queues.iter().map(String::as_str);
            return Err(refuse::unknown_queue(&spec.queue, known));
        }
        let resolved = self.hub.registry.check(spec, context).map_err(|error| match error {
            CheckError::UnknownKind { .. } => {
                Error::UnknownKind { kind: spec.kind.clone(), message: error.to_string() }
            }
            CheckError::Param(_) => invalid("params", error.to_string()),
        })?;
        if resolved.class == Class::Cpu && spec.cpus > bounds.cpu {
            let message = format!(
                "cpus {} is more than the {} core permits there are: see `{} pool show`",
                spec.cpus,
                bounds.cpu,
                crate::NAME
            );
            return Err(invalid("cpus", message));
        }
        check_keys(spec, bounds).map_err(|message| invalid("keys", message))?;
        check_resources(spec, bounds).map_err(|message| invalid("needs", message))?;
        check_output(spec, array).map_err(|message| invalid("output", message))
    }
}

fn count(jobs: usize, array: Option<&Array>) -> Result<(), Error> {
    let invalid = |field: &str, message: String| {
        Err(Error::InvalidValue { field: field.to_owned(), message })
    };
    match (jobs, array) {
        (0, _) => invalid("jobs", "no jobs were given".to_owned()),
        (1, Some(_)) | (1..=MAX_BATCH, None) => Ok(()),
        (_, Some(_)) => invalid("array", "an array is made of exactly one job".to_owned()),
        (_, None) => {
            let message = format!("these are too many jobs for one call: send {MAX_BATCH} at most");
            Err(Error::LimitReached { limit: "max_batch".to_owned(), message })
        }
    }
}

pub(super) fn context(wire: protocol::Context, bounds: &Bounds) -> Result<Context, Error> {
    let mut cwd = PathBuf::from(wire.cwd);
    if cwd.as_os_str().is_empty() {
        cwd = PathBuf::from("/");
    }
    if !cwd.is_absolute() {
        let message = format!("{} is not absolute", cwd.display());
        return Err(Error::InvalidValue { field: "context.cwd".to_owned(), message });
    }
    let mut env = wire.env;
    if bounds.listed_env {
        env.retain(|name, _| is_listed(name));
    }
    Ok(Context { cwd, umask: wire.umask, env })
}

fn is_listed(name: &str) -> bool {
    LISTED.iter().any(|listed| match listed.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == *listed,
    })
}

/// The job's own surroundings, if it differs from those of its submission.
fn own_context(job: &mut JobSpec, shared: &Arc<Context>) -> Arc<Context> {
    if job.cwd.is_none() && job.env.is_empty() {
        return Arc::clone(shared);
    }
    let mut context = Context::clone(shared);
    if let Some(cwd) = job.cwd.take() {
        context.cwd = context.cwd.join(cwd);
    }
    context.env.append(&mut job.env);
    Arc::new(context)
}

fn spec(job: JobSpec, kind: String, retries: u32) -> Result<Spec, (&'static str, String)> {
    let defaults = Spec::default();
    let mut params = job.params;
    if let Some(argv) = job.argv {
        if params.contains_key("argv") {
            return Err(("argv", "argv and params.argv say the same: give one of them".to_owned()));
        }
        params.insert("argv".to_owned(), argv.into());
    }
    let duration = |field: &'static str, text: Option<String>| {
        text.map(|text| parse_duration(&text))
            .transpose()
            .map_err(|error| (field, error.to_string()))
    };
    let class = job.class.map_or(Ok(Class::Auto), |text| text.parse());
    let backoff = job.backoff.map(|text| text.parse()).transpose();
    let limits = limits(&job.keys, job.needs, job.memory.as_deref())?;
    Ok(Spec {
        kind,
        params,
        class: class.map_err(|error| ("class", error.to_string()))?,
        queue: job.queue.unwrap_or(defaults.queue),
        priority: job.priority.unwrap_or(0),
        name: job.name,
        cpus: job.cpus.unwrap_or(1),
        retry: RetryPolicy {
            retries: job.retries.unwrap_or(retries),
            backoff: backoff
                .map_err(|error: crate::job::BackoffError| ("backoff", error.to_string()))?
                .unwrap_or_default(),
            retry_on: retry_on(job.retry_on.as_deref(), job.retries.unwrap_or(retries))?,
        },
        timeout: duration("timeout", job.timeout)?,
        grace: duration("grace", job.grace)?,
        at_most_once: job.at_most_once,
        output: job.output.map(PathBuf::from),
        merge: job.merge,
        limits: limits.map(Box::new),
    })
}

/// After which failures a job is run again.
fn retry_on(text: Option<&str>, retries: u32) -> Result<RetryOn, (&'static str, String)> {
    match text {
        None => Ok(RetryOn::default()),
        Some(_) if retries == 0 => {
            let message = "retry_on says nothing without retries: give their number too";
            Err(("retry_on", message.to_owned()))
        }
        Some(text) => text.parse().map_err(|error: RetryOnError| ("retry_on", error.to_string())),
    }
}

/// A key that no other unfinished job may have, and what to do if one has.
type Unique = (Arc<str>, Conflict);

/// The unique key that the job asks for.
fn unique(job: &JobSpec, array: bool) -> Result<Option<Unique>, (&'static str, String)> {
    let conflict = match job.on_conflict.as_deref() {
        None | Some("skip") => Conflict::Skip,
        Some("replace") => Conflict::Replace,
        Some("fail") => Conflict::Fail,
        Some(other) => {
            let message = format!("unknown conflict {other:?}: use one of skip, replace, fail");
            return Err(("on_conflict", message));
        }
    };
    match job.unique.as_deref() {
        None if job.on_conflict.is_some() => {
            Err(("on_conflict", "on_conflict says nothing without unique".to_owned()))
        }
        None => Ok(None),
        Some(_) if array => {
            let message = "the elements of an array would all have the same unique key";
            Err(("unique", message.to_owned()))
        }
        Some(key) if key.is_empty() || key.len() > MAX_UNIQUE => {
            Err(("unique", format!("a unique key has 1 to {MAX_UNIQUE} bytes")))
        }
        Some(key) => Ok(Some((Arc::from(key), conflict))),
    }
}

/// A moment as clients write it, or what is wrong with it.
pub(super) fn moment(text: &str) -> Result<WallTime, String> {
    from_rfc3339(text)
        .ok_or_else(|| format!("{text:?} is no moment: write RFC 3339, as in 2030-01-31T09:00:00Z"))
}

/// When the job may start at the earliest.
pub(super) fn begin(job: &JobSpec) -> Result<Option<Begin>, (&'static str, String)> {
    match (&job.at, &job.delay) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(("at", "at and in say the same: give one of them".to_owned())),
        (None, Some(delay)) => {
            let delay = parse_duration(delay).map_err(|error| ("in", error.to_string()))?;
            Ok(Some(Begin::In(delay)))
        }
        (Some(text), None) => {
            let moment = moment(text).map_err(|message| ("at", message))?;
            let now = clock::now().wall;
            if now.0.saturating_sub(moment.0) > LATE_MICROS {
                return Err(("at", format!("{text} is past: it is {} now", to_rfc3339(now))));
            }
            Ok(Some(Begin::At(moment)))
        }
    }
}

pub(super) fn limits(
    keys: &[String],
    mut resources: BTreeMap<String, u64>,
    memory: Option<&str>,
) -> Result<Option<Limits>, (&'static str, String)> {
    let wrong = |error: LimitsError| ("keys", error.to_string());
    let keys = keys.iter().map(|key| key.parse()).collect::<Result<Vec<KeyLimit>, _>>();
    if let Some(memory) = memory {
        let bytes = parse_size(memory).map_err(|error| ("memory", error.to_string()))?;
        if resources.insert(Limits::MEMORY.to_owned(), bytes).is_some() {
            let twice = "memory and needs.memory say the same: give one of them";
            return Err(("memory", twice.to_owned()));
        }
    }
    let limits = Limits { keys: keys.map_err(wrong)?, array: None, resources };
    limits.check().map_err(|error| match error {
        LimitsError::TooManyResources(_) | LimitsError::Nothing(_) => ("needs", error.to_string()),
        error => wrong(error),
    })?;
    Ok((!limits.is_empty()).then_some(limits))
}

/// A key without a number has to have one in the settings, or it would limit nothing.
fn check_keys(spec: &Spec, bounds: &Bounds) -> Result<(), String> {
    let keys = spec.limits.iter().flat_map(|limits| &limits.keys);
    let unlimited = |key: &&KeyLimit| {
        key.max.is_none() && !bounds.keys.iter().any(|rule| rule.covers(&key.key))
    };
    match keys.into_iter().find(unlimited) {
        None => Ok(()),
        Some(KeyLimit { key, .. }) => Err(format!(
            "nothing limits the key {key:?}: write KEY=N, as in {key}=4, or name it in [limits.keys] of the config"
        )),
    }
}

/// What asks for more than there is would wait for ever.
fn check_resources(spec: &Spec, bounds: &Bounds) -> Result<(), String> {
    for (name, needed) in spec.limits.iter().flat_map(|limits| &limits.resources) {
        let amount = |amount: u64| match name.as_str() {
            Limits::MEMORY => format_size(amount),
            _ => amount.to_string(),
        };
        match bounds.resources.get(name) {
            Some(capacity) if needed <= capacity => {}
            Some(capacity) => {
                let (needed, capacity) = (amount(*needed), amount(*capacity));
                return Err(format!(
                    "{needed} of {name} is more than the {capacity} there are: see `{} pool show`",
                    crate::NAME
                ));
            }
            None => {
                let known: Vec<&str> = bounds.resources.keys().map(String::as_str).collect();
                let known = known.join(", ");
                return Err(format!(
                    "there is no resource {name:?}: there are {known}; more go into [resources.NAME] of the config"
                ));
            }
        }
    }
    Ok(())
}

/// A template that can't be filled is refused now, not when the job's turn comes.
fn check_output(spec: &Spec, array: bool) -> Result<(), String> {
    let Some(template) = &spec.output else { return Ok(()) };
    let example = JobId::new(1).map_err(|error| error.to_string())?;
    let index = array.then_some(1);
    let filled = Placeholders { job: example, index, name: spec.name.as_deref(), attempt: 1 };
    expand_output(template, &filled).map(drop).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_names_pass_where_a_list_is_kept() {
        for (name, passes) in [
            ("PATH", true),
            ("LC_ALL", true),
            ("CUDA_HOME", true),
            ("AWS_KEY", false),
            ("PATHX", false),
        ] {
            assert_eq!(is_listed(name), passes, "{name}");
        }
    }
}
