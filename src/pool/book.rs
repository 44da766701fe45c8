//! The book of core permits: who may burn how many cores, who waits for some, in which order.
//!
//! Owns the counts and the line. Never wakes anybody: each call returns whom it has granted, and the caller tells them
//! after the lock is gone. Invariants: `free + granted == total` at every moment (`free` is negative after a shrink or a
//! forced charge, and then nothing is granted); while somebody waits nobody overtakes; the line is served first come,
//! first served, those who take back what they had lent before the others.

use std::collections::VecDeque;

use super::sync::{AtomicU64, Mutex, Ordering, lock};

const FREE_BITS: u32 = 32;
const ONE_WAITER: u64 = 1 << FREE_BITS;

/// Both counts at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Balance {
    /// Permits nobody holds; negative while the holders have more than there are.
    pub(super) free: i32,
    /// Entries in the line.
    pub(super) waiters: u32,
}

impl Balance {
    fn unpack(word: u64) -> Self {
        Self { free: word as u32 as i32, waiters: (word >> FREE_BITS) as u32 }
    }

    fn pack(self) -> u64 {
        (u64::from(self.waiters) << FREE_BITS) | u64::from(self.free as u32)
    }

    /// Whether a holder ought to let go when it can: somebody waits, or too many are held.
    pub(super) fn is_contended(self) -> bool {
        self.waiters > 0 || self.free < 0
    }
}

/// Which part of the line an entry stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Takes back what it had lent: served first.
    Returning,
    /// Wants permits for something new.
    New,
}

/// The answer to [`Book::ask`].
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer<W> {
    /// So many permits now belong to the caller, who gets the waiter back.
    Granted(W, usize),
    /// The waiter is in the line under this number.
    InLine(u64),
}

/// Waiters that were granted permits, with how many each; the caller must tell all of them.
pub(super) type Grants<W> = Vec<(W, usize)>;

#[derive(Debug)]
struct Entry<W> {
    number: u64,
    want: usize,
    waiter: W,
}

#[derive(Debug)]
struct Line<W> {
    total: usize,
    next_number: u64,
    returning: VecDeque<Entry<W>>,
    new: VecDeque<Entry<W>>,
}

/// The permits and the line of those who wait for some.
#[derive(Debug)]
pub(super) struct Book<W> {
    word: AtomicU64,
    line: Mutex<Line<W>>,
}

impl<W> Book<W> {
    /// A book of `total` free permits.
    pub(super) fn new(total: usize) -> Self {
        let balance = Balance { free: total as i32, waiters: 0 };
        let line = Line { total, next_number: 0, returning: VecDeque::new(), new: VecDeque::new() };
        Self { word: AtomicU64::new(balance.pack()), line: Mutex::new(line) }
    }

    /// Both counts at this moment.
    pub(super) fn balance(&self) -> Balance {
        Balance::unpack(self.word.load(Ordering::SeqCst))
    }

    /// How many permits there are in all.
    pub(super) fn total(&self) -> usize {
        lock(&self.line).total
    }

    /// Takes `want` permits if they are free and nobody waits.
    pub(super) fn try_take(&self, want: usize) -> bool {
        self.change(|b| {
            (b.waiters == 0 && b.free >= want as i32)
                .then(|| Balance { free: b.free - want as i32, ..b })
        })
    }

    /// Gives permits back.
    #[must_use]
    pub(super) fn give(&self, count: usize) -> Grants<W> {
        let quick =
            self.change(|b| (b.waiters == 0).then(|| Balance { free: b.free + count as i32, ..b }));
        if quick {
            return Vec::new();
        }
        let mut line = lock(&self.line);
        self.add_free(count as i32);
        self.serve(&mut line)
    }

