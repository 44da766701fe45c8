//! The rules, one sentence a test.

mod agenda;
mod alone;
mod bench_desk;
mod capacity;
mod clocks;
mod dependencies;
mod editing;
mod ends;
mod explaining;
mod folding;
mod forecasts;
mod keys;
mod limits;
mod order;
mod requests;
mod resources;

pub(super) use bench_desk::{Desk, entry, id};
