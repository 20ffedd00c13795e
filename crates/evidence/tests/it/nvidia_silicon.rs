//! A maker of devices, manifests and OCSP answers under test-made roots: for what lies behind signatures.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm,
};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use evidence::bytes::{sha256, sha384};
use evidence::nvidia::{Asked, Evidence, Facts, NvidiaRefusal, Roots, verify};
use evidence::{Authentic, Nonce, RootDigest, Time};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType, SerialNumber, date_time_ymd,
};

/// The test's present: 2027-01-15.
pub const NOW: Time = Time::from_unix(1_800_000_000);
pub const NONCE: Nonce = Nonce::new([0x4e; 32]);
pub const FWID: [u8; 48] = [0xf1; 48];

fn sign(algorithm: &'static EcdsaSigningAlgorithm, key: &KeyPair, bytes: &[u8]) -> Vec<u8> {
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, key.serialized_der()).unwrap();
    pair.sign(&SystemRandom::new(), bytes).unwrap().as_ref().to_vec()
}

/// A certificate with its key.
pub struct Holder {
    pub der: Vec<u8>,
    pub key: KeyPair,
    params: CertificateParams,
}

impl Holder {
    pub fn new(name: &str, issuer: Option<&Self>, change: impl Fn(&mut CertificateParams)) -> Self {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = date_time_ymd(2026, 1, 1);
        params.not_after = date_time_ymd(9999, 12, 31);
        params.serial_number = Some(SerialNumber::from_slice(&sha256(name.as_bytes())[1..9]));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        change(&mut params);
        let certificate = match issuer {
            None => params.self_signed(&key),
            Some(i) => params.signed_by(&key, &Issuer::from_params(&i.params, &i.key)),
        };
        Self { der: certificate.unwrap().der().to_vec(), key, params }
    }

    pub fn digest(&self) -> RootDigest {
        RootDigest::new(sha256(&self.der))
    }
}

/// An end entity in force for two years.
fn leaf(params: &mut CertificateParams) {
    params.is_ca = IsCa::NoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
}

pub fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let len = u16::try_from(content.len()).unwrap().to_be_bytes();
    let mut out = vec![tag];
    match len {
        [0, n] if n < 0x80 => out.push(n),
        [0, n] => out.extend([0x81, n]),
        [a, b] => out.extend([0x82, a, b]),
    }
    out.extend(content);
    out
}

fn oid(dotted: &str) -> Vec<u8> {
    let parts = dotted.split('.').map(|p| p.parse::<u32>().unwrap()).collect::<Vec<_>>();
    let mut out = Vec::new();
    for n in [parts[0] * 40 + parts[1]].iter().chain(&parts[2..]) {
        let mut groups = vec![(n & 0x7f) as u8];
        let mut rest = n >> 7;
        while rest > 0 {
            groups.push((rest & 0x7f) as u8 | 0x80);
            rest >>= 7;
        }
        out.extend(groups.into_iter().rev());
    }
    tlv(6, &out)
}

/// A firmware id as DICE writes it.
pub fn dice_fwid(hash: &str, digest: &[u8]) -> Vec<u8> {
    tlv(0x30, &[oid(hash), tlv(4, digest)].concat())
}

pub const SHA_384: &str = "2.16.840.1.101.3.4.2.2";

/// A composite device id: version, key, firmware id.
pub fn composite_id(fwid: &[u8]) -> Vec<u8> {
    tlv(0x30, &[tlv(2, &[1]), tlv(0x30, &[]), dice_fwid(SHA_384, fwid)].concat())
}

/// A TCB info: vendor, then the list of firmware ids as its seventh part.
pub fn tcb_info(fwid: &[u8]) -> Vec<u8> {
    let list = [dice_fwid(SHA_384, fwid), dice_fwid(SHA_384, &[0; 48])].concat();
    tlv(0x30, &[tlv(0x80, b"NVIDIA"), tlv(0xa6, &list)].concat())
}

/// A leaf for a device's firmware.
fn firmware(params: &mut CertificateParams, product: &str) {
    leaf(params);
    let info = format!("NVIDIA:{product}:0123456789ABCDEF");
    let arc = vec![1, 3, 6, 1, 4, 1, 412, 274, 1];
    params.subject_alt_names = vec![SanType::OtherName((arc, info.into()))];
    let id = CustomExtension::from_oid_content(&[2, 23, 133, 5, 4, 1], composite_id(&FWID));
    params.custom_extensions = vec![id];
}

