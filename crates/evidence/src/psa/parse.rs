//! A token's bytes to claims: types, lengths and counts as RFC 9783 section 4 fixes them; nothing is judged.

use super::layout::{
    COMPONENTS_MAX, Claims, Lifecycle, NO_MEASUREMENTS, Profile, SwComponent, TOKEN_MAX, Token,
};
use super::refusal::PsaRefusal;
use crate::cbor::members::{MemberError, Members};
use crate::cbor::vendor::{self, Item, Lengths, Rules};
use crate::cose::anchor::Device;
use crate::cose::vendor::Signed;

/// Claims of constrained devices are small, and their lengths are always stated.
pub(crate) const RULES: Rules = Rules { len_max: TOKEN_MAX, lengths: Lengths::Definite };

/// Reads a token.
///
/// # Errors
/// [`PsaRefusal::Cose`], [`PsaRefusal::Untagged`], [`PsaRefusal::Claims`], [`PsaRefusal::Member`],
/// [`PsaRefusal::Profile`], [`PsaRefusal::Measurements`].
pub fn parse(bytes: &[u8]) -> Result<Token<'_>, PsaRefusal> {
    let signed = Signed::parse(bytes, TOKEN_MAX)?;
    if signed.tag.is_none() {
        return Err(PsaRefusal::Untagged);
    }
    let claims = claims(vendor::decode(signed.payload, &RULES)?)?;
    Ok(Token { signed, claims })
}

fn claims(payload: Item<'_>) -> Result<Claims, PsaRefusal> {
    let expected = MemberError::Form { name: "the payload", expected: "a map of claims" };
    let mut m = payload.members().ok_or(expected)?;
    let profile = profile(&mut m)?;
    let keys = profile.keys();
    let client = |i: &Item<'_>| i.int().and_then(|n| i32::try_from(n).ok()).filter(|n| *n != 0);
    let mut claims = Claims {
        profile,
        nonce: m.must(keys.nonce, "nonce", "32, 48 or 64 bytes", |i| digest(&i))?,
        client_id: m.must(keys.client_id, "client id", "32 bits and not 0", |i| client(&i))?,
        device: Device {
            implementation_id: implementation_id(&mut m, keys.implementation_id)?,
            instance_id: instance_id(&mut m, keys.instance_id)?,
        },
        lifecycle: lifecycle(&mut m, keys.lifecycle)?,
        boot_seed: boot_seed(&mut m, profile)?,
        certification_reference: m.may(
            keys.certification_reference,
            "certification reference",
            "13 digits, a dash and 5 digits (legacy: or 13 digits alone)",
            |i| i.text().filter(|t| is_certification(t, profile)).map(str::to_owned),
        )?,
        components: Vec::new(),
        verification_service: text(&mut m, keys.verification_service, "verification service")?,
        unknown_claims: Vec::new(),
    };
    let none = profile == Profile::Legacy && m.has(NO_MEASUREMENTS);
    if none {
        m.must(NO_MEASUREMENTS, "no software measurements", "1", |i| i.int().filter(|n| *n == 1))?;
    }
    if none == m.has(keys.components) {
        return Err(PsaRefusal::Measurements);
    }
    if !none {
        claims.components = components(&mut m, keys.components)?;
    }
    claims.unknown_claims = m.rest();
    Ok(claims)
}

/// The profile is stated, or the keys are the legacy ones, whose profile claim was optional.
fn profile(m: &mut Members<'_>) -> Result<Profile, PsaRefusal> {
    for key in [265, -75000] {
        let stated = m.may(key, "profile", "text", |i| i.text())?;
        let Some(stated) = stated else { continue };
        let known =
            Profile::ALL.into_iter().find(|p| p.as_str() == stated && p.keys().profile == key);
        return known.ok_or_else(|| PsaRefusal::Profile(stated.to_owned()));
    }
    let legacy = Profile::Legacy;
    if m.has(legacy.keys().instance_id) { Ok(legacy) } else { Err(PsaRefusal::NoProfile) }
}

