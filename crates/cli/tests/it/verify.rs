//! `casemate verify` over every captured case, and over what is none.

use std::path::PathBuf;

use crate::stage::Stage;

pub fn corpus() -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/evidence");
    let path = PathBuf::from(option_env("CASEMATE_EVIDENCE").unwrap_or_else(|| default.to_owned()));
    if path.is_dir() {
        return Some(path.canonicalize().unwrap());
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

#[test]
fn every_captured_snp_case_gets_its_verdict() {
    let Some(corpus) = corpus() else { return };
    let stage = Stage::own();
    for dir in std::fs::read_dir(corpus.join("snp")).unwrap() {
        let dir = dir.unwrap().path();
        let case: serde_json::Value =
            serde_json::from_slice(&std::fs::read(dir.join("case.json")).unwrap()).unwrap();
        let output = stage.run(".", &["verify", dir.to_str().unwrap(), "--format", "json"]);
        let got: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let expected = &case["expected"];
        let id = &case["id"];
        assert_eq!(got["authentic"], expected["authentic"], "{id}: {got:#}");
        assert_eq!(got["verdict"], expected["verdict"], "{id}: {got:#}");
        assert_eq!(output.status.code(), Some(i32::from(expected["verdict"] != "valid")), "{id}");
        if got["authentic"] == true {
            assert_eq!(got["measurement"], expected["measurement"], "{id}");
            assert_eq!(got["report_data"], expected["report_data"], "{id}");
            assert_eq!(got["debug"], expected["debug"], "{id}");
            for field in [
                "chip_id",
                "host_data",
                "policy",
                "platform_info",
                "report_id",
                "guest_svn",
                "vmpl",
                "cpuid_fms",
            ] {
                let wanted = expected.get(field).cloned().unwrap_or_default();
                assert_eq!(got["fields"][field], wanted, "{id} {field}");
            }
        }
        let skipped = got["checks"]
            .as_array()
            .unwrap()
            .iter()
            .any(|c| c["name"] == "vtpm" && c["result"] == "skipped");
        assert_eq!(
            skipped,
            got["authentic"] == true && case.get("vtpm").is_some_and(|v| !v.is_null()),
            "{id}"
        );
    }
}

#[test]
fn another_nonce_than_the_one_asked_for_is_refused() {
    let Some(corpus) = corpus() else { return };
    let stage = Stage::own();
    let case = corpus.join("snp/genoa-v3-microsoft");
    let case = case.to_str().unwrap();
    let right: serde_json::Value =
        serde_json::from_slice(&stage.run(".", &["verify", case, "--format", "json"]).stdout)
            .unwrap();
    let right = right["report_data"].as_str().unwrap();
    assert_eq!(stage.run(".", &["verify", case, "--nonce", right]).status.code(), Some(0));
    assert_eq!(
        stage.run(".", &["verify", case, "--nonce", &"11".repeat(64)]).status.code(),
        Some(1)
    );
    for short in ["", "11", "zz"] {
        assert_eq!(
            stage.run(".", &["verify", case, "--nonce", short]).status.code(),
            Some(2),
            "{short:?}"
        );
    }
}

#[test]
fn what_is_no_evidence_and_what_is_missing_have_their_own_status() {
    let stage = Stage::own();
    std::fs::write(stage.path().join("junk"), b"junk").unwrap();
    std::fs::write(stage.path().join("bare"), [0; 1184]).unwrap();
    for (args, status) in [
        (&["verify", "junk"][..], 2),
        (&["verify", "absent"], 2),
        (&["verify"], 2),
        (&["verify", "junk", "--policy", "none-such"], 2),
        (&["verify", "junk", "--at", "yesterday"], 2),
        (&["verify", "bare"], 1),
    ] {
        assert_eq!(stage.run(".", args).status.code(), Some(status), "{args:?}");
    }
    let Some(corpus) = corpus() else { return };
    let report = corpus.join("snp/genoa-v3-microsoft/report.bin");
    let output = stage.run(".", &["verify", report.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stdout));
}
