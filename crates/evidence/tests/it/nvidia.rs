//! NVIDIA: agreement with every captured case, what is signed and what is not, byte by byte, and the ends of every window.

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use evidence::nvidia::{
    self, Asked, Evidence, Facts, Knobs, NvidiaRefusal, PINNED_RIM_ROOTS, PINNED_ROOTS, Rim,
    RimRefusal, Roots,
};
use evidence::x509::path::PathError;
use evidence::{Authentic, Check, Nonce, Outcome, Time};
use serde_json::Value;

use crate::corpus;

pub const ROOTS: Roots<'_> = Roots { device: &PINNED_ROOTS, rim: &PINNED_RIM_ROOTS };

pub struct Case {
    pub id: String,
    pub json: Value,
    pub evidence: Evidence,
    pub asked: Asked,
    pub at: Time,
}

/// Certificates of a PEM file, DER.
fn pem(bytes: &[u8]) -> Vec<Vec<u8>> {
    let text = std::str::from_utf8(bytes).unwrap();
    let bodies = text.split("-----BEGIN CERTIFICATE-----").skip(1);
    bodies
        .map(|b| b.split("-----END").next().unwrap().split_whitespace().collect::<String>())
        .map(|b| BASE64_STANDARD.decode(b).unwrap())
        .collect()
}

/// Every captured case; a standalone manifest is a case without a report.
pub fn cases() -> Vec<Case> {
    let Some(root) = corpus::root() else { return Vec::new() };
    let mut dirs = std::fs::read_dir(root.join("nvidia")).unwrap();
    let mut dirs = dirs.by_ref().map(|e| e.unwrap().path()).collect::<Vec<_>>();
    dirs.sort();
    dirs.into_iter()
        .map(|dir| {
            let read = |name: &str| std::fs::read(dir.join(name)).unwrap();
            let json: Value = serde_json::from_slice(&read("case.json")).unwrap();
            let (mut report, mut certificates) = (Vec::new(), Vec::new());
            let mut rims = vec!["rim.xml".to_owned()];
            if json["tee"] == "nvidia" {
                report = read("report.bin");
                certificates = pem(&read("cert_chain.pem"));
                let named = json["rims"].as_array().into_iter().flatten();
                rims = named.map(|r| r["file"].as_str().unwrap().to_owned()).collect();
            }
            let nonce = json["expected"]["nonce"].as_str().and_then(Nonce::from_hex);
            Case {
                id: json["id"].as_str().unwrap().to_owned(),
                at: Time::parse_rfc3339(json["verify_at"].as_str().unwrap()).unwrap(),
                asked: nonce.map_or(Asked::Unstated, Asked::Nonce),
                evidence: Evidence {
                    report,
                    certificates,
                    rims: rims.iter().map(|f| read(f)).collect(),
                    ocsp: Vec::new(),
                },
                json,
            }
        })
        .collect()
}

pub fn case(id: &str) -> Option<Case> {
    let found = cases().into_iter().find(|c| c.id == format!("nvidia/{id}"));
    if found.is_none() {
        println!("skipped: nvidia/{id} is not there");
    }
    found
}

pub fn verify(case: &Case) -> Result<Authentic<Facts>, NvidiaRefusal> {
    nvidia::verify(&case.evidence, &ROOTS, case.asked, case.at)
}

/// The names of the checks that did not hold.
pub fn failed(checks: &[Check]) -> Vec<&'static str> {
    checks.iter().filter(|c| c.outcome == Outcome::Failed).map(|c| c.name).collect()
}

/// The word of the corpus for each refusal of a report.
fn class(refusal: &NvidiaRefusal) -> &'static str {
    match refusal {
        NvidiaRefusal::Path(_) => "chain_invalid",
        NvidiaRefusal::ReportSignature(_) => "report_signature_invalid",
        NvidiaRefusal::Nonce { .. } => "nonce_mismatch",
        _ => "other",
    }
}

/// And of a manifest.
fn rim_class(refusal: &RimRefusal) -> &'static str {
    match refusal {
        RimRefusal::Path(PathError::Window { .. }) => "signer_certificate_expired",
        RimRefusal::Signature(_) | RimRefusal::Digest => "signature_invalid",
        _ => "other",
    }
}

#[test]
fn every_captured_report_is_judged_as_it_was_established() {
    for case in cases().iter().filter(|c| c.json["tee"] == "nvidia") {
        let expected = &case.json["expected"];
        let got = verify(case);
        let id = &case.id;
        assert_eq!(got.is_ok(), expected["authentic"] == true, "{id}: {:?}", got.err());
        let reason = expected["reason"].as_str().unwrap_or_default();
        match got {
            Err(refusal) => {
                assert!(reason.starts_with(class(&refusal)), "{id}: {refusal}, expected {reason}");
            }
            Ok(facts) => {
                let checks = nvidia::appraise(facts.facts(), &Knobs::forensic());
                let failed = failed(&checks);
                assert_eq!(failed.is_empty(), expected["verdict"] == "valid", "{id}: {checks:?}");
                let wanted: &[&str] = match reason {
                    "" => &[],
                    r if r.starts_with("measurement_mismatch") => &["measurements"],
                    r if r.starts_with("rim_") => &["rim"],
                    other => panic!("{id}: no word for {other}"),
                };
                assert_eq!(failed, wanted, "{id}");
                for refusal in facts.facts().rims.iter().filter_map(|r| r.as_ref().err()) {
                    let word = format!("rim_{}", rim_class(refusal));
                    assert!(reason.starts_with(&word), "{id}: {refusal}, expected {reason}");
                }
                fields(case, facts.facts());
                manifests(case, facts.facts());
            }
        }
        for also in case.json["also"].as_array().unwrap() {
            let other = Nonce::from_hex(also["expected_nonce"].as_str().unwrap()).unwrap();
            let got = nvidia::verify(&case.evidence, &ROOTS, Asked::Nonce(other), case.at);
            assert_eq!(got.as_ref().is_ok(), also["verdict"] == "valid", "{id}");
            assert_eq!(class(&got.unwrap_err()), also["reason"].as_str().unwrap(), "{id}");
        }
    }
}

