//! `casemate verify` over every captured NVIDIA case, over bare reports and manifests, and what it tells a person to do.

use std::path::Path;

use serde_json::Value;

use crate::stage::Stage;
use crate::verify::corpus;

/// Exit status, JSON.
fn judged(stage: &Stage, args: &[&str]) -> (Option<i32>, Value) {
    let output = stage.run(".", &[&["verify", "--format", "json"], args].concat());
    let json = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.code(), json)
}

fn cases(corpus: &Path) -> Vec<(String, Value)> {
    let mut dirs = std::fs::read_dir(corpus.join("nvidia")).unwrap();
    let mut dirs = dirs.by_ref().map(|e| e.unwrap().path()).collect::<Vec<_>>();
    dirs.sort();
    let json = |d: &Path| serde_json::from_slice(&std::fs::read(d.join("case.json")).unwrap());
    dirs.iter().map(|d| (d.to_str().unwrap().to_owned(), json(d).unwrap())).collect()
}

#[test]
fn every_captured_nvidia_case_gets_its_verdict_and_fields() {
    let Some(corpus) = corpus() else { return };
    let stage = Stage::own();
    for (dir, case) in cases(&corpus) {
        let (expected, id) = (&case["expected"], &case["id"]);
        let nonce = expected["nonce"].as_str().map(|n| ["--nonce", n]);
        let args = [&[dir.as_str()][..], nonce.as_ref().map_or(&[], |n| &n[..])].concat();
        let (status, got) = judged(&stage, &args);
        assert_eq!(got["tee"], case["tee"], "{id}");
        assert_eq!(got["authentic"], expected["authentic"], "{id}: {got:#}");
        assert_eq!(got["verdict"], expected["verdict"], "{id}: {got:#}");
        assert_eq!(status, Some(i32::from(expected["verdict"] != "valid")), "{id}");
        assert_eq!(got["reason"].is_null(), expected["reason"].is_null(), "{id}");
        if got["authentic"] == true {
            let own = ["authentic", "verdict", "reason", "measurement_note"];
            let top = ["measurement", "report_data", "debug"];
            for (name, wanted) in expected.as_object().unwrap() {
                if own.contains(&name.as_str()) {
                    continue;
                }
                let seen = if top.contains(&name.as_str()) { &got } else { &got["fields"] };
                assert_eq!(seen[name], *wanted, "{id} {name}");
            }
        }
        for also in case["also"].as_array().unwrap() {
            let nonce = also["expected_nonce"].as_str().unwrap();
            let (status, got) = judged(&stage, &[&dir, "--nonce", nonce]);
            assert_eq!((status, &got["verdict"]), (Some(1), &also["verdict"]), "{id}");
            let reason = got["reason"].as_str().unwrap();
            assert!(reason.starts_with(also["reason"].as_str().unwrap()), "{id}: {reason}");
        }
    }
}

#[test]
fn a_bare_report_and_a_bare_manifest_are_known_by_their_bytes() {
    let Some(corpus) = corpus() else { return };
    let stage = Stage::own();
    let file = |name: &str| corpus.join("nvidia").join(name).to_str().unwrap().to_owned();
    let report = file("h100-driver-535-with-vbios-rim/report.bin");
    let chain = file("h100-driver-535-with-vbios-rim/cert_chain.pem");
    let rim = file("h100-driver-535-with-vbios-rim/vbios_rim.xml");
    // What is missing has its own status, and says what to pass.
    let (status, got) = judged(&stage, &[&report]);
    assert_eq!((status, &got["authentic"]), (Some(3), &Value::Null));
    let reason = got["reason"].as_str().unwrap();
    assert!(reason.contains("--endorsement") || reason.contains("as an endorsement"), "{reason}");
    let with = |more: &[&str]| {
        let base = [report.as_str(), "--endorsement", &chain, "--at", "2024-01-01T00:00:00Z"];
        judged(&stage, &[&base, more].concat())
    };
    let outcome = |json: &Value, name: &str| {
        let checks = json["checks"].as_array().unwrap().clone();
        checks.iter().find(|c| c["name"] == name).map(|c| c["result"].clone())
    };
    let (status, got) = with(&[]);
    assert_eq!((status, outcome(&got, "measurements")), (Some(0), None));
    assert_eq!(outcome(&got, "rims"), Some("skipped".into()));
    let (status, got) = with(&["--rim", &rim]);
    assert_eq!((status, outcome(&got, "measurements")), (Some(0), Some("passed".into())));
    // The driver's manifest and every status are still missing for production.
    let (status, got) = with(&["--rim", &rim, "--policy", "nvidia-2026-11"]);
    assert_eq!((status, outcome(&got, "rims")), (Some(1), Some("failed".into())));
    assert_eq!(outcome(&got, "revocation"), Some("failed".into()));
    // Statuses that are none.
    std::fs::write(stage.path().join("junk"), b"junk").unwrap();
    let (status, got) = with(&["--ocsp", "junk"]);
    assert_eq!((status, outcome(&got, "revocation")), (Some(1), Some("failed".into())));
    let (status, got) = judged(&stage, &[&rim, "--at", "2024-01-01T00:00:00Z"]);
    assert_eq!((status, &got["tee"]), (Some(0), &"nvidia-rim".into()));
    let (status, _) = judged(&stage, &[&rim, "--at", "2026-01-01T00:00:00Z"]);
    assert_eq!(status, Some(1));
}

#[test]
fn nonces_and_profiles_that_cannot_be_are_errors_of_use() {
    let Some(corpus) = corpus() else { return };
    let stage = Stage::own();
    let dir = |name: &str| corpus.join("nvidia").join(name).to_str().unwrap().to_owned();
    let report = dir("h100-driver-550-nvtrust");
    for (args, status) in [
        (vec![report.as_str(), "--nonce", "11"], 2),
        (vec![&report, "--policy", "snp-2026-11"], 2),
        (vec![&report, "--rim", "absent"], 2),
        (vec![&dir("rim-driver-550-144-03"), "--policy", "nvidia-2026-11"], 2),
    ] {
        assert_eq!(judged(&stage, &args).0, Some(status), "{args:?}");
    }
}

#[test]
fn the_table_tells_a_person_which_manifest_to_fetch() {
    let Some(corpus) = corpus() else { return };
    let stage = Stage::own();
    for (name, wanted) in [
        ("h100-driver-535-vbios-rim-mismatch", "fetch NV_GPU_VBIOS_1010_0200_882_96005E0001"),
        ("h100-driver-535-vbios-rim-expired", "holds from 2023-06-23T09:30:33Z to"),
        ("ls10-switch-rim-invalid-signature", "fetch it again"),
        ("h100-chain-missing-intermediate", "an intermediate is missing"),
        ("h100-chain-missing-leaf", "lacks its leaf"),
        ("blackwell-gb100-driver-575", "pass with --rim NV_GPU_CC_DRIVER_GB100_575.32"),
    ] {
        let path = corpus.join("nvidia").join(name);
        let output = stage.run(".", &["verify", path.to_str().unwrap()]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains(wanted), "{name}: {text}");
    }
}
