//! The bridge between async code and threads, side by side with its peers in one process.
//!
//! `cargo bench --bench bridge [-- section..]` with the sections `trip`, `rested`, `busy`, `many`, `fork`, `timer`, `mixed`, `scale`. All
//! contenders of a section run interleaved, round by round, so that a noisy machine is noisy for all of them; what counts
//! is the ratio. How to read it: README.md in this folder.

#![allow(unsafe_code)] // The counting allocator and two clocks of the kernel.

mod harness;

use std::env;

fn main() {
    let wanted: Vec<String> = env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let sections: [(&str, fn()); 8] = [
        ("trip", harness::trip::idle),
        ("rested", harness::trip::rested),
        ("busy", harness::trip::busy),
        ("many", harness::many::run),
        ("fork", harness::fork::run),
        ("timer", harness::timer::run),
        ("mixed", harness::mixed::run),
        ("scale", harness::scale::run),
    ];
    for (name, section) in sections {
        if wanted.is_empty() || wanted.iter().any(|w| w == name) {
            section();
        }
    }
}
