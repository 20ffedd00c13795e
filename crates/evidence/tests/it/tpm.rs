//! TPM quotes, event logs and Azure's blobs as real machines made them: every byte that may not change is tried, and bytes of any
//! kind are read without harm.

use std::path::PathBuf;

use evidence::azure;
use evidence::bytes::sha256;
use evidence::tcg::{self, Bank};
use evidence::tpm::{
    AttestationKey, KeyKind, PINNED_ROOTS, parse_public, parse_quote, parse_signature, verify,
};
use evidence::x509::Certificate;
use evidence::{RootDigest, Time};
use proptest::prelude::*;

use crate::corpus;

struct Genuine {
    dir: PathBuf,
    others: Vec<Certificate>,
    at: Time,
}

impl Genuine {
    fn new() -> Option<Self> {
        let root = corpus::root()?;
        let dir = root.join("tpm/gce-cos85-nonce-9009");
        let json = std::fs::read(dir.join("case.json")).unwrap();
        let json = serde_json::from_slice::<serde_json::Value>(&json).unwrap();
        let names = json["intermediates"].as_array().unwrap().iter().chain([&json["trust_anchor"]]);
        let read = |n: &serde_json::Value| {
            let der = corpus::der(std::fs::read(root.join(n.as_str().unwrap())).unwrap());
            Certificate::parse(&der).unwrap()
        };
        let at = Time::parse_rfc3339(json["verify_at"].as_str().unwrap()).unwrap();
        Some(Self { others: names.map(read).collect(), dir, at })
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.dir.join(name)).unwrap()
    }

    fn key(&self, certificate: &[u8], public: &[u8]) -> Option<AttestationKey> {
        let public = parse_public(public).ok()?;
        let (others, roots) = (&self.others, &PINNED_ROOTS);
        AttestationKey::certified(certificate, others, roots, Some(&public), self.at).ok()
    }

    fn holds(&self, message: &[u8], signature: &[u8], key: &AttestationKey) -> bool {
        let signature = parse_signature(signature, key.kind());
        signature.and_then(|s| verify(message, &s, key, self.at)).is_ok()
    }
}

#[test]
fn no_byte_of_a_genuine_quote_signature_certificate_or_key_may_change() {
    let Some(genuine) = Genuine::new() else { return };
    let (certificate, public) = (genuine.read("ak_cert.der"), genuine.read("ak_pub.tpmt"));
    let key = genuine.key(&certificate, &public).unwrap();
    for bank in ["sha1", "sha256", "sha384"] {
        let message = genuine.read(&format!("quote-{bank}.msg"));
        let signature = genuine.read(&format!("quote-{bank}.sig"));
        assert!(genuine.holds(&message, &signature, &key));
        for (at, bit) in (0..message.len()).flat_map(|at| [(at, 1), (at, 0x80)]) {
            let mut changed = message.clone();
            changed[at] ^= bit;
            assert!(!genuine.holds(&changed, &signature, &key), "{bank}: byte {at} of the quote");
        }
        for at in 0..signature.len() {
            let mut changed = signature.clone();
            changed[at] ^= 1;
            assert!(!genuine.holds(&message, &changed, &key), "{bank}: byte {at} of the signature");
        }
    }
    for at in 0..certificate.len() {
        let mut changed = certificate.clone();
        changed[at] ^= 1;
        assert!(genuine.key(&changed, &public).is_none(), "byte {at} of the certificate");
    }
    // The name's hash and the policy (2..4, 8..42) are no part of the key, nor are attributes nobody relies on.
    let modulus = public.len() - 256;
    for at in modulus..public.len() {
        let mut changed = public.clone();
        changed[at] ^= 1;
        assert!(genuine.key(&certificate, &changed).is_none(), "byte {at} of the modulus");
    }
}

#[test]
fn a_genuine_log_is_changed_nowhere_that_counts_unnoticed() {
    let Some(genuine) = Genuine::new() else { return };
    let bytes = genuine.read("eventlog.bin");
    let log = tcg::read(&bytes).unwrap();
    let registers = log.replay(Bank::Sha256).unwrap();
    let digests = log.events.iter().filter(|e| e.kind != tcg::NO_ACTION);
    for digest in digests.filter_map(|e| e.digest(Bank::Sha256)) {
        let at = bytes.windows(32).position(|w| w == digest).unwrap();
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        // The first place these bytes stand may be in another event's description.
        if let Ok(log) = tcg::read(&changed)
            && log.events.iter().map(|e| e.digests.clone()).ne(log_digests(&bytes))
        {
            assert_ne!(log.replay(Bank::Sha256).unwrap(), registers, "byte {at}");
        }
    }
    for len in (0..bytes.len()).step_by(7) {
        if let Ok(cut) = tcg::read(&bytes[..len]) {
            assert!(cut.events.len() < log.events.len(), "cut at {len}");
        }
    }
}

