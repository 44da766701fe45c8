//! What the work itself wrote down: when each attempt began and was done, in one order for all.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use twolane::job::{AttemptToken, JobId};

/// What is known of one job's attempts.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// In the order in which they began, with whether they were done.
    pub(super) attempts: Vec<(AttemptToken, bool)>,
    /// Where in the common order the first began, and one first was done.
    pub(super) first_began: Option<usize>,
    pub(super) first_done: Option<usize>,
}

impl Marks {
    pub(super) fn began(&self) -> usize {
        self.attempts.len()
    }

    pub(super) fn done(&self) -> usize {
        self.attempts.iter().filter(|(_, done)| *done).count()
    }
}

/// Reads all marks, and checks what must hold whatever was asked for: no token twice, no attempt beside another of
/// its job, no word from an attempt that was followed by another.
pub(super) fn read(folder: &Path) -> BTreeMap<JobId, Marks> {
    let text = std::fs::read_to_string(folder.join("marks")).unwrap_or_default();
    let mut jobs = BTreeMap::<JobId, Marks>::new();
    let mut tokens = BTreeSet::new();
    for (at, line) in text.lines().enumerate() {
        let mut words = line.split(' ');
        let mut word = || words.next().unwrap_or_default();
        let (what, job, token) = (word(), word().parse::<JobId>(), word().parse::<AttemptToken>());
        let (Ok(job), Ok(token)) = (job, token) else { panic!("a torn mark: {line:?}") };
        let marks = jobs.entry(job).or_default();
        match what {
            "b" => {
                assert!(tokens.insert(token.to_string()), "token {token} was given twice");
                if let Some((last, done)) = marks.attempts.last() {
                    // An attempt of an earlier life may have been cut short; one of this life may not.
                    assert!(
                        *done || last.life < token.life,
                        "job {job}: {token} began beside {last}"
                    );
                }
                marks.attempts.push((token, false));
                marks.first_began.get_or_insert(at);
            }
            "e" => {
                let last = marks.attempts.last_mut().filter(|(last, done)| *last == token && !done);
                let Some(last) = last else { panic!("job {job}: a late word from {token}") };
                last.1 = true;
                marks.first_done.get_or_insert(at);
            }
            _ => panic!("job {job}: {token} ran beside what an earlier attempt left: {what}"),
        }
    }
    jobs
}
