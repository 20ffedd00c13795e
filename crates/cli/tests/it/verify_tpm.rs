//! `casemate verify` on TPM quotes, event logs, and machines of Azure and AWS whose virtual TPM quotes beside other evidence.

use std::path::Path;

use serde_json::{Value, json};

use crate::stage::Stage;
use crate::verify::corpus;
use crate::verify_cose::{Case, agrees, cases};

const TPM: [(&str, &str); 1] = [("tpm", "quote.msg")];

fn is_log(case: &Case) -> bool {
    case.json["files"].as_object().unwrap().keys().all(|f| f == "eventlog.bin")
}

#[test]
fn every_captured_tpm_quote_gets_its_verdict() {
    let Some(corpus) = corpus() else { return };
    let stage = Stage::own();
    for case in cases(&corpus, &TPM).iter().filter(|c| !is_log(c)) {
        let nonce = case.json["expected"]["nonce"].as_str().unwrap();
        agrees(case, &case.run(&stage, &case.dir, &["--nonce", nonce]));
        for also in case.json["also"].as_array().unwrap() {
            let more = match (also["expected_nonce"].as_str(), also["trusted_ak"].as_str()) {
                (Some(nonce), _) => vec!["--nonce".to_owned(), nonce.to_owned()],
                (_, Some(key)) => {
                    vec!["--root".to_owned(), case.dir.join(key).to_str().unwrap().to_owned()]
                }
                _ => panic!("{also}"),
            };
            let more = more.iter().map(String::as_str).collect::<Vec<_>>();
            let (_, got) = case.run(&stage, &case.dir, &more);
            assert_eq!(got["verdict"], also["verdict"], "{}: {got:#}", case.id());
            assert_eq!(got["authentic"], json!(true), "{}", case.id());
        }
    }
}

#[test]
fn a_log_alone_is_replayed_and_vouched_for_by_nobody() {
    let Some(corpus) = corpus() else { return };
    let stage = Stage::own();
    for case in cases(&corpus, &TPM).iter().filter(|c| is_log(c)) {
        let expected = &case.json["expected"];
        let (status, got) = case.run(&stage, &case.dir, &[]);
        assert_eq!((status, &got["authentic"]), (Some(3), &Value::Null), "{}", case.id());
        assert_eq!(got["verdict"], "valid", "{}: {got:#}", case.id());
        for (n, value) in expected["replayed_pcrs"].as_object().unwrap() {
            assert_eq!(got["fields"]["replayed_pcrs"][n], *value, "{} PCR {n}", case.id());
        }
        for name in ["bank", "algorithms", "events"] {
            if let Some(value) = expected.get(name) {
                assert_eq!(got["fields"][name], *value, "{} {name}", case.id());
            }
        }
        // Beside the machine's own registers it is told whether they are those.
        let registers = expected.get("machine_pcrs").unwrap_or(&expected["replayed_pcrs"]);
        let file = stage.path().join("pcrs.json");
        std::fs::write(&file, registers.to_string()).unwrap();
        let (_, got) = case.run(&stage, &case.dir, &["--pcrs", file.to_str().unwrap()]);
        assert_eq!(got["verdict"], expected["verdict"], "{}: {got:#}", case.id());
        if let Some(why) = expected["reason"].as_str() {
            assert_eq!(got["authentic"], expected["authentic"], "{}", case.id());
            let pcr = why.split(' ').nth(3).unwrap();
            assert!(got["reason"].as_str().unwrap().contains(&format!("PCR {pcr} of")), "{got:#}");
        }
    }
}

