//! Replacing the daemon's program while its jobs go on.
//!
//! In this order: the installed program says that it can go on here; nothing new starts; what runs inside the daemon ends
//! or is queued again; sessions answer what they were asked and close; everything is written down; the ends of children
//! are left where they are. Then the next program takes this one's place, and is told of what goes on. Until that moment
//! nothing is done that could not be taken back, so whatever goes wrong on the way, the daemon goes on as before.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::sync::{mpsc, oneshot, watch};

use super::super::event::Answer;
use super::super::handover::{FORMAT, Heirs, Note, Told, Units};
use super::super::image::{FileId, Image, Unfit};
use super::super::running::Replacement;
use super::super::signals::{self, Ear};
use super::super::{clock, systemd};
use super::{Control, Phase};
use crate::job::{Deadline, JobId};
use crate::lanes::{Cause, Ended};
use crate::protocol::{Error, RestartReply};
use crate::scheduler::Input;

/// How long attempts that were told to end may take for it: a command that just begins has its grace, and code that
/// does not listen must not keep everything else from starting for ever.
const END_PATIENCE: Duration = Duration::from_secs(60);
/// How long the last records may take to be written when nobody asks for anything any more.
const LAST_PATIENCE: Duration = Duration::from_secs(20);

/// What it takes to replace the program.
#[derive(Debug)]
pub(in super::super) struct Succession {
    /// The program; none if the daemon is a part of another one.
    pub(in super::super) image: Option<Image>,
    /// The soft limit on descriptors that children get.
    pub(in super::super) nofile: u64,
    /// To whoever holds the state directory's lock and can replace the program.
    pub(in super::super) replacing: mpsc::Sender<Replacement>,
    /// Whether sessions are to close and nobody is let in.
    pub(in super::super) leaving: watch::Sender<bool>,
    /// Hears signals.
    pub(in super::super) ear: Option<Ear>,
}

impl Succession {
    /// Nobody leaves yet, and no signal is heard; with what is told to whoever can replace the program, and to sessions.
    pub(in super::super) fn new(
        image: Option<Image>,
        nofile: u64,
    ) -> (Self, mpsc::Receiver<Replacement>, watch::Receiver<bool>) {
        let (replacing, asked) = mpsc::channel(1);
        let (leaving, left) = watch::channel(false);
        (Self { image, nofile, replacing, leaving, ear: None }, asked, left)
    }
}

/// A restart that is under way.
#[derive(Debug)]
pub(super) struct Restart {
    /// Who asked for it, until there is an answer.
    answer: Option<Answer<RestartReply>>,
    at_once: bool,
    stage: Stage,
    /// The file that was asked and said yes.
    file: Option<FileId>,
    /// How many jobs were queued again.
    queued_again: u64,
}

/// How far it has come.
#[derive(Debug)]
enum Stage {
    /// The installed program is being asked.
    Asking,
    /// What runs inside the daemon has until then to end.
    Ending { until: Deadline },
    /// It was told to, and nothing is replaced if it has not until then.
    Forcing { until: Deadline },
    /// Sessions close.
    Leaving,
    /// The last records are written.
    Last { until: Deadline, listener: Arc<UnixListener> },
}

impl Control {
    /// Begins a restart, if one is possible; with `at_once` what runs inside the daemon has no time to end.
    pub(super) fn on_restart(&mut self, at_once: bool, answer: Option<Answer<RestartReply>>) {
        let image = match self.may_restart() {
            Ok(image) => image,
            Err(error) => {
                tracing::error!("not restarted: {}", error.message());
                if let Some(answer) = answer {
                    // Here and below: the client may have gone.
                    let _ = answer.send(Err(error));
                }
                return;
            }
        };
        systemd::reloading();
        tracing::info!("asking {} whether it can go on here", image.path().display());
        let (stage, file) = (Stage::Asking, None);
        self.state.restart = Some(Restart { answer, at_once, stage, file, queued_again: 0 });
        let (processes, own) = (self.launcher.processes.clone(), self.own.clone());
        tokio::spawn(async move {
            let checked = image.check(&processes).await;
            // The loop is gone only when the daemon has ended.
            let _ = own.send(super::super::event::Event::Checked(checked)).await;
        });
    }