/// A device under a test-made root.
pub struct Device {
    pub root: Holder,
    pub identity: Holder,
    pub boot: Holder,
    pub leaf: Holder,
    pub rim_root: Holder,
}

impl Device {
    pub fn new(product: &str) -> Self {
        Self::with(product, |_| {})
    }

    pub fn with(product: &str, change: impl Fn(&mut CertificateParams)) -> Self {
        let root = Holder::new("Test Device Identity CA", None, |_| {});
        let identity = Holder::new("Test Identity", Some(&root), |_| {});
        let boot = Holder::new("Test BROM", Some(&identity), |_| {});
        let leaf = Holder::new("Test FMC LF", Some(&boot), |p| {
            firmware(p, product);
            change(p);
        });
        let rim_root = Holder::new("Test RIM root", None, |_| {});
        Self { root, identity, boot, leaf, rim_root }
    }

    /// Another leaf of the same boot ROM.
    pub fn firmware(&self, name: &str) -> Holder {
        Holder::new(name, Some(&self.boot), |p| firmware(p, "GH100"))
    }

    /// The chain, leaf first.
    pub fn chain(&self) -> Vec<Vec<u8>> {
        [&self.leaf, &self.boot, &self.identity, &self.root].map(|h| h.der.clone()).to_vec()
    }

    /// Signs what a report says.
    pub fn report(&self, said: &Said) -> Vec<u8> {
        let mut bytes = said.encode();
        let signature = sign(&ECDSA_P384_SHA384_FIXED_SIGNING, &self.leaf.key, &bytes);
        bytes.extend(signature);
        bytes
    }

    pub fn evidence(&self, said: &Said) -> Evidence {
        Evidence {
            report: self.report(said),
            certificates: self.chain(),
            rims: Vec::new(),
            ocsp: Vec::new(),
        }
    }

    /// Verifies under the test's roots, for the test's nonce and time.
    pub fn verify(&self, evidence: &Evidence) -> Result<Authentic<Facts>, NvidiaRefusal> {
        let (device, rim) = ([self.root.digest()], [self.rim_root.digest()]);
        verify(evidence, &Roots { device: &device, rim: &rim }, Asked::Nonce(NONCE), NOW)
    }
}

/// What a report says.
#[derive(Clone)]
pub struct Said {
    pub request: [u8; 4],
    pub nonce: Nonce,
    pub slot: u8,
    pub response: [u8; 4],
    /// Number, specification, type, value.
    pub blocks: Vec<(u8, u8, u8, Vec<u8>)>,
    pub opaque: Vec<(u16, Vec<u8>)>,
    /// Profile, major, minor: opaque data with a header, every field of the type of a security version.
    pub header: Option<(u16, u8, u8)>,
}

/// The value every measurement of a test has: its index, often.
pub fn value(index: u8) -> [u8; 48] {
    [index; 48]
}

impl Said {
    /// A GPU with 64 measurements, driver 550.1, VBIOS 96.00.5E.00.01.
    pub fn gpu() -> Self {
        let counts = (0..64_u32).flat_map(|i| u32::from(i > 0).to_le_bytes()).collect();
        let opaque = vec![
            (6, vec![0, 0x5e, 0, 0x96, 1, 0, 0, 0]),
            (15, b"882\0".to_vec()),
            (17, b"1010\0".to_vec()),
            (18, b"0200\0".to_vec()),
            (3, b"550.1\0".to_vec()),
            (12, counts),
            (11, vec![0xaa]),
            (20, FWID.to_vec()),
            (21, vec![0x55]),
        ];
        Self {
            request: [0x11, 0xe0, 1, 0xff],
            nonce: NONCE,
            slot: 0,
            response: [0x11, 0x60, 0, 0],
            blocks: (0..64).map(|i| (i + 1, 1, 1, value(i).to_vec())).collect(),
            opaque,
            header: None,
        }
    }

