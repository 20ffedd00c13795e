//! An Intel platform: root, PCK authority, PCK certificate, TCB signing key, collateral, a quoting enclave, and quotes of enclaves
//! and trust domains it signs (SGX ECDSA QuoteLib Reference A.4; TDX DCAP Quoting Library API A.3; PCS API v4).

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use evidence::bytes::sha256;
use evidence::dcap::Collateral;
use evidence::dcap::layout::{INTEL_VENDOR, Tee};
use evidence::{RootDigest, Time, Window};
use serde_json::{Value, json};

use crate::certificate::{Certificate, Crl};
use crate::der::{boolean, element, integer, octets, oid, sequence};
use crate::key::Key;

const SGX: &str = "1.2.840.113741.1.13.1";
/// Components of every platform made here.
pub const COMPONENTS: [u8; 16] = [7, 7, 2, 2, 3, 1, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0];
/// FMSPC of every platform made here.
pub const FMSPC: [u8; 6] = [0, 0x80, 0x6f, 5, 0, 0];

/// Where fields stand in an enclave's report body.
pub mod enclave {
    pub const MISC_SELECT: usize = 16;
    pub const EXT_PROD_ID: usize = 32;
    pub const ATTRIBUTES: usize = 48;
    pub const MR_ENCLAVE: usize = 64;
    pub const MR_SIGNER: usize = 128;
    pub const CONFIG_ID: usize = 192;
    pub const ISV_PROD_ID: usize = 256;
    pub const ISV_SVN: usize = 258;
    pub const CONFIG_SVN: usize = 260;
    pub const FAMILY_ID: usize = 304;
    pub const REPORT_DATA: usize = 320;
    pub const END: usize = 384;
}

/// Where fields stand in a TD report body.
pub mod td {
    pub const TEE_TCB_SVN: usize = 0;
    pub const MR_SEAM: usize = 16;
    pub const MR_SIGNER_SEAM: usize = 64;
    pub const SEAM_ATTRIBUTES: usize = 112;
    pub const ATTRIBUTES: usize = 120;
    pub const XFAM: usize = 128;
    pub const MR_TD: usize = 136;
    pub const MR_CONFIG_ID: usize = 184;
    pub const MR_OWNER: usize = 232;
    pub const MR_OWNER_CONFIG: usize = 280;
    pub const RTMR: usize = 328;
    pub const REPORT_DATA: usize = 520;
    pub const TEE_TCB_SVN2: usize = 584;
    pub const MR_SERVICE_TD: usize = 600;
}

/// A platform with its vendor behind it. Every field is what will be signed next.
pub struct Platform {
    pub tee: Tee,
    pub version: u16,
    pub root: Certificate,
    pub ca: Certificate,
    pub pck: Certificate,
    pub signer: Certificate,
    pub root_key: Key,
    pub ca_key: Key,
    pub pck_key: Key,
    pub signer_key: Key,
    /// Who signs PCK CA and TCB signer; the root unless a test wants otherwise.
    pub forger: Option<Key>,
    pub root_crl: Crl,
    pub pck_crl: Crl,
    /// Who signs the list of PCK certificates, if not their authority.
    pub crl_forger: Option<Key>,
    /// The authority that comes with the list, if not the one that issued the PCK certificate.
    pub listed_ca: Option<(Certificate, Key)>,
    pub tcb_info: Value,
    pub qe_identity: Value,
    pub qe_report: Vec<u8>,
    pub qe_auth: Vec<u8>,
    pub vendor: [u8; 16],
    pub body: Vec<u8>,
    pub trailing: Vec<u8>,
}

/// A quote with all it is judged by.
#[derive(Clone)]
pub struct Made {
    pub quote: Vec<u8>,
    pub collateral: Collateral,
    pub root: RootDigest,
}

fn text(at: Time) -> String {
    at.to_string()
}

