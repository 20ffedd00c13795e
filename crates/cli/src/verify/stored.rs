//! What SNP evidence lacks, taken from a store, each object named in the checks with its age. What the evidence brought stays: the store
//! completes it and never replaces it.

use anyhow::Result;
use evidence::bytes::sha256;
use evidence::{Check, HardwareEvidence, snp};

use super::input::Input;
use crate::collateral::{age_days, open, words};

/// Adds what is lacking, and says what it took.
pub(super) fn complete(input: &Input, evidence: &mut HardwareEvidence) -> Result<Vec<Check>> {
    let Some(dir) = &input.store else { return Ok(Vec::new()) };
    let stored = open(dir)?.entries.into_iter().map(|e| e.object).collect::<Vec<_>>();
    let mut checks = Vec::new();
    for object in snp::lacking(&evidence.report, &evidence.endorsements, &stored) {
        evidence.endorsements.push(object.der().to_vec());
        let digest = hex::encode(sha256(object.der()));
        let w = object.window;
        checks.push(Check::passed(
            "collateral",
            format!(
                "{} from the store ({}), issued {}, {} days before, until {}",
                words(object),
                digest.get(..16).unwrap_or_default(),
                w.not_before,
                age_days(object, input.at),
                w.not_after
            ),
        ));
    }
    Ok(checks)
}
