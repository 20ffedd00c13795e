//! Promised numbers beside their rivals, in one run, as ratios (SPECIFICATION.md). Never part of the tests.
//!
//! `cargo run --release -- [decide] [handshake] [admission] [nitro] [nvidia] [start] [redis]`, all without arguments; in this folder.

mod admission;
mod decide;
mod handshake;
mod nitro;
mod nvidia;
mod redis;
mod start;
mod table;

fn main() {
    let wanted = std::env::args().skip(1).collect::<Vec<_>>();
    let all: [(&str, fn()); 7] = [
        ("decide", decide::run),
        ("handshake", handshake::run),
        ("admission", admission::run),
        ("nitro", nitro::run),
        ("nvidia", nvidia::run),
        ("start", start::run),
        ("redis", redis::run),
    ];
    if let Some(unknown) = wanted.iter().find(|w| !all.iter().any(|(n, _)| n == w)) {
        eprintln!("no benchmark {unknown:?}; there are decide, handshake, admission, nitro, nvidia, start, redis");
        std::process::exit(2);
    }
    table::machine();
    for (name, run) in all {
        if wanted.is_empty() || wanted.iter().any(|w| w == name) {
            println!("\n## {name}");
            run();
        }
    }
}
