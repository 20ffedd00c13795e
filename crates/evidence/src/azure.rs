//! Azure's confidential machines: the hardware report is made once, at boot, by firmware that stands over the guest, and binds a document
//! (the runtime data) with the attestation key of a virtual TPM; freshness and the guest's measurements come from that TPM's quotes. Both
//! count together or not at all.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use crate::authentic::Authentic;
use crate::bytes::sha256;
use crate::controls::holds;
use crate::hardware::HardwareFacts;
use crate::snp::layout::REPORT_LEN;
use crate::tdx;
use crate::time::Window;
use crate::tpm::{AttestationKey, KeyKind};

const MARK: &[u8] = b"HCLA";
const HEADER_LEN: usize = 32;
/// Longest blob taken: Azure's are 2,600 bytes, of which the runtime data may grow.
pub const BLOB_MAX: usize = 64 * 1024;
/// The runtime data's hash is SHA-256.
const SHA256: u32 = 1;
/// Report types of the hardware.
const SNP: u32 = 2;
const TDX: u32 = 4;
/// The key's name.
const AK: &str = "HCLAkPub";

/// Why an Azure machine's parts do not belong together.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AzureRefusal {
    /// Not a blob of this form.
    #[error("HCL report: {0}; take it whole from NV index 0x01400001")]
    Form(&'static str),
    /// A hash that is not understood.
    #[error("HCL report: hash type {0} of the runtime data, understood is 1 (SHA-256)")]
    Hash(u32),
    /// The hardware did not vouch for the runtime data.
    #[error(
        "runtime data is not what REPORT_DATA binds (SHA-256, then zeros); it was exchanged, or the report is another machine's"
    )]
    Unbound,
    /// The report inside is another one.
    #[error(
        "the hardware report beside the HCL report is another one than inside it; pass what came together"
    )]
    OtherReport,
    /// The blob of another kind of machine.
    #[error(
        "HCL report holds a hardware report of type {got}, expected {expected} (2 SNP, 4 TDX); pass the blob of this machine"
    )]
    Kind {
        /// Of the hardware evidence.
        expected: u32,
        /// As the blob says.
        got: u32,
    },
    /// No key.
    #[error("runtime data has no single RSA key {AK:?}")]
    Key,
}

/// A blob, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HclReport<'a> {
    /// The hardware's report: an SNP report, or a TDREPORT (which is no quote).
    pub hardware: &'a [u8],
    /// 2 for SNP, 4 for TDX.
    pub kind: u32,
    /// The runtime data: JSON, byte for byte.
    pub runtime: &'a [u8],
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let (head, _) = bytes.get(at..)?.split_first_chunk()?;
    Some(u32::from_le_bytes(*head))
}

/// Takes a blob apart.
///
/// # Errors
/// [`AzureRefusal::Form`], [`AzureRefusal::Hash`].
pub fn parse(blob: &[u8]) -> Result<HclReport<'_>, AzureRefusal> {
    if blob.len() > BLOB_MAX {
        return Err(AzureRefusal::Form("longer than any"));
    }
    if !blob.starts_with(MARK) {
        return Err(AzureRefusal::Form("it does not begin with HCLA"));
    }
    let cut = AzureRefusal::Form("it is cut");
    let rest = blob.get(HEADER_LEN..).ok_or(cut.clone())?;
    let (hardware, rest) = rest.split_at_checked(REPORT_LEN).ok_or(cut.clone())?;
    let field = |at| u32_at(rest, at).ok_or(cut.clone());
    let (kind, hash, len) = (field(8)?, field(12)?, field(16)?);
    if hash != SHA256 {
        return Err(AzureRefusal::Hash(hash));
    }
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    let runtime = rest.get(20..).and_then(|r| r.get(..len)).ok_or(cut)?;
    Ok(HclReport { hardware, kind, runtime })
}

/// As long as the evidence holds.
const fn window<T>(verified: &Authentic<T>) -> Window {
    Window { not_before: verified.verified_at(), not_after: verified.holds_until() }
}

#[derive(Deserialize)]
struct Runtime {
    keys: Vec<Value>,
}

impl HclReport<'_> {
    /// The virtual TPM's attestation key, if an authentic SNP report vouches for it: the very report inside, as `report` has it.
    ///
    /// # Errors
    /// [`AzureRefusal`].
    pub fn key_of_snp(
        &self,
        verified: &Authentic<HardwareFacts>,
        report: &[u8],
    ) -> Result<AttestationKey, AzureRefusal> {
        let data = verified.facts().report_data;
        self.attestation_key(SNP, data.as_bytes(), Some(report), window(verified))
    }

    /// The virtual TPM's attestation key, if an authentic TDX quote vouches for it. The report inside is the one the quote was made of, in
    /// a form that only its machine can check.
    ///
    /// # Errors
    /// [`AzureRefusal`].
    pub fn key_of_tdx(
        &self,
        verified: &Authentic<tdx::Facts>,
    ) -> Result<AttestationKey, AzureRefusal> {
        let data = &verified.facts().report.report_data;
        self.attestation_key(TDX, data, None, window(verified))
    }

    fn attestation_key(
        &self,
        expected: u32,
        report_data: &[u8; 64],
        report: Option<&[u8]>,
        window: Window,
    ) -> Result<AttestationKey, AzureRefusal> {
        if !holds("azure_kind", self.kind == expected) {
            return Err(AzureRefusal::Kind { expected, got: self.kind });
        }
        let (named, rest) = report_data.split_at(32);
        let bound = named == sha256(self.runtime) && rest.iter().all(|b| *b == 0);
        if !holds("azure_runtime_bound", bound) {
            return Err(AzureRefusal::Unbound);
        }
        if !holds("azure_same_report", report.is_none_or(|r| r == self.hardware)) {
            return Err(AzureRefusal::OtherReport);
        }
        let runtime: Runtime =
            serde_json::from_slice(self.runtime).map_err(|_| AzureRefusal::Form("runtime data"))?;
        let mut named =
            runtime.keys.iter().filter(|k| k.get("kid").and_then(Value::as_str) == Some(AK));
        let (Some(key), None) = (named.next(), named.next()) else { return Err(AzureRefusal::Key) };
        let member = |name: &str| {
            let text = key.get(name)?.as_str()?;
            BASE64_URL_SAFE_NO_PAD.decode(text).ok()
        };
        let rsa = key.get("kty").and_then(Value::as_str) == Some("RSA");
        let (Some(n), Some(e), true) = (member("n"), member("e"), rsa) else {
            return Err(AzureRefusal::Key);
        };
        let key = crate::tpm::rsa_key(&n, &e);
        Ok(AttestationKey::named(key, KeyKind::Rsa, "the hardware report", window))
    }

    /// What the runtime data says of the machine's settings, where it does.
    #[must_use]
    pub fn configuration(&self) -> Option<Value> {
        serde_json::from_slice::<Value>(self.runtime).ok()?.get("vm-configuration").cloned()
    }
}
