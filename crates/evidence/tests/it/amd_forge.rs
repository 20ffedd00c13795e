//! A vendor of our own making: a root, an intermediate and signing keys as AMD makes them, so that what stands behind
//! signatures can be tried. Its root is pinned by the test alone.

use std::sync::LazyLock;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKey, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PSS_SHA384,
};
use evidence::bytes::sha256;
use evidence::{HardwareEvidence, Kind, RootDigest, Time};

/// DER: tag, length, content.
pub fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let len = content.len();
    let mut out = vec![tag];
    match len {
        0..=0x7f => out.push(u8::try_from(len).unwrap()),
        _ => {
            let bytes = len.to_be_bytes();
            let bytes = &bytes[bytes.iter().position(|b| *b != 0).unwrap()..];
            out.push(0x80 | u8::try_from(bytes.len()).unwrap());
            out.extend(bytes);
        }
    }
    out.extend(content);
    out
}

fn seq(parts: &[&[u8]]) -> Vec<u8> {
    tlv(0x30, parts)
}

/// An object identifier by its dotted name.
pub fn oid(dotted: &str) -> Vec<u8> {
    let oid = der::asn1::ObjectIdentifier::new_unwrap(dotted);
    tlv(6, &[oid.as_bytes()])
}

fn name(cn: &str) -> Vec<u8> {
    seq(&[&tlv(0x31, &[&seq(&[&oid("2.5.4.3"), &tlv(0x0c, &[cn.as_bytes()])])])])
}

fn time(t: Time) -> Vec<u8> {
    let text = t.to_string().replace(['-', ':', 'T'], "");
    tlv(0x18, &[text.as_bytes()])
}

fn pss() -> Vec<u8> {
    seq(&[&oid("1.2.840.113549.1.1.10"), &tlv(5, &[])])
}

pub const FROM: &str = "2026-01-01T00:00:00Z";
pub const TO: &str = "2027-01-01T00:00:00Z";
pub const NOW: &str = "2026-06-01T00:00:00Z";

pub fn at(text: &str) -> Time {
    Time::parse_rfc3339(text).unwrap()
}

fn sign_rsa(key: &RsaKey, message: &[u8]) -> Vec<u8> {
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PSS_SHA384, &SystemRandom::new(), message, &mut signature).unwrap();
    signature
}

fn signed(tbs: &[u8], by: &RsaKey) -> Vec<u8> {
    seq(&[tbs, &pss(), &tlv(3, &[&[0], &sign_rsa(by, tbs)])])
}

pub struct Cert<'a> {
    pub cn: &'a str,
    pub issuer: &'a str,
    pub serial: u8,
    pub spki: Vec<u8>,
    pub extensions: Vec<(String, Vec<u8>)>,
}

pub fn certificate(c: &Cert<'_>, by: &RsaKey) -> Vec<u8> {
    let extensions = c
        .extensions
        .iter()
        .map(|(name, content)| seq(&[&oid(name), &tlv(4, &[content])]))
        .collect::<Vec<_>>()
        .concat();
    let tbs = seq(&[
        &tlv(0xa0, &[&tlv(2, &[&[2]])]),
        &tlv(2, &[&[c.serial]]),
        &pss(),
        &name(c.issuer),
        &seq(&[&time(at(FROM)), &time(at(TO))]),
        &name(c.cn),
        &c.spki,
        &tlv(0xa3, &[&seq(&[&extensions])]),
    ]);
    signed(&tbs, by)
}

/// A revocation list of the root's with these serial numbers.
pub fn crl(issuer: &str, by: &RsaKey, from: &str, to: &str, serials: &[u8]) -> Vec<u8> {
    let revoked = serials
        .iter()
        .map(|s| seq(&[&tlv(2, &[&[*s]]), &time(at(from))]))
        .collect::<Vec<_>>()
        .concat();
    let list = if serials.is_empty() { Vec::new() } else { seq(&[&revoked]) };
    let version = tlv(2, &[&[1]]);
    let tbs = seq(&[&version, &pss(), &name(issuer), &time(at(from)), &time(at(to)), &list]);
    signed(&tbs, by)
}

fn rsa_spki(key: &RsaKey) -> Vec<u8> {
    AsDer::<aws_lc_rs::encoding::PublicKeyX509Der<'_>>::as_der(key.public_key())
        .unwrap()
        .as_ref()
        .to_vec()
}

pub struct Vendor {
    pub root: RsaKey,
    pub ask: RsaKey,
    pub asvk: RsaKey,
    pub chip: EcdsaKeyPair,
    pub ark: Vec<u8>,
    pub ask_cert: Vec<u8>,
    pub asvk_cert: Vec<u8>,
}

