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
}
