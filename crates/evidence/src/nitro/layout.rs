//! A document's members (attestation_process.md section 2.2) and what its registers mean.

use std::collections::BTreeMap;

use crate::bytes::RootDigest;
use crate::cose::vendor::Signed;
use crate::time::Window;
use crate::x509::Certificate;

/// Longest document read: 16 KiB of payload (section 3.1) and what is around it.
pub const DOCUMENT_MAX: usize = 17 * 1024;
/// The one protected header: {1: -35}, ES384.
pub const PROTECTED: &[u8] = &[0xa1, 0x01, 0x38, 0x22];
/// Length of the signature: r and s.
pub const SIGNATURE_LEN: usize = 96;
/// Registers whose zeroes mean that the enclave was started in debug mode.
pub const DEBUG_PCRS: [u8; 3] = [0, 1, 2];
/// Registers of a NitroTPM.
pub const TPM_PCRS: usize = 24;

/// Which of the two kinds a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocumentKind {
    /// A Nitro enclave's: member `pcrs`.
    Enclave,
    /// A NitroTPM's: member `nitrotpm_pcrs`.
    Tpm,
}

impl DocumentKind {
    /// The member that holds the registers.
    #[must_use]
    pub const fn pcrs(self) -> &'static str {
        match self {
            Self::Enclave => "pcrs",
            Self::Tpm => "nitrotpm_pcrs",
        }
    }

    /// The kind in words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Enclave => "Nitro enclave",
            Self::Tpm => "NitroTPM",
        }
    }
}

/// A document taken apart; untrusted until chain and signature hold.
#[derive(Clone, Debug)]
pub struct Document<'a> {
    /// The signed object.
    pub signed: Signed<'a>,
    /// Enclave or NitroTPM.
    pub kind: DocumentKind,
    /// module_id.
    pub module_id: &'a str,
    /// timestamp, milliseconds since 1970.
    pub timestamp_ms: u64,
    /// pcrs or nitrotpm_pcrs.
    pub pcrs: BTreeMap<u8, &'a [u8]>,
    /// certificate, DER: the signer's.
    pub certificate: &'a [u8],
    /// cabundle, DER: root first.
    pub cabundle: Vec<&'a [u8]>,
    /// public_key.
    pub public_key: Option<&'a [u8]>,
    /// user_data.
    pub user_data: Option<&'a [u8]>,
    /// nonce.
    pub nonce: Option<&'a [u8]>,
}

/// What only an authentic document says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Enclave or NitroTPM.
    pub kind: DocumentKind,
    /// The pinned root its chain ended in.
    pub root: RootDigest,
    /// True if it carried COSE's tag.
    pub tagged: bool,
    /// Instance and enclave, or instance and TPM.
    pub module_id: String,
    /// When it was made, milliseconds since 1970.
    pub timestamp_ms: u64,
    /// Seconds from then to the time it was verified for; below zero if it is from the future.
    pub age_secs: i64,
    /// The region its regional authority is named after.
    pub region: String,
    /// Every register.
    pub pcrs: BTreeMap<u8, Vec<u8>>,
    /// A key the program chose.
    pub public_key: Option<Vec<u8>>,
    /// The caller-bound field.
    pub user_data: Option<Vec<u8>>,
    /// What the relying party had asked for.
    pub nonce: Option<Vec<u8>>,
    /// The chain, leaf first.
    pub chain: Vec<Certificate>,
    /// Where all certificates of the chain hold.
    pub window: Window,
}

impl Facts {
    /// One register.
    #[must_use]
    pub fn pcr(&self, index: u8) -> Option<&[u8]> {
        self.pcrs.get(&index).map(Vec::as_slice)
    }

    /// Subjects of the chain in words, leaf first.
    pub fn subjects(&self) -> impl Iterator<Item = &str> {
        self.chain.iter().map(Certificate::subject_text)
    }

    /// True for an enclave started in debug mode: a register of its image that is zero identifies nothing. A NitroTPM has
    /// no such mode.
    #[must_use]
    pub fn debug(&self) -> bool {
        let zero = |n: &u8| self.pcr(*n).is_none_or(|v| v.iter().all(|b| *b == 0));
        self.kind == DocumentKind::Enclave && DEBUG_PCRS.iter().any(zero)
    }
}