/// A copy of a case, to be spliced.
fn copy(stage: &Stage, from: &Path) -> std::path::PathBuf {
    let to = stage.path().join("spliced");
    let _ = std::fs::remove_dir_all(&to);
    std::fs::create_dir(&to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
    to
}

#[test]
fn a_machine_and_its_virtual_tpm_count_together_or_not_at_all() {
    let Some(corpus) = corpus() else { return };
    let stage = Stage::own();
    let evidence = corpus.to_str().unwrap();
    let machines = [
        ("snp", "azure-milan-v3-vtpm-a", "azure-milan-v3-vtpm-d"),
        ("snp", "azure-genoa-v3-vtpm", "azure-milan-v2-vtpm"),
        ("tdx", "azure-v4-vtpm-uptodate", "../snp/azure-milan-v2-vtpm"),
        ("nitrotpm", "vaportpm-with-quote", "../snp/azure-milan-v2-vtpm"),
    ];
    for (kind, id, other) in machines {
        let (own, other) = (corpus.join(kind).join(id), corpus.join(kind).join(other));
        let run = |dir: &Path, more: &[&str]| {
            let dir = dir.to_str().unwrap();
            let args = [&["verify", dir, "--format", "json"][..], more].concat();
            let output = stage.command(&args).env("CASEMATE_EVIDENCE", evidence).output().unwrap();
            serde_json::from_slice::<Value>(&output.stdout)
                .unwrap_or_else(|_| json!({"usage": String::from_utf8_lossy(&output.stderr)}))
        };
        let whole = run(&own, &[]);
        assert_eq!(
            (&whole["authentic"], &whole["verdict"]),
            (&json!(true), &json!("valid")),
            "{id}: {whole:#}"
        );
        assert!(
            whole["checks"]
                .as_array()
                .unwrap()
                .iter()
                .any(|c| c["name"] == "tpm_pcr_digest" && c["result"] == "passed")
        );
        // Another machine's part in each place.
        for part in ["tpm-quote.msg", "tpm-quote.sig", "hcl-report.bin", "pcrs.json"] {
            if !own.join(part).is_file() || !other.join(part).is_file() {
                continue;
            }
            let spliced = copy(&stage, &own);
            std::fs::copy(other.join(part), spliced.join(part)).unwrap();
            let got = run(&spliced, &[]);
            assert_eq!(got["verdict"], "invalid", "{id} with another {part}: {got:#}");
            // Values are nobody's word; every other part makes the whole a forgery.
            assert_eq!(got["authentic"], json!(part == "pcrs.json"), "{id} {part}");
        }
        // A whole quote of another machine, signature and values with it.
        let spliced = copy(&stage, &own);
        for part in ["tpm-quote.msg", "tpm-quote.sig", "pcrs.json"] {
            std::fs::copy(other.join(part), spliced.join(part)).unwrap();
        }
        assert_eq!(run(&spliced, &[])["authentic"], json!(false), "{id}");
        // A part left out.
        for part in ["tpm-quote.msg", "tpm-quote.sig", "hcl-report.bin"] {
            let spliced = copy(&stage, &own);
            if std::fs::remove_file(spliced.join(part)).is_ok() && kind != "nitrotpm" {
                assert_ne!(run(&spliced, &[])["verdict"], "valid", "{id} without {part}");
            }
        }
        // What was asked for is what the virtual TPM answers, not what stands in the report of the boot.
        if kind != "nitrotpm" {
            let answered = whole["checks"].as_array().unwrap().len();
            assert!(answered > 10);
            let nonce =
                serde_json::from_slice::<Value>(&std::fs::read(own.join("case.json")).unwrap())
                    .unwrap();
            let nonce = nonce["vtpm"]["nonce_extra_data"].as_str().unwrap().to_owned();
            if !nonce.is_empty() {
                assert_eq!(run(&own, &["--nonce", &nonce])["verdict"], "valid", "{id}");
                assert_eq!(run(&own, &["--nonce", &(nonce + "00")])["verdict"], "invalid", "{id}");
            }
        }
    }
}

#[test]
fn another_machines_log_and_values_tell_nothing_of_this_boot() {
    let Some(corpus) = corpus() else { return };
    let stage = Stage::own();
    let (own, other) = (
        corpus.join("tpm/gce-cos85-nonce-9009"),
        corpus.join("tpm/eventlog-ubuntu-2404-amd-sevsnp"),
    );
    let run = |dir: &Path, more: &[&str]| {
        let args = [&["verify", dir.to_str().unwrap()][..], more].concat();
        let output = stage.command(&args).env("CASEMATE_EVIDENCE", &corpus).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let told = run(&own, &[]);
    assert!(told.contains("secure boot      on") && told.contains("/syslinux/vmlinuz.A"), "{told}");
    let log = serde_json::from_str::<Value>(&run(&other, &["--format", "json"])).unwrap();
    let values = stage.path().join("theirs.json");
    std::fs::write(&values, log["fields"]["replayed_pcrs"].to_string()).unwrap();
    let spliced = copy(&stage, &own);
    std::fs::copy(other.join("eventlog.bin"), spliced.join("eventlog.bin")).unwrap();
    // The log explains these values, and the quote is not of them.
    let told = run(&spliced, &["--pcrs", values.to_str().unwrap()]);
    assert!(told.contains("verdict:   INVALID"), "{told}");
    assert!(!told.contains("secure boot") && !told.contains("command line"), "{told}");
}
