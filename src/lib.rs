//! Twolane is a hybrid job scheduler for one Linux host: work that waits becomes a tokio task,
//! work that blocks or burns CPU goes to a work-stealing thread pool, under one durable queue.
//!
//! The modules, in reading order:
//!
//! | module | what it is |
//! |---|---|
//! | [`job`] | the vocabulary: ids, specs, states, outcomes, time values |
//! | [`scheduler`] | the brain: a pure state machine that decides what starts and when |
//! | [`protocol`] | the words: messages, limits and the `.varlink` interface |
//! | [`store`] | the memory: the trait, what each call promises, and SQLite behind it |
//! | [`pool`] | the engine: the work-stealing pool, its permits and its bridge to async code |
//! | [`process`] | the reins: spawn, wait for and signal child processes |
//! | [`handlers`] | the trades: one file per kind of work |
//! | [`lanes`] | the hands: run attempts on the async lane or the pool |
//! | [`config`] | the wishes: the options of every module, gathered and validated |
//! | [`daemon`] | the meeting: the control loop and everything it performs |
//! | [`client`] | the voice: typed calls over the socket |
//! | [`cli`] | the desk: one file per command |

pub mod cli;
pub mod client;
pub mod config;
pub mod daemon;
pub mod handlers;
pub mod job;
pub mod lanes;
pub mod pool;
pub mod process;
pub mod protocol;
pub mod scheduler;
pub mod store;

/// The program's name: the CLI binary, the crate, the socket folder and the units are built from it.
pub const NAME: &str = "twolane";
/// The daemon binary's name.
pub const DAEMON_NAME: &str = "twolaned";
/// The Varlink interface that the daemon serves.
pub const INTERFACE: &str = "io.twolane.Scheduler";
/// The version, from the package.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Where the project lives.
pub const URL: &str = "https://twolane.io";
