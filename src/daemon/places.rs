//! Where a daemon keeps its state and listens, worked out from flags and environment.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::args::Args;
use crate::config::Mode;
use crate::protocol::{SYSTEM_SOCKET, user_socket, user_state_dir};

/// Where a system daemon keeps its state when the service manager names no place.
const SYSTEM_STATE: &str = "/var/lib/twolane";

/// A daemon's places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Places {
    pub(super) mode: Mode,
    pub(super) state_dir: PathBuf,
    pub(super) socket: PathBuf,
}

/// Neither flag nor environment say where state can be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no place for the state: set HOME or XDG_STATE_HOME, or give --state-dir")]
pub struct NoPlace;

impl Places {
    /// The places for these flags; `variable` reads the environment.
    pub(super) fn find(
        args: &Args,
        variable: impl Fn(&str) -> Option<PathBuf>,
    ) -> Result<Self, NoPlace> {
        let mode = if args.system { Mode::System } else { Mode::User };
        let given = args.state_dir.clone();
        let state_dir = match mode {
            Mode::System => given
                .or_else(|| variable("STATE_DIRECTORY"))
                .unwrap_or_else(|| PathBuf::from(SYSTEM_STATE)),
            Mode::User => {
                let (state, home) = (variable("XDG_STATE_HOME"), variable("HOME"));
                given
                    .or_else(|| user_state_dir(state.as_deref(), home.as_deref()))
                    .ok_or(NoPlace)?
            }
        };
        let state_dir = std::path::absolute(&state_dir).unwrap_or(state_dir);
        let socket = match (&args.socket, mode) {
            (Some(path), _) => path.clone(),
            (None, Mode::System) => PathBuf::from(SYSTEM_SOCKET),
            // A state directory of its own is a daemon of its own: it must not take the usual socket.
            (None, Mode::User) if args.state_dir.is_some() => {
                crate::protocol::socket_in(&state_dir)
            }
            (None, Mode::User) => {
                let runtime = variable("XDG_RUNTIME_DIR");
                let run_user = own_run_user();
                user_socket(runtime.as_deref(), run_user.as_deref(), Some(&state_dir))
                    .ok_or(NoPlace)?
            }
        };
        let socket = std::path::absolute(&socket).unwrap_or(socket);
        Ok(Self { mode, state_dir, socket })
    }
}

/// `/run/user/UID` if it is there and ours.
fn own_run_user() -> Option<PathBuf> {
    let uid = rustix::process::getuid().as_raw();
    let folder = Path::new("/run/user").join(uid.to_string());
    let ours = std::fs::metadata(&folder).is_ok_and(|found| found.is_dir() && found.uid() == uid);
    ours.then_some(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_directory_of_its_own_has_a_socket_of_its_own() {
        let args = Args { state_dir: Some("/tmp/x".into()), ..Args::default() };
        let places = Places::find(&args, |_| None).unwrap();
        assert_eq!(places.socket, Path::new("/tmp/x/twolane.sock"));
    }

    #[test]
    fn the_system_daemon_listens_where_clients_look() {
        let args = Args { system: true, ..Args::default() };
        let places = Places::find(&args, |_| None).unwrap();
        assert_eq!(places.socket, Path::new(SYSTEM_SOCKET));
        assert_eq!(places.state_dir, Path::new(SYSTEM_STATE));
    }

    #[test]
    fn without_a_home_there_is_no_place() {
        assert_eq!(Places::find(&Args::default(), |_| None), Err(NoPlace));
    }
}
