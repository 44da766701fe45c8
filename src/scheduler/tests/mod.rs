//! The rules, one sentence a test.

mod bench_desk;
mod capacity;
mod ends;
mod explaining;
mod order;
mod requests;

use bench_desk::id;
