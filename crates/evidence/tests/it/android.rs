//! Android key attestation: the captured case, every byte of its chain, and chains of our own with what a genuine one never has.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use evidence::android::{
    self, AndroidRefusal, BootState, Facts, Knobs, PINNED_ROOTS, SecurityLevel, StatusList,
    appraise,
};
use evidence::controls::without;
use evidence::profile::{Section, Stated};
use evidence::x509::path::PathError;
use evidence::{Authentic, Outcome, Time};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyUsagePurpose};
use serde_json::json;

use crate::folders::{self, Folder, time};
use crate::pki::{self, Pki};
use crate::profiles::{FORENSIC, demands_every_knob, impossible, shipped};

const PRODUCTION: &str = "android-key-2026-11";

const OID: [u64; 10] = [1, 3, 6, 1, 4, 1, 11129, 2, 1, 17];

fn chain(folder: &Folder) -> Vec<Vec<u8>> {
    let text = String::from_utf8(folder.read("chain.pem")).unwrap();
    let bodies = text.split("-----BEGIN CERTIFICATE-----").skip(1);
    let body = |t: &str| t.split("-----END").next().unwrap().split_whitespace().collect::<String>();
    bodies.map(|t| BASE64_STANDARD.decode(body(t)).unwrap()).collect()
}

fn genuine() -> Option<Folder> {
    folders::one("android-key/tee-chain")
}

fn failed(facts: &Facts, knobs: &Knobs) -> Vec<&'static str> {
    let checks = appraise(facts, knobs);
    checks.iter().filter(|c| c.outcome == Outcome::Failed).map(|c| c.name).collect()
}

#[test]
fn every_captured_android_chain_is_judged_as_it_was_established() {
    for folder in folders::all("android-key") {
        let (id, expected, chain) = (&folder.id, folder.expected(), chain(&folder));
        let facts = android::verify(&chain, &PINNED_ROOTS, None, folder.at()).unwrap();
        let skipped = facts.checks().iter().filter(|c| c.outcome == Outcome::Skipped);
        assert_eq!(skipped.map(|c| c.name).collect::<Vec<_>>(), ["revocation"], "{id}");
        let facts = facts.facts();
        assert!(failed(facts, &shipped(FORENSIC)).is_empty(), "{id}");
        let d = &facts.description;
        let root = d.hardware.root_of_trust.as_ref().unwrap();
        let boot_hash = root.verified_boot_hash.as_ref().map(hex::encode);
        for (name, got) in [
            ("measurement", json!(boot_hash)),
            ("report_data", json!(hex::encode(&d.challenge))),
            ("attestation_version", json!(d.attestation_version)),
            ("attestation_security_level", json!(d.attestation_security_level.as_str())),
            ("keymaster_version", json!(d.keymaster_version)),
            ("keymaster_security_level", json!(d.keymaster_security_level.as_str())),
            ("challenge", json!(hex::encode(&d.challenge))),
            ("unique_id", json!(hex::encode(&d.unique_id))),
            (
                "root_of_trust",
                json!({
                    "verified_boot_key": hex::encode(&root.verified_boot_key), "device_locked": root.device_locked,
                    "verified_boot_state": root.verified_boot_state.as_str(), "verified_boot_hash": boot_hash,
                }),
            ),
            ("os_version", json!(d.hardware.os_version)),
            ("os_patch_level", json!(d.hardware.os_patch_level)),
        ] {
            assert_eq!(expected[name], got, "{id} {name}");
        }
        for also in folder.json["also"].as_array().unwrap() {
            let at = time(also["verify_at"].as_str().unwrap());
            let refused = android::verify(&chain, &PINNED_ROOTS, None, at).unwrap_err();
            assert!(matches!(refused, AndroidRefusal::Path(PathError::Window { .. })), "{refused}");
        }
    }
}

#[test]
fn every_flipped_byte_of_a_chain_is_refused_signed_or_not() {
    // Nobody signs a certificate's outer algorithm; it must repeat the signed one, so that no flip of it is taken either.
    let Some(folder) = genuine() else { return };
    let good = chain(&folder);
    for (place, certificate) in good.iter().enumerate() {
        for byte in 0..certificate.len() {
            let mut changed = good.clone();
            changed[place][byte] ^= 1 << (byte % 8);
            let got = android::verify(&changed, &PINNED_ROOTS, None, folder.at());
            assert!(got.is_err(), "certificate {place} byte {byte}");
        }
    }
}

