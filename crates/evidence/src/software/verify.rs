//! Bytes to [`Authentic`] facts for the software platform.

use super::chain::verify_endorsement;
use super::layout::{Facts, LEN_MAX, REPORT_LABEL};
use super::parse::parse_report;
use super::refusal::SoftwareRefusal;
use crate::authentic::{Authentic, Check};
use crate::bytes::RootDigest;
use crate::controls::holds;
use crate::cose::Sign1;
use crate::hardware::{Detail, HardwareEvidence, HardwareFacts, Kind, MachineId};
use crate::time::Time;

/// Authentic facts, if a machine endorsed by one of `roots` signed the report.
///
/// 1. endorsement and root key, 2. the endorsement's signature by a pinned root and its window, 3. the report's
/// signature by the endorsed key, 4. the machine named in both.
///
/// # Errors
/// [`SoftwareRefusal`], the first that applies.
pub fn verify(
    evidence: &HardwareEvidence,
    roots: &[RootDigest],
    at: Time,
) -> Result<Authentic<HardwareFacts>, SoftwareRefusal> {
    // 1
    let [endorsement, root] = evidence.endorsements.as_slice() else {
        return Err(SoftwareRefusal::Endorsements(evidence.endorsements.len()));
    };
    // 2
    let (root, endorsement) = verify_endorsement(endorsement, root, roots, at)?;
    // 3
    let signed = Sign1::parse(&evidence.report, LEN_MAX)?;
    let report = parse_report(signed.verify(&endorsement.report_key, REPORT_LABEL)?)?;
    // 4
    if !holds("software_machine", report.machine == endorsement.machine) {
        return Err(SoftwareRefusal::Machine);
    }
    let checks = vec![
        Check::passed(
            "endorsement",
            format!("software root {root}, until {}", endorsement.window.not_after),
        ),
        Check::passed("report_signature", "Ed25519, by the endorsed report key"),
        Check::passed("machine", hex::encode(report.machine)),
    ];
    let facts = HardwareFacts {
        kind: Kind::Software,
        root,
        machine: MachineId::new(&report.machine),
        measurement: report.measurement,
        report_data: report.report_data,
        host_data: report.host_data,
        debug: true,
        detail: Detail::Software(Facts { endorsement: endorsement.window }),
    };
    Ok(Authentic::new(facts, at, endorsement.window.not_after, checks))
}
