//! Collateral: what Intel publishes for quotes to be judged by, as it travels (QuoteCollateralV3 of the crate `dcap-qvl`, or the
//! single answers of Intel's PCS). Untrusted: only [`super::verify_collateral`] makes it count.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::refusal::DcapRefusal;

/// Longest collateral file taken: Intel's are below 64 KiB, of which revocation lists may grow.
pub const COLLATERAL_MAX: usize = 8 * 1024 * 1024;
/// Longest TCB info or QE identity taken: Intel's are below 16 KiB.
const JSON_MAX: usize = 512 * 1024;

/// Collateral as received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collateral {
    /// The authority that issued the PCK certificate and signs its revocation list, then the root; PEM.
    pub pck_crl_issuer_chain: String,
    /// The root's revocation list, DER.
    pub root_ca_crl: Vec<u8>,
    /// The revocation list of PCK certificates, DER.
    pub pck_crl: Vec<u8>,
    /// Who signed TCB info, then the root; PEM.
    pub tcb_info_issuer_chain: String,
    /// TCB info: exactly the text that was signed.
    pub tcb_info: String,
    /// r and s.
    pub tcb_info_signature: Vec<u8>,
    /// Who signed QE identity, then the root; PEM.
    pub qe_identity_issuer_chain: String,
    /// QE identity: exactly the text that was signed.
    pub qe_identity: String,
    /// r and s.
    pub qe_identity_signature: Vec<u8>,
    /// The PCK certificate with its chain, PEM, for quotes that do not carry it.
    pub pck_certificate_chain: Option<String>,
}

#[derive(Deserialize)]
struct RawCollateral {
    pck_crl_issuer_chain: String,
    root_ca_crl: String,
    pck_crl: String,
    tcb_info_issuer_chain: String,
    tcb_info: String,
    tcb_info_signature: String,
    qe_identity_issuer_chain: String,
    qe_identity: String,
    qe_identity_signature: String,
    pck_certificate_chain: Option<String>,
}

/// Answers of Intel's PCS, one body each.
#[derive(Clone, Copy, Debug)]
pub struct PcsAnswers<'a> {
    /// `GET /tcb`.
    pub tcb_info: &'a [u8],
    /// Its header `TCB-Info-Issuer-Chain`, PEM; also who signed QE identity.
    pub tcb_info_issuer_chain: &'a [u8],
    /// `GET /qe/identity`.
    pub qe_identity: &'a [u8],
    /// `GET /pckcrl`, DER.
    pub pck_crl: &'a [u8],
    /// Its header `SGX-PCK-CRL-Issuer-Chain`, PEM.
    pub pck_crl_issuer_chain: &'a [u8],
    /// The root's revocation list, DER.
    pub root_ca_crl: &'a [u8],
    /// The PCK certificate, PEM, for quotes that do not carry it; its issuers are those of the list.
    pub pck_certificate: Option<&'a [u8]>,
}

#[derive(Deserialize)]
struct RawTcbInfo<'a> {
    #[serde(borrow, rename = "tcbInfo")]
    body: &'a RawValue,
    signature: String,
}

#[derive(Deserialize)]
struct RawQeIdentity<'a> {
    #[serde(borrow, rename = "enclaveIdentity")]
    body: &'a RawValue,
    signature: String,
}

impl Collateral {
    /// Reads a collateral file: JSON with revocation lists and signatures in hex, signed JSON as texts.
    ///
    /// # Errors
    /// [`DcapRefusal`]: lengths and forms.
    pub fn parse(json: &[u8]) -> Result<Self, DcapRefusal> {
        bounded("collateral", json.len(), COLLATERAL_MAX)?;
        let raw = serde_json::from_slice::<RawCollateral>(json)
            .map_err(|e| DcapRefusal::Json { what: "collateral", why: e.to_string() })?;
        let this = Self {
            pck_crl_issuer_chain: raw.pck_crl_issuer_chain,
            root_ca_crl: bytes("root CA CRL", &raw.root_ca_crl)?,
            pck_crl: bytes("PCK CRL", &raw.pck_crl)?,
            tcb_info_issuer_chain: raw.tcb_info_issuer_chain,
            tcb_info: raw.tcb_info,
            tcb_info_signature: bytes("TCB info signature", &raw.tcb_info_signature)?,
            qe_identity_issuer_chain: raw.qe_identity_issuer_chain,
            qe_identity: raw.qe_identity,
            qe_identity_signature: bytes("QE identity signature", &raw.qe_identity_signature)?,
            pck_certificate_chain: raw.pck_certificate_chain,
        };
        this.bounded()
    }

    /// Puts Intel's answers together; the signed texts are cut out of them as they stand.
    ///
    /// # Errors
    /// [`DcapRefusal`]: lengths and forms.
    pub fn from_pcs(answers: &PcsAnswers<'_>) -> Result<Self, DcapRefusal> {
        let form =
            |what| move |e: serde_json::Error| DcapRefusal::Json { what, why: e.to_string() };
        bounded("TCB info", answers.tcb_info.len(), JSON_MAX)?;
        bounded("QE identity", answers.qe_identity.len(), JSON_MAX)?;
        let tcb_info: RawTcbInfo<'_> =
            serde_json::from_slice(answers.tcb_info).map_err(form("TCB info"))?;
        let qe_identity: RawQeIdentity<'_> =
            serde_json::from_slice(answers.qe_identity).map_err(form("QE identity"))?;
        let text = |what, pem: &[u8]| {
            core::str::from_utf8(pem).map(str::to_owned).map_err(|_| DcapRefusal::Pem(what))
        };
        let signer = text("TCB signing chain", answers.tcb_info_issuer_chain)?;
        let issuers = text("PCK CRL issuer chain", answers.pck_crl_issuer_chain)?;
        let pck = answers.pck_certificate.map(|pem| text("PCK certificate", pem)).transpose()?;
        let this = Self {
            pck_certificate_chain: pck.map(|leaf| format!("{leaf}\n{issuers}")),
            pck_crl_issuer_chain: issuers,
            root_ca_crl: answers.root_ca_crl.to_vec(),
            pck_crl: answers.pck_crl.to_vec(),
            tcb_info: tcb_info.body.get().to_owned(),
            tcb_info_signature: bytes("TCB info signature", &tcb_info.signature)?,
            qe_identity: qe_identity.body.get().to_owned(),
            qe_identity_signature: bytes("QE identity signature", &qe_identity.signature)?,
            qe_identity_issuer_chain: signer.clone(),
            tcb_info_issuer_chain: signer,
        };
        this.bounded()
    }

    fn bounded(self) -> Result<Self, DcapRefusal> {
        bounded("TCB info", self.tcb_info.len(), JSON_MAX)?;
        bounded("QE identity", self.qe_identity.len(), JSON_MAX)?;
        Ok(self)
    }
}

fn bounded(what: &'static str, got: usize, most: usize) -> Result<(), DcapRefusal> {
    if got > most { Err(DcapRefusal::TooLong { what, got, most }) } else { Ok(()) }
}

fn bytes(what: &'static str, text: &str) -> Result<Vec<u8>, DcapRefusal> {
    hex::decode(text).map_err(|_| DcapRefusal::Hex(what))
}