    fn may_restart(&self) -> Result<Image, Error> {
        let refused = |message: &str| Error::RestartRefused { message: message.to_owned() };
        if let Some(error) = self.refuses_jobs() {
            return Err(error);
        }
        if self.state.restart.is_some() {
            return Err(refused("the daemon is being restarted already"));
        }
        self.succession.image.clone().ok_or_else(|| {
            refused("this daemon is a part of another program, which alone can restart itself")
        })
    }

    pub(super) fn on_checked(&mut self, checked: Result<FileId, Unfit>) {
        let patience = self.settings.restart_timeout();
        let Some(restart) = &mut self.state.restart else { return };
        match checked {
            Err(unfit) => self.go_on(&unfit.to_string()),
            Ok(file) => {
                let patience = if restart.at_once { Duration::ZERO } else { patience };
                let until = Deadline::after(clock::now(), patience);
                (restart.file, restart.stage) = (Some(file), Stage::Ending { until });
                systemd::status("being restarted");
                self.step(Input::Starts(false));
            }
        }
    }

    /// Whether nothing may start because the program is about to be replaced.
    pub(super) fn is_passing_on(&self) -> bool {
        self.state.restart.as_ref().is_some_and(|restart| !matches!(restart.stage, Stage::Asking))
    }

    /// Whether what runs inside the daemon was told to end.
    pub(super) fn is_forcing(&self) -> bool {
        let restart = self.state.restart.as_ref();
        restart.is_some_and(|restart| matches!(restart.stage, Stage::Forcing { .. }))
    }

    /// When the restart wants to be looked at.
    pub(super) fn restart_deadline(&self) -> Option<Deadline> {
        match self.state.restart.as_ref()?.stage {
            Stage::Ending { until } | Stage::Forcing { until } | Stage::Last { until, .. } => {
                Some(until)
            }
            Stage::Asking | Stage::Leaving => None,
        }
    }

    /// An attempt was ended for the restart: its job is queued again without having used up a try, unless it must not
    /// run twice.
    pub(super) fn interrupted_by_restart(&mut self, ended: &Ended, once: bool) {
        if let Some(restart) = &mut self.state.restart {
            restart.queued_again += u64::from(!once);
        }
        let Ended { job, token, usage, .. } = *ended;
        self.step(Input::Interrupted { job, token, usage, again: !once });
    }

    /// Takes the next step of a restart that is under way, if its time has come.
    pub(super) fn go_on_with_restart(&mut self) {
        let now = clock::now();
        let Some(restart) = &self.state.restart else { return };
        match &restart.stage {
            Stage::Asking | Stage::Leaving => {}
            _ if self.state.full.is_some() => {
                self.go_on("nothing can be written for now; try again when there is room");
            }
            Stage::Ending { .. } | Stage::Forcing { .. } if self.only_outside() => self.leave(),
            Stage::Ending { until } if until.is_due(now) => {
                tracing::info!(running = self.lanes.inside(), "queueing again what runs inside");
                let until = Deadline::after(now, END_PATIENCE);
                self.enter_stage(Stage::Forcing { until });
                self.perform();
                self.lanes.end_inside(Cause::Interrupted);
            }
            Stage::Forcing { until } if until.is_due(now) => {
                let problem = format!(
                    "{} attempts inside the daemon do not end though they were told to; `list --state running` shows them, `stop` ends the daemon",
                    self.lanes.inside()
                );
                self.go_on(&problem);
            }
            Stage::Last { until, .. } if until.is_due(now) => {
                self.go_on("the last records could not be written in time");
            }
            _ => {}
        }
    }

    fn enter_stage(&mut self, stage: Stage) {
        if let Some(restart) = &mut self.state.restart {
            restart.stage = stage;
        }
    }

    /// Whether nothing runs but processes.
    fn only_outside(&self) -> bool {
        self.state.starting.is_empty() && self.lanes.all_go_on()
    }

    /// Has the sessions close, and answers who asked for the restart.
    fn leave(&mut self) {
        self.enter_stage(Stage::Leaving);
        self.succession.leaving.send_replace(true);
        let kept = self.lanes.len() as u64;
        let Some(restart) = &mut self.state.restart else { return };
        let reply = RestartReply {
            version: crate::VERSION.to_owned(),
            kept,
            queued_again: restart.queued_again,
        };
        if let Some(answer) = restart.answer.take() {
            let _ = answer.send(Ok(reply));
        }
    }

