//! Which unfinished job has which unique key, those on their way to the disk included.
//!
//! The database holds the rule; this table answers before the commit, with the id of the job that
//! is there already.

use std::collections::HashMap;
use std::sync::Arc;

use crate::job::JobId;

/// A key and whose it is.
type Key = (u32, Arc<str>);

/// The keys in use.
#[derive(Debug, Default)]
pub(super) struct Uniques {
    holders: HashMap<Key, JobId>,
    keys: HashMap<JobId, Key>,
}

impl Uniques {
    /// The job has the key from now on, whoever had it before.
    pub(super) fn take(&mut self, owner: u32, key: &Arc<str>, job: JobId) {
        let key = (owner, Arc::clone(key));
        self.holders.insert(key.clone(), job);
        self.keys.insert(job, key);
    }

    /// The job has ended, or was not taken after all.
    pub(super) fn give_back(&mut self, job: JobId) {
        if let Some(key) = self.keys.remove(&job)
            && self.holders.get(&key) == Some(&job)
        {
            self.holders.remove(&key);
        }
    }

    /// Who has the key.
    pub(super) fn holder(&self, owner: u32, key: &Arc<str>) -> Option<JobId> {
        self.holders.get(&(owner, Arc::clone(key))).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_was_taken_over_is_not_given_back_by_its_last_holder() {
        let (one, two) = (JobId::new(1).unwrap(), JobId::new(2).unwrap());
        let (mut uniques, key) = (Uniques::default(), Arc::from("k"));
        uniques.take(7, &key, one);
        assert_eq!(uniques.holder(8, &key), None);
        uniques.take(7, &key, two);
        uniques.give_back(one);
        assert_eq!(uniques.holder(7, &key), Some(two));
        uniques.give_back(two);
        assert!(uniques.holders.is_empty() && uniques.keys.is_empty());
    }
}
