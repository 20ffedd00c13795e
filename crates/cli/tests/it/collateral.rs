//! `casemate collateral` and the store behind `casemate verify --store`, with recorded certificates.

use std::path::{Path, PathBuf};

use evidence::bytes::sha256;
use serde_json::Value;

use crate::stage::Stage;
use crate::verify::corpus;

const CASE: &str = "snp/milan-v2-coco";

/// A report alone, the time to verify it for, and a store that was filled from `paths` below the corpus.
struct Bench {
    stage: Stage,
    corpus: PathBuf,
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Option<Self> {
        let corpus = corpus()?;
        Some(Self { stage: Stage::own(), corpus, dir: tempfile::tempdir().unwrap() })
    }

    fn store(&self) -> String {
        self.dir.path().join("store").to_str().unwrap().to_owned()
    }

    fn objects(&self) -> Vec<PathBuf> {
        let Ok(list) = std::fs::read_dir(self.dir.path().join("store/objects")) else {
            return Vec::new();
        };
        list.map(|e| e.unwrap().path()).collect()
    }

    fn import(&self, paths: &[&Path]) -> (Option<i32>, String) {
        let store = self.store();
        let mut args = vec!["collateral", "import", "--store", &store];
        args.extend(paths.iter().map(|p| p.to_str().unwrap()));
        let output = self.stage.run(".", &args);
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    }

    fn fill(&self) {
        let vcek = self.corpus.join(CASE).join("vcek.der");
        let (code, said) = self.import(&[&self.corpus.join("roots/amd"), &vcek]);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("10 kept, 0 refused"), "{said}");
    }

    fn verify(&self) -> (Option<i32>, Value, String) {
        let case = self.corpus.join(CASE);
        let stated: Value =
            serde_json::from_slice(&std::fs::read(case.join("case.json")).unwrap()).unwrap();
        let (report, store) = (case.join("report.bin"), self.store());
        let at = stated["verify_at"].as_str().unwrap();
        let args = ["verify", report.to_str().unwrap(), "--at", at, "--store", &store];
        let output = self.stage.run(".", &[&args[..], &["--format", "json"]].concat());
        let said = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or_default(), said)
    }
}

#[test]
fn a_report_alone_is_judged_with_what_the_store_holds() {
    let Some(bench) = Bench::new() else { return };
    let (code, without, _) = bench.verify();
    assert_eq!(code, Some(3), "an empty store lacks everything: {without:#}");
    bench.fill();
    let (code, with, said) = bench.verify();
    assert_eq!((code, &with["authentic"]), (Some(0), &Value::Bool(true)), "{with:#} {said}");
    let told = with["checks"].as_array().unwrap().iter().filter(|c| c["name"] == "collateral");
    let told = told.map(|c| c["detail"].as_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(told.len(), 3, "VCEK, ASK and ARK: {told:?}");
    assert!(told.iter().all(|t| t.contains("from the store") && t.contains("days before")));
}

#[test]
fn a_damaged_truncated_or_foreign_entry_refuses_the_store_and_is_named() {
    let Some(bench) = Bench::new() else { return };
    bench.fill();
    let victim = bench.objects().remove(0);
    let whole = std::fs::read(&victim).unwrap();
    let mut flipped = whole.clone();
    flipped[20] ^= 1;
    for bad in [&flipped[..], &whole[..whole.len() / 2], b""] {
        std::fs::write(&victim, bad).unwrap();
        let (code, _, said) = bench.verify();
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(victim.to_str().unwrap()) && said.contains("damaged"), "{said}");
    }
    std::fs::write(&victim, &whole).unwrap();
    // Whoever can write to the folder can name a file rightly; it is verified again all the same.
    let foreign = b"not a certificate";
    let place = victim.with_file_name(hex::encode(sha256(foreign)));
    std::fs::write(&place, foreign).unwrap();
    let (code, _, said) = bench.verify();
    assert_eq!(code, Some(1));
    assert!(said.contains("not authentic") && said.contains(place.to_str().unwrap()), "{said}");
    std::fs::remove_file(&place).unwrap();
    std::os::unix::fs::symlink(&victim, victim.with_file_name("0".repeat(64))).unwrap();
    let (code, _, said) = bench.verify();
    assert_eq!(code, Some(1));
    assert!(said.contains("expected a file named by its SHA-256"), "{said}");
}

#[test]
fn only_what_verifies_under_the_pinned_roots_is_kept() {
    let Some(bench) = Bench::new() else { return };
    let vcek = bench.corpus.join(CASE).join("vcek.der");
    let (code, said) = bench.import(&[&vcek]);
    assert_eq!(code, Some(1));
    assert!(said.contains("its issuer is not there"), "{said}");
    bench.fill();
    let mut forged = std::fs::read(&vcek).unwrap();
    *forged.last_mut().unwrap() ^= 1;
    let file = bench.dir.path().join("forged.der");
    std::fs::write(&file, forged).unwrap();
    let intel = bench.corpus.join("roots/intel/sgx_root_ca.der");
    let (code, said) = bench.import(&[&file, &intel]);
    assert_eq!(code, Some(1));
    assert!(said.contains("not signed by the ASK") && said.contains("0 kept, 2 refused"), "{said}");
    assert_eq!(bench.objects().len(), 10);
    let store = bench.store();
    let shown =
        bench.stage.run(".", &["collateral", "show", "--store", &store, "--format", "json"]);
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(shown["entries"].as_array().unwrap().len(), 10);
    assert!(shown["entries"][0]["issued"].is_string() && shown["entries"][0]["age_days"].is_i64());
}
