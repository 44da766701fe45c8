//! Draining and ending.

use std::time::Duration;

use tokio::sync::oneshot;

use super::super::event::{Answer, Signal};
use super::super::{clock, systemd};
use super::{Control, Then};
use crate::job::{Change, Deadline, Drain, Outcome, State, WallTime};
use crate::lanes::{Cause, Ended};
use crate::protocol::Error;
use crate::scheduler::{Explanation, Gate, Input};
use crate::store::Refusal;

/// How far the daemon's end has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) enum Phase {
    /// It has not begun.
    #[default]
    Running,
    /// Nothing new starts.
    Draining,
    /// Nothing new starts or is taken; the daemon ends when nothing runs, or when time is up.
    Stopping {
        /// When running attempts are ended, unless they were.
        until: Option<Deadline>,
    },
}

/// What is written down of an attempt that the daemon's own end cut short: it is queued again without
/// having used up a try, unless it must not run twice.
pub(super) fn interrupted(ended: &Ended, once: bool, hold: bool, at: WallTime) -> Change {
    Change::Ended {
        job: ended.job,
        token: ended.token,
        outcome: Outcome::Interrupted,
        usage: ended.usage,
        at,
        next: match (once, hold) {
            (true, _) => State::Failed,
            (false, true) => State::Held,
            (false, false) => State::Queued,
        },
        not_before: None,
    }
}

impl Control {
    pub(super) fn on_signal(&mut self, signal: Signal) {
        match signal {
            Signal::Stop => {
                let again = matches!(self.state.phase, Phase::Stopping { .. });
                self.stop(again);
            }
            Signal::Reload => {
                if let Err(error) = self.reload() {
                    tracing::error!("the old config stays in force: {}", error.message());
                }
            }
        }
    }

    /// Starts nothing more from now on, and has that written down so that it outlives the daemon; what
    /// ends it counts once it is written down.
    pub(super) fn on_drain(&mut self, drain: Option<Drain>, answer: Answer<()>) {
        let mut drain = drain;
        if let Some(drain) = &mut drain {
            self.step(Input::Starts(false));
            // Who drains what is drained already, and says no reason, leaves the one there is.
            let known = self.state.drain.as_ref().and_then(|known| known.reason.clone());
            drain.reason = drain.reason.take().or(known);
        }
        self.write(Change::DrainSet(drain), Then::Drain(answer));
    }

    /// A drain, or its end, is written down or was refused.
    pub(super) fn drained(
        &mut self,
        drain: Option<Drain>,
        back: Answer<()>,
        answer: Result<(), Refusal>,
    ) {
        if answer.is_ok() {
            if !matches!(self.state.phase, Phase::Stopping { .. }) {
                self.state.phase = if drain.is_some() { Phase::Draining } else { Phase::Running };
            }
            self.state.drain = drain;
        }
        self.allow_starts();
        let answer = answer.map_err(|refusal| Error::Internal { message: refusal.to_string() });
        // The client may have gone.
        let _ = back.send(answer);
    }

    /// The explanation, with what the scheduler does not know: why nothing starts.
    pub(super) fn with_drain(&self, mut told: Explanation) -> Explanation {
        if let (Phase::Draining, Some(drain)) = (self.state.phase, &self.state.drain) {
            for gate in told.gates.iter_mut().filter(|gate| **gate == Gate::StartsOff) {
                *gate = Gate::Drained { reason: drain.reason.clone() };
            }
        }
        told.gates.extend(self.room_gate(&told));
        told
    }

    /// Whether the job's command is one of those that the system has no room for.
    fn room_gate(&self, told: &Explanation) -> Option<Gate> {
        let processes = &self.launcher.processes;
        let (token, _) = told.running?;
        let starts = Some(processes.short_of_room()).filter(|&starts| starts > 0)?;
        self.lanes.waits(token).then_some(Gate::NoRoom { starts })
    }

    pub(super) fn on_stop(&mut self, at_once: bool, answer: oneshot::Sender<()>) {
        let _ = answer.send(());
        self.stop(at_once);
    }

