//! AMD SEV-SNP: a report with its chain, judged.

use anyhow::{Result, bail};
use evidence::appraise::{HardwareProfile, Knobs, Machines, appraise};
use evidence::snp::{self, PINNED_ROOTS};
use evidence::{Authentic, Detail, HardwareEvidence, HardwareFacts, Kind};
use serde_json::{Value, json};

use super::input::{Input, certificates};
use super::report::{Profile, Report};
use super::{azure, stored, tpm};
use crate::output::Failure;

const TEE: &str = "snp";
const TITLE: &str = "AMD SEV-SNP attestation report";

/// True if a file can only be an SNP report.
pub(super) fn detect(bytes: &[u8]) -> bool {
    bytes.len() == snp::layout::REPORT_LEN
}

/// Verifies and appraises.
pub(super) fn judge(input: &Input) -> Result<Report> {
    let (profile, knobs) = input.knobs::<snp::Knobs>()?;
    let asked = input.nonce.as_ref().filter(|_| !tpm::is_beside(input));
    if asked.is_some_and(|n| !(32..=64).contains(&n.len())) {
        bail!(Failure::Usage("--nonce: 32 to 64 bytes in hex".to_owned()));
    }
    let mut evidence = evidence(input)?;
    let taken = stored::complete(input, &mut evidence)?;
    let mut judged = judged(input, profile, knobs, &evidence)?;
    judged.checks.splice(0..0, taken);
    Ok(judged)
}

fn judged(
    input: &Input,
    profile: Profile,
    knobs: snp::Knobs,
    evidence: &HardwareEvidence,
) -> Result<Report> {
    let roots = input.trusted(&PINNED_ROOTS)?;
    Ok(match snp::verify(evidence, &roots, input.at) {
        Ok(facts) => return report(input, profile, &facts, knobs, &evidence.report),
        Err(refusal) => {
            let missing = matches!(refusal, snp::SnpRefusal::Missing(_));
            Report::refused(TEE, TITLE, profile, &refusal, missing)
        }
    })
}

fn evidence(input: &Input) -> Result<HardwareEvidence> {
    // A root given by hand is also the certificate the chain ends in, unless the evidence brought one.
    let mut endorsements = Vec::new();
    if input.file().is_none() {
        let names = input.member("intermediates").as_array().into_iter().flatten();
        let vek = input.member("vek").get("file");
        for name in names.chain(vek).filter_map(Value::as_str) {
            endorsements.extend(input.certificates(name)?);
        }
        if !input.member("cert_table").is_null() {
            endorsements.extend(table(&input.read("certs.bin")?)?);
        }
    }
    endorsements.splice(0..0, input.anchors()?);
    for given in &input.endorsements {
        // A certificate, a revocation list, or the table of an extended report.
        match table(given) {
            Ok(entries) if !entries.is_empty() => endorsements.extend(entries),
            _ => endorsements.push(given.clone()),
        }
    }
    Ok(HardwareEvidence { kind: Kind::Snp, report: input.evidence("report.bin")?, endorsements })
}

/// Certificates and lists of an extended report's table, DER.
fn table(bytes: &[u8]) -> Result<Vec<Vec<u8>>> {
    let entries = snp::table::parse(bytes).map_err(|e| Failure::Usage(e.to_string()))?;
    let der = entries.into_iter().map(|(_, content)| certificates(content));
    Ok(der.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
}

fn report(
    input: &Input,
    profile: Profile,
    verified: &Authentic<HardwareFacts>,
    knobs: snp::Knobs,
    raw: &[u8],
) -> Result<Report> {
    let facts = verified.facts();
    let wanted = HardwareProfile {
        id: profile.id.clone(),
        kind: Kind::Snp,
        roots: vec![facts.root],
        machines: Machines::AnyGenuine,
        // Verifying a file asks what it says, not whether this image is wanted; a domain's policy asks that.
        images: vec![facts.measurement],
        isolation: Vec::new(),
        host: Vec::new(),
        knobs: Knobs::Snp(Box::new(knobs)),
    };
    let verdict = appraise(verified, None, &wanted);
    let mut checks = verified.checks().to_vec();
    checks.extend(verdict.checks().iter().filter(|c| !matches!(c.name, "image" | "root")).cloned());
    let machine =
        facts.machine.as_ref().map_or_else(|| "not named (masked)".to_owned(), ToString::to_string);
    let mut report = Report {
        tee: TEE,
        title: TITLE,
        profile,
        authentic: Some(true),
        checks,
        measurement: Some(facts.measurement.to_string()),
        report_data: Some(facts.report_data.to_string()),
        debug: Some(facts.debug),
        facts: vec![
            ("MEASUREMENT", facts.measurement.to_string()),
            ("REPORT_DATA", facts.report_data.to_string()),
            ("HOST_DATA", hex::encode(facts.host_data)),
            ("machine", machine),
        ],
        fields: fields(facts),
    };
    if tpm::is_beside(input) {
        return azure::with_vtpm(input, report, |hcl| hcl.key_of_snp(verified, raw));
    }
    if let Some(wanted) = &input.nonce {
        let mut padded = wanted.clone();
        padded.resize(64, 0);
        report.check_nonce("REPORT_DATA", &padded, facts.report_data.as_bytes());
    }
    Ok(report)
}

fn fields(facts: &HardwareFacts) -> Value {
    let Detail::Snp(f) = &facts.detail else { return Value::Null };
    let r = &f.report;
    let tcb = |t: &snp::Tcb| {
        let mut out = json!({"bootloader": t.bootloader, "tee": t.tee, "snp": t.snp, "microcode": t.microcode});
        if let (Some(fmc), Some(map)) = (t.fmc, out.as_object_mut()) {
            map.insert("fmc".to_owned(), fmc.into());
        }
        out
    };
    let firmware = |[major, minor, build]: [u8; 3]| format!("{major}.{minor}.{build}");
    json!({
        "version": r.version, "guest_svn": r.guest_svn, "policy": format!("{:#x}", r.policy), "vmpl": r.vmpl,
        "platform_info": format!("{:#x}", r.platform_info), "product": f.product.as_str(),
        "signing_key": f.signing_key.as_str(), "csp_id": f.csp_id,
        "host_data": hex::encode(r.host_data), "chip_id": hex::encode(r.chip_id),
        "report_id": hex::encode(r.report_id), "report_id_ma": hex::encode(r.report_id_ma),
        "id_key_digest": hex::encode(r.id_key_digest), "author_key_digest": hex::encode(r.author_key_digest),
        "family_id": hex::encode(r.family_id), "image_id": hex::encode(r.image_id),
        "tcb": {"current_tcb": tcb(&f.current_tcb), "reported_tcb": tcb(&f.reported_tcb), "committed_tcb": tcb(&f.committed_tcb), "launch_tcb": tcb(&f.launch_tcb)},
        "fw": {"current": firmware(r.current_version), "committed": firmware(r.committed_version)}, "cpuid_fms": r.cpuid,
        "launch_mit_vector": r.launch_mit_vector, "current_mit_vector": r.current_mit_vector,
    })
}