fn boot_seed(m: &mut Members<'_>, profile: Profile) -> Result<Option<Vec<u8>>, MemberError> {
    let key = profile.keys().boot_seed;
    let seed = |least: usize| {
        move |i: Item<'_>| i.bytes().filter(|b| (least..=32).contains(&b.len())).map(<[u8]>::to_vec)
    };
    if profile == Profile::Legacy {
        return m.must(key, "boot seed", "32 bytes", seed(32)).map(Some);
    }
    m.may(key, "boot seed", "8 to 32 bytes", seed(8))
}

/// EAN-13 and five digits; legacy tokens were specified with EAN-13 alone and are seen with both.
fn is_certification(text: &str, profile: Profile) -> bool {
    let digits = |t: &str, n: usize| t.len() == n && t.bytes().all(|b| b.is_ascii_digit());
    match text.split_once('-') {
        Some((product, version)) => digits(product, 13) && digits(version, 5),
        None => profile == Profile::Legacy && digits(text, 13),
    }
}

/// A digest of SHA-256, SHA-384 or SHA-512 by its length.
pub(crate) fn digest(item: &Item<'_>) -> Option<Vec<u8>> {
    item.bytes().filter(|b| matches!(b.len(), 32 | 48 | 64)).map(<[u8]>::to_vec)
}

/// An implementation id.
pub(crate) fn implementation_id(m: &mut Members<'_>, key: i32) -> Result<[u8; 32], MemberError> {
    let read = |i: Item<'_>| i.bytes().and_then(|b| b.try_into().ok());
    m.must(key, "implementation id", "32 bytes", read)
}

/// An instance id: a UEID of type RAND.
pub(crate) fn instance_id(m: &mut Members<'_>, key: i32) -> Result<[u8; 33], MemberError> {
    let read =
        |i: Item<'_>| i.bytes().filter(|b| b.first() == Some(&1)).and_then(|b| b.try_into().ok());
    m.must(key, "instance id", "33 bytes that begin with 1 (a UEID of type RAND)", read)
}

/// A lifecycle in one of the known states.
pub(crate) fn lifecycle(m: &mut Members<'_>, key: i32) -> Result<Lifecycle, MemberError> {
    m.must(key, "lifecycle", "one of the seven states", |i| i.int().and_then(Lifecycle::new))
}

/// A text that is not empty, where there is one.
pub(crate) fn text(
    m: &mut Members<'_>,
    key: i32,
    name: &'static str,
) -> Result<Option<String>, MemberError> {
    m.may(key, name, "text that is not empty", |i| {
        i.text().filter(|t| !t.is_empty()).map(str::to_owned)
    })
}

/// Measured components, at least one.
pub(crate) fn components(m: &mut Members<'_>, key: i32) -> Result<Vec<SwComponent>, MemberError> {
    let expected = "an array of 1 to 64 components";
    let items = m.must(key, "software components", expected, |i| {
        i.array().filter(|a| (1..=COMPONENTS_MAX).contains(&a.len()))
    })?;
    items.into_iter().map(component).collect()
}

fn component(item: Item<'_>) -> Result<SwComponent, MemberError> {
    let form = MemberError::Form { name: "a software component", expected: "a map" };
    let mut m = item.members().ok_or(form)?;
    let component = SwComponent {
        measurement_type: text(&mut m, 1, "measurement type")?,
        measurement_value: m.must(2, "measurement value", "32, 48 or 64 bytes", |i| digest(&i))?,
        version: m.may(4, "version", "text", |i| i.text().map(str::to_owned))?,
        signer_id: m.must(5, "signer id", "32, 48 or 64 bytes", |i| digest(&i))?,
        measurement_description: text(&mut m, 6, "measurement description")?,
    };
    m.finish()?;
    Ok(component)
}
