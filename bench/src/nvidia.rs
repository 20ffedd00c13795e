//! A GPU's report, alone and with a manifest, beside the bare P-384 verifications there are in it. Captured evidence is
//! read from `CASEMATE_EVIDENCE` (default: `shared/evidence` beside the repository); absent, this says so.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P384_SHA384_FIXED, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair,
    UnparsedPublicKey,
};
use evidence::Time;
use evidence::nvidia::{
    Asked, Evidence, Knobs, PINNED_RIM_ROOTS, PINNED_ROOTS, Roots, appraise, verify,
};

use crate::table::{Samples, ratio, time};

const ROUNDS: usize = 400;
const CASE: &str = "nvidia/h100-driver-535-with-vbios-rim";
/// Links of the chain with the root's own signature, and the report's.
const IN_REPORT: u32 = 6;
/// Links of the signer's chain with the root's own signature, and the manifest's.
const IN_RIM: u32 = 5;

/// Certificates of a PEM file, DER.
fn pem(text: &str) -> Vec<Vec<u8>> {
    let blocks =
        text.split_inclusive("-----END CERTIFICATE-----\n").filter(|b| b.contains("BEGIN"));
    blocks
        .map(|b| rustls::pki_types::pem::PemObject::from_pem_slice(b.as_bytes()).unwrap())
        .map(|c: rustls::pki_types::CertificateDer<'_>| c.to_vec())
        .collect()
}

pub fn run() {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/evidence");
    let folder = std::env::var("CASEMATE_EVIDENCE").unwrap_or_else(|_| default.to_owned());
    let case = std::path::Path::new(&folder).join(CASE);
    let Ok(report) = std::fs::read(case.join("report.bin")) else {
        println!("skipped: no captured evidence at {folder}; set CASEMATE_EVIDENCE");
        return;
    };
    let chain = std::fs::read_to_string(case.join("cert_chain.pem")).unwrap();
    let alone = Evidence { report, certificates: pem(&chain), rims: Vec::new(), ocsp: Vec::new() };
    let rim = std::fs::read(case.join("vbios_rim.xml")).unwrap();
    let both = Evidence { rims: vec![rim], ..alone.clone() };
    let at = Time::parse_rfc3339("2024-01-01T00:00:00Z").unwrap();
    let roots = Roots { device: &PINNED_ROOTS, rim: &PINNED_RIM_ROOTS };
    let judged = |e: &Evidence| {
        let facts = verify(e, &roots, Asked::Unstated, at).unwrap();
        appraise(facts.facts(), &Knobs::forensic())
    };
    // The bare rate: a message as long as the report.
    let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
    let message = vec![7; alone.report.len()];
    let signature = pair.sign(&SystemRandom::new(), &message).unwrap();
    let key = UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, pair.public_key().as_ref());
    let (mut bare, mut small, mut large) =
        (Samples::default(), Samples::default(), Samples::default());
    for _ in 0..ROUNDS {
        bare.add(time(|| key.verify(&message, signature.as_ref()).unwrap()));
        small.add(time(|| judged(&alone)));
        large.add(time(|| judged(&both)));
    }
    println!(
        "bare P-384 verification {:?}, report {:?}, report with manifest {:?}",
        bare.median(),
        small.median(),
        large.median()
    );
    let cost = |s: &Samples, n: u32| s.median().as_secs_f64() / (bare.median() * n).as_secs_f64();
    let (report, rim) = (cost(&small, IN_REPORT), cost(&large, IN_REPORT + IN_RIM));
    ratio("report / 6 bare verifications", report, "<= 1.25", report <= 1.25);
    ratio("report and manifest / 11 bare verifications", rim, "<= 1.5", rim <= 1.5);
}
