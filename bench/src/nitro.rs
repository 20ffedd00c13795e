//! A full verification of a Nitro attestation document beside the bare P-384 verifications it cannot do without: one for each
//! certificate and one for the document. Nothing is cached.

use std::path::Path;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P384_SHA384_ASN1, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey,
};
use evidence::Time;
use evidence::nitro::{DocumentKind, PINNED_ROOTS, parse, verify};

use crate::table::{Samples, ratio, time};

const ROUNDS: usize = 1000;
const DOCUMENT: &str = "nitro/veracruz-2022-11/document.cbor";
/// Bytes a certificate's signature covers, about; the document's covers seven times as many.
const SIGNED: usize = 600;

pub fn run() {
    let stated = std::env::var("CASEMATE_EVIDENCE").unwrap_or_else(|_| "../../shared/evidence".to_owned());
    let Ok(document) = std::fs::read(Path::new(&stated).join(DOCUMENT)) else {
        println!("skipped: no captured evidence at {stated}; set CASEMATE_EVIDENCE");
        return;
    };
    let parsed = parse(&document).unwrap();
    let at = Time::from_unix((parsed.timestamp_ms / 1000) as i64);
    // One signature for each certificate, the root's own among them, and the document's.
    let signatures = parsed.cabundle.len() + 2;
    let full = || verify(&document, DocumentKind::Enclave, &PINNED_ROOTS, at).is_ok();
    let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING).unwrap();
    let message = [7; SIGNED];
    let signature = pair.sign(&SystemRandom::new(), &message).unwrap();
    let key = UnparsedPublicKey::new(&ECDSA_P384_SHA384_ASN1, pair.public_key().as_ref().to_vec());
    let bare = || (0..signatures).all(|_| key.verify(&message, signature.as_ref()).is_ok());
    assert!(full() && bare());
    let (mut ours, mut floor) = (Samples::default(), Samples::default());
    for _ in 0..ROUNDS {
        ours.add(time(full));
        floor.add(time(bare));
    }
    println!("full verification p50 {:?}; {signatures} bare P-384 verifications p50 {:?}", ours.median(), floor.median());
    let times = ours.median().as_secs_f64() / floor.median().as_secs_f64();
    ratio("Nitro document, times its bare signatures", times, "<= 1.15", times <= 1.15);
}
