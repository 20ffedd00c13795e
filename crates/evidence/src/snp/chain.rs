//! From a pinned ARK to the key that signed a report: ARK, ASK (or ASVK), VCEK (or VLEK), and what the last says
//! about chip and TCB (AMD 57230 section 3).

use super::layout::{Product, Report, SigningKey, Tcb};
use super::refusal::SnpRefusal;
use crate::bytes::{RootDigest, sha256};
use crate::controls::holds;
use crate::time::{Time, Window};
use crate::x509::crl::Crl;
use crate::x509::{Certificate, Scheme};

/// Arc of AMD's extensions, 1.3.6.1.4.1.3704.1.
pub(super) const AMD: &str = "1.3.6.1.4.1.3704.1";
/// A chain has three certificates and a list; a host may bring those of every family.
const ENDORSEMENTS_MAX: usize = 32;

/// A chain whose signatures and windows hold.
pub(super) struct Chain {
    pub(super) root: RootDigest,
    pub(super) product: Product,
    pub(super) vek: Certificate,
    /// The intermediate signs providers' keys (an ASVK), not chips'.
    signs_vleks: bool,
    pub(super) revocation_list: Option<Window>,
    pub(super) holds_until: Time,
}

pub(super) fn is_vek(cn: &str) -> bool {
    matches!(cn, "SEV-VCEK" | "SEV-VLEK")
}

/// Takes certificates and revocation lists apart by what they are, in whatever order they came.
///
/// 1. read all, 2. the pinned root, self-signed, 3. the signing key of this report's TCB, 4. the intermediate that signed it,
/// signed by the root, 5. windows, 6. the root's revocation list, where one came along.
pub(super) fn verify_chain(
    endorsements: &[Vec<u8>],
    report: &Report,
    roots: &[RootDigest],
    at: Time,
) -> Result<Chain, SnpRefusal> {
    // 1
    if endorsements.len() > ENDORSEMENTS_MAX {
        return Err(SnpRefusal::TooMany(endorsements.len()));
    }
    let (mut all, mut lists) = (Vec::new(), Vec::new());
    for der in endorsements {
        match (Certificate::parse(der), Crl::parse(der)) {
            (Ok(c), _) => all.push(c),
            (Err(_), Ok(list)) => lists.push(list),
            (Err(source), Err(_)) => {
                return Err(SnpRefusal::Certificate { name: "endorsement", source });
            }
        }
    }
    // 2
    let ark = all.iter().filter(|c| c.subject_cn().starts_with("ARK-")).collect::<Vec<_>>();
    let pinned = |c: &&&Certificate| roots.contains(&RootDigest::new(sha256(c.der())));
    let ark = *ark.iter().find(pinned).or(ark.first()).ok_or(SnpRefusal::Missing("ARK"))?;
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
    signed("ARK", ark, "itself", ark)?;
    // 3: a chip has a certificate per TCB, and all of them may have come along.
    let tcb = Tcb::decode(report.reported_tcb, product);
    let veks = all.iter().filter(|c| is_vek(c.subject_cn())).collect::<Vec<_>>();
    let fits =
        |c: &&&Certificate| components(&tcb).all(|(_, arc, v)| tcb_component(c, arc) == Some(v));
    let vek = veks.iter().find(fits).or(veks.first());
    let vek = *vek.ok_or(SnpRefusal::Missing("VCEK or VLEK"))?;
    // 4
    let between = |c: &&Certificate| c.subject_cn().starts_with("SEV-") && !is_vek(c.subject_cn());
    let asks = all.iter().filter(between).collect::<Vec<_>>();
    let ask = asks.iter().find(|a| a.subject() == vek.issuer()).or(asks.first());
    let ask = *ask.ok_or(SnpRefusal::Missing("ASK or ASVK"))?;
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
    // 6
    let list = lists.iter().filter(|l| l.is_of(ark)).max_by_key(|l| l.window().not_before);
    if let Some(list) = list {
        check_list(list, ark, ask, at)?;
        holds_until = holds_until.min(list.window().not_after);
    }
    Ok(Chain {
        root,
        product,
        vek: vek.clone(),
        signs_vleks: ask.subject_cn().starts_with("SEV-VLEK-"),
        revocation_list: list.map(Crl::window),
        holds_until,
    })
}

