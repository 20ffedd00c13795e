//! `casemate verify` on Intel quotes: every captured case, as a folder and as bare files, its other times, and what is said where
//! collateral is missing.

use crate::stage::Stage;
use crate::verify::corpus;
use crate::verify_cose::{agrees, cases};

const KINDS: [(&str, &str); 2] = [("tdx", "quote.bin"), ("sgx", "quote.bin")];

#[test]
fn every_captured_quote_gets_its_verdict() {
    let Some(corpus) = corpus() else { return };
    let stage = Stage::own();
    for case in cases(&corpus, &KINDS) {
        agrees(&case, &case.run(&stage, &case.dir, &[]));
        let (quote, collateral) = (case.dir.join(case.evidence), case.dir.join("collateral.json"));
        if collateral.is_file() {
            // The same from bare files: the kind is detected, the collateral named.
            let collateral = collateral.to_str().unwrap();
            let at = case.json["verify_at"].as_str().unwrap();
            let args = ["--collateral", collateral, "--at", at];
            agrees(&case, &case.run(&stage, &quote, &args));
        }
        for also in case.json["also"].as_array().unwrap() {
            let at = also["verify_at"].as_str().unwrap();
            let (status, got) = case.run(&stage, &case.dir, &["--at", at]);
            assert_eq!(got["verdict"], also["verdict"], "{} at {at}", case.id());
            let authentic = (status, &got["authentic"]);
            assert_eq!(authentic, (Some(1), &false.into()), "{} at {at}", case.id());
        }
    }
}
