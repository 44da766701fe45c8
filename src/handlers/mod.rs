//! The trades: the code that runs each kind of work, one file per kind.
//!
//! Owns the handler traits, what a handler is given ([`Run`]) and what it gives back ([`Report`]), and
//! the registry that embedders can add to. Never schedules, never talks to a client. Invariant: the
//! trait decides the lane, so work that blocks can't reach the event loop by mistake.
//!
//! | file | what it is |
//! |---|---|
//! | `run`, `output`, `template`, `progress` | what an attempt is given, where its output goes, how far it is |
//! | `handler`, `kind`, `param`, `registry` | how kinds declare themselves and how a submit is checked |
//! | `command`, `http`, `checksum`, `compress`, `sleep` | the kinds themselves |
//! | `files`, `replace` | finding the files of a tree, and writing by rename |

mod checksum;
mod command;
mod compress;
mod cut;
mod files;
mod handler;
mod http;
mod kind;
mod options;
mod output;
mod param;
mod progress;
mod registry;
mod replace;
mod run;
mod sleep;
mod template;
#[cfg(test)]
mod tests;

pub use crate::job::nearest;
pub use command::COMMAND;
pub use cut::{Cut, give_up, keep_head_and_tail, taken};
pub use handler::{AsyncHandler, BlockingHandler, Handler};
pub use kind::{Kind, KindInfo};
pub use options::{HttpOptions, Options, OutputOptions};
pub use output::{Output, OutputError};
pub use param::{Param, ParamError, ParamKind};
pub use progress::Progress;
pub use registry::{AddError, CheckError, Registry, Resolved, Trades};
pub use run::{Report, Run};
pub use template::{Placeholders, TemplateError, expand_output};
