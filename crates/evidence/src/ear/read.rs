//! Claims-sets in JSON to [`Ear`], in every spelling in use. Unknown claims are passed over, as the draft demands; unknown
//! values of known claims are not.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::refusal::EarRefusal;
use super::vector::{Claim, Tier, Vector};
use super::{Appraisal, Ear, LEN_MAX, SUBMODS_MAX, Spelling, Verifier};
use crate::controls::holds;
use crate::json;
use crate::time::Time;

type Result<T> = core::result::Result<T, EarRefusal>;

/// Reads a claims-set.
///
/// # Errors
/// [`EarRefusal`]: its form, or a status better than what supports it.
pub fn parse(bytes: &[u8]) -> Result<Ear> {
    let value = json::parse(bytes, LEN_MAX)?;
    let set = value.as_object().ok_or(EarRefusal::Claim("the claims-set"))?;
    let profile = text(set, "eat_profile")?.ok_or(EarRefusal::Claim("eat_profile"))?;
    let spelling = Spelling::parse(&profile).ok_or(EarRefusal::Profile(profile))?;
    let names = Names(spelling);
    let verifier = object(set, names.of("ear_verifier_id", "ear.verifier-id"))?
        .ok_or(EarRefusal::Claim("ear_verifier_id"))?;
    let part = |name| text(verifier, name)?.ok_or(EarRefusal::Claim("ear_verifier_id"));
    let submods = object(set, "submods")?.ok_or(EarRefusal::Claim("submods"))?;
    if submods.is_empty() || submods.len() > SUBMODS_MAX {
        return Err(EarRefusal::Claim("submods"));
    }
    let status = tier(set, names.of("ear_status", "ear.status"))?;
    let submods = submods
        .iter()
        .map(|(name, v)| {
            let v = v.as_object().ok_or(EarRefusal::Claim("submods"))?;
            Ok((name.clone(), appraisal(v, &names)?))
        })
        .collect::<Result<Vec<_>>>()?;
    let worst = submods.iter().map(|(_, a)| a.status).max().unwrap_or(Tier::None);
    no_better(status, worst)?;
    Ok(Ear {
        spelling,
        issued: time(set, "iat")?.ok_or(EarRefusal::Claim("iat"))?,
        expires: time(set, "exp")?,
        nonces: nonces(set)?,
        verifier: Verifier { developer: part("developer")?, build: part("build")? },
        status,
        submods,
        raw_evidence: bytes_of(set, names.of("ear_raw_evidence", "ear.raw-evidence"))?,
    })
}

/// Names of claims in the two spellings.
struct Names(Spelling);

impl Names {
    const fn of(&self, draft: &'static str, dotted: &'static str) -> &'static str {
        if self.0.is_draft() { draft } else { dotted }
    }
}

fn appraisal(set: &Map<String, Value>, names: &Names) -> Result<Appraisal> {
    let status =
        tier(set, names.of("ear_status", "ear.status"))?.ok_or(EarRefusal::Claim("ear_status"))?;
    let mut vector = Vector::default();
    let stated = names.of("ear_trustworthiness_vector", "ear.trustworthiness-vector");
    for (name, value) in object(set, stated)?.into_iter().flatten() {
        let value = value.as_i64().and_then(|v| i8::try_from(v).ok());
        let value = value.ok_or(EarRefusal::Claim("ear_trustworthiness_vector"))?;
        if let Some(claim) = Claim::parse(name) {
            vector.claim(claim, value);
        }
    }
    no_better(Some(status), vector.worst())?;
    let policies = match set.get(names.of("ear_appraisal_policy_ids", "ear.appraisal-policy-id")) {
        None => Vec::new(),
        Some(Value::String(one)) if !names.0.is_draft() => vec![one.clone()],
        Some(Value::Array(many)) if !many.is_empty() => many
            .iter()
            .map(|p| p.as_str().map(str::to_owned))
            .collect::<Option<_>>()
            .ok_or(EarRefusal::Claim("ear_appraisal_policy_ids"))?,
        Some(_) => return Err(EarRefusal::Claim("ear_appraisal_policy_ids")),
    };
    let key = names.of("ear_veraison_key_attestation", "ear.veraison.key-attestation");
    let key = match object(set, key)? {
        Some(k) => Some(bytes_of(k, "akpub")?.ok_or(EarRefusal::Claim("akpub"))?),
        None => None,
    };
    Ok(Appraisal {
        status,
        vector,
        policies,
        nonces: nonces(set)?,
        key,
        attester_claims: set.get("ear_attester_claims").cloned(),
    })
}

/// A status must not be better than the worst of what stands below it; saying nothing is never better.
fn no_better(stated: Option<Tier>, worst: Tier) -> Result<()> {
    match stated {
        Some(stated) if !holds("ear_status", stated >= worst || stated == Tier::None) => {
            Err(EarRefusal::Status { stated, worst })
        }
        _ => Ok(()),
    }
}

fn text(set: &Map<String, Value>, name: &'static str) -> Result<Option<String>> {
    match set.get(name) {
        None => Ok(None),
        Some(Value::String(t)) => Ok(Some(t.clone())),
        Some(_) => Err(EarRefusal::Claim(name)),
    }
}

fn object<'a>(
    set: &'a Map<String, Value>,
    name: &'static str,
) -> Result<Option<&'a Map<String, Value>>> {
    match set.get(name) {
        None => Ok(None),
        Some(Value::Object(o)) => Ok(Some(o)),
        Some(_) => Err(EarRefusal::Claim(name)),
    }
}

fn tier(set: &Map<String, Value>, name: &'static str) -> Result<Option<Tier>> {
    match set.get(name) {
        None => Ok(None),
        Some(Value::String(t)) => Tier::parse(t).map(Some).ok_or(EarRefusal::Claim(name)),
        Some(v) => v.as_i64().and_then(Tier::from_code).map(Some).ok_or(EarRefusal::Claim(name)),
    }
}

fn time(set: &Map<String, Value>, name: &'static str) -> Result<Option<Time>> {
    match set.get(name) {
        None => Ok(None),
        Some(v) => v.as_i64().map(|t| Some(Time::from_unix(t))).ok_or(EarRefusal::Time(name)),
    }
}

fn nonces(set: &Map<String, Value>) -> Result<Vec<String>> {
    let bad = || EarRefusal::Claim("eat_nonce");
    let one = |v: &Value| v.as_str().filter(|t| (8..=88).contains(&t.len())).map(str::to_owned);
    match set.get("eat_nonce") {
        None => Ok(Vec::new()),
        Some(Value::Array(many)) if many.len() >= 2 => {
            many.iter().map(one).collect::<Option<_>>().ok_or_else(bad)
        }
        Some(v) => one(v).map(|n| vec![n]).ok_or_else(bad),
    }
}

fn bytes_of(set: &Map<String, Value>, name: &'static str) -> Result<Option<Vec<u8>>> {
    let Some(t) = text(set, name)? else { return Ok(None) };
    let unpadded = t.trim_end_matches('=');
    BASE64_URL_SAFE_NO_PAD.decode(unpadded).map(Some).map_err(|_| EarRefusal::Claim(name))
}
