//! The extension's DER to fields: strict DER, known versions, known tags, each once; nothing is judged.

use der::asn1::{AnyRef, OctetStringRef};
use der::{Decode, Reader, SliceReader, Tag, Tagged};

use super::layout::{
    Authorizations, BootState, EXTENSION_MAX, KNOWN_TAGS, KNOWN_TAGS_KEYMINT, KeyDescription,
    RootOfTrust, SecurityLevel, VERSIONS,
};
use super::refusal::AndroidRefusal;

/// Reads the content of the extension.
///
/// # Errors
/// [`AndroidRefusal::ExtensionLength`], [`AndroidRefusal::Field`], [`AndroidRefusal::Version`], [`AndroidRefusal::Tag`],
/// [`AndroidRefusal::TagTwice`].
pub fn parse(extension: &[u8]) -> Result<KeyDescription, AndroidRefusal> {
    if extension.len() > EXTENSION_MAX {
        return Err(AndroidRefusal::ExtensionLength(extension.len()));
    }
    let whole = AnyRef::from_der(extension).ok().filter(|any| any.tag() == Tag::Sequence);
    let mut r = Fields::of(whole.ok_or(AndroidRefusal::Field("KeyDescription"))?);
    let attestation_version = r.uint("attestationVersion")?;
    if !VERSIONS.contains(&attestation_version) {
        return Err(AndroidRefusal::Version(attestation_version));
    }
    let description = KeyDescription {
        attestation_version,
        attestation_security_level: r.level("attestationSecurityLevel")?,
        keymaster_version: r.uint("keymasterVersion")?,
        keymaster_security_level: r.level("keymasterSecurityLevel")?,
        challenge: r.bytes("attestationChallenge")?,
        unique_id: r.bytes("uniqueId")?,
        software: authorizations(r.sequence("softwareEnforced")?, attestation_version)?,
        hardware: authorizations(r.sequence("hardwareEnforced")?, attestation_version)?,
    };
    r.finish("KeyDescription")?;
    Ok(description)
}

fn authorizations(mut r: Fields<'_>, version: u32) -> Result<Authorizations, AndroidRefusal> {
    const FIELD: &str = "AuthorizationList";
    let mut out = Authorizations::default();
    let mut seen = Vec::new();
    while let Some(any) = r.next(FIELD)? {
        let Tag::ContextSpecific { constructed: true, number } = any.tag() else {
            return Err(AndroidRefusal::Field(FIELD));
        };
        let tag = number.value();
        if !KNOWN_TAGS.contains(&tag) && !KNOWN_TAGS_KEYMINT.contains(&tag) {
            return Err(AndroidRefusal::Tag(tag));
        }
        if seen.contains(&tag) {
            return Err(AndroidRefusal::TagTwice(tag));
        }
        seen.push(tag);
        // Every tag is explicit: one element inside.
        let mut inner = Fields::of(any);
        match tag {
            702 => out.origin = Some(inner.uint("origin")?),
            704 => {
                out.root_of_trust = Some(root_of_trust(inner.sequence("rootOfTrust")?, version)?)
            }
            705 => out.os_version = Some(inner.uint("osVersion")?),
            706 => out.os_patch_level = Some(inner.uint("osPatchLevel")?),
            709 => out.application_id = Some(inner.bytes("attestationApplicationId")?),
            718 => out.vendor_patch_level = Some(inner.uint("vendorPatchLevel")?),
            719 => out.boot_patch_level = Some(inner.uint("bootPatchLevel")?),
            _ => drop(inner.next(FIELD)?),
        }
        inner.finish(FIELD)?;
    }
    Ok(out)
}

fn root_of_trust(mut r: Fields<'_>, version: u32) -> Result<RootOfTrust, AndroidRefusal> {
    let root = RootOfTrust {
        verified_boot_key: r.bytes("verifiedBootKey")?,
        device_locked: r.boolean("deviceLocked")?,
        verified_boot_state: match r.enumerated("verifiedBootState")? {
            0 => BootState::Verified,
            1 => BootState::SelfSigned,
            2 => BootState::Unverified,
            3 => BootState::Failed,
            _ => return Err(AndroidRefusal::Field("verifiedBootState")),
        },
        verified_boot_hash: if version >= 3 { Some(r.bytes("verifiedBootHash")?) } else { None },
    };
    r.finish("rootOfTrust")?;
    Ok(root)
}

/// The elements inside one, in order.
struct Fields<'a>(Option<SliceReader<'a>>);

impl<'a> Fields<'a> {
    fn of(any: AnyRef<'a>) -> Self {
        Self(SliceReader::new(any.value()).ok())
    }

    fn next(&mut self, name: &'static str) -> Result<Option<AnyRef<'a>>, AndroidRefusal> {
        let Some(reader) = self.0.as_mut().filter(|r| !r.is_finished()) else { return Ok(None) };
        AnyRef::decode(reader).map(Some).map_err(|_| AndroidRefusal::Field(name))
    }

    fn take<T: der::DecodeValue<'a> + der::FixedTag + 'a>(
        &mut self,
        name: &'static str,
    ) -> Result<T, AndroidRefusal> {
        let any = self.next(name)?.ok_or(AndroidRefusal::Field(name))?;
        any.decode_as::<T>().map_err(|_| AndroidRefusal::Field(name))
    }

    fn uint(&mut self, name: &'static str) -> Result<u32, AndroidRefusal> {
        self.take(name)
    }

    fn boolean(&mut self, name: &'static str) -> Result<bool, AndroidRefusal> {
        self.take(name)
    }

    fn bytes(&mut self, name: &'static str) -> Result<Vec<u8>, AndroidRefusal> {
        self.take::<&OctetStringRef>(name).map(|o| o.as_bytes().to_vec())
    }

    fn sequence(&mut self, name: &'static str) -> Result<Self, AndroidRefusal> {
        let any = self.next(name)?.filter(|any| any.tag() == Tag::Sequence);
        any.map(Self::of).ok_or(AndroidRefusal::Field(name))
    }

    /// An ENUMERATED of one byte.
    fn enumerated(&mut self, name: &'static str) -> Result<u8, AndroidRefusal> {
        let any = self.next(name)?.filter(|any| any.tag() == Tag::Enumerated);
        match any.map(|any| any.value()) {
            Some([n]) if *n < 0x80 => Ok(*n),
            _ => Err(AndroidRefusal::Field(name)),
        }
    }

    fn level(&mut self, name: &'static str) -> Result<SecurityLevel, AndroidRefusal> {
        match self.enumerated(name)? {
            0 => Ok(SecurityLevel::Software),
            1 => Ok(SecurityLevel::TrustedEnvironment),
            2 => Ok(SecurityLevel::StrongBox),
            _ => Err(AndroidRefusal::Field(name)),
        }
    }

    fn finish(&mut self, name: &'static str) -> Result<(), AndroidRefusal> {
        if self.next(name)?.is_none() { Ok(()) } else { Err(AndroidRefusal::Field(name)) }
    }
}
