//! What SNP evidence lacks, taken from a store: its key's certificate, that one's issuers, and the newest revocation list. Each is named in
//! the checks with its age. What the evidence brought stays; the store never replaces it, and a list of the store counts besides.

use anyhow::Result;
use evidence::snp::{self, About};
use evidence::x509::Certificate;
use evidence::{Check, HardwareEvidence};

use super::input::Input;
use crate::collateral::store::Entry;
use crate::collateral::{age_days, open, words};

/// Adds what is lacking, and says what it took.
pub(super) fn complete(input: &Input, evidence: &mut HardwareEvidence) -> Result<Vec<Check>> {
    let Some(dir) = &input.store else { return Ok(Vec::new()) };
    let store = open(dir)?;
    // What cannot be read is refused by whoever verifies it.
    let Ok(report) = snp::parse(&evidence.report) else { return Ok(Vec::new()) };
    let own = evidence.endorsements.iter().filter_map(|d| Certificate::parse(d).ok());
    let own = own.collect::<Vec<_>>();
    let has = |start: &str| own.iter().any(|c| c.subject_cn().starts_with(start));
    let mut taken: Vec<&Entry> = Vec::new();
    let mut veks = own.iter().filter(|c| is_vek(c)).cloned().collect::<Vec<_>>();
    if veks.is_empty() {
        let keys = || store.entries.iter().filter(|e| e.object.is_key_of(&report));
        // Providers' keys of one TCB look alike to the report; if none signed it, the first is refused for that.
        let made = keys().find(|e| e.object.has_signed(&evidence.report, &report));
        taken.extend(made.or_else(|| keys().next()));
        veks.extend(taken.iter().filter_map(|e| Certificate::parse(e.object.der()).ok()));
    }
    let issuer = store.entries.iter().find(|e| veks.iter().any(|v| e.object.has_issued(v)));
    if let Some(issuer) = issuer {
        let of = |about: About| {
            let product = issuer.object.product;
            store
                .entries
                .iter()
                .filter(move |e| e.object.product == product && e.object.about == about)
        };
        if !own.iter().any(|c| c.subject_cn().starts_with("SEV-") && !is_vek(c)) {
            taken.push(issuer);
        }
        if !has("ARK-") {
            taken.extend(of(About::Ark).next());
        }
        // Newest of all, also if it is not in force: then the evidence is refused, never judged without.
        taken.extend(of(About::RevocationList).max_by_key(|e| e.object.window.not_before));
    }
    let mut checks = Vec::new();
    for entry in taken {
        let object = &entry.object;
        evidence.endorsements.push(object.der().to_vec());
        let w = object.window;
        checks.push(Check::passed(
            "collateral",
            format!(
                "{} from the store ({}), issued {}, {} days before, until {}",
                words(object),
                entry.digest.get(..16).unwrap_or_default(),
                w.not_before,
                age_days(object, input.at),
                w.not_after
            ),
        ));
    }
    Ok(checks)
}

fn is_vek(c: &Certificate) -> bool {
    matches!(c.subject_cn(), "SEV-VCEK" | "SEV-VLEK")
}
