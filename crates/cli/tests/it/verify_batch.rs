//! `casemate verify FOLDER`: every piece of evidence below it, a line each and a summary.

use serde_json::Value;

use crate::stage::Stage;
use crate::verify::corpus;

#[test]
fn every_captured_case_is_judged_in_one_run_and_all_but_one_agree() {
    let Some(corpus) = corpus() else { return };
    let stage = Stage::own();
    let folder = corpus.to_str().unwrap();
    let output = stage.run(".", &["verify", folder, "--format", "json"]);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let (mut cases, mut differ) = (0, Vec::new());
    for row in &rows {
        let path = row["path"].as_str().unwrap();
        // Roots lie beside the cases and are not evidence; keys given by hand are not given here.
        let Ok(case) = std::fs::read(corpus.join(path).join("case.json")) else { continue };
        let case: Value = serde_json::from_slice(&case).unwrap();
        let expected = &case["expected"];
        cases += 1;
        let asked = expected["reason"].as_str().is_some_and(|r| r.starts_with("nonce_mismatch"));
        if !asked
            && (&row["authentic"], &row["verdict"])
                != (&expected["authentic"], &expected["verdict"])
        {
            differ.push((path.to_owned(), case["tee"].as_str().unwrap().to_owned()));
        }
    }
    assert_eq!(cases, 113);
    // CCA and PSA keys stand in the case's own folder and have to be given, as a nonce has; a log alone cannot be compared with
    // its machine.
    differ.retain(|(_, tee)| !["cca", "psa"].contains(&tee.as_str()));
    let names = differ.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>();
    assert!(names.len() <= 1 && names.iter().all(|n| n.contains("digest-altered")), "{names:?}");
}

#[test]
fn a_folder_is_told_line_by_line_and_summed_up() {
    let Some(corpus) = corpus() else { return };
    let stage = Stage::own();
    let folder = stage.path().join("evidence/inner");
    std::fs::create_dir_all(&folder).unwrap();
    let case = corpus.join("snp/genoa-v3-microsoft/report.bin");
    std::fs::copy(case, folder.join("report.bin")).unwrap();
    std::fs::write(folder.join("notes.txt"), b"no evidence").unwrap();
    let output = stage.run(".", &["verify", "evidence"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.starts_with("unknown  snp          inner/report.bin: "), "{said}");
    assert!(
        said.ends_with("1 found: 0 valid, 0 invalid, 1 of which it cannot be said, 0 not read\n"),
        "{said}"
    );
    std::fs::remove_file(folder.join("report.bin")).unwrap();
    let output = stage.run(".", &["verify", "evidence"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no evidence below it"));
}
