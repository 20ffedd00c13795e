//! A token's bytes to two sets of claims: types, lengths and counts as the RMM specification fixes them; nothing is judged.

use super::layout::{
    HashAlgorithm, PLATFORM, PlatformClaims, PlatformProfile, REALM, RealmClaims, RealmProfile,
    TAG_CCA, TOKEN_MAX, Token,
};
use super::refusal::CcaRefusal;
use crate::cbor::members::{MemberError, Members};
use crate::cbor::vendor::{self, Item};
use crate::cose::anchor::Device;
use crate::cose::vendor::{Signed, TAG_SIGN1};
use crate::psa::parse::{
    RULES, components, digest, implementation_id, instance_id, lifecycle, text,
};

/// Reads a token.
///
/// # Errors
/// [`CcaRefusal`], the variants about form.
pub fn parse(bytes: &[u8]) -> Result<Token<'_>, CcaRefusal> {
    let Item::Tag(TAG_CCA, pair) = vendor::decode(bytes, &RULES)? else {
        return Err(CcaRefusal::NoPair);
    };
    let mut pair = pair.members().ok_or(CcaRefusal::NoPair)?;
    let platform = pair.must(PLATFORM, "platform token", "bytes", |i| i.bytes())?;
    let realm = pair.must(REALM, "realm token", "bytes", |i| i.bytes())?;
    pair.finish()?;
    let (platform_signed, realm_signed) = (half("platform", platform)?, half("realm", realm)?);
    Ok(Token {
        platform: platform_claims(members(platform_signed.payload)?)?,
        realm: realm_claims(members(realm_signed.payload)?)?,
        platform_signed,
        realm_signed,
    })
}

fn half<'a>(half: &'static str, bytes: &'a [u8]) -> Result<Signed<'a>, CcaRefusal> {
    let signed = Signed::parse(bytes, TOKEN_MAX);
    let signed = signed.map_err(|source| CcaRefusal::Cose { half, source })?;
    if signed.tag == Some(TAG_SIGN1) { Ok(signed) } else { Err(CcaRefusal::Untagged(half)) }
}

fn members(payload: &[u8]) -> Result<Members<'_>, CcaRefusal> {
    let form = MemberError::Form { name: "a payload", expected: "a map of claims" };
    Ok(vendor::decode(payload, &RULES)?.members().ok_or(form)?)
}

fn hash(m: &mut Members<'_>, key: i32, name: &'static str) -> Result<HashAlgorithm, MemberError> {
    let read = |i: Item<'_>| i.text().and_then(HashAlgorithm::parse);
    m.must(key, name, "sha-256, sha-384 or sha-512", read)
}

fn platform_claims(mut m: Members<'_>) -> Result<PlatformClaims, CcaRefusal> {
    let stated = m.must(265, "platform profile", "text", |i| i.text())?;
    let known = PlatformProfile::ALL.into_iter().find(|p| p.as_str() == stated);
    let profile =
        known.ok_or_else(|| CcaRefusal::Profile { half: "platform", got: stated.to_owned() })?;
    let mut claims = PlatformClaims {
        profile,
        challenge: m.must(10, "platform challenge", "32, 48 or 64 bytes", |i| digest(&i))?,
        device: Device {
            implementation_id: implementation_id(&mut m, 2396)?,
            instance_id: instance_id(&mut m, 256)?,
        },
        config: m.must(2401, "platform config", "bytes, not none", |i| {
            i.bytes().filter(|b| !b.is_empty()).map(<[u8]>::to_vec)
        })?,
        lifecycle: lifecycle(&mut m, 2395)?,
        components: components(&mut m, 2399)?,
        verification_service: text(&mut m, 2400, "verification service")?,
        hash_algorithm: hash(&mut m, 2402, "platform hash algorithm")?,
        unknown_claims: Vec::new(),
    };
    claims.unknown_claims = m.rest();
    Ok(claims)
}

fn realm_claims(mut m: Members<'_>) -> Result<RealmClaims, CcaRefusal> {
    let stated = m.may(265, "realm profile", "text", |i| i.text())?;
    let profile = match stated {
        None => RealmProfile::Legacy,
        Some(text) if Some(text) == RealmProfile::V1.as_str() => RealmProfile::V1,
        Some(text) => return Err(CcaRefusal::Profile { half: "realm", got: text.to_owned() }),
    };
    let sixty_four = |i: Item<'_>| i.bytes().and_then(|b| <[u8; 64]>::try_from(b).ok());
    let mut claims = RealmClaims {
        profile,
        challenge: m.must(10, "realm challenge", "64 bytes", sixty_four)?,
        personalization_value: m.must(44235, "personalization value", "64 bytes", sixty_four)?,
        initial_measurement: m.must(44238, "RIM", "32, 48 or 64 bytes", |i| digest(&i))?,
        extensible_measurements: m.must(44239, "REM", "4 times 32, 48 or 64 bytes", |i| {
            let four = i.array()?.iter().map(digest).collect::<Option<Vec<_>>>()?;
            four.try_into().ok()
        })?,
        hash_algorithm: hash(&mut m, 44236, "realm hash algorithm")?,
        public_key: m
            .must(44237, "realm public key", "bytes", |i| i.bytes().map(<[u8]>::to_vec))?,
        public_key_hash_algorithm: hash(&mut m, 44240, "realm public key hash algorithm")?,
        unknown_claims: Vec::new(),
    };
    claims.unknown_claims = m.rest();
    Ok(claims)
}
