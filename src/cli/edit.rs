//! `twolane edit`: changes jobs that have not started.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::Command;

use super::change;
use super::desk::{DONE, Desk};
use super::environment::wanted_value;
use super::error::Error;
use super::job_options::{JobOptions, texts};
use super::submit::absolute_folder;
use super::{select, sheet};
use crate::job::JobId;
use crate::protocol::{Edit, JobSpec, Selector, Show, call};

/// The editor of those who name none.
const EDITOR: &str = "vi";

/// Change jobs that have not started: options, command, place in the queue.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Ids such as 12, 12,15, 3-9, array elements such as `12_7`, last (your last submission), or all
    #[arg(value_name = "JOBS", required = true)]
    jobs: Vec<String>,
    /// The new command with its arguments, or new key=value parameters of the kind
    #[arg(last = true, value_name = "CMD")]
    words: Vec<OsString>,
    /// Take a value away: name, `retry_on`, timeout, grace, output, merge, `at_most_once`, keys, needs, after, time,
    /// env.NAME or params.NAME
    #[arg(long, value_name = "FIELD", value_delimiter = ',')]
    unset: Vec<String>,
    /// Ahead of all ready jobs of its queue and priority
    #[arg(long, conflicts_with_all = ["last", "before", "behind"])]
    first: bool,
    /// Behind all jobs of its queue and priority
    #[arg(long, conflicts_with_all = ["before", "behind"])]
    last: bool,
    /// Right ahead of this job of its queue and priority
    #[arg(long, value_name = "ID", conflicts_with = "behind")]
    before: Option<String>,
    /// Right behind this job of its queue and priority
    #[arg(long, value_name = "ID")]
    behind: Option<String>,
    /// Jobs of other users too
    #[arg(long)]
    all_users: bool,
    #[command(flatten)]
    job: JobOptions,
}

const EXAMPLES: &str = "\
Examples:
  twolane edit 12                         the job as a text in $VISUAL or $EDITOR
  twolane edit 12 --priority 5 --queue gpu
  twolane edit 12 -- make -j8             another command
  twolane edit 3-9 --unset timeout,after  no time limit, and nothing to wait for
  twolane edit 12 --first                 before all others of its queue and priority
  twolane edit 12 --behind 15

Of a job that runs, only --name, --priority, --retries, --backoff, --retry-on, --timeout and --grace can be
changed; they count from its next attempt on. Keys, needs and variables are changed one by one; the others stay.";

pub(super) async fn run(mut args: Args, desk: &mut Desk) -> Result<i32, Error> {
    let mut edit = args.edit(desk).await?;
    let mut draft = None;
    if *edit.set == JobSpec::default() && edit.unset.is_empty() && edit.place.is_none() {
        match args.by_hand(edit.jobs, desk).await? {
            Some((by_hand, file)) => (edit, draft) = (by_hand, Some(file)),
            None => return DONE,
        }
    }
    let reply = desk.call::<call::Edit>(&edit).await;
    let taken = reply.as_ref().is_ok_and(|reply| !reply.changed.is_empty());
    match draft {
        Some(file) if taken => file.remove(),
        Some(file) => {
            desk.out
                .notice(format!("nothing was changed, your text is in {}", file.path.display()));
        }
        None => {}
    }
    change::tell("edited", &edit.jobs, &reply?, desk)
}

impl Args {
    async fn edit(&mut self, desk: &mut Desk) -> Result<Edit, Error> {
        let mut jobs = Selector { all_users: self.all_users, ..Selector::default() };
        for word in &self.jobs {
            jobs.add(word).map_err(|error| Error::Usage(error.to_string()))?;
        }
        let unset = self.unset.clone();
        let set = Box::new(self.set(desk)?);
        Ok(Edit { jobs, set, unset, place: self.place(desk).await?, edits: None })
    }

