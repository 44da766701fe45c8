//! `twolane apply`: hands in the named jobs of a file, all or none.

use std::fs;
use std::io::{self, Read};

use serde_json::{Map, json};

use super::desk::{DONE, Desk};
use super::environment::Disposition;
use super::error::Error;
use super::job_options::JobOptions;
use super::pipeline::Pipeline;
use super::{submit, wait};
use crate::client::CallError;
use crate::job::JobId;
use crate::protocol::{
    Error as Refused, IdRange, MAX_BATCH, MAX_MESSAGE, Selector, Submit, SubmitReply, call,
    summary_of,
};

/// Hand in the named jobs of a file, all or none, and print their ids.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Args {
    /// The file; - is standard input
    #[arg(value_name = "FILE")]
    file: String,
    /// Check everything and show what would be handed in
    #[arg(long, conflicts_with = "wait")]
    dry_run: bool,
    /// Wait until they are final; the exit code is then that of `twolane wait`
    #[arg(short, long)]
    wait: bool,
}

const EXAMPLE: &str = "\
A file such as:
  [defaults]
  queue = \"night\"

  [jobs.fetch]
  shell = \"curl -sO https://example.org/data.csv\"
  class = \"io\"
  retries = 3

  [jobs.report]
  argv = [\"./report\", \"data.csv\"]
  after = [\"fetch\"]

  [jobs.alarm]
  argv = [\"./alarm\"]
  after = [\"fail:report\"]

The fields are those of the API (see `twolane submit --from`), and shell for a text for the shell. after
names jobs of the file, or ids of jobs that are there, with ok: (the default), any: or fail: before them.";

pub(super) async fn run(args: Args, desk: &mut Desk) -> Result<i32, Error> {
    let text = read(&args.file)?;
    let at = |line: usize| format!("{}:{line}", args.file);
    let mut pipeline = Pipeline::read(&text)
        .map_err(|problem| Error::Usage(format!("{}: {}", at(problem.line), problem.what)))?;
    if pipeline.jobs.len() > MAX_BATCH {
        let count = pipeline.jobs.len();
        let text = format!("{}: {count} jobs are too many: {MAX_BATCH} at most", args.file);
        return Err(Error::Usage(text));
    }
    pipeline.jobs.iter_mut().try_for_each(submit::absolute_folder)?;
    let umask = Disposition::of_this_process().umask;
    let mut client = desk.connect().await?;
    let context = submit::context(&JobOptions::default(), umask, desk, &mut client).await?;
    let submit = Submit {
        jobs: pipeline.jobs.clone(),
        context: Some(context),
        dry_run: args.dry_run,
        ..Submit::default()
    };
    let reply = client.call::<call::Submit>(&submit).await.map_err(|error| {
        match line(&error, &pipeline) {
            Some(line) => Error::CallAbout { about: at(line), error },
            None => Error::CallAbout { about: args.file.clone(), error },
        }
    })?;
    for warning in &reply.warnings {
        desk.out.notice(warning);
    }
    if args.dry_run {
        return show(&pipeline, desk);
    }
    let ids = ids_in_order(&reply, pipeline.names.len());
    if desk.json() {
        let names = pipeline.names.iter().cloned();
        let jobs: Map<_, _> = names.zip(ids.iter().map(|id| json!(id))).collect();
        desk.out.json(&json!({ "ids": ids, "jobs": jobs }))?;
    } else {
        for id in &ids {
            desk.out.line(id)?;
        }
        for (name, id) in pipeline.names.iter().zip(&ids) {
            desk.out.notice(format_args!("job {id} is {name}"));
        }
    }
    desk.out.flush()?;
    if args.wait {
        let ids = ids.iter().map(|id| IdRange { first: *id, last: *id }).collect();
        let jobs = Selector { ids, ..Selector::default() };
        return wait::until_final(jobs, client, desk).await;
    }
    DONE
}

/// The id of each job: a new one, or that of a job which was there already.
fn ids_in_order(reply: &SubmitReply, count: usize) -> Vec<JobId> {
    let mut new = reply.first;
    let id = |index: u64| {
        let existing = reply.existing.iter().find(|existing| existing.index == index);
        existing.map(|existing| existing.id).or_else(|| {
            let id = new?;
            new = Some(id.after(1));
            Some(id)
        })
    };
    (0..count as u64).filter_map(id).collect()
}

fn read(file: &str) -> Result<String, Error> {
    let name = if file == "-" { "standard input" } else { file };
    let input = |source| Error::Input { name: name.to_owned(), source };
    let mut text = String::new();
    let limit = MAX_MESSAGE as u64;
    let length = if file == "-" {
        io::stdin().take(limit).read_to_string(&mut text)
    } else {
        fs::File::open(file).and_then(|file| file.take(limit).read_to_string(&mut text))
    };
    if length.map_err(input)? as u64 == limit {
        return Err(input(io::Error::other(format!("it is longer than {limit} bytes"))));
    }
    Ok(text)
}

/// The line that a refusal is about.
fn line(error: &CallError, pipeline: &Pipeline) -> Option<usize> {
    let CallError::Refused(refused) = error else { return None };
    let first = |field: &str, value: &str| {
        let with = pipeline.jobs.iter().position(|job| match field {
            "queue" => job.queue.as_deref() == Some(value),
            _ => job.kind.as_deref() == Some(value),
        })?;
        pipeline.line_of(with, field)
    };
    match refused {
        Refused::InvalidJob { index, field, .. } => {
            pipeline.line_of(usize::try_from(*index).ok()?, field)
        }
        Refused::NotUnique { index, .. } => {
            pipeline.line_of(usize::try_from(*index).ok()?, "unique")
        }
        Refused::UnknownQueue { queue, .. } => first("queue", queue),
        Refused::UnknownKind { kind, .. } => first("kind", kind),
        _ => None,
    }
}

/// Shows the jobs that were checked and not handed in.
fn show(pipeline: &Pipeline, desk: &mut Desk) -> Result<i32, Error> {
    for (name, job) in pipeline.names.iter().zip(&pipeline.jobs) {
        if desk.json() {
            desk.out.json(job)?;
        } else {
            desk.out.line(format_args!("{name}: {}", summary_of(job)))?;
        }
    }
    DONE
}