impl Platform {
    /// A platform in force around `now`, whose TCB is up to date.
    #[must_use]
    pub fn new(tee: Tee, version: u16, now: Time) -> Self {
        let window =
            Window { not_before: now.plus_secs(-86_400), not_after: now.plus_secs(86_400) };
        let keys = [(); 4].map(|()| Key::p256());
        let [root_key, ca_key, pck_key, signer_key] = keys;
        let (root, ca) = ("Intel SGX Root CA", "Intel SGX PCK Platform CA");
        let named =
            |subject: &str, issuer: &str, key: &Key| Certificate::new(subject, issuer, key, window);
        let crl = |issuer: &str| Crl {
            issuer: issuer.to_owned(),
            this_update: window.not_before,
            next_update: Some(window.not_after),
            serials: Vec::new(),
            extensions: Vec::new(),
        };
        let mut qe_report = vec![0; enclave::END];
        qe_report[enclave::ATTRIBUTES] = 0x11;
        qe_report[enclave::MR_SIGNER..][..32].fill(0x8c);
        qe_report[enclave::ISV_PROD_ID] = if tee == Tee::Sgx { 1 } else { 2 };
        qe_report[enclave::ISV_SVN] = 9;
        let mut pck = named("Intel SGX PCK Certificate", ca, &pck_key);
        pck.serial = 77;
        let mut platform = Self {
            tee,
            version,
            root: named(root, root, &root_key).authority(Some(1)),
            ca: named(ca, root, &ca_key).authority(Some(0)),
            pck: pck.with(SGX, false, extension()),
            signer: named("Intel SGX TCB Signing", root, &signer_key),
            root_key,
            ca_key,
            pck_key,
            signer_key,
            forger: None,
            root_crl: crl(root),
            pck_crl: crl(ca),
            crl_forger: None,
            listed_ca: None,
            tcb_info: Value::Null,
            qe_identity: Value::Null,
            qe_report,
            qe_auth: vec![0x20; 32],
            vendor: INTEL_VENDOR,
            body: Vec::new(),
            trailing: Vec::new(),
        };
        platform.tcb_info = tcb_info(tee, window);
        platform.qe_identity = qe_identity(tee, window);
        platform.body = if tee == Tee::Sgx { enclave_body() } else { td_body(version) };
        platform
    }

    /// The only level of TCB info.
    ///
    /// # Panics
    /// If there is none.
    pub fn level(&mut self) -> &mut Value {
        &mut self.tcb_info["tcbLevels"][0]
    }

    /// Everything signed.
    #[must_use]
    pub fn make(&self) -> Made {
        let (attestation, root) = (Key::p256(), self.root.signed_by(&self.root_key));
        let by = self.forger.as_ref().unwrap_or(&self.root_key);
        let (ca, pck) = (self.ca.signed_by(by), self.pck.signed_by(&self.ca_key));
        let listed = match &self.listed_ca {
            Some((other, _)) => other.signed_by(&self.root_key),
            None => ca.clone(),
        };
        let lister = match (&self.crl_forger, &self.listed_ca) {
            (Some(forger), _) => forger,
            (None, Some((_, key))) => key,
            (None, None) => &self.ca_key,
        };
        let signer = self.signer.signed_by(by);
        let issuers = pem(&[&signer, &root]);
        let signed = |value: &Value| {
            let text = value.to_string();
            let signature = self.signer_key.sign_p256_fixed(text.as_bytes());
            (text, signature)
        };
        let ((tcb_info, tcb_info_signature), (qe_identity, qe_identity_signature)) =
            (signed(&self.tcb_info), signed(&self.qe_identity));
        let collateral = Collateral {
            pck_crl_issuer_chain: pem(&[&listed, &root]),
            root_ca_crl: self.root_crl.signed_by(&self.root_key),
            pck_crl: self.pck_crl.signed_by(lister),
            tcb_info_issuer_chain: issuers.clone(),
            tcb_info,
            tcb_info_signature,
            qe_identity_issuer_chain: issuers,
            qe_identity,
            qe_identity_signature,
            pck_certificate_chain: None,
        };
        let quote = self.quote(&attestation, &pem(&[&pck, &ca, &root]));
        Made { quote, collateral, root: RootDigest::new(sha256(&root)) }
    }

    fn quote(&self, attestation: &Key, chain: &str) -> Vec<u8> {
        let key = attestation.point();
        let mut qe_report = self.qe_report.clone();
        let vouched = sha256(&[&key[..], &self.qe_auth].concat());
        qe_report[enclave::REPORT_DATA..][..32].copy_from_slice(&vouched);
        let tee: u32 = if self.tee == Tee::Sgx { 0 } else { 0x81 };
        let mut signed =
            [&self.version.to_le_bytes()[..], &[2, 0], &tee.to_le_bytes(), &[0; 4]].concat();
        signed.extend(self.vendor);
        signed.extend([0xdd; 20]);
        if self.version >= 5 {
            let kind: u16 = match self.body.len() {
                384 => 1,
                584 => 2,
                _ => 3,
            };
            signed.extend(kind.to_le_bytes());
            signed.extend(length(&self.body));
        }
        signed.extend(&self.body);
        let vouching = [
            &qe_report[..],
            &self.pck_key.sign_p256_fixed(&qe_report),
            &u16::try_from(self.qe_auth.len()).unwrap().to_le_bytes(),
            &self.qe_auth,
            &[5, 0],
            &length(chain.as_bytes()),
            chain.as_bytes(),
        ]
        .concat();
        let wrapped = if self.version >= 4 {
            [&[6, 0][..], &length(&vouching), &vouching].concat()
        } else {
            vouching
        };
        let data = [&attestation.sign_p256_fixed(&signed)[..], &key, &wrapped].concat();
        [&signed[..], &length(&data), &data, &self.trailing].concat()
    }
}

