//! Bytes that pretend to be an event log of a measured boot never panic, are read within their length, and say nothing a terminal
//! must not be shown.
#![no_main]

use evidence::tcg::{Bank, read};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(log) = read(bytes) else { return };
    assert!(log.used <= bytes.len() && !log.events.is_empty());
    for bank in [Bank::Sha1, Bank::Sha256, Bank::Sha384] {
        let replayed = log.replay(bank);
        assert_eq!(replayed.is_ok(), log.banks.contains(&bank));
        let _ = log.secure_boot(bank);
    }
    for event in &log.events {
        let said = event.said();
        assert!(said.text.chars().count() <= 512 && !said.text.contains('\u{1b}'));
    }
});