fn log_digests(bytes: &[u8]) -> Vec<Vec<(Bank, &[u8])>> {
    tcg::read(bytes).unwrap().events.into_iter().map(|e| e.digests).collect()
}

#[test]
fn genuine_logs_say_what_was_booted() {
    let Some(root) = corpus::root() else { return };
    for (id, on, line) in [
        ("gce-cos85-nonce-9009", true, Some("/syslinux/vmlinuz.A")),
        ("eventlog-ubuntu-2404-amd-sevsnp", false, Some("/vmlinuz-6.8.0-1010-gcp")),
        ("eventlog-arch-linux-workstation", false, None),
    ] {
        let bytes = std::fs::read(root.join("tpm").join(id).join("eventlog.bin")).unwrap();
        let log = tcg::read(&bytes).unwrap();
        assert_eq!(log.secure_boot(Bank::Sha256), Some(on), "{id}");
        let lines = log.events.iter().filter_map(tcg::Event::command_line).collect::<Vec<_>>();
        assert_eq!(lines.first().map(|l| l.split(' ').next().unwrap()), line, "{id}");
        assert!(lines.len() <= 1, "{id}");
        let said = log.events.iter().map(tcg::Event::said).collect::<Vec<_>>();
        assert!(said.iter().any(|s| s.text.starts_with("SecureBoot: ")), "{id}");
        assert!(said.iter().all(|s| s.text.len() <= 4 * 512 && !s.text.contains('\u{1b}')), "{id}");
    }
}

/// A crypto-agile log of SHA-256 digests: register, kind, what is measured, what is written beside.
fn log(events: &[(u32, u32, &[u8], &[u8])]) -> Vec<u8> {
    let spec = [b"Spec ID Event03\0", &[0; 8][..], &[1, 0, 0, 0, 0x0b, 0, 32, 0, 0]].concat();
    let sized = |b: &[u8]| [&u32::try_from(b.len()).unwrap().to_le_bytes()[..], b].concat();
    let mut out = [&[0, 0, 0, 0, 3, 0, 0, 0][..], &[0; 20], &sized(&spec)].concat();
    for (register, kind, measured, data) in events {
        let head = [register.to_le_bytes(), kind.to_le_bytes(), [1, 0, 0, 0]].concat();
        out.extend([&head[..], &[0x0b, 0], &sha256(measured), &sized(data)].concat());
    }
    out
}

fn secure_boot(state: &[u8]) -> Vec<u8> {
    let name = "SecureBoot".bytes().flat_map(|b| [b, 0]).collect::<Vec<_>>();
    let global = hex::decode("61dfe48bca93d211aa0d00e098032b8c").unwrap();
    let len = (state.len() as u64).to_le_bytes();
    [&global[..], &10_u64.to_le_bytes(), &len, &name, state].concat()
}

#[test]
fn secure_boot_is_what_firmware_measured_and_not_what_a_log_says() {
    let (on, off) = (secure_boot(&[1]), secure_boot(&[0]));
    let end = (7, 4, &[0; 4][..], &[0; 4][..]);
    let state = |events: &[(u32, u32, &[u8], &[u8])]| {
        let bytes = log(events);
        tcg::read(&bytes).unwrap().secure_boot(Bank::Sha256)
    };
    let (is_on, is_off) =
        ((7, 0x8000_0001, &on[..], &on[..]), (7, 0x8000_0001, &off[..], &off[..]));
    assert_eq!(state(&[is_on, end]), Some(true));
    assert_eq!(state(&[is_off, end]), Some(false));
    assert_eq!(state(&[(7, 0x8000_0001, &secure_boot(&[]), &[]), end]), Some(false));
    // It was off: a log that writes "on" beside, calls it something else, or extends "on" once the system runs.
    assert_eq!(state(&[(7, 0x8000_0001, &off, &on), end]), Some(false));
    assert_eq!(state(&[(7, 5, &off, b"fine"), end, is_on, end]), Some(false));
    assert_eq!(
        state(&[(7, 5, &off, b"fine"), (7, 5, &[0; 4], b"nothing"), is_on, end]),
        Some(false)
    );
    // Both before the separator, no separator, another register: not shown.
    assert_eq!(state(&[is_off, is_on, end]), None);
    assert_eq!(state(&[is_on]), None);
    assert_eq!(state(&[(4, 0x8000_0001, &on, &on), end]), None);
    assert_eq!(state(&[(7, tcg::NO_ACTION, &on, &on), end]), None);
}