    pub(super) fn on_sessions_left(&mut self, listener: Arc<UnixListener>) {
        if self.state.restart.is_some() {
            let until = Deadline::after(clock::now(), LAST_PATIENCE);
            self.enter_stage(Stage::Last { until, listener });
        }
    }

    /// Replaces the program if everything is ready for it. Comes back if it was not, or could not be.
    pub(super) async fn pass_on(&mut self) {
        let Some(Restart { stage: Stage::Last { listener, .. }, file, .. }) = &self.state.restart
        else {
            return;
        };
        let (listener, file) = (Arc::clone(listener), *file);
        if !self.is_settled() {
            return;
        }
        // From here on no end of a child is taken; those taken before are told, and looked at in a next turn.
        self.launcher.processes.hold_ends();
        let going = self.lanes.going_on();
        if going.len() != self.lanes.len() || !self.is_settled() {
            return;
        }
        if let Some(ear) = self.succession.ear.take() {
            ear.close();
        }
        let Some(image) = self.succession.image.clone().filter(|_| self.events.is_empty()) else {
            return self.listen_again();
        };
        if image.look() != file.ok_or(Unfit::Changed { path: image.path().to_owned() }) {
            return self.go_on(&Unfit::Changed { path: image.path().to_owned() }.to_string());
        }
        tracing::info!(attempts = going.len(), "{} takes over", image.path().display());
        let units = |job| self.units_of(job);
        let note = Note {
            format: FORMAT,
            version: crate::VERSION.to_owned(),
            program: image.path().to_owned(),
            state_dir: self.settings.about.state_dir.clone(),
            socket: self.settings.about.socket.clone(),
            nofile: self.succession.nofile,
            lock: -1,
            listener: -1,
            attempts: going.iter().map(|one| Told::of(one, units(one.job))).collect(),
        };
        let (refused, answer) = oneshot::channel();
        let replacement = Replacement { image, note, listener, refused };
        let asked = self.succession.replacing.try_send(replacement);
        let problem = match asked {
            Ok(()) => answer.await.map_or_else(|gone| gone.to_string(), |error| error.to_string()),
            Err(error) => error.to_string(),
        };
        self.go_on(&format!("the new program could not be started: {problem}"));
    }

    /// Whether everything that happened is written down, and nothing is on its way.
    fn is_settled(&self) -> bool {
        self.state.batch.is_empty()
            && !self.writer.is_busy()
            && self.state.actions.is_empty()
            && self.only_outside()
            && self.reports.is_empty()
            && self.events.is_empty()
    }

    fn units_of(&self, job: JobId) -> Units {
        let units = self.scheduler.units(job).into_iter();
        let texts = |units: Vec<Arc<str>>| units.iter().map(ToString::to_string).collect();
        units.map(|(name, units)| (name.to_string(), texts(units))).collect()
    }

    /// Gives the restart up: everything is as it was before.
    pub(super) fn go_on(&mut self, problem: &str) {
        let Some(restart) = self.state.restart.take() else { return };
        tracing::error!("not restarted: {problem}");
        if let Some(answer) = restart.answer {
            let _ = answer.send(Err(Error::RestartRefused { message: problem.to_owned() }));
        }
        self.launcher.processes.release_ends();
        self.listen_again();
        self.succession.leaving.send_replace(false);
        if !matches!(self.state.phase, Phase::Stopping { .. }) {
            systemd::ready(&format!("running; not restarted: {problem}"));
        }
        self.allow_starts();
    }

    fn listen_again(&mut self) {
        if self.succession.image.is_none() || self.succession.ear.is_some() {
            return;
        }
        match signals::listen(self.own.clone()) {
            Ok(ear) => self.succession.ear = Some(ear),
            Err(error) => tracing::error!("signals are not heard any more: {error}"),
        }
    }

    /// Goes on with the attempts that an earlier program handed over.
    pub(in super::super) fn resume(&mut self, heirs: Heirs, once: &HashSet<JobId>) {
        for (job, inherited) in heirs {
            self.state.once.insert(job, once.contains(&job));
            self.lanes.resume(inherited.resumed);
            self.press.begins();
        }
    }
}
