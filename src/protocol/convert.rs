//! From the vocabulary to the wire and back: the one place where both are known.

use serde_json::Value;

use crate::job::{self, Failure, Outcome, State, WallTime, exit_code};

use super::follow::Finished;
use super::job::{Attempt, Details, Job, JobSpec, Required};
use super::schedule::Schedule;

/// Writes a moment as RFC 3339 in UTC with microseconds.
pub fn to_rfc3339(time: WallTime) -> String {
    jiff::Timestamp::from_microsecond(time.0)
        .map_or_else(|_| String::new(), |stamp| format!("{stamp:.6}"))
}

/// Reads a moment as RFC 3339.
pub fn from_rfc3339(text: &str) -> Option<WallTime> {
    text.parse::<jiff::Timestamp>().ok().map(|stamp| WallTime(stamp.as_microsecond()))
}

/// Seconds of processor time and wall time.
pub fn usage_seconds(usage: &job::Usage) -> (f64, f64) {
    (usage.cpu.as_secs_f64(), usage.wall.as_secs_f64())
}

const fn signal(outcome: &Outcome) -> Option<i32> {
    match outcome {
        Outcome::Failed(Failure::Signal(signal)) => Some(*signal),
        _ => None,
    }
}

/// A job as it is shown; with its attempts and everything else if they are given.
pub fn job_to_wire(job: &job::Job, attempts: Option<&[job::AttemptRecord]>) -> Job {
    let outcome = job.outcome.as_ref();
    let limits = job.spec.limits.as_deref();
    Job {
        id: job.id,
        state: job.state,
        kind: job.spec.kind.clone(),
        class: job.spec.class,
        lane: job.lane,
        queue: job.spec.queue.clone(),
        priority: job.spec.priority,
        name: job.spec.name.clone(),
        owner_uid: job.owner,
        submission: job.submission,
        array: job.place.map(|place| place.array),
        index: job.place.map(|place| place.index),
        submitted_at: to_rfc3339(job.submitted_at),
        started_at: job.started_at.map(to_rfc3339),
        finished_at: job.finished_at.map(to_rfc3339),
        not_before: job.not_before.map(|deadline| to_rfc3339(deadline.wall)),
        attempt_count: job.attempts,
        outcome: outcome.map(|outcome| outcome.word().to_owned()),
        exit_code: exit_code_of(job.state, outcome),
        signal: outcome.and_then(signal),
        message: outcome.and_then(Outcome::message).map(str::to_owned),
        reason: job.reason.clone(),
        summary: summary(&job.spec),
        cpus: job.spec.cpus,
        retries: job.spec.retry.retries,
        keys: limits.map(keys).unwrap_or_default(),
        needs: limits.map(|limits| limits.resources.clone()).unwrap_or_default(),
        array_at_once: limits.and_then(|limits| limits.array),
        elements: None,
        progress_done: None,
        progress_total: None,
        schedule: job.run.as_ref().map(|run| run.name.to_string()),
        slot: job.run.as_ref().map(|run| to_rfc3339(run.slot)),
        details: attempts.map(|attempts| details(job, attempts)),
    }
}

fn keys(limits: &job::Limits) -> Vec<String> {
    limits.keys.iter().map(ToString::to_string).collect()
}

fn details(job: &job::Job, attempts: &[job::AttemptRecord]) -> Details {
    Details {
        params: job.spec.params.clone(),
        backoff: job.spec.retry.backoff.to_string(),
        retry_on: (!job.spec.retry.retry_on.is_any()).then(|| job.spec.retry.retry_on.to_string()),
        timeout_seconds: job.spec.timeout.map(|timeout| timeout.as_secs_f64()),
        grace_seconds: job.spec.grace.map(|grace| grace.as_secs_f64()),
        at_most_once: job.spec.at_most_once,
        merge: job.spec.merge,
        edits: job.edits,
        crashes: job.suspicion.map_or(0, |suspicion| suspicion.crashes),
        crashes_alone: job.suspicion.map_or(0, |suspicion| suspicion.alone),
        cwd: job.context.cwd.display().to_string(),
        env_names: job.context.env.keys().cloned().collect(),
        output: job.spec.output.as_ref().map(|path| path.display().to_string()),
        output_path: None,
        unique: job.unique.as_deref().map(str::to_owned),
        after: Vec::new(),
        attempts: attempts.iter().map(attempt_to_wire).collect(),
    }
}

fn attempt_to_wire(attempt: &job::AttemptRecord) -> Attempt {
    let outcome = attempt.outcome.as_ref();
    let seconds = attempt.usage.as_ref().map(usage_seconds);
    Attempt {
        number: attempt.number,
        token: attempt.token.to_string(),
        class: attempt.class,
        lane: attempt.lane,
        started_at: to_rfc3339(attempt.started_at),
        finished_at: attempt.finished_at.map(to_rfc3339),
        outcome: outcome.map(|outcome| outcome.word().to_owned()),
        exit_code: outcome.map(Outcome::exit_code),
        signal: outcome.and_then(signal),
        message: outcome.and_then(Outcome::message).map(str::to_owned),
        cpu_seconds: seconds.map(|(cpu, _)| cpu),
        wall_seconds: seconds.map(|(_, wall)| wall),
        max_rss_bytes: attempt.usage.and_then(|usage| usage.max_rss_bytes),
    }
}

