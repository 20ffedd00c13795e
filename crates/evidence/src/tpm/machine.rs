//! A TPM's word for a whole machine: a quote over what booted, and over the domain the monitor in it serves.
//! `docs/formats/tpm.md` has the report's form.
//!
//! The monitor is part of what booted, and it alone extends [`DOMAIN_PCR`], once, before it takes a request: the register is
//! to a TPM what HOST_DATA is to SEV-SNP. Memory is encrypted by nobody: whoever can read the machine's memory, or sits on
//! the wires between processor and TPM, is outside of what this evidence says.

use std::collections::BTreeMap;

use ciborium::Value;

use super::key::AttestationKey;
use super::layout::Pcrs;
use super::parse::{parse_public, parse_signature};
use super::refusal::TpmRefusal;
use super::verify::{self, Facts};
use crate::authentic::{Authentic, Check};
use crate::bytes::{DomainRoot, Measurement, ReportData, RootDigest, sha256, sha384};
use crate::cbor::{self, Fields};
use crate::controls::holds;
use crate::hardware::{Detail, HardwareEvidence, HardwareFacts, Kind, MachineId};
use crate::tcg::Bank;
use crate::time::Time;
use crate::x509::Certificate;

/// Registers whose values are the machine's measurement: firmware, drivers, boot loader and kernel, secure boot, RAM disk and command
/// line. 1, 3 and 5 hold settings that execute nothing; whatever is executed because of them is in one of these.
pub const MEASURED: [u32; 5] = [0, 2, 4, 7, 9];
/// The register that holds the monitor's domain.
pub const DOMAIN_PCR: u32 = 15;
/// Registers a report quotes, all of the SHA-256 bank.
pub const QUOTED: [u32; 11] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, DOMAIN_PCR];
const DOMAIN_LABEL: &[u8] = b"casemate/tpm-domain/v1";
const MEASUREMENT_LABEL: &[u8] = b"casemate/tpm-machine/v1";
/// Longest report: a quote, a signature, eleven values.
const REPORT_MAX: usize = 8192;
/// The public area, and a path of certificates.
const ENDORSEMENTS_MAX: usize = 8;

/// Values of [`QUOTED`], by register.
pub type Values = BTreeMap<u32, [u8; 32]>;

/// What a monitor on such a machine sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// TPMS_ATTEST.
    pub quote: Vec<u8>,
    /// TPMT_SIGNATURE.
    pub signature: Vec<u8>,
    /// What the registers held.
    pub values: Values,
    /// The domain that [`DOMAIN_PCR`] is said to hold.
    pub domain: DomainRoot,
}

impl Report {
    /// As it travels.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let bytes = |b: &[u8]| Value::Bytes(b.to_vec());
        cbor::encode(&cbor::map(vec![
            (1, 1.into()),
            (2, bytes(&self.quote)),
            (3, bytes(&self.signature)),
            (4, Value::Array(self.values.values().map(|v| bytes(v)).collect())),
            (5, bytes(self.domain.as_bytes())),
        ]))
    }

    /// Reads one.
    ///
    /// # Errors
    /// [`TpmRefusal::Report`].
    pub fn decode(report: &[u8]) -> Result<Self, TpmRefusal> {
        let mut f = Fields::decode(report, REPORT_MAX).map_err(TpmRefusal::Report)?;
        let read = |f: &mut Fields| {
            f.version(1)?;
            let (quote, signature) = (f.bytes(2, "quote")?, f.bytes(3, "signature")?);
            let array = f.array(4, "values")?;
            let domain = f.named(5, "domain", DomainRoot::from_slice)?;
            let field = cbor::CborError::Field("values");
            if array.len() != QUOTED.len() {
                return Err(field);
            }
            let one = |(n, v): (u32, Value)| {
                let v = v.into_bytes().ok().and_then(|b| <[u8; 32]>::try_from(b).ok());
                v.map(|v| (n, v)).ok_or(field)
            };
            let values = QUOTED.into_iter().zip(array).map(one).collect::<Result<_, _>>()?;
            Ok(Self { quote, signature, values, domain })
        };
        let report = read(&mut f).map_err(TpmRefusal::Report)?;
        f.finish().map_err(TpmRefusal::Report)?;
        Ok(report)
    }
}

/// What only such machines have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineFacts {
    /// The quote and who vouches for its key.
    pub quote: Facts,
    /// The quoted values.
    pub values: Values,
}

impl MachineFacts {
    /// The values as quotes are appraised with.
    #[must_use]
    pub fn pcrs(&self) -> Pcrs {
        let values = self.values.iter().map(|(n, v)| (*n, v.to_vec())).collect();
        Pcrs::from([(Bank::Sha256, values)])
    }
}

/// The measurement of a machine: SHA-384 over a label and each register of [`MEASURED`], its number in four big-endian bytes
/// before its value. None if one is missing.
#[must_use]
pub fn measurement(values: &Values) -> Option<Measurement> {
    let mut bytes = MEASUREMENT_LABEL.to_vec();
    for n in MEASURED {
        bytes.extend(n.to_be_bytes());
        bytes.extend(values.get(&n)?);
    }
    Some(Measurement::new(sha384(&bytes)))
}

