//! `casemate verify` over Nitro, NitroTPM, CCA, PSA and Android evidence: every captured case, as a folder and as a bare file,
//! and what a person forgets, mistakes or is shown.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::stage::Stage;
use crate::verify::corpus;

const KINDS: [(&str, &str); 5] = [
    ("nitro", "document.cbor"),
    ("nitrotpm", "document.cbor"),
    ("cca", "token.cbor"),
    ("psa", "token.cbor"),
    ("android-key", "chain.pem"),
];

pub struct Case {
    pub dir: PathBuf,
    pub json: Value,
    pub evidence: &'static str,
}

impl Case {
    fn read(dir: PathBuf, evidence: &'static str) -> Self {
        let json = std::fs::read(dir.join("case.json")).unwrap();
        Self { json: serde_json::from_slice(&json).unwrap(), dir, evidence }
    }

    pub fn id(&self) -> &str {
        self.json["id"].as_str().unwrap()
    }

    /// The anchor in the case's own folder goes by `--root`: what lies beside evidence is not trusted for that.
    fn root(&self) -> Vec<String> {
        let named = self.json["trust_anchor"].as_str().unwrap_or("roots/none");
        let named = named.split(' ').next().unwrap();
        let file = self.dir.join(named);
        if !named.starts_with("roots/") && file.is_file() {
            return vec!["--root".to_owned(), path(&file)];
        }
        Vec::new()
    }

    pub fn run(&self, stage: &Stage, file: &Path, more: &[&str]) -> (Option<i32>, Value) {
        let (file, root) = (path(file), self.root());
        let mut args = vec!["verify", &file, "--format", "json"];
        args.extend(root.iter().map(String::as_str));
        args.extend(more);
        let output = stage.run(".", &args);
        let json = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| {
            panic!("{}: {e}: {}", self.id(), String::from_utf8_lossy(&output.stderr))
        });
        (output.status.code(), json)
    }
}

fn path(file: &Path) -> String {
    file.to_str().unwrap().to_owned()
}

