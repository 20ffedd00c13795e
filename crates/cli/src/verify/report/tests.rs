//! What the command says of a nonce: compared whole, and asked for wherever a profile admits something.

use evidence::controls::without;

use super::*;

fn report(profile: &str) -> Report {
    Report {
        tee: "snp",
        title: "SNP",
        profile: Profile { id: profile.to_owned(), words: Vec::new() },
        authentic: Some(true),
        checks: Vec::new(),
        measurement: None,
        report_data: None,
        debug: None,
        facts: Vec::new(),
        fields: Value::Null,
    }
}

/// The status after asking for `wanted` where the evidence has `seen`.
fn status(profile: &str, wanted: Option<&[u8]>, seen: &[u8]) -> u8 {
    let mut report = report(profile);
    report.ask_nonce("REPORT_DATA", wanted, seen);
    report.status()
}

#[test]
fn a_nonce_that_is_not_the_whole_field_is_refused_alone() {
    let seen = [7; 64];
    assert_eq!(status(FORENSIC, Some(&seen), &seen), 0);
    // Certifier A6 compared as far as the quote's own data went: nothing, a beginning or more never is the nonce.
    let mut last = seen;
    last[63] ^= 1;
    for wanted in [&[][..], &seen[..32], &seen[..63], &[7; 65], &last] {
        assert_eq!(status(FORENSIC, Some(wanted), &seen), 1, "{} bytes", wanted.len());
        assert_eq!(status(FORENSIC, Some(&seen), wanted), 1, "a field of {} bytes", wanted.len());
        assert_eq!(without("verify_nonce", || status(FORENSIC, Some(wanted), &seen)), 0);
    }
}

#[test]
fn a_profile_that_admits_something_asks_for_the_nonce() {
    assert_eq!(status(FORENSIC, None, &[7; 64]), 0, "it says what evidence is and admits nothing");
    let attack = || status("snp-2026-11", None, &[7; 64]);
    assert_eq!(attack(), 1);
    assert_eq!(without("verify_nonce_asked", attack), 0);
}