fn length(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).unwrap().to_le_bytes()
}

/// Certificates in PEM.
#[must_use]
pub fn pem(certificates: &[&[u8]]) -> String {
    let one = |der: &&[u8]| {
        let body = BASE64_STANDARD.encode(der);
        format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
    };
    certificates.iter().map(one).collect()
}

/// What Intel writes about a platform.
fn extension() -> Vec<u8> {
    let member = |arc: &str, value: Vec<u8>| sequence(&[oid(&format!("{SGX}.{arc}")), value]);
    let mut tcb = (1..=16)
        .map(|n| member(&format!("2.{n}"), integer(&[COMPONENTS[n - 1]])))
        .collect::<Vec<_>>();
    tcb.push(member("2.17", integer(&[11])));
    tcb.push(member("2.18", octets(&COMPONENTS)));
    let settings = [("7.1", true), ("7.2", false), ("7.3", true)];
    let settings = settings.map(|(arc, on)| member(arc, boolean(on)));
    sequence(&[
        member("1", octets(&[0xaa; 16])),
        member("2", sequence(&tcb)),
        member("3", octets(&[0; 2])),
        member("4", octets(&FMSPC)),
        member("5", element(10, &[1])),
        member("6", octets(&[0xbb; 16])),
        member("7", sequence(&settings)),
    ])
}

fn tcb_info(tee: Tee, window: Window) -> Value {
    let components = |svns: [u8; 16]| svns.map(|svn| json!({"svn": svn}));
    let mut tcb = json!({"sgxtcbcomponents": components(COMPONENTS), "pcesvn": 11});
    let mut info = json!({
        "id": tee.as_str(), "version": 3, "issueDate": text(window.not_before), "nextUpdate": text(window.not_after),
        "fmspc": hex::encode_upper(FMSPC), "pceId": "0000", "tcbType": 0, "tcbEvaluationDataNumber": 18,
    });
    if tee == Tee::Tdx {
        let module = json!({"mrsigner": "00".repeat(48), "attributes": "00".repeat(8), "attributesMask": "ff".repeat(8)});
        let mut later = module.clone();
        later["id"] = json!("TDX_01");
        later["tcbLevels"] = json!([{"tcb": {"isvsvn": 4}, "tcbDate": text(window.not_before), "tcbStatus": "UpToDate"}]);
        info["tdxModule"] = module;
        info["tdxModuleIdentities"] = json!([later]);
        tcb["tdxtcbcomponents"] = json!(components([0; 16]));
    }
    info["tcbLevels"] =
        json!([{"tcb": tcb, "tcbDate": text(window.not_before), "tcbStatus": "UpToDate"}]);
    info
}

fn qe_identity(tee: Tee, window: Window) -> Value {
    json!({
        "id": tee.qe_id(), "version": 2, "issueDate": text(window.not_before), "nextUpdate": text(window.not_after),
        "tcbEvaluationDataNumber": 18, "miscselect": "00000000", "miscselectMask": "ffffffff",
        "attributes": "11".to_owned() + &"00".repeat(15), "attributesMask": "fb".to_owned() + &"ff".repeat(15),
        "mrsigner": "8c".repeat(32), "isvprodid": if tee == Tee::Sgx { 1 } else { 2 },
        "tcbLevels": [{"tcb": {"isvsvn": 9}, "tcbDate": text(window.not_before), "tcbStatus": "UpToDate"}],
    })
}

fn enclave_body() -> Vec<u8> {
    let mut body = vec![0; enclave::END];
    body[enclave::ATTRIBUTES] = 5;
    body[enclave::MR_ENCLAVE..][..32].fill(0x3e);
    body[enclave::MR_SIGNER..][..32].fill(0x51);
    body[enclave::ISV_SVN] = 3;
    body[enclave::REPORT_DATA..][..64].fill(0xd5);
    body
}

fn td_body(version: u16) -> Vec<u8> {
    let mut body = vec![0; if version >= 5 { 648 } else { 584 }];
    body[td::TEE_TCB_SVN..][..3].copy_from_slice(&[4, 1, 2]);
    body[td::ATTRIBUTES + 3] = 0x10;
    body[td::XFAM..][..2].copy_from_slice(&[0xe7, 2]);
    body[td::MR_TD..][..48].fill(0x3e);
    body[td::REPORT_DATA..][..64].fill(0xd5);
    if version >= 5 {
        body[td::TEE_TCB_SVN2..][..3].copy_from_slice(&[4, 1, 2]);
    }
    body
}