/// Key generation takes a moment: one vendor for all tests.
pub static VENDOR: LazyLock<Vendor> = LazyLock::new(|| {
    let rsa = || RsaKey::generate(KeySize::Rsa2048).unwrap();
    let (root, ask, asvk) = (rsa(), rsa(), rsa());
    let cert = |cn, serial, key: &RsaKey| {
        let c = Cert { cn, issuer: "ARK-Turin", serial, spki: rsa_spki(key), extensions: vec![] };
        certificate(&c, &root)
    };
    Vendor {
        ark: cert("ARK-Turin", 1, &root),
        ask_cert: cert("SEV-Turin", 2, &ask),
        asvk_cert: cert("SEV-VLEK-Turin", 3, &asvk),
        chip: EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap(),
        root,
        ask,
        asvk,
    }
});

/// Values of one machine, with the same in its certificate.
#[derive(Clone)]
pub struct Machine {
    pub hwid: Option<Vec<u8>>,
    pub csp: Option<&'static str>,
    /// FMC, bootloader, TEE, SNP, microcode.
    pub tcb: [u8; 5],
}

impl Machine {
    pub fn chip() -> Self {
        Self { hwid: Some(vec![7; 8]), csp: None, tcb: [1, 2, 3, 4, 5] }
    }

    pub fn provider() -> Self {
        Self { hwid: None, csp: Some("CN=cc-nowhere-1.example"), tcb: [1, 2, 3, 4, 5] }
    }

    pub fn vek(&self, serial: u8) -> Vec<u8> {
        let v = &*VENDOR;
        let arc = |n: &str| format!("1.3.6.1.4.1.3704.1.{n}");
        let number = |n: u8| if n < 0x80 { tlv(2, &[&[n]]) } else { tlv(2, &[&[0, n]]) };
        let [fmc, bootloader, tee, snp, microcode] = self.tcb;
        let parts =
            [("3.9", fmc), ("3.1", bootloader), ("3.2", tee), ("3.3", snp), ("3.8", microcode)];
        let mut extensions = parts.map(|(n, v)| (arc(n), number(v))).to_vec();
        extensions.extend(self.hwid.iter().map(|id| (arc("4"), id.clone())));
        extensions.extend(self.csp.map(|id| (arc("5"), tlv(0x16, &[id.as_bytes()]))));
        let (cn, issuer, by) = match self.csp {
            None => ("SEV-VCEK", "SEV-Turin", &v.ask),
            Some(_) => ("SEV-VLEK", "SEV-VLEK-Turin", &v.asvk),
        };
        let point = v.chip.public_key().as_ref();
        let algorithm = seq(&[&oid("1.2.840.10045.2.1"), &oid("1.3.132.0.34")]);
        let spki = seq(&[&algorithm, &tlv(3, &[&[0], point])]);
        certificate(&Cert { cn, issuer, serial, spki, extensions }, by)
    }

    /// A genuine version 5 report of this machine, changed before it is signed.
    pub fn report(&self, change: impl FnOnce(&mut [u8])) -> Vec<u8> {
        let mut r = vec![0; 1184];
        r[0] = 5;
        r[8..16].copy_from_slice(&0x0003_001f_u64.to_le_bytes());
        r[0x34] = 1;
        r[0x40] = 0x25;
        r[0x48] = if self.csp.is_some() { 1 << 2 } else { 0 };
        let [fmc, bootloader, tee, snp, microcode] = self.tcb;
        for at in [0x38, 0x180, 0x1e0, 0x1f0] {
            r[at..at + 8].copy_from_slice(&[fmc, bootloader, tee, snp, 0, 0, 0, microcode]);
        }
        r[0x188..0x18b].copy_from_slice(&[0x1a, 2, 1]);
        if let Some(id) = &self.hwid {
            r[0x1a0..0x1a0 + id.len()].copy_from_slice(id);
        }
        change(&mut r);
        let signature = VENDOR.chip.sign(&SystemRandom::new(), &r[..0x2a0]).unwrap();
        let signature = signature.as_ref();
        for (at, part) in [(0x2a0, &signature[..48]), (0x2e8, &signature[48..])] {
            r[at..at + 48].copy_from_slice(&part.iter().rev().copied().collect::<Vec<_>>());
        }
        r
    }

    /// The report with its chain and whatever else comes along.
    pub fn evidence(&self, report: Vec<u8>, more: &[Vec<u8>]) -> HardwareEvidence {
        let v = &*VENDOR;
        let mut endorsements =
            vec![v.ark.clone(), v.ask_cert.clone(), v.asvk_cert.clone(), self.vek(9)];
        endorsements.extend(more.iter().cloned());
        HardwareEvidence { kind: Kind::Snp, report, endorsements }
    }
}

pub fn roots() -> Vec<RootDigest> {
    vec![RootDigest::new(sha256(&VENDOR.ark))]
}