#[test]
fn a_chain_holds_between_the_ends_of_its_narrowest_certificate() {
    let Some(folder) = genuine() else { return };
    let chain = chain(&folder);
    let (from, to) = (time("2021-01-13T21:09:03Z"), time("2031-01-11T21:05:43Z"));
    let at =
        |t: Time, plus| android::verify(&chain, &PINNED_ROOTS, None, t.plus_secs(plus)).is_ok();
    assert_eq!([at(from, -1), at(from, 0), at(to, 0), at(to, 1)], [false, true, true, false]);
    let late = || android::verify(&chain, &PINNED_ROOTS, None, to.plus_secs(1));
    assert!(without("path_window", late).is_ok());
}

#[test]
fn a_chain_cut_reordered_or_under_another_root_is_refused() {
    let Some(folder) = genuine() else { return };
    let good = chain(&folder);
    let refused =
        |chain: &[Vec<u8>]| android::verify(chain, &PINNED_ROOTS, None, folder.at()).unwrap_err();
    let [leaf, one, two, root] = &good[..] else { panic!("not four") };
    let path = |e: AndroidRefusal| matches!(e, AndroidRefusal::Path(_));
    assert!(path(refused(&[])));
    assert!(path(refused(&[leaf.clone(), one.clone(), two.clone()])));
    assert!(path(refused(&[leaf.clone(), two.clone(), root.clone()])));
    assert!(path(refused(&[one.clone(), leaf.clone(), two.clone(), root.clone()])));
    // Without the leaf the chain still holds, and attests nothing.
    assert_eq!(refused(&[one.clone(), two.clone(), root.clone()]), AndroidRefusal::NoExtension);
    let endless = refused(&vec![leaf.clone(); 9]);
    assert_eq!(endless, AndroidRefusal::Path(PathError::TooLong(9)));
    assert!(matches!(refused(&[vec![0x30; 80]]), AndroidRefusal::Certificate { number: 1, .. }));
    let attack = || android::verify(&good, &PINNED_ROOTS[1..], None, folder.at());
    assert!(matches!(attack(), Err(AndroidRefusal::Path(PathError::UntrustedRoot(_)))));
    assert!(without("path_pinned_root", attack).is_ok());
}

