//! The voice: typed calls over the daemon's socket.
//!
//! Owns one connection's framing and the rules that find the socket. Never prints, never starts a
//! daemon, never repeats a call that may have been
//! done: only one that the daemon can't have taken is sent again on a new connection. Invariant: replies belong to
//! calls in order, so a connection that streams is used up by its stream.
//!
//! | file | what it is |
//! |---|---|
//! | `connection` | a connection: calls, streams, framing |
//! | `error` | why a connection or a call failed |
//! | `locate` | which socket to talk to, and whether a daemon may be started |

mod connection;
mod error;
mod locate;

pub use connection::{Client, Replies};
pub use error::{CallError, ConnectError};
pub use locate::{
    Decision, Environment, Facts, Mode, Place, Plan, Probe, Refusal, Rule, Wish, decide, plan,
};