    /// A switch with 31 measurements, BIOS 96.10.55.00.01.
    pub fn switch() -> Self {
        let counts = (0..26_u32).flat_map(|i| u32::from(i > 0).to_le_bytes()).collect();
        let bios = b"96.10.55.00.01".to_vec();
        let opaque = vec![(6, bios), (22, vec![7; 8]), (12, counts), (26, vec![8; 16])];
        let blocks = (0..31).map(|i| (i + 1, 1, 1, value(i).to_vec())).collect();
        Self { blocks, opaque, ..Self::gpu() }
    }

    pub fn without(mut self, field: u16) -> Self {
        self.opaque.retain(|(id, _)| *id != field);
        self
    }

    pub fn with(self, field: u16, data: &[u8]) -> Self {
        let mut said = self.without(field);
        said.opaque.push((field, data.to_vec()));
        said
    }

    /// The signed part.
    pub fn encode(&self) -> Vec<u8> {
        let len = |l: usize| u16::try_from(l).unwrap().to_le_bytes();
        let mut out = self.request.to_vec();
        out.extend(self.nonce.as_bytes());
        out.push(self.slot);
        out.extend(self.response);
        let mut record = Vec::new();
        for (index, specification, kind, value) in &self.blocks {
            record.extend([*index, *specification]);
            record.extend(len(value.len() + 3));
            record.push(*kind);
            record.extend(len(value.len()));
            record.extend(value);
        }
        out.push(u8::try_from(self.blocks.len()).unwrap());
        out.extend(&u32::try_from(record.len()).unwrap().to_le_bytes()[..3]);
        out.extend(record);
        out.extend([0x99; 32]);
        let mut opaque = Vec::new();
        if let Some((profile, major, minor)) = self.header {
            opaque.extend(b"NVDAOD");
            opaque.extend(profile.to_le_bytes());
            opaque.extend([major, minor, 0, 0]);
        }
        for (id, data) in &self.opaque {
            opaque.extend(id.to_le_bytes());
            if self.header.is_some() {
                opaque.extend(0x87_u16.to_le_bytes());
            }
            opaque.extend(len(data.len()));
            opaque.extend(data);
        }
        out.extend(len(opaque.len()));
        out.extend(opaque);
        out
    }
}

const SWID: &str = "http://standards.iso.org/iso/19770/-2/2015/schema.xsd";
const HASH: &str = "http://www.w3.org/2001/04/xmlenc#sha384";
pub const DSIG: &str = "http://www.w3.org/2000/09/xmldsig#";

/// A manifest, written in canonical form by hand.
#[derive(Clone)]
pub struct Manifest {
    pub edition: &'static str,
    pub product: &'static str,
    pub version: &'static str,
    /// Canonical XML of the resources.
    pub resources: String,
    /// Canonical XML after the payload, before the signature.
    pub more: String,
}

/// A measurement resource in canonical form.
pub fn resource(index: u32, active: &str, values: &[[u8; 48]]) -> String {
    let mut hashes = values.iter().enumerate().map(|(n, v)| (n.to_string(), v)).collect::<Vec<_>>();
    hashes.sort();
    let hashes = hashes.iter().map(|(n, v)| format!(" ns2:Hash{n}=\"{}\"", hex::encode(v)));
    let alternatives = values.len();
    format!(
        "<ns0:Resource active=\"{active}\" alternatives=\"{alternatives}\" index=\"{index}\" name=\"M{index}\" size=\"48\" type=\"Measurement\"{}></ns0:Resource>",
        hashes.collect::<String>()
    )
}

impl Manifest {
    /// The driver's, indexes 32 to 39; index 35 is the video decoder's.
    pub fn driver() -> Self {
        let resources = (32..40).map(|i| resource(i.into(), "True", &[value(i)])).collect();
        let (edition, product, version) = ("GPU", "GH100", "550.1");
        Self { edition, product, version, resources, more: String::new() }
    }

    /// The VBIOS's, indexes 1 to 9, the last with two values.
    pub fn vbios() -> Self {
        let mut resources =
            (1..9).map(|i| resource(i.into(), "True", &[value(i)])).collect::<String>();
        resources += &resource(9, "True", &[[0xee; 48], value(9)]);
        resources += &resource(10, "False", &[[0; 48]]);
        Self { version: "96.00.5E.00.01", resources, ..Self::driver() }
    }

