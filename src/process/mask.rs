//! Which signals a thread takes.
//!
//! A signal that every thread blocks waits in the process, also while its image is replaced, until a thread takes
//! it. Children get an empty mask whatever it is here.

use std::io;
use std::ptr;

/// Blocks these signals in the calling thread, and in every thread that it will start.
pub fn block_signals(signals: &[i32]) -> io::Result<()> {
    change(libc::SIG_BLOCK, signals)
}

/// Lets the calling thread take these signals.
pub fn unblock_signals(signals: &[i32]) -> io::Result<()> {
    change(libc::SIG_UNBLOCK, signals)
}

fn change(how: i32, signals: &[i32]) -> io::Result<()> {
    // SAFETY: a local set, emptied before signals are added and it is read; the call concerns this thread alone.
    let error = unsafe {
        let mut set = std::mem::zeroed::<libc::sigset_t>();
        libc::sigemptyset(&raw mut set);
        for &signal in signals {
            libc::sigaddset(&raw mut set, signal);
        }
        libc::pthread_sigmask(how, &raw const set, ptr::null_mut())
    };
    if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error)) }
}
