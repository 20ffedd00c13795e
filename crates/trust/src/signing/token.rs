//! Signatures of FIDO tokens (PROTOCOL.u2f of OpenSSH): over digests of application and message, with what the token says of its holder.
//! One that was made without a touch counts for nothing: it is malware's as well as the owner's.

use evidence::bytes::sha256;
use evidence::controls::holds;
use ssh_key::public::{SkEcdsaSha2NistP256, SkEd25519};

/// Flags and counter behind the signature proper.
const TRAILER: usize = 5;
/// The token's holder touched it.
const USER_PRESENT: u8 = 1;

/// The signature proper, and the bytes it is over.
fn parts<'s>(
    application: &str,
    message: &[u8],
    signature: &'s [u8],
) -> Option<(&'s [u8], Vec<u8>)> {
    let at = signature.len().checked_sub(TRAILER)?;
    let (proper, trailer) = signature.split_at_checked(at)?;
    let flags = *trailer.first()?;
    if !holds("token_touched", flags & USER_PRESENT != 0) {
        return None;
    }
    let mut signed = sha256(application.as_bytes()).to_vec();
    signed.extend(trailer);
    signed.extend(sha256(message));
    Some((proper, signed))
}

pub(super) fn ed25519(key: &SkEd25519, message: &[u8], signature: &[u8]) -> bool {
    parts(key.application(), message, signature)
        .is_some_and(|(proper, signed)| super::ed25519(&key.public_key().0, &signed, proper))
}

pub(super) fn p256(key: &SkEcdsaSha2NistP256, message: &[u8], signature: &[u8]) -> bool {
    parts(key.application(), message, signature)
        .is_some_and(|(proper, signed)| super::p256(key.ec_point().as_bytes(), &signed, proper))
}
