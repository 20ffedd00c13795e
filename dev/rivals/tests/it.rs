//! casemate beside `sev` and `dcap-qvl`: every captured case and seeded mutations of it. A disagreement is counted under the
//! refusal it comes with, and a class that docs/records/differential-2026-11.md does not explain fails the test.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot be set up fails"
)]
#![allow(dead_code, missing_docs, reason = "the corpus readers serve other tests, too")]

#[path = "../../../crates/evidence/tests/it/corpus.rs"]
mod corpus;
#[path = "../../../crates/evidence/tests/it/folders.rs"]
mod folders;

use std::collections::BTreeMap;

use evidence::dcap::{Collateral, Fit, PINNED_ROOTS, verify_collateral};
use evidence::{Time, sgx, snp, tdx};
use sev::certs::snp::{Chain, Verifiable};
use sev::firmware::guest::AttestationReport;
use sev::parser::ByteParser;

/// Mutations of each case.
const EACH: u64 = 40;

/// SplitMix64, so that a run can be repeated.
struct Seeded(u64);

impl Seeded {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let a = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let b = (a ^ (a >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        b ^ (b >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(n.max(1)).unwrap()).unwrap()
    }

    /// A bit flipped, a byte replaced, the end cut, or bytes put behind it.
    fn change(&mut self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let at = self.below(bytes.len());
        match self.below(8) {
            0 => bytes.truncate(at),
            1 => bytes.extend([0; 3]),
            2 => bytes[at] = 0,
            3 => bytes[at] = 0xff,
            _ => bytes[at] ^= 1 << self.below(8),
        }
    }
}

/// How often both agreed, and each class of disagreement.
#[derive(Default)]
struct Tally {
    both_accept: u64,
    both_refuse: u64,
    classes: BTreeMap<String, (u64, String)>,
}

impl Tally {
    fn add(&mut self, id: &str, ours: Result<(), String>, theirs: Result<(), String>) {
        let class = match (ours, theirs) {
            (Ok(()), Ok(())) => return self.both_accept += 1,
            (Err(_), Err(_)) => return self.both_refuse += 1,
            (Err(why), Ok(())) => format!("only casemate refuses: {why}"),
            (Ok(()), Err(why)) => format!("only the other refuses: {why}"),
        };
        self.classes.entry(class).or_insert((0, id.to_owned())).0 += 1;
    }

