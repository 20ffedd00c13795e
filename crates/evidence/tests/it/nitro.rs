//! AWS attestation documents: agreement with every captured case, every byte of a genuine one, and the ends of its windows.

use evidence::controls::without;
use evidence::nitro::{
    self, DocumentKind, Facts, NitroRefusal, PINNED_ROOTS, appraise, appraise_tpm,
};
use evidence::x509::path::PathError;
use evidence::{Authentic, Check, Outcome, Time};
use serde_json::{Value, json};

use crate::folders::{self, Folder, time};
use crate::profiles::{FORENSIC, shipped};

const GENUINE: [&str; 3] =
    ["nitro/veracruz-2022-11", "nitro/dstack-2025-12", "nitrotpm/vaportpm-with-quote"];

fn kind(folder: &Folder) -> DocumentKind {
    match folder.json["tee"].as_str().unwrap() {
        "nitro" => DocumentKind::Enclave,
        "nitrotpm" => DocumentKind::Tpm,
        other => panic!("{other}"),
    }
}

fn verify(folder: &Folder, at: Time) -> Result<Authentic<Facts>, NitroRefusal> {
    nitro::verify(&folder.read("document.cbor"), kind(folder), &PINNED_ROOTS, at)
}

/// Under the default policy of captured evidence.
fn judged(facts: &Facts) -> Vec<Check> {
    match facts.kind {
        DocumentKind::Enclave => appraise(facts, &shipped(FORENSIC)),
        DocumentKind::Tpm => appraise_tpm(facts, &shipped(FORENSIC)),
    }
}

fn both_kinds() -> Vec<Folder> {
    folders::all("nitro").into_iter().chain(folders::all("nitrotpm")).collect()
}

/// The corpus's word for a refusal.
fn class(refusal: &NitroRefusal) -> &'static str {
    match refusal {
        NitroRefusal::Signature => "cose_signature_invalid",
        NitroRefusal::Expired(PathError::Window { window, at, .. }) if window.not_before > *at => {
            "certificate_not_yet_valid"
        }
        NitroRefusal::Expired(_) => "certificate_expired",
        NitroRefusal::Path(PathError::Signature { .. }) => "certificate chain signature invalid",
        NitroRefusal::Algorithm { .. } => "algorithm in the protected header",
        _ => "other",
    }
}

#[test]
fn every_captured_attestation_document_is_judged_as_it_was_established() {
    for folder in &both_kinds() {
        let (id, expected) = (&folder.id, folder.expected());
        let got = verify(folder, folder.at());
        assert_eq!(json!(got.is_ok()), expected["authentic"], "{id}: {:?}", got.err());
        match got {
            Ok(facts) => {
                let checks = judged(facts.facts());
                let failed = checks.iter().filter(|c| c.outcome == Outcome::Failed);
                let failed = failed.map(|c| c.name).collect::<Vec<_>>();
                let debug = expected["reason"].as_str().is_some_and(|r| r.starts_with("debug"));
                assert_eq!(failed.is_empty(), expected["verdict"] == "valid", "{id}: {checks:?}");
                assert_eq!(failed, if debug { vec!["nitro_debug"] } else { vec![] }, "{id}");
                fields(folder, facts.facts());
            }
            Err(refusal) => {
                let reason = expected["reason"].as_str().unwrap();
                assert!(reason.starts_with(class(&refusal)), "{id}: {reason}, got {refusal}");
            }
        }
        for also in folder.json["also"].as_array().unwrap() {
            let at = time(also["verify_at"].as_str().unwrap());
            let refused = verify(folder, at).unwrap_err();
            assert_eq!(also["verdict"], "invalid", "{id}");
            assert_eq!(also["reason"], class(&refused), "{id} at {at}: {refused}");
        }
    }
}

fn fields(folder: &Folder, facts: &Facts) {
    let hex = |part: &Option<Vec<u8>>| part.as_ref().map_or(Value::Null, |b| hex::encode(b).into());
    let zero = |v: &&Vec<u8>| v.iter().all(|b| *b == 0);
    let set = facts.pcrs.iter().filter(|(_, v)| !zero(v));
    let pcrs = set.map(|(n, v)| (n.to_string(), json!(hex::encode(v)))).collect::<Value>();
    let zeros = facts.pcrs.iter().filter(|(_, v)| zero(v)).map(|(n, _)| *n).collect::<Vec<_>>();
    for (name, got) in [
        ("module_id", json!(facts.module_id)),
        ("timestamp_ms", json!(facts.timestamp_ms)),
        ("debug", json!(facts.debug())),
        ("measurement", json!(hex::encode(facts.pcr(0).unwrap()))),
        ("pcrs", pcrs),
        ("pcr_count", json!(facts.pcrs.len())),
        ("zero_pcrs", json!(zeros)),
        ("report_data", hex(&facts.user_data)),
        ("user_data", hex(&facts.user_data)),
        ("nonce", hex(&facts.nonce)),
        ("public_key", hex(&facts.public_key)),
        ("cert_chain", facts.subjects().collect()),
        (
            "valid_window",
            json!([facts.window.not_before.to_string(), facts.window.not_after.to_string()]),
        ),
    ] {
        assert_eq!(folder.expected()[name], got, "{} {name}", folder.id);
    }
    let regional = format!(".{}.aws.nitro-enclaves,", facts.region);
    assert!(facts.subjects().nth(3).unwrap().contains(&regional), "{} {regional}", folder.id);
}