fn signed(
    name: &'static str,
    c: &Certificate,
    issuer: &'static str,
    by: &Certificate,
) -> Result<(), SnpRefusal> {
    if holds("snp_chain_signature", c.is_signed_by(by, &[Scheme::RsaPssSha384])) {
        Ok(())
    } else {
        Err(SnpRefusal::ChainSignature { name, issuer })
    }
}

/// The root's own list: signed by it, in force, and not naming the intermediate. (It cannot name signing keys, which the
/// root did not issue: a chip is refused by its id, in a policy.)
fn check_list(
    list: &Crl,
    ark: &Certificate,
    ask: &Certificate,
    at: Time,
) -> Result<(), SnpRefusal> {
    if !holds("snp_list_signature", list.is_signed_by(ark, &[Scheme::RsaPssSha384])) {
        return Err(SnpRefusal::RevocationListSignature(ark.subject_cn().to_owned()));
    }
    if !holds("snp_list_window", list.holds_at(at)) {
        return Err(SnpRefusal::RevocationListExpired { window: list.window(), at });
    }
    if holds("snp_revoked", !list.revokes(ask)) { Ok(()) } else { Err(SnpRefusal::Revoked("ASK")) }
}

/// The components of a TCB with the arcs of the certificate's extensions.
fn components(tcb: &Tcb) -> impl Iterator<Item = (&'static str, &'static str, u8)> {
    [
        ("bootloader", "3.1", Some(tcb.bootloader)),
        ("tee", "3.2", Some(tcb.tee)),
        ("snp", "3.3", Some(tcb.snp)),
        ("microcode", "3.8", Some(tcb.microcode)),
        ("fmc", "3.9", tcb.fmc),
    ]
    .into_iter()
    .filter_map(|(name, arc, value)| value.map(|v| (name, arc, v)))
}

pub(super) fn tcb_component(vek: &Certificate, arc: &str) -> Option<u8> {
    vek.extension(&format!("{AMD}.{arc}")).and_then(der_u8)
}

/// The signing certificate against the report: kind of key, chip, and each component of REPORTED_TCB.
pub(super) fn verify_vek(
    chain: &Chain,
    report: &Report,
    key: SigningKey,
    tcb: &Tcb,
) -> Result<Option<String>, SnpRefusal> {
    let vek = &chain.vek;
    let hwid = vek.extension(&format!("{AMD}.4"));
    let csp = vek.extension(&format!("{AMD}.5"));
    let kind = vek.subject_cn() == format!("SEV-{}", key.as_str())
        && (key == SigningKey::Vcek) == hwid.is_some()
        && (key == SigningKey::Vlek) == chain.signs_vleks;
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
    for (component, arc, report) in components(tcb) {
        let certificate = tcb_component(vek, arc)
            .ok_or(SnpRefusal::Missing("TCB extension of the VCEK or VLEK"))?;
        if !holds("snp_tcb", report == certificate) {
            return Err(SnpRefusal::Tcb { component, report, certificate });
        }
    }
    csp.map(|der| ia5(der).ok_or(SnpRefusal::CspId)).transpose()
}

/// The text of a DER IA5String.
pub(super) fn ia5(der: &[u8]) -> Option<String> {
    let [0x16, len, text @ ..] = der else { return None };
    let fits = usize::from(*len) == text.len() && *len < 0x80 && text.is_ascii();
    fits.then(|| String::from_utf8_lossy(text).into_owned())
}

/// A DER INTEGER of 0 to 255.
fn der_u8(der: &[u8]) -> Option<u8> {
    match der {
        [2, 1, n] if *n < 0x80 => Some(*n),
        [2, 2, 0, n] if *n >= 0x80 => Some(*n),
        _ => None,
    }
}
