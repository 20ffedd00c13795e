//! From a pinned ARK to the key that signed a report: ARK, ASK (or ASVK), VCEK (or VLEK), and what the last says
//! about chip and TCB (AMD 57230 section 3).

use super::layout::{Product, Report, SigningKey, Tcb};
use super::refusal::SnpRefusal;
use crate::bytes::{RootDigest, sha256};
use crate::controls::holds;
use crate::time::Time;
use crate::x509::{Certificate, Scheme};

/// Arc of AMD's extensions, 1.3.6.1.4.1.3704.1.
const AMD: &str = "1.3.6.1.4.1.3704.1";

/// A chain whose signatures and windows hold.
pub(super) struct Chain {
    pub(super) root: RootDigest,
    pub(super) product: Product,
    pub(super) vek: Certificate,
    pub(super) holds_until: Time,
}

fn is_vek(cn: &str) -> bool {
    matches!(cn, "SEV-VCEK" | "SEV-VLEK")
}

/// Takes the certificates apart by what they are, in whatever order they came.
///
/// 1. read all, 2. the pinned root, self-signed, 3. the intermediate it signed, 4. the signing key it signed, 5. windows.
pub(super) fn verify_chain(
    certificates: &[Vec<u8>],
    roots: &[RootDigest],
    at: Time,
) -> Result<Chain, SnpRefusal> {
    // 1
    let parse = |der: &Vec<u8>| {
        Certificate::parse(der)
            .map_err(|source| SnpRefusal::Certificate { name: "endorsement", source })
    };
    let all = certificates.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    let named = |is: fn(&str) -> bool| all.iter().find(|c| is(c.subject_cn()));
    let ark = named(|cn| cn.starts_with("ARK-")).ok_or(SnpRefusal::Missing("ARK"))?;
    let vek = named(is_vek).ok_or(SnpRefusal::Missing("VCEK or VLEK"))?;
    let ask = named(|cn| cn.starts_with("SEV-") && !is_vek(cn))
        .ok_or(SnpRefusal::Missing("ASK or ASVK"))?;
    // 2
    let root = RootDigest::new(sha256(ark.der()));
    if !holds("snp_pinned_root", roots.contains(&root)) {
        return Err(SnpRefusal::UntrustedRoot(root.to_string()));
    }
    let product = match ark.subject_cn() {
        "ARK-Milan" => Product::Milan,
        "ARK-Genoa" => Product::Genoa,
        "ARK-Turin" => Product::Turin,
        other => {
            return Err(SnpRefusal::Product { report: "?".to_owned(), chain: other.to_owned() });
        }
    };
    let signed = |name: &'static str, c: &Certificate, issuer: &'static str, by: &Certificate| {
        if holds("snp_chain_signature", c.is_signed_by(by, &[Scheme::RsaPssSha384])) {
            Ok(())
        } else {
            Err(SnpRefusal::ChainSignature { name, issuer })
        }
    };
    signed("ARK", ark, "itself", ark)?;
    // 3, 4
    signed("ASK", ask, "the ARK", ark)?;
    signed("VEK", vek, "the ASK", ask)?;
    // 5
    let mut holds_until = Time::MAX;
    for (name, c) in [("ARK", ark), ("ASK", ask), ("VEK", vek)] {
        let window = c.window();
        if !holds("snp_window", window.contains(at)) {
            let (not_before, not_after) = (window.not_before, window.not_after);
            return Err(SnpRefusal::Expired { name, not_before, not_after, at });
        }
        holds_until = holds_until.min(window.not_after);
    }
    Ok(Chain { root, product, vek: vek.clone(), holds_until })
}

/// The signing certificate against the report: kind of key, chip, and each component of REPORTED_TCB.
pub(super) fn verify_vek(
    vek: &Certificate,
    report: &Report,
    key: SigningKey,
    tcb: &Tcb,
) -> Result<Option<String>, SnpRefusal> {
    let hwid = vek.extension(&format!("{AMD}.4"));
    let csp = vek.extension(&format!("{AMD}.5"));
    let expected_name = if key == SigningKey::Vcek { "SEV-VCEK" } else { "SEV-VLEK" };
    let kind = vek.subject_cn() == expected_name && (key == SigningKey::Vcek) == hwid.is_some();
    if !holds("snp_key_kind", kind) {
        return Err(SnpRefusal::KeyKind { expected: key });
    }
    if let Some(hwid) = hwid {
        // Turin's hwID has eight bytes, CHIP_ID is it padded with zeros; the older ones have 64.
        let (head, tail) = report.chip_id.split_at_checked(hwid.len()).ok_or(SnpRefusal::ChipId)?;
        let same = head == hwid && tail.iter().all(|b| *b == 0) && hwid.iter().any(|b| *b != 0);
        if !holds("snp_chip_id", same) {
            return Err(SnpRefusal::ChipId);
        }
    }
    let components = [
        ("bootloader", "3.1", Some(tcb.bootloader)),
        ("tee", "3.2", Some(tcb.tee)),
        ("snp", "3.3", Some(tcb.snp)),
        ("microcode", "3.8", Some(tcb.microcode)),
        ("fmc", "3.9", tcb.fmc),
    ];
    for (component, arc, value) in components {
        let Some(report) = value else { continue };
        let certificate = vek
            .extension(&format!("{AMD}.{arc}"))
            .and_then(der_u8)
            .ok_or(SnpRefusal::Missing("TCB extension of the VCEK or VLEK"))?;
        if !holds("snp_tcb", report == certificate) {
            return Err(SnpRefusal::Tcb { component, report, certificate });
        }
    }
    Ok(csp.map(|der| String::from_utf8_lossy(der.get(2..).unwrap_or_default()).into_owned()))
}

/// A DER INTEGER of 0 to 255.
fn der_u8(der: &[u8]) -> Option<u8> {
    match der {
        [2, 1, n] if *n < 0x80 => Some(*n),
        [2, 2, 0, n] if *n >= 0x80 => Some(*n),
        _ => None,
    }
}
