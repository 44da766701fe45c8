//! Which socket to talk to, and whether a daemon may be started when none answers.
//!
//! Pure rules in two steps: [`plan`] names the places to try, in order; whoever tries them stops at the
//! first that answers and otherwise hands what it saw to [`decide`].

use std::path::{Path, PathBuf};

use crate::protocol::{SYSTEM_SOCKET, user_socket, user_state_dir};

/// What the caller asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// This socket and no other.
    pub socket: Option<PathBuf>,
    /// The per-user daemon.
    pub user: bool,
    /// The system daemon.
    pub system: bool,
    /// Never start a daemon.
    pub no_start: bool,
}

/// What the caller's surroundings say about sockets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// `$TWOLANE_SOCKET`.
    pub socket: Option<PathBuf>,
    /// `$XDG_RUNTIME_DIR`.
    pub runtime_dir: Option<PathBuf>,
    /// `/run/user/UID`, if that folder is there and ours.
    pub run_user: Option<PathBuf>,
    /// `$XDG_STATE_HOME`.
    pub state_home: Option<PathBuf>,
    /// `$HOME`.
    pub home: Option<PathBuf>,
}

/// The rule that chose a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// `--socket`.
    Flag,
    /// `$TWOLANE_SOCKET`.
    Variable,
    /// The user's own socket.
    User,
    /// The system's socket.
    System,
}

/// Whose daemon listens at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The user's own.
    User,
    /// The system's.
    System,
}

/// One place to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The socket.
    pub socket: PathBuf,
    /// Why it is tried.
    pub rule: Rule,
}

/// What to try, in order, and what may follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The places.
    pub places: Vec<Place>,
    /// Whether a per-user daemon may be started if none of them answers.
    start: Start,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Start {
    /// The caller named a daemon that is not ours to start.
    Never,
    /// The caller said `--no-start`.
    Forbidden,
    /// Only where no system daemon is set up.
    Alone { state_dir: PathBuf },
    /// Because the caller said `--user`.
    Asked { state_dir: PathBuf },
}

/// What trying a place brought, other than a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// There is no socket.
    Absent,
    /// There is a socket's file, but nobody listens.
    Stale,
    /// The socket is not for this user.
    Denied,
}

/// What else decides whether a daemon may be started; looked at only when no place answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The unit file of a system daemon, if one is installed.
    pub system_unit: Option<PathBuf>,
}

/// What to do when no place answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Start a per-user daemon.
    Start {
        /// Where it is to listen.
        socket: PathBuf,
        /// Where it keeps its state.
        state_dir: PathBuf,
    },
    /// Give up.
    Refuse(Refusal),
}

/// Why no daemon can be reached: which rule it was, and the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A socket that the caller named has nobody behind it.
    #[error(
        "no daemon answers at {socket}, which {by} names: start one with `twolane daemon --socket {socket}`, or leave it out to look in the usual places",
        socket = socket.display()
    )]
    Named {
        /// The socket.
        socket: PathBuf,
        /// What named it.
        by: &'static str,
    },
    /// A socket is not for this user.
    #[error("permission to use {socket} is denied: {remedy}", socket = socket.display())]
    Denied {
        /// The socket.
        socket: PathBuf,
        /// What to do.
        remedy: &'static str,
    },
    /// The system daemon was asked for and does not run.
    #[error(
        "the system daemon does not answer at {socket}: start it with `systemctl start twolaned`, or use --user for your own daemon",
        socket = socket.display()
    )]
    SystemDown {
        /// The socket.
        socket: PathBuf,
    },
    /// A system daemon is installed, so none is started beside it.
    #[error(
        "no daemon answers, and none is started because {unit} is installed: start it with `systemctl start twolaned`, or use --user for your own daemon",
        unit = unit.display()
    )]
    SystemInstalled {
        /// The unit file.
        unit: PathBuf,
    },
    /// The caller wants none started.
    #[error(
        "no daemon answers at {socket}: `twolane daemon` starts one, and so does `twolane submit` without --no-start",
        socket = socket.display()
    )]
    NoStart {
        /// The socket.
        socket: PathBuf,
    },
    /// Neither a runtime folder nor a home is known.
    #[error(
        "there is no place for your daemon's socket: set HOME or XDG_RUNTIME_DIR to an absolute path, or name a socket with --socket"
    )]
    Homeless,
}

