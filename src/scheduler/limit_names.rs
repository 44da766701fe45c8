//! What limits are called, and the way from a name to its limit.
//!
//! Owns the names. Invariant: each name stands for one limit, and no owner stands here without a key.
//!
//! Keys and resources are chosen by users, so they are hashed with a seed; looking one up copies
//! nothing, since each job that is submitted under a key does it.

use std::collections::HashMap;
use std::fmt;
use std::hash::BuildHasherDefault;
use std::sync::Arc;

use super::limits::LimitNo;
use super::table::Spread;
use crate::job::JobId;

/// What a limit is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LimitName {
    /// A key; users can't block each other, so it belongs to its owner.
    Key(u32, Arc<str>),
    /// The elements of one array.
    Array(JobId),
    /// A named resource.
    Resource(Arc<str>),
    /// The inside of the daemon, which is shut while somebody is to run there alone. There is one, so nobody looks it
    /// up by name.
    Inside,
}

impl fmt::Display for LimitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(_, key) => write!(f, "the key {key}"),
            Self::Array(array) => write!(f, "array {array}"),
            Self::Resource(name) => write!(f, "the resource {name}"),
            Self::Inside => f.write_str("the inside of the daemon"),
        }
    }
}

/// A limit's name as somebody says it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Named<'a> {
    Key(u32, &'a str),
    Array(JobId),
    Resource(&'a str),
}

impl From<Named<'_>> for LimitName {
    fn from(named: Named<'_>) -> Self {
        match named {
            Named::Key(owner, key) => Self::Key(owner, key.into()),
            Named::Array(array) => Self::Array(array),
            Named::Resource(name) => Self::Resource(name.into()),
        }
    }
}

/// The names of all limits.
#[derive(Debug, Default)]
pub(super) struct LimitNames {
    keys: HashMap<u32, HashMap<Arc<str>, LimitNo>, BuildHasherDefault<Spread>>,
    arrays: HashMap<JobId, LimitNo, BuildHasherDefault<Spread>>,
    resources: HashMap<Arc<str>, LimitNo>,
}

impl LimitNames {
    pub(super) fn find(&self, name: Named<'_>) -> Option<LimitNo> {
        match name {
            Named::Key(owner, key) => self.keys.get(&owner)?.get(key),
            Named::Array(array) => self.arrays.get(&array),
            Named::Resource(name) => self.resources.get(name),
        }
        .copied()
    }

    pub(super) fn insert(&mut self, name: &LimitName, number: LimitNo) {
        match name {
            LimitName::Key(owner, key) => {
                self.keys.entry(*owner).or_default().insert(Arc::clone(key), number);
            }
            LimitName::Array(array) => {
                self.arrays.insert(*array, number);
            }
            LimitName::Resource(name) => {
                self.resources.insert(Arc::clone(name), number);
            }
            LimitName::Inside => {}
        }
    }

    pub(super) fn remove(&mut self, name: &LimitName) {
        match name {
            LimitName::Key(owner, key) => {
                if let Some(keys) = self.keys.get_mut(owner) {
                    keys.remove(key);
                    if keys.is_empty() {
                        self.keys.remove(owner);
                    }
                }
            }
            LimitName::Array(array) => {
                self.arrays.remove(array);
            }
            LimitName::Resource(name) => {
                self.resources.remove(name);
            }
            LimitName::Inside => {}
        }
    }
}