    /// The switch's BIOS.
    pub fn bios() -> Self {
        let resources = (0..31).map(|i| resource(i.into(), "True", &[value(i)])).collect();
        let (edition, product) = ("SWITCH", "LS10");
        Self { edition, product, version: "96.10.55.00.01", resources, more: String::new() }
    }

    /// Canonical form up to where the signature goes.
    pub fn head(&self) -> String {
        let Self { edition, product, version, resources, more } = self;
        format!(
            "<SoftwareIdentity xmlns=\"{SWID}\" xmlns:ns0=\"{SWID}\" xmlns:ns2=\"{HASH}\" name=\"{product}\" tagId=\"tag-{version}\">\n<ns0:Entity name=\"NVIDIA Corporation\"></ns0:Entity><ns0:Meta colloquialVersion=\"{version}\" edition=\"{edition}\" product=\"{product}\"></ns0:Meta><ns0:Payload>{resources}</ns0:Payload>{more}\n"
        )
    }
}

/// Who signs manifests: a signer under an authority under the device's test root for manifests.
pub struct Signer {
    pub root: Vec<u8>,
    pub authority: Holder,
    pub leaf: Holder,
}

/// The references, as they stand and as they are signed. Algorithms in the order canonicalisation, signature, transforms, digest.
pub fn signed_info(digest: &str, uri: &str, algorithms: [&str; 5]) -> String {
    let [c14n, method, first, second, hash] = algorithms;
    format!(
        "<ds:CanonicalizationMethod Algorithm=\"{c14n}\"></ds:CanonicalizationMethod><ds:SignatureMethod Algorithm=\"{method}\"></ds:SignatureMethod><ds:Reference URI=\"{uri}\"><ds:Transforms><ds:Transform Algorithm=\"{first}\"></ds:Transform><ds:Transform Algorithm=\"{second}\"></ds:Transform></ds:Transforms><ds:DigestMethod Algorithm=\"{hash}\"></ds:DigestMethod><ds:DigestValue>{digest}</ds:DigestValue></ds:Reference>"
    )
}

pub const ALGORITHMS: [&str; 5] = [
    "http://www.w3.org/2006/12/xml-c14n11",
    "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384",
    "http://www.w3.org/2000/09/xmldsig#enveloped-signature",
    "http://www.w3.org/2006/12/xml-c14n11",
    "http://www.w3.org/2001/04/xmldsig-more#sha384",
];

impl Signer {
    /// In force until the end of 2027.
    pub fn new(device: &Device) -> Self {
        let authority = Holder::new("Test RIM L3", Some(&device.rim_root), |_| {});
        let leaf = Holder::new("Test RIM L4", Some(&authority), |p| {
            leaf(p);
            p.not_after = date_time_ymd(2027, 12, 31);
        });
        Self { root: device.rim_root.der.clone(), authority, leaf }
    }

    /// A signature element over the canonical text `covered`.
    pub fn signature(&self, covered: &str) -> String {
        self.signature_with(covered, "", ALGORITHMS)
    }

    pub fn signature_with(&self, covered: &str, uri: &str, algorithms: [&str; 5]) -> String {
        let digest = BASE64_STANDARD.encode(sha384(covered.as_bytes()));
        let inner = signed_info(&digest, uri, algorithms);
        self.signature_over(&inner)
    }

    /// A signature element with these references, whatever they are.
    pub fn signature_over(&self, inner: &str) -> String {
        let canonical = format!(
            "<ds:SignedInfo xmlns=\"{SWID}\" xmlns:ds=\"{DSIG}\" xmlns:ns0=\"{SWID}\" xmlns:ns2=\"{HASH}\">{inner}</ds:SignedInfo>"
        );
        let made = sign(&ECDSA_P384_SHA384_FIXED_SIGNING, &self.leaf.key, canonical.as_bytes());
        let made = BASE64_STANDARD.encode(made);
        let chain = [&self.leaf.der, &self.authority.der, &self.root];
        let chain = chain.map(|c| BASE64_STANDARD.encode(c));
        let chain = chain.map(|c| format!("<ds:X509Certificate>{c}</ds:X509Certificate>")).concat();
        format!(
            "<ds:Signature xmlns:ds=\"{DSIG}\"><ds:SignedInfo>{inner}</ds:SignedInfo><ds:SignatureValue>{made}</ds:SignatureValue><ds:KeyInfo><ds:X509Data>{chain}</ds:X509Data></ds:KeyInfo></ds:Signature>"
        )
    }