#[test]
fn a_command_line_counts_where_its_digest_is_of_it() {
    let lines = |register, kind, measured: &[u8], data: &[u8]| {
        let bytes = log(&[(register, kind, measured, data)]);
        let log = tcg::read(&bytes).unwrap();
        log.events.iter().filter_map(tcg::Event::command_line).collect::<Vec<_>>()
    };
    let data = b"kernel_cmdline: /vmlinuz quiet\0";
    assert_eq!(lines(8, 0x0d, b"/vmlinuz quiet", data), ["/vmlinuz quiet"]);
    for (register, kind, measured) in [
        (8, 0x0d, &b"/vmlinuz init=/bin/sh"[..]),
        (9, 0x0d, b"/vmlinuz quiet"),
        (8, 5, b"/vmlinuz quiet"),
    ] {
        assert!(lines(register, kind, measured, data).is_empty());
    }
    // What would move a terminal's cursor is not shown.
    let escape = b"kernel_cmdline: \x1b[2J\0";
    assert!(lines(8, 0x0d, b"\x1b[2J", escape).is_empty());
}

#[test]
fn no_byte_of_a_genuine_azure_documents_binding_may_change() {
    let Some(root) = corpus::root() else { return };
    let blob = std::fs::read(root.join("snp/azure-milan-v3-vtpm-a/hcl-report.bin")).unwrap();
    let runtime = azure::parse(&blob).unwrap().runtime.to_vec();
    let bound = |b: &[u8]| azure::parse(b).is_ok_and(|h| sha256(h.runtime) == sha256(&runtime));
    assert!(bound(&blob));
    for at in 1236..1236 + runtime.len() {
        let mut changed = blob.clone();
        changed[at] ^= 1;
        assert!(!bound(&changed), "byte {at}");
    }
    for len in 0..1236 + runtime.len() {
        assert!(azure::parse(&blob[..len]).is_err(), "cut at {len}");
    }
}

proptest! {
    #[test]
    fn bytes_of_any_kind_are_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = parse_quote(&bytes);
        let _ = parse_public(&bytes);
        for kind in [KeyKind::Rsa, KeyKind::P256, KeyKind::P384] {
            let _ = parse_signature(&bytes, kind);
        }
        let _ = AttestationKey::certified(&bytes, &[], &[RootDigest::new([0; 32])], None, Time::from_unix(0));
        let _ = azure::parse(&[b"HCLA", &bytes[..]].concat());
        let quote = [&[0xff, 0x54, 0x43, 0x47, 0x80, 0x18][..], &bytes].concat();
        let _ = parse_quote(&quote);
        if let Ok(log) = tcg::read(&bytes) {
            prop_assert!(log.used <= bytes.len());
        }
        let agile = [&log(&[])[..], &bytes].concat();
        if let Ok(log) = tcg::read(&agile) {
            prop_assert!(log.used <= agile.len());
            let _ = (log.secure_boot(Bank::Sha256), log.replay(Bank::Sha256));
            for event in &log.events {
                prop_assert!(event.said().text.chars().count() <= 512);
            }
        }
    }

    #[test]
    fn a_written_log_is_read_as_it_was_written(
        events in proptest::collection::vec(
            (0_u32..24, 4_u32..200, proptest::collection::vec(any::<u8>(), 0..40)), 0..20)
    ) {
        let written = events.iter().map(|(r, k, d)| (*r, *k, &d[..], &d[..])).collect::<Vec<_>>();
        let bytes = log(&written);
        let read = tcg::read(&bytes).unwrap();
        prop_assert_eq!(read.used, bytes.len());
        let got = read.events.iter().skip(1).map(|e| (e.register, e.kind, e.data.to_vec()));
        prop_assert_eq!(got.collect::<Vec<_>>(), events);
        prop_assert!(!read.events.iter().any(tcg::Event::contradicts_itself));
    }
}
