//! Where one worker sleeps: a word that is empty, asleep, or holds tokens.
//!
//! Owns one futex. Never loses a token: tokens are bits that add up until the worker takes them all at once.

#![allow(unsafe_code)] // The futex call.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// The waker counted this worker as searching, took a core permit for it and gives it along.
pub(super) const PERMIT: u32 = 1;
/// The waker counted this worker as searching; there is something for it that needs no new permit.
pub(super) const LOOK: u32 = 2;
/// The waker took a place in the blocking line for this worker.
pub(super) const BLOCKING: u32 = 4;
/// The pool wants one thread less.
pub(super) const EXIT: u32 = 8;
/// A latch this worker waited for was set; it carries nothing.
pub(super) const LATCH: u32 = 16;

const ASLEEP: u32 = 1 << 31;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Parker {
    word: AtomicU32,
}

impl Parker {
    /// Leaves a token and wakes the worker if it sleeps.
    pub(super) fn unpark(&self, token: u32) {
        if self.word.fetch_or(token, Ordering::SeqCst) & ASLEEP != 0 {
            wake(&self.word);
        }
    }

    /// Takes the tokens that are there, without sleeping.
    pub(super) fn try_take(&self) -> u32 {
        self.word.swap(0, Ordering::SeqCst) & !ASLEEP
    }

    /// Sleeps until there are tokens and takes them; 0 if the time ran out first.
    pub(super) fn park(&self, timeout: Option<Duration>) -> u32 {
        loop {
            let tokens = self.word.swap(0, Ordering::SeqCst) & !ASLEEP;
            if tokens != 0 {
                return tokens;
            }
            if self.word.compare_exchange(0, ASLEEP, Ordering::SeqCst, Ordering::SeqCst).is_err() {
                continue;
            }
            if !wait(&self.word, ASLEEP, timeout) {
                return self.word.swap(0, Ordering::SeqCst) & !ASLEEP;
            }
        }
    }
}

/// Waits while the word has the value; `false` if the time ran out.
fn wait(word: &AtomicU32, value: u32, timeout: Option<Duration>) -> bool {
    let spec = timeout.map(|t| libc::timespec {
        tv_sec: t.as_secs() as libc::time_t,
        tv_nsec: t.subsec_nanos().into(),
    });
    let spec_ptr = spec.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: the word and the timespec outlive the call, and the kernel reads both only.
    let code = unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
            value,
            spec_ptr,
        )
    };
    code == 0 || std::io::Error::last_os_error().raw_os_error() != Some(libc::ETIMEDOUT)
}

fn wake(word: &AtomicU32) {
    // SAFETY: the kernel uses the word's address as a key only.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG,
            1,
        );
    }
}
