//! What one class may take at once, and how much of it is taken.

/// The room of one class: core permits for `cpu`, jobs for the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Room {
    /// How much there is.
    pub(super) size: u32,
    /// How much more may be used because those who hold it are blocked; only core permits are lent.
    pub(super) lent: u32,
    /// How much is taken. May exceed the rest after a shrink, until the surplus finishes.
    pub(super) used: u32,
}

impl Room {
    pub(super) fn of_size(size: u32) -> Self {
        Self { size, lent: 0, used: 0 }
    }

    pub(super) fn free(&self) -> u32 {
        self.size.saturating_add(self.lent).saturating_sub(self.used)
    }

    pub(super) fn take(&mut self, permits: u32) {
        debug_assert!(permits <= self.free(), "{permits} permits do not fit {self:?}");
        self.used += permits;
    }

    /// Takes permits whether or not they are free: what asks for them runs already.
    pub(super) fn charge(&mut self, permits: u32) {
        self.used += permits;
    }

    pub(super) fn give_back(&mut self, permits: u32) {
        debug_assert!(permits <= self.used, "{permits} permits were not taken from {self:?}");
        self.used = self.used.saturating_sub(permits);
    }
}
