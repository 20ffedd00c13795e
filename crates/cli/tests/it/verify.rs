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
        let made = got["checks"]
            .as_array()
            .unwrap()
            .iter()
            .any(|c| c["name"] == "vtpm" && c["result"] == "passed");
        assert_eq!(
            made,
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

#[test]
fn a_profile_may_be_a_file_and_what_it_leaves_out_is_named() {
    let Some(corpus) = corpus() else { return };
    let stage = Stage::own();
    let case = corpus.join("snp/genoa-v3-microsoft");
    let case = case.to_str().unwrap();
    let shipped = include_str!("../../../evidence/profiles/forensic-2026-11.toml");
    let write = |name: &str, text: String| std::fs::write(stage.path().join(name), text).unwrap();
    write(
        "mine.toml",
        shipped
            .replace("forensic-2026-11", "mine")
            .replace("vmpl-maximum = \"unconstrained\"", "vmpl-maximum = 0"),
    );
    write("gap.toml", shipped.replacen("vmpl-maximum = \"unconstrained\"\n", "", 1));
    write(
        "strict.toml",
        shipped
            .replacen(
                "platform-required = \"unconstrained\"",
                "platform-required = [\"ciphertext-hiding-dram-en\"]",
                1,
            )
            .replacen("[kind.snp.family.milan]\ntcb = \"unconstrained\"\n", "", 1),
    );
    let run =
        |policy: &str| stage.run(".", &["verify", case, "--policy", policy, "--format", "json"]);
    let good = run("mine.toml");
    let json: serde_json::Value = serde_json::from_slice(&good.stdout).unwrap();
    assert_eq!((good.status.code(), &json["policy"]["id"]), (Some(0), &"mine".into()), "{json:#}");
    let gap = run("gap.toml");
    assert_eq!(gap.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&gap.stderr).contains("vmpl-maximum"), "{gap:?}");
    let strict = run("strict.toml");
    let json: serde_json::Value = serde_json::from_slice(&strict.stdout).unwrap();
    assert_eq!((strict.status.code(), json["authentic"].as_bool()), (Some(1), Some(true)));
    assert!(json["reason"].as_str().unwrap().contains("ciphertext-hiding-dram-en"), "{json:#}");
}

#[test]
fn the_table_of_an_extended_report_brings_the_chain() {
    let Some(corpus) = corpus() else { return };
    let stage = Stage::own();
    let dir = corpus.join("snp/genoa-v3-extended-cert-table");
    let (report, table) = (dir.join("report.bin"), dir.join("certs.bin"));
    let at = ["--at", "2025-06-01T00:00:00Z"];
    let args = ["verify", report.to_str().unwrap(), "--endorsement", table.to_str().unwrap()];
    let output = stage.run(".", &[&args[..], &at].concat());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn a_result_affirms_only_what_was_really_checked() {
    let Some(corpus) = corpus() else { return };
    let stage = Stage::own();
    let ear = |case: &str, more: &[&str]| {
        let dir = corpus.join(case);
        let args = ["verify", dir.to_str().unwrap(), "--format", "ear"];
        let output = stage.run(".", &[&args[..], more].concat());
        let text = String::from_utf8(output.stdout).unwrap();
        evidence::ear::parse(text.as_bytes()).unwrap().submods.remove(0).1
    };
    use evidence::ear::{Claim, Tier};
    // The forensic profile leaves every floor open: nothing is affirmed.
    let open = ear("snp/genoa-v3-microsoft", &[]);
    assert_eq!((open.status, open.vector.iter().count()), (Tier::None, 0));
    let debug = ear("snp/milan-v2-debug-policy", &[]);
    assert_eq!(debug.status, Tier::Contraindicated);
    assert_eq!(debug.vector.get(Claim::RuntimeOpaque), Some(96));
    let forged = ear("snp/milan-v3-measurement-flipped", &[]);
    assert_eq!(
        (forged.status, forged.vector.get(Claim::Hardware)),
        (Tier::Contraindicated, Some(99))
    );
    // Floors are met, the revocation list is demanded and missing: contraindicated, and never affirmed.
    let bare = ear("snp/turin-v5-microsoft", &["--policy", "snp-2026-11"]);
    assert_eq!((bare.status, bare.vector.get(Claim::Hardware)), (Tier::Contraindicated, Some(96)));
    assert!(bare.policies[1].starts_with("ni:///sha-256;"));
    let floors = include_str!("../../../evidence/profiles/snp-2026-11.toml");
    let waived =
        floors.replace("revocation-list = \"required\"", "revocation-list = \"unconstrained\"");
    std::fs::write(stage.path().join("waived.toml"), waived).unwrap();
    let waived = ear("snp/turin-v5-microsoft", &["--policy", "waived.toml"]);
    assert_eq!((waived.status, waived.vector.get(Claim::Hardware)), (Tier::None, None));
}
