//! Self-made certificate chains in the shape of the vendors', each certificate open to change before it is signed.

use evidence::RootDigest;
use evidence::bytes::sha256;
use evidence::cose::key::Curve;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};

use crate::mint::Signer;

/// What a vendor's certificate at a place in the chain looks like: 0 is the leaf.
pub type Shape = fn(usize, &mut CertificateParams);

pub struct Pki {
    /// DER, leaf first, root last.
    pub chain: Vec<Vec<u8>>,
    /// The leaf's key.
    pub leaf: Signer,
    /// SHA-256 of the root.
    pub root: RootDigest,
}

/// A chain of `length` certificates on P-384, in force during 2026, each as a vendor makes it and then as `change` says.
pub fn chain(length: usize, shape: Shape, change: impl Fn(usize, &mut CertificateParams)) -> Pki {
    let mut issued = Vec::new();
    let mut above: Option<Issuer<'static, KeyPair>> = None;
    let mut leaf = None;
    for place in (0..length).rev() {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, format!("place {place}"));
        params.not_before = date_time_ymd(2026, 1, 1);
        params.not_after = date_time_ymd(2026, 12, 31);
        if place == 0 {
            params.is_ca = IsCa::ExplicitNoCa;
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        } else {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        }
        shape(place, &mut params);
        change(place, &mut params);
        let certificate = match &above {
            None => params.self_signed(&key),
            Some(issuer) => params.signed_by(&key, issuer),
        };
        issued.push(certificate.unwrap().der().to_vec());
        leaf = Some(Signer::from_pkcs8(Curve::P384, &key.serialize_der()));
        above = Some(Issuer::new(params, key));
    }
    let root = RootDigest::new(sha256(&issued[0]));
    issued.reverse();
    Pki { chain: issued, leaf: leaf.unwrap(), root }
}

/// An extension nobody understands, critical or not.
pub fn extension(oid: &[u64], content: &[u8], critical: bool) -> CustomExtension {
    let mut extension = CustomExtension::from_oid_content(oid, content.to_vec());
    extension.set_criticality(critical);
    extension
}
