//! `twolane config`: the config in force and where each value came from.

use super::desk::{DONE, Desk};
use super::error::Error;
use super::table::Table;
use crate::protocol::{ConfigEntry, Empty, call};

/// Show the config in force and where each value came from.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Args {
    /// Only keys that begin so, as in lanes or lanes.cpu
    #[arg(value_name = "KEY")]
    key: Option<String>,
}

pub(super) async fn run(args: Args, desk: &mut Desk) -> Result<i32, Error> {
    let mut entries = desk.call::<call::Config>(&Empty {}).await?.entries;
    if let Some(key) = &args.key {
        entries.retain(|entry| is_under(entry, key));
        if entries.is_empty() {
            let text = format!("there is no key {key:?}: `{} config` lists them all", crate::NAME);
            return Err(Error::Usage(text));
        }
    }
    if desk.json() {
        desk.out.json(&entries)?;
        return DONE;
    }
    let mut table = Table::new(&["KEY", "VALUE", "FROM"]);
    for entry in entries {
        table.row(vec![entry.key.into(), entry.value.into(), entry.origin.into()]);
    }
    desk.out.text(&table.render(desk.out.style()))?;
    DONE
}

fn is_under(entry: &ConfigEntry, key: &str) -> bool {
    let rest = entry.key.strip_prefix(key);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}