/// What the monitor extends [`DOMAIN_PCR`] with.
#[must_use]
pub fn domain_event(domain: &DomainRoot) -> [u8; 32] {
    sha256(&[DOMAIN_LABEL, domain.as_bytes()].concat())
}

/// What [`DOMAIN_PCR`] holds then: extended once, since the machine was reset.
#[must_use]
pub fn domain_register(domain: &DomainRoot) -> [u8; 32] {
    sha256(&[[0; 32], domain_event(domain)].concat())
}

/// The root of a key that a policy names itself: SHA-256 of its TPMT_PUBLIC.
#[must_use]
pub fn key_root(public: &[u8]) -> RootDigest {
    RootDigest::new(sha256(public))
}

/// The key of a quote: its TPMT_PUBLIC comes first among the endorsements, the certificates of its path, if it has any, follow.
fn key(
    endorsements: &[Vec<u8>],
    roots: &[RootDigest],
    at: Time,
) -> Result<(AttestationKey, RootDigest), TpmRefusal> {
    let (area, certificates) = endorsements.split_first().ok_or(TpmRefusal::NoKey)?;
    if endorsements.len() > ENDORSEMENTS_MAX {
        return Err(TpmRefusal::Unknown {
            what: "number of endorsements",
            got: u32::try_from(endorsements.len()).unwrap_or(u32::MAX),
        });
    }
    let public = parse_public(area)?;
    let Some((leaf, others)) = certificates.split_first() else {
        let root = key_root(area);
        if !holds("tpm_machine_key_named", roots.contains(&root)) {
            return Err(TpmRefusal::UnnamedKey(root));
        }
        return Ok((AttestationKey::trusted(area)?, root));
    };
    let others = others.iter().map(|c| Certificate::parse(c)).collect::<Result<Vec<_>, _>>()?;
    let key = AttestationKey::certified(leaf, &others, roots, Some(&public), at)?;
    let root = key.root().ok_or(TpmRefusal::NoKey)?;
    Ok((key, root))
}

/// Authentic facts of a machine, if a TPM's attestation key that `roots` lead to, or name, signed a quote of exactly these registers.
///
/// 1. form, 2. the key, 3. the quote's signature, 4. which registers, 5. their values, 6. the domain.
///
/// # Errors
/// [`TpmRefusal`], the first that applies.
pub fn verify(
    evidence: &HardwareEvidence,
    roots: &[RootDigest],
    at: Time,
) -> Result<Authentic<HardwareFacts>, TpmRefusal> {
    // 1
    let report = Report::decode(&evidence.report)?;
    // 2
    let (key, root) = key(&evidence.endorsements, roots, at)?;
    // 3
    let signature = parse_signature(&report.signature, key.kind())?;
    let quote = verify::verify(&report.quote, &signature, &key, at)?;
    // 4
    let quoted = match quote.facts().quote.selections.as_slice() {
        [one] => one.bank == Bank::Sha256 && one.pcrs == QUOTED,
        _ => false,
    };
    if !holds("tpm_machine_selection", quoted) {
        return Err(TpmRefusal::Selection);
    }
    // 5
    let all = report.values.values().copied().collect::<Vec<_>>().concat();
    let digest = quote.facts().hash().and_then(|h| h.hash(&all)).unwrap_or_default();
    if !holds("tpm_machine_values", digest == quote.facts().quote.pcr_digest) {
        return Err(TpmRefusal::Values);
    }
    // 6
    let register = report.values.get(&DOMAIN_PCR);
    let domain = register == Some(&domain_register(&report.domain));
    if !holds("tpm_machine_domain", domain) {
        return Err(TpmRefusal::Domain(report.domain));
    }
    let measurement = measurement(&report.values).ok_or(TpmRefusal::Values)?;
    let mut checks = quote.checks().to_vec();
    checks.push(Check::passed("tpm_machine_values", "the quote's digest is of these registers"));
    checks.push(Check::passed("tpm_machine_domain", "PCR 15 holds the domain and nothing else"));
    let (verified_at, until) = (quote.verified_at(), quote.holds_until());
    let facts = HardwareFacts {
        kind: Kind::Tpm,
        root,
        machine: evidence.endorsements.first().and_then(|a| MachineId::new(&sha256(a))),
        measurement,
        report_data: padded(&quote.facts().quote.extra_data)?,
        host_data: *report.domain.as_bytes(),
        debug: false,
        detail: Detail::Tpm(Box::new(MachineFacts {
            quote: quote.facts().clone(),
            values: report.values,
        })),
    };
    Ok(Authentic::new(facts, verified_at, until, checks))
}

/// extraData of 32 bytes in the field all kinds share, the rest zero.
fn padded(extra: &[u8]) -> Result<ReportData, TpmRefusal> {
    let mut data = [0; 64];
    let (head, _) = data.split_at_mut(32);
    if extra.len() != head.len() {
        return Err(TpmRefusal::Extra(extra.len()));
    }
    head.copy_from_slice(extra);
    Ok(ReportData::new(data))
}