    /// Takes `want` permits (at most all there are), or puts the waiter in the line.
    pub(super) fn ask(&self, turn: Turn, want: usize, waiter: W) -> Answer<W> {
        let mut line = lock(&self.line);
        let need = want.min(line.total) as i32;
        let taken = loop {
            let word = self.word.load(Ordering::SeqCst);
            let b = Balance::unpack(word);
            let may_take = b.free >= need
                && (b.waiters == 0 || turn == Turn::Returning && line.returning.is_empty());
            let next = if may_take {
                Balance { free: b.free - need, ..b }
            } else {
                Balance { waiters: b.waiters + 1, ..b }
            };
            if self.replace(word, next) {
                break may_take;
            }
        };
        if taken {
            return Answer::Granted(waiter, need as usize);
        }
        let number = line.next_number;
        line.next_number += 1;
        let entry = Entry { number, want, waiter };
        match turn {
            Turn::Returning => line.returning.push_back(entry),
            Turn::New => line.new.push_back(entry),
        }
        Answer::InLine(number)
    }

    /// Leaves the line. The flag says whether the entry was still there; if not, it has been granted.
    #[must_use]
    pub(super) fn leave(&self, number: u64) -> (bool, Grants<W>) {
        let mut removed = false;
        let (_, grants) = self.remove(|entry, _| {
            let found = entry == number;
            removed |= found;
            found
        });
        (removed, grants)
    }

    /// Takes all waiters out of the line for which `gone` holds.
    #[must_use]
    pub(super) fn prune(&self, mut gone: impl FnMut(&W) -> bool) -> (Vec<W>, Grants<W>) {
        self.remove(|_, waiter| gone(waiter))
    }

    /// Takes permits whether or not they are free: for somebody who burns a core already.
    pub(super) fn charge(&self, count: usize) {
        self.add_free(-(count as i32));
    }

    /// Changes how many permits there are. Growing serves the line at once; shrinking makes `free` negative until
    /// holders have given enough back.
    #[must_use]
    pub(super) fn resize(&self, total: usize) -> Grants<W> {
        let mut line = lock(&self.line);
        self.add_free(total as i32 - line.total as i32);
        line.total = total;
        self.serve(&mut line)
    }

    fn remove(&self, mut gone: impl FnMut(u64, &W) -> bool) -> (Vec<W>, Grants<W>) {
        let mut line = lock(&self.line);
        let mut removed = Vec::new();
        let line_ref = &mut *line;
        for part in [&mut line_ref.returning, &mut line_ref.new] {
            let kept = VecDeque::with_capacity(part.len());
            for entry in std::mem::replace(part, kept) {
                if gone(entry.number, &entry.waiter) {
                    removed.push(entry.waiter);
                } else {
                    part.push_back(entry);
                }
            }
        }
        if removed.is_empty() {
            return (removed, Vec::new());
        }
        self.word.fetch_sub(ONE_WAITER * removed.len() as u64, Ordering::SeqCst);
        let grants = self.serve(&mut line);
        (removed, grants)
    }

    /// Grants from the front of the line while the permits last.
    fn serve(&self, line: &mut Line<W>) -> Grants<W> {
        let mut grants = Vec::new();
        loop {
            let total = line.total;
            let part = if line.returning.is_empty() { &mut line.new } else { &mut line.returning };
            let Some(front) = part.front() else { return grants };
            let need = front.want.min(total);
            let served = self.change(|b| {
                (b.free >= need as i32)
                    .then(|| Balance { free: b.free - need as i32, waiters: b.waiters - 1 })
            });
            if !served {
                return grants;
            }
            if let Some(entry) = part.pop_front() {
                grants.push((entry.waiter, need));
            }
        }
    }

    fn add_free(&self, count: i32) {
        self.change(|b| Some(Balance { free: b.free + count, ..b }));
    }

    /// Applies `f` atomically; `false` if it declined.
    fn change(&self, f: impl Fn(Balance) -> Option<Balance>) -> bool {
        loop {
            let word = self.word.load(Ordering::SeqCst);
            let Some(next) = f(Balance::unpack(word)) else { return false };
            if self.replace(word, next) {
                return true;
            }
        }
    }

    fn replace(&self, word: u64, next: Balance) -> bool {
        self.word
            .compare_exchange_weak(word, next.pack(), Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
    }
}
