//! One of AMD's signed objects by itself, as it is kept for later: who signed it, what it is about, from when to when it holds.
//!
//! Nothing is taken whose chain does not end in a root of the caller's, whatever its name says. Being in force is another question: it is
//! asked when evidence is verified, for that time. AMD 57230 section 3.

use thiserror::Error;

use super::chain::{AMD, ia5, is_vek, tcb_component};
use super::layout::{Product, Report, Tcb};
use super::parse::parse;
use super::verify::signed_by;
use crate::bytes::{RootDigest, sha256};
use crate::controls::holds;
use crate::time::Window;
use crate::x509::crl::Crl;
use crate::x509::{Certificate, Scheme, X509Error};

/// What an object is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum About {
    /// A product's root.
    Ark,
    /// Signs chips' keys.
    Ask,
    /// Signs providers' keys.
    Asvk,
    /// A chip's key.
    Vcek {
        /// The chip; eight bytes on Turin, 64 before.
        hwid: Vec<u8>,
        /// Its firmware.
        tcb: Tcb,
    },
    /// A provider's key.
    Vlek {
        /// The provider, if it is named.
        csp_id: Option<String>,
        /// The firmware.
        tcb: Tcb,
    },
    /// The root's revocation list.
    RevocationList,
}

/// An object that is AMD's.
#[derive(Clone, Debug)]
pub struct Endorsement {
    /// The family it belongs to.
    pub product: Product,
    /// What it is.
    pub about: About,
    /// From when to when it holds.
    pub window: Window,
    der: Vec<u8>,
}

/// Why an object is not kept.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndorsementRefusal {
    /// Neither a certificate nor a revocation list.
    #[error("expected a certificate or revocation list of AMD, DER or PEM: {0}")]
    Form(X509Error),
    /// A name AMD does not give.
    #[error("{0:?} is no certificate of an SNP chain; expected ARK, ASK, ASVK, VCEK or VLEK")]
    Name(String),
    /// A root that is not pinned.
    #[error("root {0} is not pinned; it is a look-alike, do not use it")]
    UntrustedRoot(String),
    /// Its issuer is not at hand.
    #[error("its issuer is not there ({0}); pass that too")]
    IssuerMissing(&'static str),
    /// Who is named as issuer did not sign it.
    #[error("it is not signed by the {0} it names; fetch it again")]
    Signature(&'static str),
    /// A signing key's certificate that does not say what it is about.
    #[error("the certificate lacks {0}, or has it malformed; fetch it again")]
    Extension(&'static str),
}

impl Endorsement {
    /// Takes `der` if it is AMD's: a root among `roots`, or signed by one of `known`, which was taken before.
    ///
    /// # Errors
    /// [`EndorsementRefusal`].
    pub fn verify(
        der: &[u8],
        known: &[Self],
        roots: &[RootDigest],
    ) -> Result<Self, EndorsementRefusal> {
        let certificate = match Certificate::parse(der) {
            Ok(certificate) => certificate,
            Err(form) => return Self::list(der, known, form),
        };
        let cn = certificate.subject_cn();
        let (product, about) = if cn.starts_with("ARK-") {
            (root(&certificate, roots)?, About::Ark)
        } else if is_vek(cn) {
            let by =
                |a: &About| matches!((cn, a), ("SEV-VCEK", About::Ask) | ("SEV-VLEK", About::Asvk));
            let product = issued(&certificate, known, by, "ASK or ASVK")?;
            (product, key(&certificate, product)?)
        } else if cn.starts_with("SEV-") {
            let product = issued(&certificate, known, |a| *a == About::Ark, "ARK")?;
            (product, if cn.starts_with("SEV-VLEK-") { About::Asvk } else { About::Ask })
        } else {
            return Err(EndorsementRefusal::Name(cn.to_owned()));
        };
        Ok(Self { product, about, window: certificate.window(), der: der.to_vec() })
    }

    fn list(der: &[u8], known: &[Self], form: X509Error) -> Result<Self, EndorsementRefusal> {
        let list = Crl::parse(der).map_err(|_| EndorsementRefusal::Form(form))?;
        let mut named = false;
        for ark in known.iter().filter(|e| e.about == About::Ark) {
            let Ok(issuer) = Certificate::parse(&ark.der) else { continue };
            if !list.is_of(&issuer) {
                continue;
            }
            named = true;
            let signed = list.is_signed_by(&issuer, &[Scheme::RsaPssSha384]);
            if holds("snp_endorsement_list_signature", signed) {
                let (product, window) = (ark.product, list.window());
                return Ok(Self {
                    product,
                    about: About::RevocationList,
                    window,
                    der: der.to_vec(),
                });
            }
        }
        Err(if named {
            EndorsementRefusal::Signature("ARK")
        } else {
            EndorsementRefusal::IssuerMissing("ARK")
        })
    }

    /// The object, as its vendor signed it.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// True if it is the certificate of a key that may have signed `report`: of the kind it names, of its chip, at its TCB.
    #[must_use]
    pub fn is_key_of(&self, report: &Report) -> bool {
        let reported = Tcb::decode(report.reported_tcb, self.product);
        match (&self.about, report.key_info.wrapping_shr(2) & 7) {
            (About::Vcek { hwid, tcb }, 0) => {
                *tcb == reported
                    && report.chip_id.split_at_checked(hwid.len()).is_some_and(|(head, tail)| {
                        head == hwid.as_slice() && tail.iter().all(|b| *b == 0)
                    })
            }
            (About::Vlek { tcb, .. }, 1) => *tcb == reported,
            _ => false,
        }
    }

    /// True if its key signed the report, of which `raw` are the bytes: it tells keys apart that the report alone does not.
    #[must_use]
    pub fn has_signed(&self, raw: &[u8], report: &Report) -> bool {
        Certificate::parse(&self.der).is_ok_and(|c| signed_by(raw, report, &c))
    }

    /// True if it is the certificate that signed `other`.
    #[must_use]
    pub fn has_issued(&self, other: &Certificate) -> bool {
        matches!(self.about, About::Ark | About::Ask | About::Asvk)
            && Certificate::parse(&self.der)
                .is_ok_and(|c| other.is_signed_by(&c, &[Scheme::RsaPssSha384]))
    }
}

/// What of `stored` a report and the endorsements that came with it lack: the key's certificate, its issuers, and, of every family any of
/// the certificates belongs to, the newest revocation list. The list comes along also if it is not in force, or if the
/// evidence brought an older one: evidence is then refused, or judged by the newer, never judged without.
#[must_use]
pub fn lacking<'a>(raw: &[u8], own: &[Vec<u8>], stored: &'a [Endorsement]) -> Vec<&'a Endorsement> {
    // What cannot be read is refused by whoever verifies it.
    let Ok(report) = parse(raw) else { return Vec::new() };
    let mut certificates =
        own.iter().filter_map(|d| Certificate::parse(d).ok()).collect::<Vec<_>>();
    let is_between =
        |c: &Certificate| c.subject_cn().starts_with("SEV-") && !is_vek(c.subject_cn());
    let has_between = certificates.iter().any(is_between);
    let has_root = certificates.iter().any(|c| c.subject_cn().starts_with("ARK-"));
    let mut taken = Vec::new();
    if !certificates.iter().any(|c| is_vek(c.subject_cn())) {
        let keys = || stored.iter().filter(|e| e.is_key_of(&report));
        // Providers' keys of one TCB look alike to the report; if none signed it, the first is refused for that.
        let key = keys().find(|e| e.has_signed(raw, &report)).or_else(|| keys().next());
        certificates.extend(key.and_then(|e| Certificate::parse(&e.der).ok()));
        taken.extend(key);
    }
    let issuers = stored.iter().filter(|e| certificates.iter().any(|c| e.has_issued(c)));
    let issuers = issuers.collect::<Vec<_>>();
    if !has_between {
        taken.extend(issuers.iter().find(|e| e.about != About::Ark));
    }
    for product in [Product::Milan, Product::Genoa, Product::Turin] {
        if !issuers.iter().any(|e| e.product == product) {
            continue;
        }
        let of = |about| stored.iter().filter(move |e| e.product == product && e.about == about);
        if !has_root {
            taken.extend(of(About::Ark).next());
        }
        taken.extend(of(About::RevocationList).max_by_key(|e| e.window.not_before));
    }
    taken
}