    /// The whole manifest, signed.
    pub fn manifest(&self, manifest: &Manifest) -> String {
        let head = manifest.head();
        let tail = "</SoftwareIdentity>";
        let signature = self.signature(&format!("{head}{tail}"));
        format!("{head}{signature}{tail}")
    }
}

/// What an OCSP answer says of a certificate: the content of its status.
pub fn good() -> Vec<u8> {
    tlv(0x80, &[])
}

pub fn unknown() -> Vec<u8> {
    tlv(0x82, &[])
}

pub fn revoked(reason: u8) -> Vec<u8> {
    let reason = tlv(0xa0, &tlv(0x0a, &[reason]));
    tlv(0xa1, &[tlv(0x18, b"20261201000000Z"), reason].concat())
}

/// An OCSP answer about `subject` of `issuer`, signed by `by`, whose certificate comes along if it is not the issuer.
pub struct Ocsp<'a> {
    pub subject: &'a Holder,
    pub issuer: &'a Holder,
    pub by: &'a Holder,
    pub status: Vec<u8>,
    /// A second answer about the same certificate.
    pub and: Option<Vec<u8>>,
    pub from: &'static str,
    pub to: Option<&'static str>,
}

impl<'a> Ocsp<'a> {
    pub fn new(subject: &'a Holder, issuer: &'a Holder, status: Vec<u8>) -> Self {
        let (from, to) = ("20270115000000Z", Some("20270122000000Z"));
        Self { subject, issuer, by: issuer, status, and: None, from, to }
    }

    pub fn encode(&self) -> Vec<u8> {
        let certificate = evidence::x509::Certificate::parse(&self.issuer.der).unwrap();
        let serial = evidence::x509::Certificate::parse(&self.subject.der).unwrap();
        let sha384 = |b: &[u8]| tlv(4, &evidence::bytes::sha384(b));
        let id = tlv(
            0x30,
            &[
                tlv(0x30, &oid(SHA_384)),
                sha384(certificate.subject()),
                sha384(certificate.key()),
                tlv(2, serial.serial()),
            ]
            .concat(),
        );
        let single = |status: &Vec<u8>| {
            let end = self.to.map(|t| tlv(0xa0, &tlv(0x18, t.as_bytes()))).unwrap_or_default();
            let parts = [id.clone(), status.clone(), tlv(0x18, self.from.as_bytes()), end];
            tlv(0x30, &parts.concat())
        };
        let singles = [Some(&self.status), self.and.as_ref()].into_iter().flatten().map(single);
        let singles = singles.collect::<Vec<_>>().concat();
        let responder = tlv(0xa2, &tlv(4, &[0; 20]));
        let produced = tlv(0x18, self.from.as_bytes());
        let nonce = [oid("1.3.6.1.5.5.7.48.1.2"), tlv(4, &tlv(4, &[5; 16]))].concat();
        let extensions = tlv(0xa1, &tlv(0x30, &tlv(0x30, &nonce)));
        let singles = tlv(0x30, &singles);
        let data = tlv(0x30, &[responder, produced, singles, extensions].concat());
        let mut signature = vec![0];
        signature.extend(sign(&ECDSA_P384_SHA384_ASN1_SIGNING, &self.by.key, &data));
        let mut basic = [data, tlv(0x30, &oid("1.2.840.10045.4.3.3")), tlv(3, &signature)].concat();
        if self.by.der != self.issuer.der {
            basic.extend(tlv(0xa0, &tlv(0x30, &self.by.der)));
        }
        let bytes = [oid("1.3.6.1.5.5.7.48.1.1"), tlv(4, &tlv(0x30, &basic))].concat();
        tlv(0x30, &[tlv(0x0a, &[0]), tlv(0xa0, &tlv(0x30, &bytes))].concat())
    }
}

/// A responder certified by `issuer`.
pub fn responder(issuer: &Holder, purpose: ExtendedKeyUsagePurpose) -> Holder {
    Holder::new("Test OCSP responder", Some(issuer), |p| {
        leaf(p);
        p.extended_key_usages = vec![purpose.clone()];
    })
}