#[test]
fn a_certificate_on_the_status_list_is_refused_whatever_the_list_says_of_it() {
    let Some(folder) = genuine() else { return };
    let chain = chain(&folder);
    let with = |list: &str| {
        let list = StatusList::parse(list.as_bytes()).unwrap();
        android::verify(&chain, &PINNED_ROOTS, Some(&list), folder.at())
    };
    let clean =
        with(r#"{"entries": {"2": {"status": "REVOKED", "reason": "KEY_COMPROMISE"}}}"#).unwrap();
    assert!(clean.facts().revocation_checked);
    assert!(clean.checks().iter().all(|c| c.outcome == Outcome::Passed));
    // The leaf's serial number is 1 on every device: the list speaks of those Google issued, but a name on it is a name.
    for serial in ["1", "b78f0b0e613d0e0c80a0963e596f466f", "d50ff25ba3f2d6b3"] {
        for status in ["REVOKED", "SUSPENDED", "SOMETHING_NEW"] {
            let list = format!(r#"{{"entries": {{"{serial}": {{"status": "{status}"}}}}}}"#);
            let attack = || with(&list);
            let named = AndroidRefusal::Revoked { serial: serial.into(), status: status.into() };
            assert_eq!(attack().unwrap_err(), named);
            assert!(without("android_revoked", attack).is_ok());
        }
    }
}

#[test]
fn what_is_no_status_list_is_refused() {
    for junk in [
        &b""[..],
        b"{}",
        b"[]",
        br#"{"entries": []}"#,
        br#"{"entries": {"1": "REVOKED"}}"#,
        br#"{"entries": {"": {"status": "REVOKED"}}}"#,
        br#"{"entries": {"AB": {"status": "REVOKED"}}}"#,
        br#"{"entries": {"x": {"status": "REVOKED"}}}"#,
        br#"{"entries": {"1": {}}}"#,
        br#"{"entries": {}} trailing"#,
    ] {
        let got = StatusList::parse(junk).map(|_| ());
        assert_eq!(got, Err(AndroidRefusal::StatusForm), "{}", String::from_utf8_lossy(junk));
    }
}

fn der(tag: &[u8], content: &[u8]) -> Vec<u8> {
    let len = match content.len() {
        n @ 0..=127 => vec![n as u8],
        n @ 128..=255 => vec![0x81, n as u8],
        n => vec![0x82, (n >> 8) as u8, n as u8],
    };
    [tag, &len, content].concat()
}

fn seq(parts: &[Vec<u8>]) -> Vec<u8> {
    der(&[0x30], &parts.concat())
}

fn integer(n: u32) -> Vec<u8> {
    let bytes = n.to_be_bytes();
    let bytes = &bytes[(n.leading_zeros() / 8).min(3) as usize..];
    let pad = if bytes[0] >= 0x80 { &[0][..] } else { &[] };
    der(&[2], &[pad, bytes].concat())
}

fn enumerated(n: u8) -> Vec<u8> {
    der(&[10], &[n])
}

fn octets(b: &[u8]) -> Vec<u8> {
    der(&[4], b)
}

/// [n] EXPLICIT.
fn tagged(n: u32, inner: &[u8]) -> Vec<u8> {
    match n {
        0..=30 => der(&[0xa0 | n as u8], inner),
        31..=127 => der(&[0xbf, n as u8], inner),
        _ => der(&[0xbf, 0x80 | (n >> 7) as u8, (n & 127) as u8], inner),
    }
}

fn root_of_trust(locked: u8, state: u8) -> Vec<u8> {
    seq(&[octets(&[5; 32]), der(&[1], &[locked]), enumerated(state), octets(&[6; 32])])
}

/// The parts of an extension, open to change.
#[derive(Clone)]
struct Description {
    head: [Vec<u8>; 6],
    software: Vec<Vec<u8>>,
    hardware: Vec<Vec<u8>>,
    after: Vec<u8>,
}

impl Description {
    fn good() -> Self {
        Self {
            head: [
                integer(400),
                enumerated(2),
                integer(400),
                enumerated(1),
                octets(b"challenge"),
                octets(b""),
            ],
            software: vec![tagged(701, &integer(7)), tagged(709, &octets(b"app"))],
            hardware: vec![
                tagged(1, &der(&[0x31], &integer(2))),
                tagged(2, &integer(3)),
                tagged(702, &integer(0)),
                tagged(704, &root_of_trust(0xff, 0)),
                tagged(705, &integer(160_000)),
                tagged(706, &integer(202_511)),
                tagged(718, &integer(20_251_105)),
                tagged(719, &integer(20_251_105)),
                tagged(724, &octets(&[8; 32])),
            ],
            after: Vec::new(),
        }
    }

    fn write(&self) -> Vec<u8> {
        let lists = [seq(&self.software), seq(&self.hardware), self.after.clone()];
        seq(&[&self.head[..], &lists].concat())
    }

    fn hardware(mut self, at: usize, part: Vec<u8>) -> Self {
        self.hardware[at] = part;
        self
    }

    fn head(mut self, at: usize, part: Vec<u8>) -> Self {
        self.head[at] = part;
        self
    }
}

fn no_change(_: usize, _: &mut CertificateParams) {}

/// A chain of three with that extension in the leaf.
fn minted(extension: &[u8], change: impl Fn(usize, &mut CertificateParams)) -> Pki {
    pki::chain(3, no_change, |place, p| {
        if place == 0 {
            p.custom_extensions.push(pki::extension(&OID, extension, false));
        }
        change(place, p);
    })
}

fn verify(pki: &Pki) -> Result<Authentic<Facts>, AndroidRefusal> {
    android::verify(&pki.chain, &[pki.root], None, time("2026-06-01T00:00:00Z"))
}

fn described(description: &Description) -> Result<Facts, AndroidRefusal> {
    verify(&minted(&description.write(), no_change)).map(|f| f.facts().clone())
}

#[test]
fn a_chain_of_our_own_making_says_what_was_put_into_it() {
    let facts = described(&Description::good()).unwrap();
    let d = &facts.description;
    assert_eq!(d.attestation_security_level, SecurityLevel::StrongBox);
    assert_eq!(d.hardware.os_patch_level, Some(202_511));
    assert_eq!(d.hardware.root_of_trust.as_ref().unwrap().verified_boot_state, BootState::Verified);
    assert_eq!(d.software.application_id.as_deref(), Some(&b"app"[..]));
    // Before version 3 there was no boot hash.
    let old = seq(&[octets(&[5; 32]), der(&[1], &[0xff]), enumerated(0)]);
    let old = Description::good().head(0, integer(2)).hardware(3, tagged(704, &old));
    let root = described(&old).unwrap().description.hardware.root_of_trust.unwrap();
    assert_eq!(root.verified_boot_hash, None);
}

#[test]
fn an_attested_key_that_extends_its_chain_is_refused() {
    // Whoever holds an attested key that may sign issues a leaf with an extension of his own making.
    let lie = Description::good().write();
    let pki = minted(&lie, |place, p| {
        if place == 1 {
            let genuine = Description::good().head(1, enumerated(0)).write();
            p.custom_extensions.push(pki::extension(&OID, &genuine, false));
        }
    });
    let attack = || verify(&pki);
    assert!(matches!(attack(), Err(AndroidRefusal::ExtensionInIssuer(_))));
    assert!(without("android_extension_in_issuer", attack).is_ok());
    let none = pki::chain(3, no_change, no_change);
    assert_eq!(verify(&none).unwrap_err(), AndroidRefusal::NoExtension);
}

#[test]
fn android_issuers_that_may_not_issue_or_say_what_nobody_understands_are_refused() {
    type Change = fn(usize, &mut CertificateParams);
    let no_ca: Change = |place, p| {
        if place == 1 {
            p.is_ca = IsCa::NoCa;
        }
    };
    let silent: Change = |place, p| {
        if place == 1 {
            p.key_usages.clear();
        }
    };
    let short: Change = |place, p| {
        if place == 2 {
            p.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        }
    };
    let critical: Change = |place, p| {
        if place == 1 {
            p.custom_extensions.push(pki::extension(&[1, 2, 3, 4], b"\x05\x00", true));
        }
    };
    let other_use: Change = |place, p| {
        if place == 0 {
            p.key_usages = vec![KeyUsagePurpose::KeyAgreement];
        }
    };
    for (change, check) in [
        (no_ca, "path_ca"),
        (short, "path_ca"),
        (silent, "x509_issuer_usage"),
        (critical, "x509_critical_extension"),
    ] {
        let pki = minted(&Description::good().write(), change);
        let attack = || verify(&pki);
        assert!(attack().is_err(), "{check}");
        assert!(without(check, attack).is_ok(), "{check}");
    }
    // What the attested key is for is its owner's business.
    assert!(verify(&minted(&Description::good().write(), other_use)).is_ok());
}

#[test]
fn fields_of_another_type_or_value_are_refused_by_name() {
    let good = Description::good;
    let field = |d: Description| match described(&d).unwrap_err() {
        AndroidRefusal::Field(name) => name,
        other => panic!("{other}"),
    };
    for (at, bad, name) in [
        (0, enumerated(4), "attestationVersion"),
        (1, integer(1), "attestationSecurityLevel"),
        (1, enumerated(3), "attestationSecurityLevel"),
        (1, der(&[10], &[0, 1]), "attestationSecurityLevel"),
        (2, octets(b""), "keymasterVersion"),
        (3, enumerated(0xff), "keymasterSecurityLevel"),
        (4, integer(1), "attestationChallenge"),
        (5, der(&[5], b""), "uniqueId"),
        (0, der(&[2], &[0, 3]), "attestationVersion"),
        (0, der(&[2], &[0xff]), "attestationVersion"),
    ] {
        assert_eq!(field(good().head(at, bad)), name);
    }
    for (bad, name) in [
        (root_of_trust(1, 0), "deviceLocked"),
        (root_of_trust(0xff, 4), "verifiedBootState"),
        (seq(&[octets(b"k"), der(&[1], &[0xff]), enumerated(0)]), "verifiedBootHash"),
        (seq(&[root_of_trust(0xff, 0)]), "verifiedBootKey"),
        (octets(b"x"), "rootOfTrust"),
        ([root_of_trust(0xff, 0), integer(1)].concat(), "AuthorizationList"),
    ] {
        assert_eq!(field(good().hardware(3, tagged(704, &bad))), name);
    }
    assert_eq!(field(good().hardware(0, integer(1))), "AuthorizationList");
    assert_eq!(field(good().hardware(5, tagged(706, &octets(b"1")))), "osPatchLevel");
    assert_eq!(field(good().hardware(5, tagged(706, b""))), "osPatchLevel");
    assert_eq!(field(Description { after: integer(1), ..good() }), "KeyDescription");
    // Not a sequence, cut, with something behind it, or with a length in the long form.
    let whole = good().write();
    let long = [&[0x30, 0x83, 0, whole[2], whole[3]][..], &whole[4..]].concat();
    for bytes in
        [&b""[..], b"\x04\x00", &whole[..whole.len() - 1], &[&whole[..], &[0]].concat(), &long]
    {
        assert_eq!(android::parse(bytes).unwrap_err(), AndroidRefusal::Field("KeyDescription"));
    }
    assert_eq!(android::parse(&[0; 9000]).unwrap_err(), AndroidRefusal::ExtensionLength(9000));
}

#[test]
fn versions_and_tags_never_seen_and_tags_that_occur_twice_are_refused_by_number() {
    for version in [0, 5, 41, 401, 500] {
        let refused = described(&Description::good().head(0, integer(version))).unwrap_err();
        assert_eq!(refused, AndroidRefusal::Version(version));
    }
    for tag in [0, 9, 707, 721, 800] {
        let refused =
            described(&Description::good().hardware(2, tagged(tag, &integer(0)))).unwrap_err();
        assert_eq!(refused, AndroidRefusal::Tag(tag));
    }
    let twice = Description::good().hardware(2, tagged(704, &root_of_trust(0xff, 0)));
    assert_eq!(described(&twice).unwrap_err(), AndroidRefusal::TagTwice(704));
}

#[test]
fn every_knob_about_android_refuses_what_it_is_about_and_nothing_else() {
    let good = Description::good;
    let facts = |d: Description| Facts { revocation_checked: true, ..described(&d).unwrap() };
    let production = shipped::<Knobs>(PRODUCTION);
    assert!(failed(&facts(good()), &production).is_empty());
    let boot = |locked, state| good().hardware(3, tagged(704, &root_of_trust(locked, state)));
    let mut elsewhere = good();
    let root = elsewhere.hardware.remove(3);
    elsewhere.software.push(root);
    let stale = facts(good().hardware(5, tagged(706, &integer(202_510))));
    let unknown = Facts { revocation_checked: false, ..facts(good()) };
    let keys = Knobs { boot_keys: Stated::Value(vec![hex::encode([9; 32])]), ..production.clone() };
    let cases = [
        (facts(good().head(1, enumerated(0))), &production, "android_level"),
        (facts(good().head(3, enumerated(0))), &production, "android_level"),
        (facts(boot(0, 0)), &production, "android_locked"),
        (facts(boot(0xff, 1)), &production, "android_boot_state"),
        (facts(boot(0xff, 2)), &production, "android_boot_state"),
        (facts(boot(0xff, 3)), &production, "android_boot_state"),
        // What Android itself says about the boot counts for nothing.
        (facts(elsewhere), &production, "android_root_of_trust"),
        (facts(good().hardware(2, tagged(702, &integer(2)))), &production, "android_origin"),
        (stale, &production, "android_patch_level"),
        (unknown, &production, "android_revocation"),
        (facts(good()), &keys, "android_boot_key"),
    ];
    for (facts, knobs, name) in cases {
        assert_eq!(failed(&facts, knobs), [name]);
        assert!(without(name, || failed(&facts, knobs)).is_empty(), "{name}");
    }
    let open = described(&good().hardware(5, tagged(706, &integer(1)))).unwrap();
    assert!(failed(&open, &shipped(FORENSIC)).is_empty());
}

#[test]
fn a_profile_states_every_knob_about_android_and_demands_nothing_impossible() {
    for name in [FORENSIC, PRODUCTION] {
        demands_every_knob::<Knobs>(name);
        assert_eq!(shipped::<Knobs>(name).words().len(), 7);
    }
    for (knob, line) in [
        ("security-levels", "security-levels = []"),
        ("boot-states", "boot-states = []"),
        ("os-patch-level-minimum", "os-patch-level-minimum = 2025"),
        ("os-patch-level-minimum", "os-patch-level-minimum = 202513"),
    ] {
        impossible::<Knobs>(knob, line);
    }
}
