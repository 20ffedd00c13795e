//! Bytes to [`Authentic`] facts for PSA tokens.

use super::layout::{ANCHORS_MAX, Facts, Token};
use super::parse::parse;
use super::refusal::PsaRefusal;
use crate::authentic::{Authentic, Check};
use crate::controls::holds;
use crate::cose::anchor::{Anchor, Device};
use crate::cose::vendor::{Algorithm, Signed, VendorCoseError};
use crate::time::Time;
use crate::wanted::Wanted;

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
    if anchors.is_empty() {
        return Err(PsaRefusal::NoAnchor);
    }
    if anchors.len() > ANCHORS_MAX {
        return Err(PsaRefusal::TooManyAnchors(anchors.len()));
    }
    let (anchor, algorithm) = signer(&signed, anchors)?;
    // 3
    if !holds("psa_device", anchor.devices.takes(&claims.device)) {
        return Err(PsaRefusal::Device(hex::encode(claims.device.instance_id)));
    }
    let root = anchor.key.digest();
    let checks = vec![
        Check::passed(
            "signature",
            format!("{} by {root}, over the received bytes", algorithm.as_str()),
        ),
        device(&anchor.devices),
    ];
    let facts = Facts { root, tag: signed.tag.unwrap_or_default(), algorithm, claims };
    Ok(Authentic::new(facts, at, Time::MAX, checks))
}

/// The anchor that signed. Of several refusals the most telling one: a key that fits and did not sign.
pub(crate) fn signer<'a>(
    signed: &Signed<'_>,
    anchors: &'a [Anchor],
) -> Result<(&'a Anchor, Algorithm), VendorCoseError> {
    let mut refusal = VendorCoseError::Signature;
    let mut mismatch = true;
    for anchor in anchors {
        match signed.verify(&anchor.key) {
            Ok(algorithm) => return Ok((anchor, algorithm)),
            Err(e @ VendorCoseError::KeyMismatch { .. }) if mismatch => refusal = e,
            Err(VendorCoseError::KeyMismatch { .. }) => {}
            Err(e) => {
                mismatch = false;
                refusal = e;
            }
        }
    }
    Err(refusal)
}

/// What was stated about the anchor's devices.
pub(crate) fn device(devices: &Wanted<Device>) -> Check {
    let name = "anchor_device";
    match devices {
        Wanted::Unconstrained => {
            Check::not_applicable(name, "the anchor is taken for whatever device the token names")
        }
        Wanted::OneOf(_) => Check::passed(name, "the anchor is provisioned for this device"),
    }
}
