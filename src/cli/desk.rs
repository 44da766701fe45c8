//! What every command has at hand: its outputs, the caller's surroundings, and the way to the daemon.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::args::Globals;
use super::error::Error;
use super::output::Output;
use super::start;
use crate::client::{
    CallError, Client, ConnectError, Decision, Environment, Facts, Mode, Place, Plan, Probe, Wish,
    decide, plan,
};
use crate::job::exit_code;
use crate::protocol::{Empty, Method, call};

/// The folders where a system daemon's unit can be installed.
const UNIT_FOLDERS: [&str; 5] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

/// The caller's environment variables.
#[derive(Clone, Debug, Default)]
pub(super) struct Surroundings {
    variables: Vec<(OsString, OsString)>,
}

/// What every command has at hand.
pub(super) struct Desk {
    /// Where results and notices go.
    pub(super) out: Output,
    /// The caller's environment variables.
    pub(super) surroundings: Surroundings,
    globals: Globals,
    reached: Option<Place>,
}

impl Surroundings {
    /// Those of this process.
    pub(super) fn of_this_process() -> Self {
        Self { variables: std::env::vars_os().collect() }
    }

    /// These and no others.
    #[cfg(test)]
    pub(super) fn of(variables: &[(&str, &str)]) -> Self {
        let owned = |(name, value): &(&str, &str)| (name.into(), value.into());
        Self { variables: variables.iter().map(owned).collect() }
    }

    /// All variables.
    pub(super) fn variables(&self) -> &[(OsString, OsString)] {
        &self.variables
    }

    /// The value of a variable that is set and not empty.
    pub(super) fn get(&self, name: &str) -> Option<&OsStr> {
        let (_, value) = self.variables.iter().find(|(known, _)| known == name)?;
        (!value.is_empty()).then_some(value)
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        self.get(name).map(PathBuf::from)
    }

    fn environment(&self) -> Environment {
        let runtime_dir = self.path("XDG_RUNTIME_DIR");
        Environment {
            socket: self.path("TWOLANE_SOCKET"),
            run_user: if runtime_dir.is_some() { None } else { run_user() },
            runtime_dir,
            state_home: self.path("XDG_STATE_HOME"),
            home: self.path("HOME"),
        }
    }
}

impl Desk {
    /// A desk with these outputs and surroundings.
    pub(super) const fn new(globals: Globals, out: Output, surroundings: Surroundings) -> Self {
        Self { out, surroundings, globals, reached: None }
    }

    /// Whether results are written as JSON.
    pub(super) const fn json(&self) -> bool {
        self.globals.json
    }

    /// Whether only results are wanted.
    pub(super) const fn quiet(&self) -> bool {
        self.globals.quiet
    }

    /// Connects to the daemon; starts one where that is allowed.
    pub(super) async fn connect(&mut self) -> Result<Client, Error> {
        self.reach(true).await
    }

    /// Where the daemon listens that was reached.
    pub(super) fn reached_at(&self) -> Option<PathBuf> {
        self.reached.as_ref().map(|place| place.socket.clone())
    }

    /// Connects to a daemon that runs already.
    pub(super) async fn connect_only(&mut self) -> Result<Client, Error> {
        self.reach(false).await
    }

    /// Connects and calls a method that answers once.
    pub(super) async fn call<M: Method>(
        &mut self,
        parameters: &M::Parameters,
    ) -> Result<M::Reply, Error> {
        Ok(self.connect().await?.call::<M>(parameters).await?)
    }

    /// Calls a method of a daemon that runs already.
    pub(super) async fn call_only<M: Method>(
        &mut self,
        parameters: &M::Parameters,
    ) -> Result<M::Reply, Error> {
        Ok(self.connect_only().await?.call::<M>(parameters).await?)
    }

    /// Whose daemon it is that `client` talks to.
    pub(super) async fn mode(&mut self, client: &mut Client) -> Result<Mode, CallError> {
        let environment = self.surroundings.environment();
        if let Some(mode) = self.reached.as_ref().and_then(|place| place.mode(&environment)) {
            return Ok(mode);
        }
        let status = client.call::<call::Status>(&Empty {}).await?;
        Ok(if status.mode == "system" { Mode::System } else { Mode::User })
    }

    /// Every socket of the usual places that answers, other than the one that was used.
    pub(super) async fn others_alive(&self) -> Vec<PathBuf> {
        let Ok(plan) = plan(
            &Wish::default(),
            &Environment { socket: None, ..self.surroundings.environment() },
        ) else {
            return Vec::new();
        };
        let used = self.reached.as_ref().map(|place| place.socket.as_path());
        let mut alive = Vec::new();
        for place in plan.places.into_iter().filter(|place| Some(place.socket.as_path()) != used) {
            if Client::connect(&place.socket).await.is_ok() {
                alive.push(place.socket);
            }
        }
        alive
    }

    async fn reach(&mut self, may_start: bool) -> Result<Client, Error> {
        if let Some(place) = &self.reached {
            return Ok(Client::connect(&place.socket).await?);
        }
        let wish = Wish {
            socket: self.globals.socket.clone(),
            user: self.globals.user,
            system: self.globals.system,
            no_start: self.globals.no_start || !may_start,
        };
        let plan = plan(&wish, &self.surroundings.environment())?;
        let probes = match try_places(&plan).await? {
            Ok((place, client)) => return Ok(self.note(place, client)),
            Err(probes) => probes,
        };
        let facts = Facts { system_unit: system_unit() };
        let (socket, state_dir) = match decide(&plan, &probes, &facts) {
            Decision::Start { socket, state_dir } => (socket, state_dir),
            Decision::Refuse(refusal) => return Err(refusal.into()),
        };
        let client = start::daemon(&socket, &state_dir, &mut self.out).await?;
        Ok(self.note(plan.places[0].clone(), client))
    }

    fn note(&mut self, place: Place, client: Client) -> Client {
        self.reached = Some(place);
        client
    }
}

/// Connects to the first place that answers; otherwise tells what each did.
async fn try_places(plan: &Plan) -> Result<Result<(Place, Client), Vec<Probe>>, Error> {
    let mut probes = Vec::new();
    for place in &plan.places {
        probes.push(match Client::connect(&place.socket).await {
            Ok(client) => return Ok(Ok((place.clone(), client))),
            Err(ConnectError::Nobody { stale: false, .. }) => Probe::Absent,
            Err(ConnectError::Nobody { stale: true, .. }) => Probe::Stale,
            Err(ConnectError::Denied { .. }) => Probe::Denied,
            Err(error @ ConnectError::Io { .. }) => return Err(error.into()),
        });
    }
    Ok(Err(probes))
}

fn run_user() -> Option<PathBuf> {
    let uid = rustix::process::geteuid().as_raw();
    let path = PathBuf::from(format!("/run/user/{uid}"));
    let ours = std::fs::metadata(&path).is_ok_and(|about| about.is_dir() && about.uid() == uid);
    ours.then_some(path)
}

fn system_unit() -> Option<PathBuf> {
    let files = ["service", "socket"].map(|ending| format!("{}.{ending}", crate::DAEMON_NAME));
    UNIT_FOLDERS
        .iter()
        .flat_map(|folder| files.iter().map(|file| Path::new(folder).join(file)))
        .find(|path| path.exists())
}

/// The exit code of a command that did what it was asked to.
pub(super) const DONE: Result<i32, Error> = Ok(exit_code::SUCCESS);