    fn settle(&self, who: &str, explained: &[&str]) {
        println!("{who}: both accept {}, both refuse {}", self.both_accept, self.both_refuse);
        for (class, (count, first)) in &self.classes {
            println!("{count} x {class} (first: {first})");
        }
        let new = |class: &&String| !explained.contains(&class.as_str());
        let new = self.classes.keys().filter(new).collect::<Vec<_>>();
        assert!(new.is_empty(), "unexplained: {new:#?}");
    }
}

/// The variant of a refusal, without its fields.
fn variant(refusal: &impl std::fmt::Debug) -> String {
    let text = format!("{refusal:?}");
    text.split([' ', '(', '{']).next().unwrap().to_owned()
}

/// The beginning of another crate's message: what follows are its numbers.
fn words(error: &impl std::fmt::Display) -> String {
    error.to_string().chars().take(60).collect()
}

fn sev_verify(report: &[u8], endorsements: &[Vec<u8>]) -> Result<(), String> {
    let [ark, ask, vek] = endorsements else { return Err("not three certificates".into()) };
    let chain = Chain::from_der(ark, ask, vek).map_err(|e| words(&e))?;
    let report = AttestationReport::from_bytes(report).map_err(|e| words(&e))?;
    (&chain, &report).verify().map_err(|e| words(&e))
}

#[test]
fn every_disagreement_with_sev_is_explained() {
    let mut tally = Tally::default();
    let mut seeded = Seeded(1);
    for case in corpus::snp() {
        for n in 0..=EACH {
            let mut e = case.evidence.clone();
            match n {
                0 => {}
                // The certificates are changed seldom: they cost three RSA verifications each time.
                n if n % 5 == 0 => {
                    let which = seeded.below(e.endorsements.len());
                    seeded.change(&mut e.endorsements[which]);
                }
                _ => seeded.change(&mut e.report),
            }
            let ours = snp::verify(&e, &snp::PINNED_ROOTS, case.at);
            let behind = e.report.get(..0x330) == case.evidence.report.get(..0x330);
            let place = if behind { "" } else { " before the signature's end" };
            let ours = ours.map(|_| ()).map_err(|r| variant(&r) + place);
            tally.add(&case.id, ours, sev_verify(&e.report, &e.endorsements));
        }
    }
    tally.settle("sev", SEV);
}

fn fitting(fit: &Fit) -> Result<(), String> {
    let all = fit.tcb_info_tee && fit.fmspc && fit.pce_id && fit.qe_identity && fit.pck_crl;
    if all { Ok(()) } else { Err("collateral of another platform".into()) }
}

fn dcap_ours(tee: &str, quote: &[u8], json: &[u8], at: Time) -> Result<(), String> {
    let read = Collateral::parse(json).map_err(|r| variant(&r))?;
    let kept = verify_collateral(&read, &PINNED_ROOTS, at).map_err(|r| variant(&r))?;
    if tee == "tdx" {
        let got = tdx::verify(quote, &kept, at).map_err(|r| variant(&r))?;
        return fitting(&got.facts().platform.fit);
    }
    let got = sgx::verify(quote, &kept, at).map_err(|r| variant(&r))?;
    fitting(&got.facts().platform.fit)
}

fn dcap_theirs(quote: &[u8], json: &[u8], at: Time) -> Result<(), String> {
    let c = Collateral::parse(json).map_err(|r| variant(&r))?;
    let collateral = dcap_qvl::QuoteCollateralV3 {
        pck_crl_issuer_chain: c.pck_crl_issuer_chain,
        root_ca_crl: c.root_ca_crl,
        pck_crl: c.pck_crl,
        tcb_info_issuer_chain: c.tcb_info_issuer_chain,
        tcb_info: c.tcb_info,
        tcb_info_signature: c.tcb_info_signature,
        qe_identity_issuer_chain: c.qe_identity_issuer_chain,
        qe_identity: c.qe_identity,
        qe_identity_signature: c.qe_identity_signature,
        pck_certificate_chain: c.pck_certificate_chain,
    };
    let now = u64::try_from(at.unix()).unwrap();
    dcap_qvl::verify::verify(quote, &collateral, now).map(|_| ()).map_err(|e| words(&e))
}

#[test]
fn every_disagreement_with_dcap_qvl_is_explained() {
    let mut tally = Tally::default();
    let mut seeded = Seeded(2);
    for tee in ["tdx", "sgx"] {
        for folder in folders::all(tee) {
            if folder.json["files"].get("collateral.json").is_none() {
                continue;
            }
            let (quote, json) = (folder.read("quote.bin"), folder.read("collateral.json"));
            for n in 0..=EACH {
                let (mut quote, mut json) = (quote.clone(), json.clone());
                match n {
                    0 => {}
                    n if n % 5 == 0 => seeded.change(&mut json),
                    _ => seeded.change(&mut quote),
                }
                let ours = dcap_ours(tee, &quote, &json, folder.at());
                tally.add(&folder.id, ours, dcap_theirs(&quote, &json, folder.at()));
            }
        }
    }
    tally.settle("dcap-qvl", DCAP_QVL);
}

/// What docs/records/differential-2026-11.md explains of `sev`.
const SEV: &[&str] = &[
    "only casemate refuses: Certificate",
    "only casemate refuses: Expired",
    "only casemate refuses: ReportSignature before the signature's end",
    "only casemate refuses: Reserved",
    "only casemate refuses: SignatureField before the signature's end",
];

/// What it explains of `dcap-qvl`.
const DCAP_QVL: &[&str] = &[
    "only casemate refuses: ChainSignature",
    "only casemate refuses: Pem",
    "only casemate refuses: UntrustedRoot",
    "only the other refuses: Debug mode is enabled",
    "only the other refuses: No matching TCB level found",
];
