//! From a job's work to an attempt that a lane can run.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::captured::Captured;
use crate::handlers::{COMMAND, Output, Placeholders, Registry, Run, expand_output};
use crate::job::Class;
use crate::lanes::Attempt;
use crate::process::Processes;
use crate::scheduler::{Demand, Start};
use crate::store::Work;

/// Makes attempts.
#[derive(Clone, Debug)]
pub(super) struct Launcher {
    /// The kinds.
    pub(super) registry: Arc<Registry>,
    /// What starts commands, to be asked how that goes.
    pub(super) processes: Processes,
    /// Where captured output goes.
    pub(super) captured: Captured,
    /// The time between TERM and KILL of jobs that name none.
    pub(super) grace: Duration,
}

/// Whether work of this kind runs inside the daemon: everything but commands, which are processes of their own.
pub(super) fn runs_inside(kind: &str) -> bool {
    kind != COMMAND
}

impl Launcher {
    /// The attempt that `start` asks for, with these variables beside the submitter's, or why it can't
    /// be made.
    pub(super) fn attempt(
        &self,
        start: &Start,
        work: &Work,
        variables: Vec<(String, String)>,
    ) -> Result<Attempt, String> {
        let spec = &work.spec;
        let mut context = Arc::clone(&work.context);
        if !variables.is_empty() {
            Arc::make_mut(&mut context).env.extend(variables);
        }
        let kind = self
            .registry
            .get(&spec.kind)
            .ok_or_else(|| format!("kind {:?} is not known to this daemon any more", spec.kind))?;
        let class = start.demand.class;
        let handler = kind
            .handler(class)
            .ok_or_else(|| format!("kind {:?} can't run as class {class} any more", spec.kind))?;
        let run = Run {
            job: start.job,
            attempt: start.attempt,
            token: start.token,
            name: spec.name.clone(),
            index: work.place.map(|place| place.index),
            cpus: spec.cpus,
            params: spec.params.clone(),
            context,
            output: self.output(start, work)?,
            cancel: CancellationToken::new(),
            grace: spec.grace.unwrap_or(self.grace),
            progress: Arc::default(),
        };
        Ok(Attempt { run, handler, class, timeout: spec.timeout })
    }

    fn output(&self, start: &Start, work: &Work) -> Result<Output, String> {
        let spec = &work.spec;
        let err = (!spec.merge).then(|| self.captured.err(start.job, start.attempt));
        match &spec.output {
            None => Ok(Output::new(self.captured.out(start.job, start.attempt), err)),
            Some(template) => {
                let filled = Placeholders {
                    job: start.job,
                    index: work.place.map(|place| place.index),
                    name: spec.name.as_deref(),
                    attempt: start.attempt,
                };
                let path = expand_output(template, &filled).map_err(|error| error.to_string())?;
                let path = work.context.cwd.join(path);
                Ok(Output::users(path, err, start.attempt, work.context.umask))
            }
        }
    }

    /// What a job of this kind and class takes while it runs. A kind that is not known any more gets
    /// the safe side: it fails when its turn comes.
    pub(super) fn demand(&self, kind: &str, class: Class, cpus: u32) -> Demand {
        let class = self.registry.get(kind).map_or(Class::Cpu, |kind| kind.runs_as(class));
        let permits = if class == Class::Cpu { cpus } else { 0 };
        Demand { class, permits, inside: runs_inside(kind) }
    }
}