pub fn cases(corpus: &Path, kinds: &[(&str, &'static str)]) -> Vec<Case> {
    let of = |(kind, evidence): &(&str, &'static str)| {
        let evidence = *evidence;
        let dirs = std::fs::read_dir(corpus.join(kind)).unwrap();
        dirs.map(move |d| Case::read(d.unwrap().path(), evidence)).collect::<Vec<_>>()
    };
    kinds.iter().flat_map(of).collect()
}

fn case(corpus: &Path, id: &str) -> Case {
    let kind = id.split('/').next().unwrap();
    let evidence = KINDS.iter().find(|(k, _)| *k == kind).unwrap().1;
    Case::read(corpus.join(id), evidence)
}

/// Authentic, verdict, status and every field the case states.
pub fn agrees(case: &Case, (status, got): &(Option<i32>, Value)) {
    let (id, expected) = (case.id(), case.json["expected"].as_object().unwrap());
    assert_eq!(got["tee"], case.json["tee"], "{id}");
    assert_eq!(got["authentic"], expected["authentic"], "{id}: {got:#}");
    assert_eq!(got["verdict"], expected["verdict"], "{id}: {got:#}");
    assert_eq!(*status, Some(i32::from(expected["verdict"] != "valid")), "{id}");
    assert_eq!(got["reason"].is_null(), expected["verdict"] == "valid", "{id}");
    if got["authentic"] != true {
        // Nothing of what nobody vouches for is reported as a fact.
        assert!(got["fields"].is_null() && got["measurement"].is_null(), "{id}");
        return;
    }
    for (name, value) in expected {
        let got = match name.as_str() {
            "authentic" | "verdict" | "reason" => continue,
            "measurement" | "report_data" | "debug" => &got[name],
            _ => &got["fields"][name],
        };
        assert_eq!(got, value, "{id} {name}");
    }
}

#[test]
fn every_captured_token_document_and_chain_gets_its_verdict() {
    let Some(corpus) = corpus() else { return };
    let stage = Stage::own();
    for case in cases(&corpus, &KINDS) {
        agrees(&case, &case.run(&stage, &case.dir, &[]));
        let at = case.json["verify_at"].as_str().map(|at| ["--at", at]);
        let at = at.as_ref().map_or(&[][..], |at| at);
        // The same from the bare file, whose kind is detected.
        agrees(&case, &case.run(&stage, &case.dir.join(case.evidence), at));
        for also in case.json["also"].as_array().unwrap() {
            let at = also["verify_at"].as_str().unwrap();
            let (status, got) = case.run(&stage, &case.dir, &["--at", at]);
            assert_eq!(got["verdict"], also["verdict"], "{} at {at}", case.id());
            assert_eq!(
                (status, &got["authentic"]),
                (Some(1), &false.into()),
                "{} at {at}",
                case.id()
            );
        }
    }
}

#[test]
fn a_key_that_merely_lies_beside_a_token_vouches_for_nothing() {
    let Some(corpus) = corpus() else { return };
    let stage = Stage::own();
    for id in ["cca/fvp-tf-rmm", "psa/tfm-profile-2"] {
        let case = case(&corpus, id);
        let output = stage.run(".", &["verify", &path(&case.dir), "--format", "json"]);
        let got: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(3), "{id}");
        assert!(got["authentic"].is_null() && got["verdict"] == "invalid", "{id}");
        assert!(got["reason"].as_str().unwrap().contains("--root"), "{id}: {got:#}");
    }
}

#[test]
fn a_root_that_is_no_key_is_a_mistake_of_usage() {
    let Some(corpus) = corpus() else { return };
    let stage = Stage::own();
    std::fs::write(stage.path().join("junk"), b"junk").unwrap();
    std::fs::write(stage.path().join("private.jwk"), br#"{"kty":"EC","crv":"P-256","d":"AA"}"#)
        .unwrap();
    let token = path(&corpus.join("psa/tfm-profile-2"));
    for (root, word) in [("junk", "no key"), ("private.jwk", "private"), ("absent", "absent")] {
        let output = stage.run(".", &["verify", &token, "--root", root]);
        assert_eq!(output.status.code(), Some(2), "{root}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(word), "{root}");
    }
}

#[test]
fn what_was_asked_for_is_compared_whole() {
    let Some(corpus) = corpus() else { return };
    let stage = Stage::own();
    for (id, field, forms) in [
        ("nitro/veracruz-2022-11", "nonce", vec!["", "zz"]),
        ("nitrotpm/vaportpm-with-quote", "nonce", vec![""]),
        ("psa/veraison-end-to-end", "nonce", vec!["", "11", "zz"]),
        ("cca/fvp-draft-ffm-00", "realm_challenge", vec!["", "11"]),
        ("android-key/tee-chain", "challenge", vec![""]),
    ] {
        let case = case(&corpus, id);
        let right = case.json["expected"][field].as_str().unwrap();
        let with = |nonce: &str| case.run(&stage, &case.dir, &["--nonce", nonce]).0;
        assert_eq!(with(right), Some(0), "{id}");
        let mut wrong = hex::decode(right).unwrap();
        *wrong.last_mut().unwrap() ^= 1;
        assert_eq!(with(&hex::encode(wrong)), Some(1), "{id}");
        let root = case.root();
        for bad in forms {
            let dir = path(&case.dir);
            let mut args = vec!["verify", &dir, "--nonce", bad];
            args.extend(root.iter().map(String::as_str));
            assert_eq!(stage.run(".", &args).status.code(), Some(2), "{id} {bad:?}");
        }
    }
    // A document without a nonce answers no question; a prefix or an extension of the nonce is not the nonce.
    let none = case(&corpus, "nitro/base-2024-11");
    assert_eq!(none.run(&stage, &none.dir, &["--nonce", "00"]).0, Some(1));
    let some = case(&corpus, "nitro/veracruz-2022-11");
    let nonce = some.json["expected"]["nonce"].as_str().unwrap();
    for wrong in [&nonce[..62], &format!("{nonce}00")] {
        assert_eq!(some.run(&stage, &some.dir, &["--nonce", wrong]).0, Some(1));
    }
}

#[test]
fn a_production_profile_takes_evidence_only_for_what_was_asked_for() {
    let Some(corpus) = corpus() else { return };
    let stage = Stage::own();
    for (id, profile, field) in [
        ("nitro/veracruz-2022-11", "nitro-2026-11", "nonce"),
        ("nitrotpm/vaportpm-with-quote", "nitro-2026-11", "nonce"),
        ("cca/fvp-draft-ffm-00", "cca-2026-11", "realm_challenge"),
        ("psa/veraison-end-to-end", "psa-2026-11", "nonce"),
    ] {
        let case = case(&corpus, id);
        let nonce = case.json["expected"][field].as_str().unwrap();
        let (status, got) = case.run(&stage, &case.dir, &["--policy", profile]);
        assert_eq!(status, Some(1), "{id}");
        assert!(got["reason"].as_str().unwrap().contains("--nonce"), "{id}: {got:#}");
        let (status, got) = case.run(&stage, &case.dir, &["--policy", profile, "--nonce", nonce]);
        assert_eq!(status, Some(0), "{id}: {got:#}");
        assert_eq!(got["policy"]["id"], profile);
    }
    // Legacy tokens and old documents are refused for what they are.
    let old = case(&corpus, "cca/fvp-tf-rmm");
    let challenge = old.json["expected"]["realm_challenge"].as_str().unwrap();
    let (_, got) = old.run(&stage, &old.dir, &["--policy", "cca-2026-11", "--nonce", challenge]);
    assert!(got["reason"].as_str().unwrap().starts_with("cca_platform_profile"), "{got:#}");
    let late = case(&corpus, "nitro/veracruz-2022-11");
    let nonce = late.json["expected"]["nonce"].as_str().unwrap();
    let at = ["--policy", "nitro-2026-11", "--nonce", nonce, "--at", "2022-11-09T23:00:00Z"];
    let (_, got) = late.run(&stage, &late.dir, &at);
    assert!(got["reason"].as_str().unwrap().starts_with("nitro_age"), "{got:#}");
    assert_eq!(got["authentic"], true);
    // A profile of another kind is none here.
    let dir = path(&late.dir);
    let other = stage.run(".", &["verify", &dir, "--policy", "psa-2026-11"]);
    assert_eq!(other.status.code(), Some(2));
}

#[test]
fn a_quote_beside_a_nitrotpm_document_is_verified_by_the_documents_key() {
    let Some(corpus) = corpus() else { return };
    let stage = Stage::own();
    for (id, there) in [("nitrotpm/vaportpm-with-quote", true), ("nitro/veracruz-2022-11", false)] {
        let case = case(&corpus, id);
        let (_, got) = case.run(&stage, &case.dir, &[]);
        let checks = got["checks"].as_array().unwrap();
        let made = |name| checks.iter().any(|c| c["name"] == name && c["result"] == "passed");
        let made =
            made("tpm_quote_signature") && made("tpm_pcr_digest") && made("nitrotpm_quote_nonce");
        assert_eq!((made, &got["verdict"]), (there, &"valid".into()), "{id}");
    }
}

#[test]
fn the_status_list_of_android_is_asked_where_it_is_given() {
    let Some(corpus) = corpus() else { return };
    let stage = Stage::own();
    let case = case(&corpus, "android-key/tee-chain");
    let revocation = |got: &Value| {
        let checks = got["checks"].as_array().unwrap().clone();
        checks.into_iter().find(|c| c["name"] == "revocation").unwrap()["result"].clone()
    };
    let (_, got) = case.run(&stage, &case.dir, &[]);
    assert_eq!(revocation(&got), "skipped");
    let list = |name: &str, serial: &str| {
        let file = stage.path().join(name);
        let entry = format!(r#"{{"entries":{{"{serial}":{{"status":"REVOKED"}}}}}}"#);
        std::fs::write(&file, entry).unwrap();
        path(&file)
    };
    let (status, got) = case.run(&stage, &case.dir, &["--endorsement", &list("clean", "7")]);
    assert_eq!((status, revocation(&got)), (Some(0), "passed".into()));
    let serial = "b78f0b0e613d0e0c80a0963e596f466f";
    let (status, got) = case.run(&stage, &case.dir, &["--endorsement", &list("revoked", serial)]);
    assert_eq!((status, &got["authentic"]), (Some(1), &false.into()));
    assert!(got["reason"].as_str().unwrap().contains(serial), "{got:#}");
    let dir = path(&case.dir);
    std::fs::write(stage.path().join("bad"), b"{}").unwrap();
    assert_eq!(stage.run(".", &["verify", &dir, "--endorsement", "bad"]).status.code(), Some(2));
}

#[test]
fn the_table_says_what_to_do_about_what_failed() {
    let Some(corpus) = corpus() else { return };
    let stage = Stage::own();
    for (id, words) in [
        (
            "nitro/veracruz-2022-11",
            &["authentic: yes", "verdict:   valid", "admits nothing", "PCR 0"][..],
        ),
        (
            "nitro/sparsity-debug-2024-08",
            &["authentic: yes", "INVALID", "start the enclave without"],
        ),
        ("nitro/veracruz-2022-11-expired", &["authentic: NO", "ask for a fresh one"]),
        ("nitro/evervault-alg-changed", &["authentic: NO", "ES512"]),
        ("cca/fvp-realm-token-swapped", &["authentic: NO", "spliced"]),
        ("cca/fvp-tf-rmm-wrong-cpak", &["authentic: NO", "pass the right anchor"]),
        ("psa/tfm-profile-2", &["authentic: yes", "lifecycle", "SPE 1.6.0"]),
        ("android-key/tee-chain", &["authentic: yes", "TrustedEnvironment", "attestation/status"]),
    ] {
        let case = case(&corpus, id);
        let (dir, root) = (path(&case.dir), case.root());
        let mut args = vec!["verify", &dir];
        args.extend(root.iter().map(String::as_str));
        let output = stage.run(".", &args);
        let text = String::from_utf8(output.stdout).unwrap();
        for word in words {
            assert!(text.contains(word), "{id}: no {word:?} in\n{text}");
        }
    }
}

#[test]
fn a_folder_that_names_the_other_kind_is_refused_for_it() {
    let Some(corpus) = corpus() else { return };
    let stage = Stage::own();
    for (id, tee) in
        [("nitro/veracruz-2022-11", "nitrotpm"), ("nitrotpm/vaportpm-with-quote", "nitro")]
    {
        let case = case(&corpus, id);
        let dir = stage.path().join(tee);
        std::fs::create_dir(&dir).unwrap();
        std::fs::copy(case.dir.join(case.evidence), dir.join(case.evidence)).unwrap();
        let json = serde_json::json!({"tee": tee, "verify_at": case.json["verify_at"]});
        std::fs::write(dir.join("case.json"), json.to_string()).unwrap();
        let output = stage.run(".", &["verify", &path(&dir), "--format", "json"]);
        let got: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(1), "{id}");
        assert!(got["reason"].as_str().unwrap().contains("never pass for each other"), "{got:#}");
    }
}
