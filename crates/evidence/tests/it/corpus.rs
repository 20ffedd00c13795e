//! Captured evidence of real hardware, read at run time; its clock is the case's own.

use std::path::PathBuf;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use evidence::{HardwareEvidence, Kind, Time};

pub struct Case {
    pub id: String,
    pub json: serde_json::Value,
    pub evidence: HardwareEvidence,
    pub at: Time,
}

/// The folder of cases; none if it is not on this machine.
pub fn root() -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/evidence");
    let stated = option_env("CASEMATE_EVIDENCE").unwrap_or_else(|| default.to_owned());
    let path = PathBuf::from(stated);
    if path.is_dir() {
        return Some(path);
    }
    println!("skipped: no captured evidence at {}; set CASEMATE_EVIDENCE", path.display());
    None
}

#[allow(
    clippy::disallowed_methods,
    reason = "tests find the captured evidence through the environment"
)]
fn option_env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// PEM or DER to DER.
pub fn der(bytes: Vec<u8>) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(&bytes) else { return bytes };
    let Some(body) = text.split("-----BEGIN CERTIFICATE-----").nth(1) else { return bytes };
    let body = body.split("-----END").next().unwrap().split_whitespace().collect::<String>();
    BASE64_STANDARD.decode(body).unwrap()
}

/// Every SNP case.
pub fn snp() -> Vec<Case> {
    let Some(root) = root() else { return Vec::new() };
    let mut dirs =
        std::fs::read_dir(root.join("snp")).unwrap().map(|e| e.unwrap().path()).collect::<Vec<_>>();
    dirs.sort();
    dirs.into_iter()
        .map(|dir| {
            let json: serde_json::Value =
                serde_json::from_slice(&std::fs::read(dir.join("case.json")).unwrap()).unwrap();
            let text = |v: &serde_json::Value| v.as_str().unwrap().to_owned();
            let mut files = vec![root.join(text(&json["trust_anchor"]))];
            let here = |f: String| if f.starts_with("roots/") { root.join(f) } else { dir.join(f) };
            files.extend(json["intermediates"].as_array().unwrap().iter().map(|i| here(text(i))));
            files.push(dir.join(text(&json["vek"]["file"])));
            let endorsements = files.into_iter().map(|f| der(std::fs::read(f).unwrap())).collect();
            let report = std::fs::read(dir.join("report.bin")).unwrap();
            Case {
                id: text(&json["id"]),
                at: Time::parse_rfc3339(json["verify_at"].as_str().unwrap()).unwrap(),
                evidence: HardwareEvidence { kind: Kind::Snp, report, endorsements },
                json,
            }
        })
        .collect()
}