const DENIED_SYSTEM: &str = "ask an administrator to add you to the group twolane (then log in again), or use --user for your own daemon";
const DENIED_OTHER: &str = "it belongs to another user; name a socket of yours with --socket";

impl Place {
    /// Whose daemon listens here, if the rule alone tells.
    pub fn mode(&self, environment: &Environment) -> Option<Mode> {
        let own = environment.own_socket();
        match self.rule {
            Rule::User => Some(Mode::User),
            Rule::System => Some(Mode::System),
            _ if self.socket == Path::new(SYSTEM_SOCKET) => Some(Mode::System),
            _ if Some(&self.socket) == own.as_ref() => Some(Mode::User),
            _ => None,
        }
    }
}

impl Environment {
    fn state_dir(&self) -> Option<PathBuf> {
        user_state_dir(self.state_home.as_deref(), self.home.as_deref())
    }

    fn own_socket(&self) -> Option<PathBuf> {
        let state_dir = self.state_dir();
        user_socket(self.runtime_dir.as_deref(), self.run_user.as_deref(), state_dir.as_deref())
    }
}

/// Names the places to try.
pub fn plan(wish: &Wish, environment: &Environment) -> Result<Plan, Refusal> {
    let only = |socket: &Path, rule| Plan {
        places: vec![Place { socket: socket.to_owned(), rule }],
        start: Start::Never,
    };
    if let Some(socket) = &wish.socket {
        return Ok(only(socket, Rule::Flag));
    }
    if wish.system {
        return Ok(only(Path::new(SYSTEM_SOCKET), Rule::System));
    }
    if let (Some(socket), false) = (&environment.socket, wish.user) {
        return Ok(only(socket, Rule::Variable));
    }
    let socket = environment.own_socket().ok_or(Refusal::Homeless)?;
    let mut places = vec![Place { socket, rule: Rule::User }];
    if !wish.user {
        places.push(Place { socket: SYSTEM_SOCKET.into(), rule: Rule::System });
    }
    let start = match environment.state_dir() {
        _ if wish.no_start => Start::Forbidden,
        None => return Err(Refusal::Homeless),
        Some(state_dir) if wish.user => Start::Asked { state_dir },
        Some(state_dir) => Start::Alone { state_dir },
    };
    Ok(Plan { places, start })
}

/// Decides what follows when none of the plan's places answered; `probes` are in the plan's order.
pub fn decide(plan: &Plan, probes: &[Probe], facts: &Facts) -> Decision {
    for (place, probe) in plan.places.iter().zip(probes) {
        if let Some(refusal) = stops_at(place, *probe) {
            return Decision::Refuse(refusal);
        }
    }
    let socket = plan.places[0].socket.clone();
    match (&plan.start, &facts.system_unit) {
        (Start::Alone { .. }, Some(unit)) => {
            Decision::Refuse(Refusal::SystemInstalled { unit: unit.clone() })
        }
        (Start::Alone { state_dir } | Start::Asked { state_dir }, _) => {
            Decision::Start { socket, state_dir: state_dir.clone() }
        }
        (Start::Never, _) => Decision::Refuse(Refusal::SystemDown { socket }),
        (Start::Forbidden, _) => Decision::Refuse(Refusal::NoStart { socket }),
    }
}

