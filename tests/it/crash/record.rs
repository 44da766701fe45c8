//! What the clients of a daemon were told: their own record, against which it is judged.

use std::collections::BTreeMap;
use std::path::Path;

use twolane::job::JobId;
use twolane::protocol::{Finished, JobSpec};

/// What a job does, and so how it ends if nobody interferes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flavour {
    /// Work inside the daemon, on the loop.
    Mark,
    /// Work inside the daemon, on the pool.
    Burn,
    /// A command that holds a lock of its job's while it lives.
    Shell,
    /// The same, and a child in a session of its own that outlives it.
    Tree,
    /// A command that fails with 3 and has two retries.
    Fails,
    /// A command that must not run twice.
    Once,
    /// The same inside the daemon.
    OnceInside,
    /// A command that requires another job's success.
    Child(usize),
}

impl Flavour {
    pub(super) const SIMPLE: [Self; 7] = [
        Self::Mark,
        Self::Burn,
        Self::Shell,
        Self::Tree,
        Self::Fails,
        Self::Once,
        Self::OnceInside,
    ];

    pub(super) const fn is_once(self) -> bool {
        matches!(self, Self::Once | Self::OnceInside)
    }

    /// What is submitted; `parent` is whom a child requires.
    pub(super) fn spec(self, name: &str, folder: &Path, parent: Option<JobId>) -> JobSpec {
        let inside = |kind: &str| JobSpec { kind: Some(kind.to_owned()), ..JobSpec::default() };
        let spec = match self {
            Self::Mark | Self::OnceInside => inside("mark"),
            Self::Burn => inside("burn"),
            Self::Tree => command(folder, "setsid sleep 1 &", 0),
            Self::Fails => command(folder, "", 3),
            Self::Shell | Self::Once | Self::Child(_) => command(folder, "sleep 0.01", 0),
        };
        JobSpec {
            name: Some(name.to_owned()),
            at_most_once: self.is_once(),
            retries: (self == Self::Fails).then_some(2),
            backoff: (self == Self::Fails).then(|| "0s".to_owned()),
            after: parent.iter().map(|id| format!("ok:{id}")).collect(),
            ..spec
        }
    }
}

/// Every process of an attempt holds the lock of its job; a lock that is taken shows that an earlier attempt lives.
fn command(folder: &Path, body: &str, code: i32) -> JobSpec {
    let script = format!(
        "cd {folder}; mark() {{ echo \"$1 $TWOLANE_JOB $TWOLANE_ATTEMPT\" >> marks; }}\n\
         exec 9>> lock.$TWOLANE_JOB; flock -n 9 || mark twice\n\
         mark b; {body}\n mark e; exit {code}",
        folder = folder.display()
    );
    let argv = ["sh", "-c", &script].map(str::to_owned).to_vec();
    JobSpec { argv: Some(argv), class: Some("io".to_owned()), ..JobSpec::default() }
}

/// How far a request has come, as its client knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Asked {
    #[default]
    No,
    /// It was sent; whether it was heard is open.
    Sent,
    /// It was confirmed.
    Confirmed,
}

/// One job, as its client knows it.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) flavour: Flavour,
    pub(super) spec: JobSpec,
    /// Jobs of one submission come all or none.
    pub(super) submission: usize,
    /// Told when it was acknowledged.
    pub(super) id: Option<JobId>,
    pub(super) held: bool,
    pub(super) cancel: Asked,
    pub(super) remove: Asked,
    /// Its end, as it was reported.
    pub(super) reported: Option<Finished>,
}

/// Everything that all clients were told.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) jobs: Vec<Told>,
    pub(super) submissions: usize,
    /// Queue limits that were confirmed, and those that were only asked for since.
    pub(super) queues: BTreeMap<String, (Option<u32>, Vec<u32>)>,
    /// Replies of this life.
    pub(super) replies: u64,
}

impl Record {
    /// Writes down what is about to be submitted; tells the places of the jobs.
    pub(super) fn sends(&mut self, jobs: Vec<(Flavour, JobSpec)>, held: bool) -> Vec<usize> {
        let submission = self.submissions;
        self.submissions += 1;
        let first = self.jobs.len();
        self.jobs.extend(jobs.into_iter().map(|(flavour, spec)| Told {
            flavour,
            spec,
            submission,
            id: None,
            held,
            cancel: Asked::No,
            remove: Asked::No,
            reported: None,
        }));
        (first..self.jobs.len()).collect()
    }

    /// Whether the job ends by itself in this life, so that a client can wait for it.
    pub(super) fn ends(&self, place: usize) -> bool {
        let job = &self.jobs[place];
        let parent_ends = match job.flavour {
            Flavour::Child(parent) => self.ends(parent),
            _ => true,
        };
        job.id.is_some() && !job.held && job.remove == Asked::No && parent_ends
    }
}
