//! The envelope: DSSE v1 in its JSON form. What is signed is the pre-authentication encoding of the payload's type and bytes.
//!
//! `keyid` is a hint nobody signed and is not read; members DSSE does not know are not read either, as it demands.

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};
use serde_json::Value;

use super::{BuilderKey, LEN_MAX, PAYLOAD_TYPE, ProvenanceRefusal, SIGNATURES_MAX};
use crate::controls::holds;
use crate::json;

/// An envelope whose signatures nobody has checked.
pub struct Envelope {
    payload_type: String,
    payload: Vec<u8>,
    signatures: Vec<Vec<u8>>,
}

impl Envelope {
    /// Reads one envelope and nothing after it.
    pub fn parse(bytes: &[u8]) -> Result<Self, ProvenanceRefusal> {
        let json = json::parse(bytes, LEN_MAX)?;
        let text = |v: &Value, name: &'static str| {
            let text = v.get(name).and_then(Value::as_str).map(str::to_owned);
            text.ok_or(ProvenanceRefusal::Field(name))
        };
        let payload_type = text(&json, "payloadType")?;
        let payload = decode(&text(&json, "payload")?, "payload")?;
        let signatures = json.get("signatures").and_then(Value::as_array);
        let signatures = signatures
            .filter(|s| (1..=SIGNATURES_MAX).contains(&s.len()))
            .ok_or(ProvenanceRefusal::Field("signatures"))?
            .iter()
            .map(|s| decode(&text(s, "sig")?, "sig"))
            .collect::<Result<_, _>>()?;
        Ok(Self { payload_type, payload, signatures })
    }

    /// The payload, if each signature is by another one of these keys.
    pub fn verify(&self, keys: &[BuilderKey]) -> Result<&[u8], ProvenanceRefusal> {
        let is_statement = self.payload_type == PAYLOAD_TYPE;
        if !holds("provenance_payload_type", is_statement) {
            return Err(ProvenanceRefusal::PayloadType(self.payload_type.clone()));
        }
        let message = pae(&self.payload_type, &self.payload);
        let mut seen: Vec<&BuilderKey> = Vec::new();
        for (i, signature) in self.signatures.iter().enumerate() {
            let signer = keys.iter().find(|k| k.signed(&message, signature));
            if !holds("provenance_signature", signer.is_some()) {
                return Err(ProvenanceRefusal::Signature(i));
            }
            let Some(signer) = signer else { continue };
            if !holds("provenance_twice", !seen.contains(&signer)) {
                return Err(ProvenanceRefusal::Twice(i));
            }
            seen.push(signer);
        }
        Ok(&self.payload)
    }
}

/// DSSE's pre-authentication encoding: lengths are decimal, so that no type and payload spell another pair.
fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

/// DSSE allows both alphabets; padding must be there.
fn decode(text: &str, name: &'static str) -> Result<Vec<u8>, ProvenanceRefusal> {
    let standard = BASE64_STANDARD.decode(text);
    standard.or_else(|_| BASE64_URL_SAFE.decode(text)).map_err(|_| ProvenanceRefusal::Field(name))
}

#[cfg(test)]
mod tests {
    use super::pae;

    #[test]
    fn the_encoding_that_is_signed_is_that_of_dsse() {
        let expected = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world";
        assert_eq!(pae("http://example.com/HelloWorld", b"hello world"), expected);
        assert_eq!(pae("", b""), b"DSSEv1 0  0 ");
        assert_eq!(pae("\u{e4}", b"\xff"), b"DSSEv1 2 \xc3\xa4 1 \xff", "lengths are in bytes");
    }
}