/// Whether what one place did ends the search.
fn stops_at(place: &Place, probe: Probe) -> Option<Refusal> {
    let socket = place.socket.clone();
    match (place.rule, probe) {
        (Rule::System, Probe::Denied) => Some(Refusal::Denied { socket, remedy: DENIED_SYSTEM }),
        (_, Probe::Denied) => Some(Refusal::Denied { socket, remedy: DENIED_OTHER }),
        (Rule::Flag, _) => Some(Refusal::Named { socket, by: "--socket" }),
        (Rule::Variable, _) => Some(Refusal::Named { socket, by: "$TWOLANE_SOCKET" }),
        (Rule::System, Probe::Stale) => Some(Refusal::SystemDown { socket }),
        (Rule::User | Rule::System, Probe::Absent | Probe::Stale) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_home() -> Environment {
        Environment {
            runtime_dir: Some("/run/user/7".into()),
            home: Some("/home/me".into()),
            ..Environment::default()
        }
    }

    fn decided(wish: &Wish, probes: &[Probe], facts: &Facts) -> Decision {
        decide(&plan(wish, &at_home()).unwrap(), probes, facts)
    }

    fn refused(wish: &Wish, probes: &[Probe]) -> String {
        match decided(wish, probes, &Facts::default()) {
            Decision::Refuse(refusal) => refusal.to_string(),
            other @ Decision::Start { .. } => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_flag_goes_before_the_variable_and_the_variable_before_the_usual_places() {
        let environment = Environment { socket: Some("/var".into()), ..at_home() };
        let flag = Wish { socket: Some("/flag".into()), ..Wish::default() };
        assert_eq!(plan(&flag, &environment).unwrap().places[0].socket, Path::new("/flag"));
        let usual = Wish::default();
        assert_eq!(plan(&usual, &environment).unwrap().places[0].rule, Rule::Variable);
        let user = Wish { user: true, ..Wish::default() };
        assert_eq!(plan(&user, &environment).unwrap().places[0].rule, Rule::User);
        let sockets: Vec<_> = plan(&usual, &at_home())
            .unwrap()
            .places
            .into_iter()
            .map(|place| place.socket)
            .collect();
        assert_eq!(
            sockets,
            [Path::new("/run/user/7/twolane/twolane.sock"), Path::new(SYSTEM_SOCKET)]
        );
    }

    #[test]
    fn a_first_run_starts_the_user_s_daemon() {
        let decision =
            decided(&Wish::default(), &[Probe::Absent, Probe::Absent], &Facts::default());
        let state_dir = PathBuf::from("/home/me/.local/state/twolane");
        let socket = PathBuf::from("/run/user/7/twolane/twolane.sock");
        assert_eq!(decision, Decision::Start { socket, state_dir });
    }

    #[test]
    fn a_stale_socket_of_the_user_s_is_no_obstacle() {
        let decision = decided(&Wish::default(), &[Probe::Stale, Probe::Absent], &Facts::default());
        assert!(matches!(decision, Decision::Start { .. }), "{decision:?}");
    }

    #[test]
    fn no_daemon_is_started_beside_a_system_s_one() {
        let unit = PathBuf::from("/etc/systemd/system/twolaned.service");
        let facts = Facts { system_unit: Some(unit) };
        let absent = [Probe::Absent, Probe::Absent];
        let decision = decided(&Wish::default(), &absent, &facts);
        assert!(
            matches!(decision, Decision::Refuse(Refusal::SystemInstalled { .. })),
            "{decision:?}"
        );
        let asked = decided(&Wish { user: true, ..Wish::default() }, &absent, &facts);
        assert!(matches!(asked, Decision::Start { .. }), "{asked:?}");
        let text = refused(&Wish::default(), &[Probe::Absent, Probe::Stale]);
        assert!(text.contains("systemctl start twolaned"), "{text}");
        let text = refused(&Wish::default(), &[Probe::Absent, Probe::Denied]);
        assert!(text.contains("group twolane"), "{text}");
    }

    #[test]
    fn every_refusal_says_the_rule_and_the_remedy() {
        let no_start = Wish { no_start: true, ..Wish::default() };
        let text = refused(&no_start, &[Probe::Absent, Probe::Absent]);
        assert!(text.contains("--no-start") && text.contains("twolane daemon"), "{text}");
        let named = Wish { socket: Some("/x.sock".into()), ..Wish::default() };
        let text = refused(&named, &[Probe::Absent]);
        assert!(
            text.contains("--socket names") && text.contains("daemon --socket /x.sock"),
            "{text}"
        );
        let system = Wish { system: true, ..Wish::default() };
        assert!(refused(&system, &[Probe::Stale]).contains("systemctl start"));
        assert!(refused(&system, &[Probe::Absent]).contains("systemctl start"));
        assert_eq!(plan(&Wish::default(), &Environment::default()), Err(Refusal::Homeless));
    }

    #[test]
    fn the_mode_is_known_wherever_the_place_is_a_usual_one() {
        let place = |socket: &str| Place { socket: socket.into(), rule: Rule::Flag };
        assert_eq!(place(SYSTEM_SOCKET).mode(&at_home()), Some(Mode::System));
        let own = place("/run/user/7/twolane/twolane.sock");
        assert_eq!(own.mode(&at_home()), Some(Mode::User));
        assert_eq!(place("/elsewhere").mode(&at_home()), None);
    }
}
