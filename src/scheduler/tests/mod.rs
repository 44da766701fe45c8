//! The rules, one sentence a test.

mod bench_desk;
mod capacity;
mod dependencies;
mod editing;
mod ends;
mod explaining;
mod keys;
mod limits;
mod order;
mod requests;
mod resources;

pub(super) use bench_desk::{Desk, entry, id};
