//! A quote's fields (Intel TDX DCAP Quoting Library API, appendix 3; SGX ECDSA QuoteLib Reference, appendix A.4), byte for byte.
//! What is here is untrusted: only `verify` says whose word it is.

/// Length of the header every version has.
pub const HEADER_LEN: usize = 48;
/// Length of an enclave's report body: an SGX quote's body, and the quoting enclave's own report.
pub const REPORT_LEN: usize = 384;
/// Longest quote taken: the largest buffer a Linux guest's driver hands out.
pub const QUOTE_MAX: usize = 128 * 1024;
/// QE_VENDOR_ID of Intel's quoting enclaves.
pub const INTEL_VENDOR: [u8; 16] = [
    0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07,
];

/// What a quote speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tee {
    /// An SGX enclave (TEE_TYPE 0).
    Sgx,
    /// A TDX trust domain (TEE_TYPE 0x81).
    Tdx,
}

impl Tee {
    /// Intel's name, as in TCB info.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sgx => "SGX",
            Self::Tdx => "TDX",
        }
    }

    /// The name of its quoting enclave's identity.
    #[must_use]
    pub const fn qe_id(self) -> &'static str {
        match self {
            Self::Sgx => "QE",
            Self::Tdx => "TD_QE",
        }
    }
}

/// Which report a quote carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyKind {
    /// An enclave's report body, 384 bytes.
    Enclave,
    /// A TD report body of TDX 1.0, 584 bytes.
    Td10,
    /// A TD report body of TDX 1.5, 648 bytes.
    Td15,
}

impl BodyKind {
    /// Its number in the body descriptor of version 5.
    #[must_use]
    pub const fn number(self) -> u16 {
        match self {
            Self::Enclave => 1,
            Self::Td10 => 2,
            Self::Td15 => 3,
        }
    }

    /// Its length in bytes.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "no report is empty")]
    pub const fn len(self) -> usize {
        match self {
            Self::Enclave => REPORT_LEN,
            Self::Td10 => 584,
            Self::Td15 => 648,
        }
    }
}

/// The header of a quote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// VERSION: 3, 4 or 5.
    pub version: u16,
    /// TEE_TYPE.
    pub tee: Tee,
    /// QE_VENDOR_ID.
    pub vendor: [u8; 16],
    /// USER_DATA: the platform's id as its quoting enclave chose it.
    pub user_data: [u8; 20],
}

/// An enclave's report body (SGX SDK `sgx_report_body_t`), with the fields of key separation and sharing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnclaveReport {
    /// CPUSVN.
    pub cpu_svn: [u8; 16],
    /// MISCSELECT.
    pub misc_select: u32,
    /// ISVEXTPRODID (KSS).
    pub isv_ext_prod_id: [u8; 16],
    /// ATTRIBUTES: flags, then XFRM.
    pub attributes: [u8; 16],
    /// MRENCLAVE.
    pub mr_enclave: [u8; 32],
    /// MRSIGNER.
    pub mr_signer: [u8; 32],
    /// CONFIGID (KSS).
    pub config_id: [u8; 64],
    /// ISVPRODID.
    pub isv_prod_id: u16,
    /// ISVSVN.
    pub isv_svn: u16,
    /// CONFIGSVN (KSS).
    pub config_svn: u16,
    /// ISVFAMILYID (KSS).
    pub isv_family_id: [u8; 16],
    /// REPORTDATA.
    pub report_data: [u8; 64],
}

/// How a quote certifies the key that signed its quoting enclave's report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certification<'a> {
    /// Type 5: the PCK certificate with its chain, PEM.
    Chain(&'a [u8]),
    /// Types 1 to 4: an id of the platform, or the PCK certificate alone; the chain must come from elsewhere.
    Elsewhere(u16),
}

impl Certification<'_> {
    /// The type's number.
    #[must_use]
    pub const fn number(self) -> u16 {
        match self {
            Self::Chain(_) => 5,
            Self::Elsewhere(number) => number,
        }
    }
}

/// A quote taken apart, its parts as received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quote<'a> {
    /// The header.
    pub header: Header,
    /// Which report follows.
    pub kind: BodyKind,
    /// That report.
    pub body: &'a [u8],
    /// Header, descriptor (version 5) and body: what the attestation key signed.
    pub signed: &'a [u8],
    /// That signature, r and s.
    pub signature: &'a [u8],
    /// The attestation key: x and y of a point on P-256.
    pub key: &'a [u8],
    /// The quoting enclave's report.
    pub qe_report: &'a [u8],
    /// The PCK's signature over it, r and s.
    pub qe_signature: &'a [u8],
    /// QE authentication data.
    pub qe_auth: &'a [u8],
    /// What certifies the PCK.
    pub certification: Certification<'a>,
    /// What stands behind the quote; signed by nobody.
    pub trailing: &'a [u8],
}