#[test]
fn every_flipped_byte_of_a_document_is_refused_signed_or_not() {
    // Header and payload are signed, and the chain stands inside the payload. What nobody signs is the frame: the array's
    // head, the lengths of the four parts and the empty unsigned header. No flip of any of it is taken either.
    for (id, step) in GENUINE.into_iter().zip([1, 7, 11]) {
        let Some(folder) = folders::one(id) else { return };
        let (document, at) = (folder.read("document.cbor"), folder.at());
        assert!(verify(&folder, at).is_ok());
        let frame = (0..12).chain(document.len() - 99..document.len());
        for byte in (0..document.len()).step_by(step).chain(frame) {
            let mut changed = document.clone();
            changed[byte] ^= 1 << (byte % 8);
            let got = nitro::verify(&changed, kind(&folder), &PINNED_ROOTS, at);
            assert!(got.is_err(), "{id} byte {byte}");
        }
    }
}

#[test]
fn a_document_cut_anywhere_or_with_something_behind_it_is_refused() {
    let Some(folder) = folders::one(GENUINE[0]) else { return };
    let document = folder.read("document.cbor");
    for len in (0..document.len()).step_by(13) {
        assert!(
            nitro::verify(&document[..len], DocumentKind::Enclave, &PINNED_ROOTS, folder.at())
                .is_err()
        );
    }
    let longer = [&document[..], &[0]].concat();
    assert!(nitro::verify(&longer, DocumentKind::Enclave, &PINNED_ROOTS, folder.at()).is_err());
}

#[test]
fn the_tag_of_cose_is_taken_and_changes_nothing_else() {
    let Some(folder) = folders::one(GENUINE[0]) else { return };
    let tagged = [&[0xd2][..], &folder.read("document.cbor")].concat();
    let plain = verify(&folder, folder.at()).unwrap();
    let tagged = nitro::verify(&tagged, DocumentKind::Enclave, &PINNED_ROOTS, folder.at()).unwrap();
    assert!(tagged.facts().tagged && !plain.facts().tagged);
    assert_eq!(*plain.facts(), Facts { tagged: false, ..tagged.facts().clone() });
    assert_eq!(plain.holds_until(), tagged.holds_until());
}

#[test]
fn a_document_holds_between_the_ends_of_its_window_and_at_them_only() {
    for id in GENUINE {
        let Some(folder) = folders::one(id) else { return };
        let window = &folder.expected()["valid_window"];
        let (from, to) = (time(window[0].as_str().unwrap()), time(window[1].as_str().unwrap()));
        let at = |t: Time, plus| verify(&folder, t.plus_secs(plus)).is_ok();
        assert_eq!(
            [at(from, -1), at(from, 0), at(to, 0), at(to, 1)],
            [false, true, true, false],
            "{id}"
        );
        assert_eq!(verify(&folder, from).unwrap().holds_until(), to);
        let late = || verify(&folder, to.plus_secs(1));
        assert!(matches!(late(), Err(NitroRefusal::Expired(_))));
        assert!(without("path_window", late).is_ok());
    }
}

#[test]
fn a_document_of_one_kind_never_passes_for_the_other() {
    for (id, other) in [(GENUINE[0], DocumentKind::Tpm), (GENUINE[2], DocumentKind::Enclave)] {
        let Some(folder) = folders::one(id) else { return };
        let attack =
            || nitro::verify(&folder.read("document.cbor"), other, &PINNED_ROOTS, folder.at());
        assert!(matches!(attack(), Err(NitroRefusal::Kind { .. })), "{id}");
        assert!(without("nitro_kind", attack).is_ok());
    }
}

#[test]
fn a_document_under_a_root_that_is_not_pinned_is_refused() {
    let Some(folder) = folders::one(GENUINE[0]) else { return };
    let attack =
        || nitro::verify(&folder.read("document.cbor"), DocumentKind::Enclave, &[], folder.at());
    assert!(matches!(attack(), Err(NitroRefusal::Path(PathError::UntrustedRoot(_)))));
    assert!(without("path_pinned_root", attack).is_ok());
}

#[test]
fn a_debug_enclave_is_authentic_and_refused() {
    let Some(folder) = folders::one("nitro/evervault-debug-2022-10") else { return };
    let facts = verify(&folder, folder.at()).unwrap();
    let failed = || judged(facts.facts()).iter().any(|c| c.outcome == Outcome::Failed);
    assert!(failed());
    assert!(!without("nitro_debug", failed));
    // One zero register of the three is enough: it identifies nothing.
    let Some(folder) = folders::one(GENUINE[0]) else { return };
    let good = verify(&folder, folder.at()).unwrap().facts().clone();
    for index in 0..3 {
        let mut facts = good.clone();
        facts.pcrs.insert(index, vec![0; 48]);
        assert!(facts.debug(), "PCR {index}");
    }
    assert!(!good.debug());
}

#[test]
fn a_tpm_quote_beside_a_document_answers_the_documents_nonce() {
    let Some(folder) = folders::one("nitrotpm/vaportpm-with-quote") else { return };
    let document = verify(&folder, folder.at()).unwrap();
    let key = nitro::attestation_key(&document).unwrap();
    let signature = evidence::tpm::parse_signature(&folder.read("tpm-quote.sig"), key.kind());
    let message = folder.read("tpm-quote.msg");
    let quote = evidence::tpm::verify(&message, &signature.unwrap(), &key, folder.at()).unwrap();
    let answered = &quote.facts().quote.extra_data;
    let same = nitro::quote_nonce(document.facts(), answered);
    assert_eq!(same.outcome, Outcome::Passed);
    let other = || nitro::quote_nonce(document.facts(), &answered[..31]).outcome;
    assert_eq!(other(), Outcome::Failed);
    assert_eq!(without("nitrotpm_quote_nonce", other), Outcome::Passed);
}
