//! `twolane pool`: the sizes of the lanes and what they are doing.

use super::desk::{DONE, Desk};
use super::error::Error;
use super::moment;
use super::queue::number;
use super::show::amount_of;
use super::table::Table;
use crate::protocol::{Empty, Holder, LanesReply, SetLanes, call};

/// Show and change the sizes of the lanes.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Verb {
    /// Show the sizes and what is running
    Show {
        /// The pool's threads too
        #[arg(long)]
        threads: bool,
    },
    /// Change sizes at once: cpu=N core permits, io=N waiting jobs, blocking=N extra threads
    Set {
        /// cpu=N, io=N, blocking=N
        #[arg(value_name = "KEY=VALUE", required = true)]
        sizes: Vec<String>,
        /// Keep them over a restart
        #[arg(long)]
        persist: bool,
    },
    /// Go back to the sizes of the config
    Reset,
}

pub(super) async fn run(args: Args, desk: &mut Desk) -> Result<i32, Error> {
    let (reply, threads) = match args.verb {
        Verb::Show { threads } => (desk.call::<call::Lanes>(&Empty {}).await?, threads),
        Verb::Set { sizes, persist } => {
            let set = SetLanes { persist, ..wanted(&sizes)? };
            (desk.call::<call::SetLanes>(&set).await?, false)
        }
        Verb::Reset => {
            let set = SetLanes { reset: true, ..SetLanes::default() };
            (desk.call::<call::SetLanes>(&set).await?, false)
        }
    };
    if desk.json() {
        desk.out.json(&reply)?;
    } else {
        desk.out.text(&sizes(&reply).render(desk.out.style()))?;
        if !reply.resources.is_empty() {
            desk.out.line("")?;
            desk.out.text(&resources(&reply).render(desk.out.style()))?;
        }
        desk.out.line(format_args!(
            "{} pool threads, {} closures wait for one, {} core permits lent",
            reply.threads, reply.pool_queued, reply.cpu_lent
        ))?;
        if threads {
            desk.out.text(&workers(&reply).render(desk.out.style()))?;
        }
    }
    DONE
}

fn wanted(sizes: &[String]) -> Result<SetLanes, Error> {
    let mut set = SetLanes::default();
    for size in sizes {
        let (key, number) = number(size)?;
        match key {
            "cpu" => set.cpu = Some(number),
            "io" => set.io = Some(number),
            "blocking" => set.blocking = Some(number),
            _ => {
                let text = format!("there is no size {key:?}: write cpu=N, io=N or blocking=N");
                return Err(Error::Usage(text));
            }
        }
    }
    Ok(set)
}

fn sizes(reply: &LanesReply) -> Table {
    let mut table = Table::new(&["CLASS", ">RUNNING", ">USED", ">SIZE", "OF"]);
    let mut row = |class: &str, running: u32, used: u32, size: u32, of: &str| {
        let number = |number: u32| number.to_string().into();
        table.row(vec![class.into(), number(running), number(used), number(size), of.into()]);
    };
    row("cpu", reply.cpu_running, reply.cpu_used, reply.cpu, "core permits, on the pool");
    row("io", reply.io_running, reply.io_running, reply.io, "waiting jobs, on the async lane");
    let blocking = reply.blocking_running;
    row("blocking", blocking, blocking, reply.blocking, "extra threads, on the pool");
    table
}

fn resources(reply: &LanesReply) -> Table {
    let mut table = Table::new(&["RESOURCE", ">USED", ">CAPACITY", "UNITS", "HELD BY"]);
    for resource in &reply.resources {
        let amount = |amount: u64| amount_of(&resource.name, amount);
        let holder = |holder: &Holder| format!("job {} ({})", holder.job, amount(holder.amount));
        let holders: Vec<String> = resource.holders.iter().map(holder).collect();
        table.row(vec![
            resource.name.as_str().into(),
            amount(resource.used).into(),
            amount(resource.capacity).into(),
            resource.units.join(",").into(),
            holders.join(", ").into(),
        ]);
    }
    table
}

fn workers(reply: &LanesReply) -> Table {
    let heads = [">THREAD", ">RUN", ">STOLEN", ">INJECTED", ">PARKED", ">BLOCKED", ">BUSY"];
    let mut table = Table::new(&heads);
    for worker in &reply.workers {
        table.row(vec![
            worker.worker.to_string().into(),
            worker.run.to_string().into(),
            worker.stolen.to_string().into(),
            worker.injected.to_string().into(),
            worker.parked.to_string().into(),
            moment::seconds(worker.blocked_seconds).into(),
            moment::seconds(worker.busy_seconds).into(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_one_name_each() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let set = wanted(&words("cpu=8 io=2000 blocking=64")).unwrap();
        assert_eq!((set.cpu, set.io, set.blocking), (Some(8), Some(2000), Some(64)));
        assert!(matches!(wanted(&words("cpus=8")), Err(Error::Usage(_))));
    }
}
