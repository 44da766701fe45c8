//! The wishes: every setting of every room, gathered from its layers, checked and explained.
//!
//! Owns the names of the settings ([`KEYS`]), how they are spelled in TOML, the order of the layers
//! and the file of settings that were changed while the daemon ran. Never acts on a setting and
//! never reads the process environment by itself: [`Sources`] brings it. Invariant: a value that a
//! user wrote either is in force exactly as written or stopped the load, with its place named.
//!
//! The layers, later ones win: the compiled defaults, the files, `settings.toml` in the state
//! directory, variables named `TWOLANE_CFG__SECTION__KEY`, flags.

mod error;
mod key;
mod layer;
mod load;
mod nearest;
mod persist;
mod settings;
mod text;

pub use error::{ConfigError, PersistError, Place, Problem};
pub use key::{KEYS, Key, Shape};
pub use load::{Difference, Entry, Loaded, Mode, Sources, diff, load};
pub use persist::{SETTINGS_FILE, forget, persist};
pub use settings::{
    AfterCrash, CommandSettings, DaemonSettings, EnvPolicy, HttpSettings, KeySettings,
    LaneSettings, LimitSettings, PoolSettings, QueueSettings, ResourceSettings, SchedulerSettings,
    Settings, StoreSettings,
};

#[cfg(test)]
mod tests;
