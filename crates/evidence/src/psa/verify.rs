//! Bytes to [`Authentic`] facts for PSA tokens.

use super::layout::{Facts, Token};
use super::parse::parse;
use super::refusal::PsaRefusal;
use crate::authentic::{Authentic, Check};
use crate::controls::holds;
use crate::cose::anchor::{Anchor, signer};
use crate::time::Time;

/// Authentic facts, if one of `anchors` signed the token. The token carries no time: it holds as long as its reader says,
/// and only its nonce tells when it was made.
///
/// 1. form, 2. the signature over the received bytes, by an anchor and with the anchor's algorithm, 3. the anchor may speak
/// for the device the token names.
///
/// # Errors
/// [`PsaRefusal`], the first that applies.
pub fn verify(bytes: &[u8], anchors: &[Anchor], at: Time) -> Result<Authentic<Facts>, PsaRefusal> {
    // 1
    let Token { signed, claims } = parse(bytes)?;
    // 2
    let (anchor, algorithm) = signer(&signed, anchors)?;
    // 3
    if !holds("psa_device", anchor.speaks_for(&claims.device)) {
        return Err(PsaRefusal::Device(hex::encode(claims.device.instance_id)));
    }
    let root = anchor.key.digest();
    let checks = vec![
        Check::passed(
            "signature",
            format!("{} by {root}, over the received bytes", algorithm.as_str()),
        ),
        anchor.device_check(),
    ];
    let facts = Facts { root, tag: signed.tag.unwrap_or_default(), algorithm, claims };
    Ok(Authentic::new(facts, at, Time::MAX, checks))
}