fn root(c: &Certificate, roots: &[RootDigest]) -> Result<Product, EndorsementRefusal> {
    let digest = RootDigest::new(sha256(c.der()));
    if !holds("snp_endorsement_root", roots.contains(&digest)) {
        return Err(EndorsementRefusal::UntrustedRoot(digest.to_string()));
    }
    match c.subject_cn() {
        "ARK-Milan" => Ok(Product::Milan),
        "ARK-Genoa" => Ok(Product::Genoa),
        "ARK-Turin" => Ok(Product::Turin),
        other => Err(EndorsementRefusal::Name(other.to_owned())),
    }
}

/// The family of whoever, among those of the right rank, is named as issuer and signed it.
fn issued(
    c: &Certificate,
    known: &[Endorsement],
    rank: impl Fn(&About) -> bool,
    name: &'static str,
) -> Result<Product, EndorsementRefusal> {
    let mut named = false;
    for candidate in known.iter().filter(|e| rank(&e.about)) {
        let Ok(issuer) = Certificate::parse(&candidate.der) else { continue };
        if issuer.subject() != c.issuer() {
            continue;
        }
        named = true;
        let signed = c.is_signed_by(&issuer, &[Scheme::RsaPssSha384]);
        if holds("snp_endorsement_signature", signed) {
            return Ok(candidate.product);
        }
    }
    Err(if named {
        EndorsementRefusal::Signature(name)
    } else {
        EndorsementRefusal::IssuerMissing(name)
    })
}

/// What a signing key's certificate says about chip or provider, and TCB.
fn key(c: &Certificate, product: Product) -> Result<About, EndorsementRefusal> {
    let part = |arc| tcb_component(c, arc).ok_or(EndorsementRefusal::Extension("a TCB component"));
    let tcb = Tcb {
        fmc: if product == Product::Turin { Some(part("3.9")?) } else { None },
        bootloader: part("3.1")?,
        tee: part("3.2")?,
        snp: part("3.3")?,
        microcode: part("3.8")?,
    };
    if c.subject_cn() == "SEV-VLEK" {
        let csp = c.extension(&format!("{AMD}.5"));
        let csp = csp.map(|der| ia5(der).ok_or(EndorsementRefusal::Extension("CSP_ID")));
        return Ok(About::Vlek { csp_id: csp.transpose()?, tcb });
    }
    let hwid = c.extension(&format!("{AMD}.4")).ok_or(EndorsementRefusal::Extension("hwID"))?;
    let fits = matches!(hwid.len(), 8 | 64) && hwid.iter().any(|b| *b != 0);
    if !fits {
        return Err(EndorsementRefusal::Extension("hwID"));
    }
    Ok(About::Vcek { hwid: hwid.to_vec(), tcb })
}
