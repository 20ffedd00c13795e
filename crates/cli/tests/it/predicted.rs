//! `casemate measure --for`: predictions as a person asks for them, and what is asked back where something that decides is missing.

use std::path::PathBuf;

use crate::stage::Stage;

/// The vectors, copied to where the stage's user may read them.
#[allow(clippy::disallowed_methods, reason = "tests find the vectors through the environment")]
fn vectors(stage: &Stage, files: &[&str]) -> bool {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors");
    let dir =
        std::env::var("CASEMATE_VECTORS").map_or_else(|_| PathBuf::from(default), PathBuf::from);
    for file in files {
        let name = file.rsplit('/').next().unwrap();
        let Ok(bytes) = std::fs::read(dir.join(file)) else {
            println!("skipped: no vectors at {}; set CASEMATE_VECTORS", dir.display());
            return false;
        };
        std::fs::write(stage.path().join(name), bytes).unwrap();
    }
    true
}

#[test]
fn what_hardware_will_measure_is_told_before_anything_boots() {
    let stage = Stage::own();
    let firmware = "tdx-measure/gce-synthetic-firmware";
    let files = [
        &*format!("{firmware}/firmware.fd"),
        &format!("{firmware}/expected.json"),
        "sgx-sigstruct/enarx/encl.ss",
    ];
    if !vectors(&stage, &files) {
        return;
    }
    let expected = std::fs::read(stage.path().join("expected.json")).unwrap();
    let expected: serde_json::Value = serde_json::from_slice(&expected).unwrap();
    let snp = [
        "measure",
        "firmware.fd",
        "--for",
        "snp",
        "--vmm",
        "gce",
        "--vcpus",
        "1",
        "--guest-features",
        "0x1",
    ];
    let said = stage.good(".", &snp);
    let digest = expected["snp_launch_digest_gce_1_vcpu"].as_str().unwrap();
    assert!(said.starts_with(&format!("measurement      sha384:{digest}\n")), "{said}");
    let json = stage.good(
        ".",
        &["measure", "firmware.fd", "--for", "tdx", "--page-order", "page", "--format", "json"],
    );
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["mrtd"], format!("sha384:{}", expected["mrtd"].as_str().unwrap()));
    let said = stage.good(".", &["measure", "encl.ss", "--for", "sgx"]);
    assert!(said.contains("mrsigner         sha256:2f9f8fd4fe12d772"), "{said}");
    // What decides and is not said is asked for.
    for (left_out, asks) in
        [("--vmm", "--vmm"), ("--vcpus", "--vcpus"), ("--guest-features", "--guest-features")]
    {
        let at = snp.iter().position(|a| *a == left_out).unwrap();
        let less = [&snp[..at], &snp[at + 2..]].concat();
        let output = stage.run(".", &less);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(asks) && said.contains("depends on"), "{said}");
    }
    for (args, says) in [
        (vec!["measure", "firmware.fd", "--for", "tdx"], "--page-order"),
        (vec!["measure", "encl.ss", "--for", "nitro"], "does not begin with `.eif`"),
        (vec!["measure", "encl.ss", "--for", "tdx", "--page-order", "page"], "no multiple of 4096"),
        (vec!["measure", "firmware.fd", "--for", "sgx"], "expected 1808 bytes"),
        (vec!["measure", "nothing.fd", "--for", "nitro"], "nothing.fd"),
        (
            vec![
                "measure",
                "firmware.fd",
                "--for",
                "snp",
                "--vmm",
                "qemu",
                "--vcpus",
                "1",
                "--guest-features",
                "1",
                "--vcpu-type",
                "EPYC",
            ],
            "expected 0x",
        ),
        (
            vec![
                "measure",
                "firmware.fd",
                "--for",
                "snp",
                "--vmm",
                "qemu",
                "--vcpus",
                "1",
                "--guest-features",
                "0x1",
                "--vcpu-type",
                "Xeon",
            ],
            "EPYC-Milan",
        ),
        (
            vec![
                "measure",
                "firmware.fd",
                "--for",
                "snp",
                "--vmm",
                "qemu",
                "--vcpus",
                "1",
                "--guest-features",
                "0x1",
            ],
            "--vcpu-type",
        ),
    ] {
        let output = stage.run(".", &args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains(says), "{args:?}: {said}");
    }
}