    fn stop(&mut self, at_once: bool) {
        systemd::stopping();
        self.step(Input::Starts(false));
        if at_once {
            tracing::info!(running = self.lanes.len(), "ending now");
            self.end_attempts();
        } else {
            let patience = self.settings.drain_timeout();
            tracing::info!(
                running = self.lanes.len(),
                ?patience,
                "ending when nothing runs any more"
            );
            let until = Deadline::after(clock::now(), patience);
            self.state.phase = Phase::Stopping { until: Some(until) };
        }
    }

    /// Ends what still runs when the drain time is up.
    pub(super) fn check_deadline(&mut self) {
        if let Phase::Stopping { until: Some(until) } = self.state.phase
            && until.is_due(clock::now())
        {
            tracing::warn!(running = self.lanes.len(), "the drain time is up: ending what runs");
            self.end_attempts();
        }
    }

    /// Ends what runs, and what begins from now on. What a user wanted cancelled stays so.
    fn end_attempts(&mut self) {
        self.perform();
        self.state.phase = Phase::Stopping { until: None };
        self.lanes.end_all(Cause::Interrupted);
    }

    /// When the loop wants to be woken, by the boot clock and by the wall clock.
    pub(super) fn next_moment(&self) -> (Option<Duration>, Option<WallTime>) {
        let own = match self.state.phase {
            Phase::Stopping { until } => until,
            Phase::Running | Phase::Draining => None,
        };
        let scheduler = self.scheduler.next_deadline();
        let turns = if self.takes_turns() { self.agenda.next() } else { (None, None) };
        let boot = [own, scheduler].into_iter().flatten().map(|deadline| deadline.boot);
        let gathered = self.gathering_left().map(|left| clock::now().boot + left);
        let wall = [self.scheduler.next_wall(), turns.1];
        (boot.chain(gathered).chain(turns.0).min(), wall.into_iter().flatten().min())
    }

    /// Whether schedules have their turns: not while nothing can be written, nor when the daemon ends.
    pub(super) fn takes_turns(&self) -> bool {
        self.refuses_jobs().is_none()
    }

    /// Whether everything is done that has to be done before the daemon ends. With a full disk what
    /// can't be written is left to the side journal and the next start's recovery.
    pub(super) fn is_over(&self) -> bool {
        let full = self.state.full.is_some();
        let noted = self.state.offered >= self.state.batch.len();
        let nothing_runs = self.lanes.is_empty() && (full || self.state.starting.is_empty());
        let written = (full && noted) || self.state.batch.is_empty();
        matches!(self.state.phase, Phase::Stopping { .. })
            && nothing_runs
            && written
            && !self.writer.is_busy()
    }

    /// Whether running attempts have been told to end.
    pub(super) const fn is_ending_now(&self) -> bool {
        matches!(self.state.phase, Phase::Stopping { until: None })
    }

    /// Lets new work start, if nothing else forbids it.
    pub(super) fn allow_starts(&mut self) {
        if self.state.phase == Phase::Running && self.state.full.is_none() {
            self.step(Input::Starts(true));
        }
    }

    /// Why no new jobs are taken, if that is so.
    pub(super) fn refuses_jobs(&self) -> Option<Error> {
        if matches!(self.state.phase, Phase::Stopping { .. }) {
            let message = "the daemon is ending: submit again when it is back".to_owned();
            return Some(Error::Stopping { message });
        }
        self.state.full.as_ref().map(|error| Error::StorageFull { message: error.to_string() })
    }

    /// `running`, `draining` or `degraded`, and why.
    pub(super) fn health(&self) -> (&'static str, Option<String>) {
        if let Some(problem) = self.shortage() {
            return ("degraded", Some(problem));
        }
        let short = self.launcher.processes.short_of_room();
        if short > 0 {
            let problem = format!(
                "the system has no room for another process, or no descriptor for it: {short} starts are tried again and again; end something, or raise TasksMax or LimitNOFILE"
            );
            return ("degraded", Some(problem));
        }
        match self.state.phase {
            Phase::Running => ("running", None),
            Phase::Draining => {
                let reason = self.state.drain.as_ref().and_then(|drain| drain.reason.as_deref());
                let reason = reason.map_or_else(String::new, |reason| format!(" ({reason})"));
                ("draining", Some(format!("asked for{reason}; `drain --off` ends it")))
            }
            Phase::Stopping { .. } => ("draining", Some("the daemon is ending".to_owned())),
        }
    }
}
