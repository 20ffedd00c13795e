//! Captured Intel quotes: each refused for the reason that was established, no byte of a genuine one may change, and the logs that
//! came with some lead to their registers.

use evidence::dcap::layout::Tee;
use evidence::dcap::{
    Collateral, DcapRefusal, PINNED_ROOTS, Platform, VerifiedCollateral, check_root, parse,
    verify_collateral,
};
use evidence::tdx::ccel;
use evidence::{Check, Outcome, Time, sgx, tdx};
use serde_json::json;

use crate::folders::{self, Folder, time};
use crate::profiles::{FORENSIC, shipped};

fn collateral(folder: &Folder, at: Time) -> Result<VerifiedCollateral, DcapRefusal> {
    verify_collateral(&Collateral::parse(&folder.read("collateral.json"))?, &PINNED_ROOTS, at)
}

/// What is found of a case: the platform and the judgement.
fn judged(folder: &Folder, quote: &[u8], at: Time) -> Result<(Platform, Vec<Check>), DcapRefusal> {
    let kept = collateral(folder, at)?;
    judged_with(folder, quote, &kept, at)
}

fn judged_with(
    folder: &Folder,
    quote: &[u8],
    kept: &VerifiedCollateral,
    at: Time,
) -> Result<(Platform, Vec<Check>), DcapRefusal> {
    if folder.json["tee"] == "tdx" {
        let verified = tdx::verify(quote, kept, at)?;
        let checks = tdx::appraise(verified.facts(), &shipped(FORENSIC));
        return Ok((verified.facts().platform.clone(), checks));
    }
    let verified = sgx::verify(quote, kept, at)?;
    let checks = sgx::appraise(verified.facts(), &shipped(FORENSIC));
    Ok((verified.facts().platform.clone(), checks))
}

fn every() -> Vec<Folder> {
    folders::all("tdx").into_iter().chain(folders::all("sgx")).collect()
}

fn has(folder: &Folder, file: &str) -> bool {
    folder.json["files"].get(file).is_some()
}

/// The corpus's word for a refusal.
fn class(refusal: &DcapRefusal, at: Time) -> &'static str {
    match refusal {
        DcapRefusal::QuoteSignature => "quote_signature_invalid",
        DcapRefusal::QeReportSignature => "qe_report_signature_invalid",
        DcapRefusal::JsonSignature("TCB info") => "tcb_info_signature_invalid",
        DcapRefusal::CrlSignature { name: "PCK CRL", .. } => "pck_crl_signature_invalid",
        DcapRefusal::UntrustedRoot { .. } => "untrusted_root",
        DcapRefusal::NoPck(3) => "no PCK certificate",
        DcapRefusal::Window { window, .. } if at < window.not_before => "not_yet_valid",
        DcapRefusal::Window { .. } => "collateral_expired",
        _ => "another reason",
    }
}

/// The checks that a judgement's reason is about.
const JUDGED: [(&str, &str); 8] = [
    ("debug_enabled (TD", "tdx_debug"),
    ("debug_enabled", "sgx_debug"),
    ("tcb_status OutOfDate", "dcap_tcb_status"),
    ("TCB and QE OutOfDate", "dcap_tcb_status"),
    ("fmspc_mismatch", "dcap_fmspc"),
    ("tcb info is for SGX", "dcap_tcb_info_tee"),
    ("no TCB level", "dcap_tcb_level"),
    ("SWHardeningNeeded", "sgx_debug"),
];

