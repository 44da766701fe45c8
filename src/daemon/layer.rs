//! A layer of an embedder's own between the daemon and its store.

use std::fmt;

use crate::store::Store;

type Wrap = dyn FnOnce(Box<dyn Store>) -> Box<dyn Store> + Send;

/// Layers in the order they are put on; the last one is nearest to the daemon.
#[derive(Default)]
pub(super) struct Layers(Vec<Box<Wrap>>);

impl Layers {
    pub(super) fn add(
        &mut self,
        wrap: impl FnOnce(Box<dyn Store>) -> Box<dyn Store> + Send + 'static,
    ) {
        self.0.push(Box::new(wrap));
    }

    /// Puts them on a store that has just begun a new life.
    pub(super) fn over(self, store: Box<dyn Store>) -> Box<dyn Store> {
        self.0.into_iter().fold(store, |store, wrap| wrap(store))
    }
}

impl fmt::Debug for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layers").field("count", &self.0.len()).finish()
    }
}
