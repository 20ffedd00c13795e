//! Bytes to [`Authentic`] facts for CCA tokens.

use super::layout::{Facts, RealmClaims, RealmProfile, Token};
use super::parse::parse;
use super::refusal::CcaRefusal;
use crate::authentic::{Authentic, Check};
use crate::controls::holds;
use crate::cose::anchor::{Anchor, AnchorKey, signer};
use crate::cose::key::EcKey;
use crate::time::Time;

/// Authentic facts, if one of `anchors` signed the platform token and the realm token belongs to it. The token carries no
/// time: it holds as long as its reader says, and only the realm's challenge tells when it was made.
///
/// 1. form, 2. the platform's signature by an anchor, 3. the anchor may speak for that platform, 4. the realm's signature
/// by the key it names, 5. the platform token names that key by its hash.
///
/// # Errors
/// [`CcaRefusal`], the first that applies.
pub fn verify(bytes: &[u8], anchors: &[Anchor], at: Time) -> Result<Authentic<Facts>, CcaRefusal> {
    // 1
    let Token { platform_signed, realm_signed, platform, realm } = parse(bytes)?;
    // 2
    let (anchor, platform_algorithm) = signer(&platform_signed, anchors)?;
    // 3
    if !holds("cca_device", anchor.speaks_for(&platform.device)) {
        return Err(CcaRefusal::Device(hex::encode(platform.device.instance_id)));
    }
    // 4
    let key = AnchorKey::Ec(realm_key(&realm)?);
    let realm_algorithm = realm_signed.verify(&key).map_err(CcaRefusal::RealmSignature)?;
    // 5
    let expected = realm.public_key_hash_algorithm.of(&realm.public_key);
    if !holds("cca_binding", platform.challenge == expected) {
        return Err(CcaRefusal::Binding {
            algorithm: realm.public_key_hash_algorithm.as_str(),
            expected: hex::encode(expected),
            got: hex::encode(&platform.challenge),
        });
    }
    let root = anchor.key.digest();
    let checks = vec![
        Check::passed("platform_signature", format!("{} by {root}", platform_algorithm.as_str())),
        anchor.device_check(),
        Check::passed(
            "realm_signature",
            format!("{} by the realm's key", realm_algorithm.as_str()),
        ),
        Check::passed(
            "binding",
            format!(
                "platform challenge is the {} hash of the realm's key",
                realm.public_key_hash_algorithm.as_str()
            ),
        ),
    ];
    let facts = Facts { root, platform_algorithm, realm_algorithm, platform, realm };
    Ok(Authentic::new(facts, at, Time::MAX, checks))
}

/// The profile fixes the form of the key; neither form is tried for the other.
fn realm_key(realm: &RealmClaims) -> Result<EcKey, CcaRefusal> {
    Ok(match realm.profile {
        RealmProfile::V1 => EcKey::from_cose_key(&realm.public_key)?,
        RealmProfile::Legacy => EcKey::from_point(&realm.public_key)?,
    })
}
