//! `worlds [FROM [COUNT [MUTANTS]]]`: asks engine, model and checker about generated worlds, and says what came of it.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a tool of this project's own")]

use std::process::ExitCode;

use model::tally::Tally;

/// Worlds between two lines of progress.
const STRIDE: u64 = 10_000;

fn main() -> ExitCode {
    let args = std::env::args().skip(1).map(|a| a.parse::<u64>()).collect::<Result<Vec<_>, _>>();
    let Ok(args) = args else {
        eprintln!("usage: worlds [FROM [COUNT [MUTANTS]]], all numbers");
        return ExitCode::from(2);
    };
    let at = |n: usize, default| args.get(n).copied().unwrap_or(default);
    let (from, count, mutants) = (at(0, 0), at(1, STRIDE), at(2, 4));
    let mut all = Tally::default();
    while all.worlds < count {
        let part = Tally::of(from + all.worlds, STRIDE.min(count - all.worlds), mutants);
        match part {
            Ok(part) => all.add(&part),
            Err(why) => {
                eprintln!("{why}");
                return ExitCode::FAILURE;
            }
        }
        eprintln!("{} of {count}", all.worlds);
    }
    print!("{all}");
    ExitCode::SUCCESS
}
