//! Results as they are written here: the newest draft, JSON.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::vector::Tier;
use super::{Appraisal, Ear, Spelling};

/// A claims-set of draft 04. The status as a whole is the worst of its parts, whatever `ear` says of it.
#[must_use]
pub fn to_json(ear: &Ear) -> Value {
    let mut set = Map::new();
    let mut put = |name: &str, value: Value| {
        set.insert(name.to_owned(), value);
    };
    put("eat_profile", Spelling::Draft04.profile().into());
    put("iat", ear.issued.unix().into());
    if let Some(expires) = ear.expires {
        put("exp", expires.unix().into());
    }
    if let Some(nonce) = nonce(&ear.nonces) {
        put("eat_nonce", nonce);
    }
    let verifier = json!({"developer": ear.verifier.developer, "build": ear.verifier.build});
    put("ear_verifier_id", verifier);
    if let Some(raw) = &ear.raw_evidence {
        put("ear_raw_evidence", BASE64_URL_SAFE_NO_PAD.encode(raw).into());
    }
    let worst = ear.submods.iter().map(|(_, a)| status(a)).max().unwrap_or(Tier::None);
    put("ear_status", worst.as_str().into());
    let submods = ear.submods.iter().map(|(name, a)| (name.clone(), appraisal(a)));
    put("submods", Value::Object(submods.collect()));
    Value::Object(set)
}

/// Never better than its vector.
fn status(a: &Appraisal) -> Tier {
    a.status.max(a.vector.worst())
}

fn appraisal(a: &Appraisal) -> Value {
    let mut set = Map::new();
    let mut put = |name: &str, value: Value| {
        set.insert(name.to_owned(), value);
    };
    put("ear_status", status(a).as_str().into());
    let vector = a.vector.iter().map(|(claim, v)| (claim.as_str().to_owned(), Value::from(v)));
    put("ear_trustworthiness_vector", Value::Object(vector.collect()));
    if !a.policies.is_empty() {
        put("ear_appraisal_policy_ids", a.policies.clone().into());
    }
    if let Some(nonce) = nonce(&a.nonces) {
        put("eat_nonce", nonce);
    }
    if let Some(key) = &a.key {
        put("ear_veraison_key_attestation", json!({"akpub": BASE64_URL_SAFE_NO_PAD.encode(key)}));
    }
    if let Some(claims) = &a.attester_claims {
        put("ear_attester_claims", claims.clone());
    }
    Value::Object(set)
}

fn nonce(all: &[String]) -> Option<Value> {
    match all {
        [] => None,
        [one] => Some(one.as_str().into()),
        many => Some(many.to_vec().into()),
    }
}
