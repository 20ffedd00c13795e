//! Bytes to [`Authentic`] facts for SEV-SNP.

use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED, UnparsedPublicKey};

use super::chain::{verify_chain, verify_vek};
use super::layout::{Facts, POLICY_DEBUG, Product, Report, SIGNED_LEN, SigningKey, Tcb};
use super::parse::parse;
use super::refusal::SnpRefusal;
use crate::authentic::{Authentic, Check};
use crate::bytes::{Measurement, ReportData, RootDigest};
use crate::controls::holds;
use crate::hardware::{Detail, HardwareEvidence, HardwareFacts, Kind, MachineId};
use crate::time::Time;
use crate::x509::Certificate;

/// SHA-256 of the DER of AMD's root certificates: ARK-Milan, ARK-Genoa, ARK-Turin (AMD key distribution service).
pub const PINNED_ROOTS: [RootDigest; 3] = [
    RootDigest::pinned(b"69d063b45344d26a2e94e1f4210de49ef555308287d4c174445c95639a540bcd"),
    RootDigest::pinned(b"4c6598d19c18719c5dfd4a7d335f674e5bfe1d8f800cea2cf270c10d103db2f1"),
    RootDigest::pinned(b"1f084161a44bb6d93778a904877d4819cafa5d05ef4193b2ded9dd9c73dd3f6a"),
];

/// Authentic facts, if a chip whose chain ends in one of `roots` signed the report. Certificates (ARK, ASK or ASVK,
/// VCEK or VLEK) and AMD's revocation list, where there is one, are the evidence's endorsements, DER, in any order; if several
/// signing certificates came along, the one of the report's TCB counts.
///
/// 1. form, 2. chain and windows, 3. the report's signature over the received bytes, 4. algorithm and key as the report
/// says, 5. product, 6. certificate against report, 7. author key and reserved bits, 8. order of TCB values.
///
/// # Errors
/// [`SnpRefusal`], the first that applies.
pub fn verify(
    evidence: &HardwareEvidence,
    roots: &[RootDigest],
    at: Time,
) -> Result<Authentic<HardwareFacts>, SnpRefusal> {
    // 1
    let report = parse(&evidence.report)?;
    // 2
    let chain = verify_chain(&evidence.endorsements, &report, roots, at)?;
    // 3
    let made = signed_by(&evidence.report, &report, &chain.vek);
    if !holds("snp_report_signature", made) {
        return Err(SnpRefusal::ReportSignature);
    }
    // 4
    if !holds("snp_algorithm", report.signature_algo == 1) {
        return Err(SnpRefusal::Algorithm(report.signature_algo));
    }
    let key = match report.key_info.wrapping_shr(2) & 7 {
        0 => SigningKey::Vcek,
        1 => SigningKey::Vlek,
        other => return Err(SnpRefusal::SigningKey(other)),
    };
    // 5
    let product = product(&report, chain.product)?;
    // 6
    let tcb = |raw| Tcb::decode(raw, product);
    let reported = tcb(report.reported_tcb);
    let csp_id = verify_vek(&chain, &report, key, &reported)?;
    // 7
    let enabled = report.key_info & 1 == 1;
    let author = report.author_key_digest.iter().any(|b| *b != 0);
    if !holds("snp_author_key_enabled", enabled == author) {
        return Err(SnpRefusal::AuthorKey { enabled });
    }
    let reserved = report.policy.wrapping_shr(17) & 1 == 1 && report.policy.wrapping_shr(26) == 0;
    if !holds("snp_policy_reserved", reserved) {
        return Err(SnpRefusal::PolicyReserved(report.policy));
    }
    // 8
    let facts = Facts {
        product,
        signing_key: key,
        current_tcb: tcb(report.current_tcb),
        reported_tcb: reported,
        committed_tcb: tcb(report.committed_tcb),
        launch_tcb: tcb(report.launch_tcb),
        csp_id,
        revocation_list: chain.revocation_list,
        report,
    };
    order(&facts)?;
    let checks = vec![
        Check::passed("chain", format!("ARK-{} {}", product.as_str(), chain.root)),
        Check::passed("report_signature", "ECDSA P-384 over bytes 0 to 0x2a0 as received"),
        Check::passed(
            "vek",
            format!(
                "{key:?} of this TCB{}",
                if key == SigningKey::Vcek { " and chip" } else { "" }
            ),
        ),
    ];
    Ok(Authentic::new(hardware(facts, chain.root), at, chain.holds_until, checks))
}

fn hardware(facts: Facts, root: RootDigest) -> HardwareFacts {
    let r = &facts.report;
    HardwareFacts {
        kind: Kind::Snp,
        root,
        // A VLEK report may mask the chip; a masked id names no machine.
        machine: MachineId::new(&r.chip_id),
        measurement: Measurement::new(r.measurement),
        report_data: ReportData::new(r.report_data),
        host_data: r.host_data,
        debug: facts.policy_bit(POLICY_DEBUG),
        detail: Detail::Snp(Box::new(facts)),
    }
}

/// R and S stand little-endian in fields of 72 bytes; the library wants 48 big-endian bytes each.
pub(super) fn signed_by(raw: &[u8], report: &Report, vek: &Certificate) -> bool {
    let (r, s) = &report.signature;
    let fixed = [r, s]
        .iter()
        .flat_map(|n| n.iter().take(48).rev().copied().collect::<Vec<_>>())
        .collect::<Vec<_>>();
    let Some(signed) = raw.get(..SIGNED_LEN) else { return false };
    UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, vek.key()).verify(signed, &fixed).is_ok()
}

/// CPUID family and model (from version 3) name the product; before, the chain's root does.
fn product(report: &Report, chain: Product) -> Result<Product, SnpRefusal> {
    let Some([family, model, _]) = report.cpuid else { return Ok(chain) };
    let named = match (family, model) {
        (0x19, 0x00..=0x0f) => Some(Product::Milan),
        (0x19, 0x10..=0x1f | 0xa0..=0xaf) => Some(Product::Genoa),
        (0x1a, 0x00..=0x1f) => Some(Product::Turin),
        _ => None,
    };
    if holds("snp_product", named == Some(chain)) {
        Ok(chain)
    } else {
        Err(SnpRefusal::Product {
            report: format!("{family:02x}h/{model:02x}h"),
            chain: chain.as_str().to_owned(),
        })
    }
}

/// REPORTED never exceeds COMMITTED, COMMITTED never CURRENT, LAUNCH never CURRENT, component by component.
fn order(f: &Facts) -> Result<(), SnpRefusal> {
    let pairs = [
        ("REPORTED_TCB", &f.reported_tcb, "COMMITTED_TCB", &f.committed_tcb),
        ("COMMITTED_TCB", &f.committed_tcb, "CURRENT_TCB", &f.current_tcb),
        ("LAUNCH_TCB", &f.launch_tcb, "CURRENT_TCB", &f.current_tcb),
    ];
    for (lower, low, upper, high) in pairs {
        if !holds("snp_tcb_order", high.at_least(low)) {
            return Err(SnpRefusal::TcbOrder { lower, upper });
        }
    }
    Ok(())
}
