//! Where the socket is and where a user's state lives: pure rules over what the environment says.

use std::path::{Path, PathBuf};

/// The system daemon's socket.
pub const SYSTEM_SOCKET: &str = "/run/twolane/twolane.sock";

/// The socket inside a daemon's runtime folder.
pub fn socket_in(folder: &Path) -> PathBuf {
    folder.join(format!("{}.sock", crate::NAME))
}

/// A per-user daemon's state directory: `$XDG_STATE_HOME/twolane`, else `~/.local/state/twolane`.
///
/// `None` if neither variable holds an absolute path.
pub fn user_state_dir(xdg_state_home: Option<&Path>, home: Option<&Path>) -> Option<PathBuf> {
    let absolute = |path: &&Path| path.is_absolute();
    let base = xdg_state_home
        .filter(absolute)
        .map(Path::to_owned)
        .or_else(|| home.filter(absolute).map(|home| home.join(".local/state")))?;
    Some(base.join(crate::NAME))
}

/// A per-user daemon's socket: under `$XDG_RUNTIME_DIR`, else under `/run/user/UID` if that is ours
/// (`run_user` is then given), else in the state directory.
///
/// `None` if there is none of these.
pub fn user_socket(
    xdg_runtime_dir: Option<&Path>,
    run_user: Option<&Path>,
    state_dir: Option<&Path>,
) -> Option<PathBuf> {
    let runtime = xdg_runtime_dir.filter(|path| path.is_absolute()).or(run_user);
    match runtime {
        Some(runtime) => Some(socket_in(&runtime.join(crate::NAME))),
        None => state_dir.map(socket_in),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relative_state_home_is_passed_over() {
        let home = Some(Path::new("/home/me"));
        let found = user_state_dir(Some(Path::new("state")), home);
        assert_eq!(found, Some(PathBuf::from("/home/me/.local/state/twolane")));
        assert_eq!(user_state_dir(None, None), None);
    }

    #[test]
    fn the_user_s_socket_lies_in_the_first_folder_that_there_is() {
        let (runtime, run, state) = ("/x/run", "/run/user/7", "/home/me/.local/state/twolane");
        let some = |path| Some(Path::new(path));
        let found = |runtime, run, state| user_socket(runtime, run, state).unwrap();
        let first = found(some(runtime), some(run), some(state));
        assert_eq!(first, Path::new("/x/run/twolane/twolane.sock"));
        let second = found(some("relative"), some(run), some(state));
        assert_eq!(second, Path::new("/run/user/7/twolane/twolane.sock"));
        let third = found(None, None, some(state));
        assert_eq!(third, Path::new("/home/me/.local/state/twolane/twolane.sock"));
        assert_eq!(user_socket(None, None, None), None);
    }
}
