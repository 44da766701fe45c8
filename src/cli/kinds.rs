//! `twolane kinds`: the kinds of work and their parameters.

use super::desk::{DONE, Desk};
use super::error::Error;
use super::table::{Table, visible};
use crate::job::exit_code;
use crate::protocol::{Empty, Kind, call};

/// List the kinds of work, or one with its parameters.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Args {
    /// The kind
    #[arg(value_name = "KIND")]
    name: Option<String>,
}

pub(super) async fn run(args: Args, desk: &mut Desk) -> Result<i32, Error> {
    let kinds = desk.call::<call::Kinds>(&Empty {}).await?.kinds;
    let Some(name) = args.name else {
        return list(&kinds, desk);
    };
    match kinds.iter().find(|kind| kind.name == name) {
        Some(kind) if desk.json() => desk.out.json(kind)?,
        Some(kind) => tell(kind, desk)?,
        None => {
            let known: Vec<&str> = kinds.iter().map(|kind| kind.name.as_str()).collect();
            desk.out.say(format_args!("there is no kind {name:?}: use {}", known.join(", ")));
            return Ok(exit_code::REFUSED);
        }
    }
    DONE
}

fn list(kinds: &[Kind], desk: &mut Desk) -> Result<i32, Error> {
    if desk.json() {
        desk.out.json(&kinds)?;
        return DONE;
    }
    let mut table = Table::new(&["KIND", "CLASS", "WHAT IT DOES"]);
    for kind in kinds {
        let (name, doc) = (kind.name.as_str(), kind.doc.as_str());
        table.row(vec![name.into(), kind.class.name().into(), doc.into()]);
    }
    desk.out.text(&table.render(desk.out.style()))?;
    desk.out.notice(format_args!("`{} kinds KIND` lists the parameters of one", crate::NAME));
    DONE
}

fn tell(kind: &Kind, desk: &mut Desk) -> Result<(), Error> {
    let classes: Vec<&str> = kind.classes.iter().map(|class| class.name()).collect();
    desk.out.line(format_args!("{}: {}", visible(&kind.name), visible(&kind.doc)))?;
    desk.out.line(format_args!("class {} (possible: {})", kind.class, classes.join(", ")))?;
    if kind.retries > 0 {
        desk.out
            .line(format_args!("retried {} times unless the job says otherwise", kind.retries))?;
    }
    let mut table = Table::new(&["PARAMETER", "VALUE", "DEFAULT", "MEANING"]);
    for param in &kind.params {
        let default = match (&param.default, param.required) {
            (Some(default), _) => default.clone(),
            (None, true) => "(required)".to_owned(),
            (None, false) => String::new(),
        };
        let texts = [param.name.clone(), param.value.clone(), default, param.doc.clone()];
        table.row(texts.map(Into::into).to_vec());
    }
    desk.out.line("")?;
    desk.out.text(&table.render(desk.out.style()))
}
