//! Edits of jobs in memory.

use std::sync::Arc;

use crate::job::{Came, Edited, Turn};
use crate::store::{Refusal, gate};

use super::{Boot, Content};

impl Content {
    pub(super) fn edited(&mut self, edited: &Edited, boot: &Boot) -> Result<(), Refusal> {
        gate::edited(edited)?;
        let kept = self.standing(edited.job, edited.from)?;
        if kept.job.edits != edited.edits {
            return Err(Refusal::EditedMeanwhile(edited.job));
        }
        let others = edited.requirements.iter().flat_map(|all| all.iter().map(|other| other.job));
        if let Some(absent) = others.into_iter().find(|id| !self.jobs.contains_key(id)) {
            return Err(Refusal::NoSuchJob(absent));
        }
        let turn = edited.turn.map(|turn| self.resolved(turn)).transpose()?;
        let kept = self.standing(edited.job, edited.from)?;
        kept.turn = turn.or(kept.turn);
        kept.job.edits += 1;
        (kept.job.spec, kept.job.context) = (Arc::clone(&edited.spec), Arc::clone(&edited.context));
        if let Some(others) = &edited.requirements {
            (kept.requirements, kept.passed) = (Arc::clone(others), false);
        }
        kept.go(edited.to, edited.not_before, edited.at, boot);
        Ok(())
    }

    fn resolved(&self, turn: Turn) -> Result<Turn, Refusal> {
        let Came::With(other) = turn.came else { return Ok(turn) };
        let kept = self.jobs.get(&other).ok_or(Refusal::NoSuchJob(other))?;
        let came = kept.turn.map_or(Came::At(kept.job.submitted_at), |turn| turn.came);
        Ok(Turn { came, ..turn })
    }
}