fn fields(case: &Case, facts: &Facts) {
    let (r, expected) = (&facts.report, &case.json["expected"]);
    let o = &r.opaque;
    let text = |name: &str, got: Option<String>| {
        assert_eq!(expected[name].as_str(), got.as_deref(), "{} {name}", case.id);
    };
    let id = |n| nvidia::FieldId(n);
    text("nonce", Some(r.nonce.to_string()));
    text("report_data", Some(r.nonce.to_string()));
    text("responder_nonce", Some(r.responder_nonce.to_string()));
    text("driver_version", o.text(id(3)).map(str::to_owned));
    text("vbios_version", o.get(id(6)).map(hex::encode));
    text("project", o.text(id(17)).map(str::to_owned));
    text("project_sku", o.text(id(18)).map(str::to_owned));
    text("chip_sku", o.text(id(15)).map(str::to_owned));
    text("fwid", o.get(id(20)).map(hex::encode));
    let contents = r.blocks.iter().flat_map(|b| b.content.clone()).collect::<Vec<_>>();
    text("measurement", Some(hex::encode(evidence::bytes::sha384(&contents))));
    let names = o.fields.iter().map(|f| Value::from(f.id.to_string())).collect::<Vec<_>>();
    assert_eq!(expected["opaque_fields"], Value::from(names), "{}", case.id);
    assert_eq!(expected["trailing_bytes"], r.trailing, "{}", case.id);
    assert_eq!(expected["measurement_blocks"], r.blocks.len(), "{}", case.id);
    let blocks = r.blocks.iter().map(|b| ((b.index - 1).to_string(), hex::encode(&b.value)));
    let blocks = blocks.collect::<BTreeMap<_, _>>();
    assert_eq!(expected["measurements"], serde_json::to_value(blocks).unwrap(), "{}", case.id);
    let product = facts.device.as_ref().unwrap().product.replace('_', "");
    assert!(case.json["product"].as_str().unwrap().contains(&product), "{}", case.id);
    let subjects = expected["cert_chain"].as_array().map_or(5, Vec::len);
    assert_eq!(facts.chain.len(), subjects, "{}", case.id);
}

/// What the case says about each manifest that was found authentic.
fn manifests(case: &Case, facts: &Facts) {
    let stated = case.json["rims"].as_array().cloned().unwrap_or_default();
    for (stated, judged) in stated.iter().zip(&facts.rims) {
        let good = stated["checks"].as_array().unwrap().iter().all(|c| c["ok"] == true);
        let good = good && stated["within_window_at_verify_at"] == true;
        assert_eq!(good, judged.is_ok(), "{}", case.id);
        let Ok(rim) = judged else { continue };
        assert_eq!(stated["tag"], rim.tag_id);
        assert_eq!(stated["version"][0], rim.version);
        assert_eq!(stated["active_measurements"], rim.active.len());
        window(&stated["signer_window"], rim);
    }
}

fn window(stated: &Value, rim: &Rim) {
    assert_eq!(stated[0], rim.window.not_before.to_string());
    assert_eq!(stated[1], rim.window.not_after.to_string());
}

#[test]
fn every_captured_manifest_is_judged_as_it_was_established() {
    for case in cases().iter().filter(|c| c.json["tee"] == "nvidia-rim") {
        let expected = &case.json["expected"];
        let got = nvidia::verify_rim(&case.evidence.rims[0], &PINNED_RIM_ROOTS, case.at);
        let id = &case.id;
        assert_eq!(got.is_ok(), expected["authentic"] == true, "{id}: {:?}", got.err());
        match got {
            Err(refusal) => {
                let reason = expected["reason"].as_str().unwrap().replace(' ', "_");
                assert!(reason.contains(rim_class(&refusal)), "{id}: {refusal}, expected {reason}");
            }
            Ok(rim) => {
                let rim = rim.facts();
                assert_eq!(expected["tag_id"], rim.tag_id, "{id}");
                assert_eq!(expected["colloquial_version"][0], rim.version, "{id}");
                assert_eq!(case.json["product"][0], rim.product, "{id}");
                window(&expected["signer_window"], rim);
                let hexed = |v: &Vec<[u8; 48]>| v.iter().map(hex::encode).collect::<Vec<_>>();
                let active = rim.active.iter().map(|(i, v)| (i.to_string(), hexed(v)));
                let active = serde_json::to_value(active.collect::<BTreeMap<_, _>>()).unwrap();
                assert_eq!(expected["active"], active, "{id}");
            }
        }
    }
}