#[test]
fn every_captured_quote_is_judged_for_the_reason_that_was_established() {
    for folder in every().iter().filter(|f| has(f, "collateral.json")) {
        let (id, expected, at) = (&folder.id, folder.expected(), folder.at());
        let got = judged(folder, &folder.read("quote.bin"), at);
        let reason = expected["reason"].as_str().unwrap_or_default();
        match &got {
            Err(refusal) => {
                assert_eq!(expected["authentic"], json!(false), "{id}: {refusal}");
                assert!(reason.starts_with(class(refusal, at)), "{id}: {refusal}, not {reason}");
            }
            Ok((_, checks)) => {
                assert_eq!(expected["authentic"], json!(true), "{id}");
                let failed = checks.iter().filter(|c| c.outcome == Outcome::Failed);
                let failed = failed.map(|c| c.name).collect::<Vec<_>>();
                assert_eq!(failed.is_empty(), expected["verdict"] == "valid", "{id}: {failed:?}");
                for (_, check) in JUDGED.iter().filter(|(words, _)| reason.contains(words)).take(1)
                {
                    assert!(failed.contains(check), "{id}: {failed:?}, not {reason}");
                }
            }
        }
        for also in folder.json["also"].as_array().unwrap() {
            let at = time(also["verify_at"].as_str().unwrap());
            let refusal = judged(folder, &folder.read("quote.bin"), at).err().unwrap();
            assert_eq!(class(&refusal, at), also["reason"], "{id}: {refusal}");
        }
    }
}

#[test]
fn what_can_be_said_without_collateral_is_said() {
    for folder in every().iter().filter(|f| !has(f, "collateral.json")) {
        let quote = folder.read("quote.bin");
        let refusal = check_root(&parse(&quote).unwrap(), &PINNED_ROOTS).err().unwrap();
        let reason = folder.expected()["reason"].as_str().unwrap();
        let expected = class(&refusal, folder.at());
        // One quote carries no chain at all: its root comes with the certificates beside it.
        let beside = matches!(refusal, DcapRefusal::NoPck(1)) && has(folder, "pck_cert.pem");
        assert!(beside || reason.starts_with(expected), "{}: {refusal}", folder.id);
    }
}

#[test]
fn every_flipped_bit_of_a_genuine_quote_is_refused_or_in_padding() {
    for id in ["tdx/v5-gotdxguest-uptodate", "tdx/v4-oak-a", "sgx/v3-phala-config-swhardening"] {
        let Some(folder) = folders::one(id) else { return };
        let (quote, at) = (folder.read("quote.bin"), folder.at());
        let kept = collateral(&folder, at).unwrap();
        let used = quote.len() - parse(&quote).unwrap().trailing.len();
        // Every bit of what is signed; a bit of every byte of the chain, whose verification is dearer.
        let signed = parse(&quote).unwrap().signed.len();
        let bits = (0..signed * 8).chain((signed..used).map(|at| at * 8 + 3));
        for bit in bits {
            let mut changed = quote.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let got = judged_with(&folder, &changed, &kept, at);
            assert!(got.is_err(), "{id}: bit {bit} may change");
        }
    }
}

#[test]
fn the_log_of_a_captured_boot_leads_to_its_registers() {
    for folder in every().iter().filter(|f| has(f, "ccel.bin")) {
        let (log, at) = (folder.read("ccel.bin"), folder.at());
        let kept = collateral(folder, at).unwrap();
        let verified = tdx::verify(&folder.read("quote.bin"), &kept, at).unwrap();
        let (replayed, said) = (ccel::replay(&log).unwrap(), &folder.json["event_log"]);
        assert_eq!(
            json!([replayed.events, replayed.used]),
            json!([said["events"], said["used_bytes"]])
        );
        for (name, value) in said["replayed"].as_object().unwrap() {
            let n = name.trim_start_matches("rtmr").parse::<usize>().unwrap();
            assert_eq!(json!(hex::encode(replayed.rtmr[n])), *value, "{name}");
        }
        assert_eq!(ccel::check(&log, &verified.facts().report).outcome, Outcome::Passed);
        for at in (0..replayed.used).step_by(97) {
            let mut changed = log.clone();
            changed[at] ^= 1;
            let _ = ccel::replay(&changed);
        }
    }
}

#[test]
fn quotes_are_of_their_kind() {
    for folder in every() {
        let quote = folder.read("quote.bin");
        let tee = if folder.json["tee"] == "tdx" { Tee::Tdx } else { Tee::Sgx };
        assert_eq!(parse(&quote).unwrap().header.tee, tee, "{}", folder.id);
        for len in (0..quote.len()).step_by(61) {
            let _ = parse(&quote[..len]);
        }
    }
}