/// How a final job ended, with the exit code that the command line uses for it.
pub fn finished_to_wire(
    id: job::JobId,
    state: State,
    outcome: Option<&Outcome>,
    reason: Option<&str>,
) -> Finished {
    Finished {
        id,
        state,
        outcome: outcome.map(|outcome| outcome.word().to_owned()),
        exit_code: exit_code_of(state, outcome).unwrap_or(exit_code::FAILURE),
        signal: outcome.and_then(signal),
        message: match (state, outcome) {
            (State::Skipped | State::Cancelled, _)
            | (State::Failed, Some(Outcome::Interrupted)) => reason.map(str::to_owned),
            _ => outcome.and_then(Outcome::message).map(str::to_owned),
        },
    }
}

/// A schedule as it is shown, with these next moments and jobs that have not ended.
pub fn schedule_to_wire(
    record: &job::ScheduleRecord,
    next: &[WallTime],
    unfinished: Vec<job::JobId>,
) -> Schedule {
    Schedule {
        id: record.id.0,
        name: record.name.to_string(),
        owner_uid: record.owner,
        every: record.every.text().to_owned(),
        zone: record.zone.clone(),
        overlap: record.overlap.name().to_owned(),
        missed: record.missed.name().to_owned(),
        paused: record.paused,
        reason: record.reason.clone(),
        problem: None,
        created_at: to_rfc3339(record.created_at),
        next: next.iter().map(|moment| to_rfc3339(*moment)).collect(),
        last_job: record.progress.last,
        last_state: None,
        unfinished,
        run_count: record.progress.runs,
        skipped_count: record.progress.skipped,
        missed_count: record.progress.missed,
        queue: record.spec.queue.clone(),
        summary: summary(&record.spec),
    }
}

/// The exit code of a job in this state whose latest attempt ended so: a job that was cancelled between two attempts
/// says so, and not what the last of them said.
fn exit_code_of(state: State, outcome: Option<&Outcome>) -> Option<i32> {
    match state {
        State::Skipped => Some(exit_code::SKIPPED),
        State::Cancelled => Some(exit_code::CANCELLED),
        _ => outcome.map(Outcome::exit_code),
    }
}

/// What a job requires of another, as it is shown.
pub fn required_to_wire(awaited: &job::Awaited, passed: bool) -> Required {
    let job::Awaited { requirement, ending } = awaited;
    let standing = match ending {
        _ if passed => "met",
        None => "open",
        Some(ending) if ending.meets(requirement.on) => "met",
        Some(_) => "lost",
    };
    Required {
        job: requirement.job,
        on: requirement.on.name().to_owned(),
        standing: standing.to_owned(),
        ended: ending.as_ref().map(ToString::to_string),
    }
}

/// The work of a job that was not handed in yet, in a line.
pub fn summary_of(job: &JobSpec) -> String {
    let mut spec = job::Spec {
        kind: job.kind.clone().unwrap_or_default(),
        params: job.params.clone(),
        ..job::Spec::default()
    };
    if let Some(argv) = &job.argv {
        spec.params.insert("argv".to_owned(), argv.clone().into());
    }
    summary(&spec)
}

/// The longest summary, in characters: a line of a wide terminal.
const MAX_SUMMARY: usize = 200;

/// The work in a line: the command, or the kind with its main parameters.
pub fn summary(spec: &job::Spec) -> String {
    let text = if let Some(argv) = spec.params.get("argv").and_then(Value::as_array) {
        words(argv.iter())
    } else {
        let pair = |(name, value): (&String, &Value)| format!("{name}={}", quoted(&plain(value)));
        let pairs = spec.params.iter().map(pair);
        std::iter::once(spec.kind.clone()).chain(pairs).collect::<Vec<_>>().join(" ")
    };
    if text.chars().count() <= MAX_SUMMARY {
        return text;
    }
    text.chars().take(MAX_SUMMARY - 1).chain(['…']).collect()
}

fn words<'a>(values: impl Iterator<Item = &'a Value>) -> String {
    values.map(plain).map(|word| quoted(&word)).collect::<Vec<_>>().join(" ")
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A word as a shell would need it; control characters are made visible, so that no job can write
/// to the terminal of whoever lists it.
fn quoted(word: &str) -> String {
    let tame = |c: char| c.is_alphanumeric() || "_-./:=@%+,{}".contains(c);
    if !word.is_empty() && word.chars().all(tame) {
        return word.to_owned();
    }
    let visible: String = word.chars().map(|c| if c.is_control() { '�' } else { c }).collect();
    format!("'{}'", visible.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(argv: &[&str]) -> job::Spec {
        let mut spec = job::Spec { kind: "command".to_owned(), ..job::Spec::default() };
        spec.params.insert("argv".to_owned(), serde_json::json!(argv));
        spec
    }

    #[test]
    fn a_summary_is_one_safe_line() {
        assert_eq!(summary(&command(&["echo", "hi there", "it's"])), r"echo 'hi there' 'it'\''s'");
        let hostile = summary(&command(&["echo", "a\n\x1b[31m"]));
        assert!(hostile.chars().all(|c| !c.is_control()), "{hostile:?}");
        assert_eq!(summary(&command(&["x"; 500])).chars().count(), MAX_SUMMARY);
    }

    #[test]
    fn times_have_microseconds_and_read_back() {
        let time = WallTime(1_700_000_000_000_001);
        assert_eq!(to_rfc3339(time), "2023-11-14T22:13:20.000001Z");
        assert_eq!(from_rfc3339(&to_rfc3339(time)), Some(time));
    }
}