    /// Has the user change the job as a text; none if nothing was changed.
    async fn by_hand(
        &self,
        jobs: Selector,
        desk: &mut Desk,
    ) -> Result<Option<(Edit, Draft)>, Error> {
        let terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
        if !terminal || desk.json() {
            return Err(Error::Usage(format!(
                "nothing is to be changed: give options, as in `{name} edit 12 --priority 5` (`{name} edit --help` lists them), or run it on a terminal to change the job in $EDITOR",
                name = crate::NAME
            )));
        }
        let id = match self.jobs.as_slice() {
            [word] => select::named_one(word, desk).await?,
            _ => return Err(Error::usage("in $EDITOR one job is changed at a time: name one")),
        };
        let job = desk.call::<call::Show>(&Show { id }).await?.job;
        let details = job.details.as_ref().ok_or_else(|| {
            Error::usage("the daemon does not tell enough of the job to change it as a text")
        })?;
        let old = sheet::text_of(&job, details);
        let file = Draft::new(id, &old)?;
        file.open_editor(desk)?;
        let new = fs::read_to_string(&file.path)?;
        let changed = sheet::changes(jobs, &old, &new).map_err(|problem| {
            let kept = file.path.display();
            Error::Usage(format!("{problem}; nothing was changed, your text is in {kept}"))
        })?;
        let Some(edit) = changed else {
            file.remove();
            desk.out.notice("nothing was changed");
            return Ok(None);
        };
        Ok(Some((Edit { edits: Some(details.edits), ..edit }, file)))
    }

    fn set(&mut self, desk: &Desk) -> Result<JobSpec, Error> {
        let words = texts(std::mem::take(&mut self.words))?;
        let mut set = if words.is_empty() { self.job.options() } else { self.job.spec(words)? };
        set.cwd.clone_from(&self.job.cwd);
        absolute_folder(&mut set)?;
        for text in &self.job.env {
            let (name, value) = wanted_value(text, desk.surroundings.variables())?;
            set.env.insert(name, value);
        }
        Ok(set)
    }

    /// The place in its queue that the job is to have.
    async fn place(&self, desk: &mut Desk) -> Result<Option<String>, Error> {
        for (side, job) in [("before", &self.before), ("behind", &self.behind)] {
            if let Some(word) = job {
                let id = select::named_one(word, desk).await?;
                return Ok(Some(format!("{side}:{id}")));
            }
        }
        let end = [("first", self.first), ("last", self.last)];
        Ok(end.into_iter().find(|(_, given)| *given).map(|(end, _)| end.to_owned()))
    }
}

/// The text of a job in a file of its own, which stays if it is not taken.
struct Draft {
    path: PathBuf,
}

impl Draft {
    fn new(job: JobId, text: &str) -> Result<Self, Error> {
        let name = format!("{}-{job}-{}.toml", crate::NAME, std::process::id());
        let path = std::env::temp_dir().join(name);
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        made.and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|source| Error::Input { name: path.display().to_string(), source })?;
        Ok(Self { path })
    }

    /// As the shell would: the variable may have options in it.
    fn open_editor(&self, desk: &Desk) -> Result<(), Error> {
        let wanted = ["VISUAL", "EDITOR"].into_iter().find_map(|name| desk.surroundings.get(name));
        let mut line = wanted.map_or_else(|| OsString::from(EDITOR), OsString::from);
        line.push(" \"$1\"");
        let ended = Command::new("/bin/sh").arg("-c").arg(line).arg("sh").arg(&self.path).status();
        let ended =
            ended.map_err(|source| Error::System { what: "can't start the editor", source })?;
        if ended.success() {
            return Ok(());
        }
        let kept = self.path.display();
        Err(Error::Usage(format!(
            "the editor ended with {ended}: nothing was changed, your text is in {kept}"
        )))
    }

    fn remove(&self) {
        // What is left over in the temporary folder harms nobody.
        let _ = fs::remove_file(&self.path);
    }
}
