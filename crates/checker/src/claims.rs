//! The claims of a record, read a second time: each signed by the key it names, addressed to the domain, in force when the
//! decision was made. What they say becomes the words of the leaves that a proof may start from.

use std::collections::HashSet;

use ciborium::Value;
use evidence::cbor::Fields;
use evidence::controls::holds;
use evidence::cose::Sign1;
use evidence::{ContentDigest, DomainRoot, StatementKey, Time};

use crate::record::scope;

/// Under which claims are signed.
const LABEL: &str = "casemate-claim@v1";
/// Longest claim.
const LEN_MAX: usize = 4096;

/// The leaves that the claims of a record make, word for word.
pub(crate) fn leaves(
    claims: &[Vec<u8>],
    domain: DomainRoot,
    at: Time,
) -> Result<HashSet<Vec<String>>, String> {
    claims.iter().map(|bytes| leaf(bytes, domain, at)).collect()
}

fn leaf(bytes: &[u8], domain: DomainRoot, at: Time) -> Result<Vec<String>, String> {
    let bad = |what: &str| format!("a claim of the record {what}");
    let signed = Sign1::parse(bytes, LEN_MAX).map_err(|e| e.to_string())?;
    let issuer = Fields::decode(signed.unverified(), LEN_MAX)
        .and_then(|mut f| f.named(3, "issuer", StatementKey::from_slice))
        .map_err(|e| e.to_string())?;
    let payload = signed.verify(&issuer, LABEL).map_err(|e| e.to_string())?;
    let mut f = Fields::decode(payload, LEN_MAX).map_err(|e| e.to_string())?;
    let mut read = || {
        f.version(1).ok()?;
        let to = f.take(2, "domain").ok()?;
        let key = hex::encode(f.bytes(3, "issuer").ok()?);
        let window = [f.int(4, "not_before").ok()?, f.int(5, "not_after").ok()?];
        let says = Fields::from_value(f.take(6, "says").ok()?).ok()?;
        Some((to, key, window, says))
    };
    let (to, key, [from, until], says) = read().ok_or_else(|| bad("has another form"))?;
    f.finish().map_err(|e| e.to_string())?;
    let (verb, rest, worldly) = said(says).ok_or_else(|| bad("says nothing that is known"))?;
    let ours = match to {
        Value::Null => worldly,
        other => other.as_bytes().is_some_and(|b| b == domain.as_bytes()),
    };
    if !holds("recheck_claim_domain", ours) {
        return Err(bad("is not addressed to this domain"));
    }
    if !holds("recheck_claim_window", from <= at.unix() && at.unix() <= until) {
        return Err(bad("was not in force when the decision was made"));
    }
    let digest = ContentDigest::of(payload).to_string();
    let head = ["says".to_owned(), digest, key, until.to_string(), verb];
    Ok(head.into_iter().chain(rest).collect())
}

/// Verb, arguments in the order of `docs/rules.md`, and whether it may be said to every domain.
fn said(mut f: Fields) -> Option<(String, Vec<String>, bool)> {
    let verb = f.text(1, "verb").ok()?;
    let hexed = |f: &mut Fields, key| f.bytes(key, "bytes").ok().map(hex::encode);
    let text = |f: &mut Fields, key| f.text(key, "text").ok();
    let number = |f: &mut Fields, key| f.uint(key, "number").ok().map(|n| n.to_string());
    let (rest, worldly) = match verb.as_str() {
        "program" => (vec![text(&mut f, 2)?, hexed(&mut f, 3)?], false),
        "release" => (vec![text(&mut f, 2)?, number(&mut f, 4)?, hexed(&mut f, 3)?], true),
        "build" => (vec![text(&mut f, 2)?, text(&mut f, 4)?, hexed(&mut f, 3)?], true),
        "upgrade" => (vec![text(&mut f, 2)?, hexed(&mut f, 4)?, hexed(&mut f, 3)?], false),
        "place" => {
            let (machine, country) = (hexed(&mut f, 2)?, text(&mut f, 3)?);
            // Site and operator are for people.
            text(&mut f, 4)?;
            text(&mut f, 5)?;
            let basis = text(&mut f, 6)?;
            let (level, observed) = (number(&mut f, 7)?, f.int(8, "observed").ok()?);
            (vec![machine, country, basis, level, observed.to_string()], true)
        }
        "delegate" => {
            let (to, topic) = (hexed(&mut f, 2)?, text(&mut f, 3)?);
            (vec![to, topic, scope(f.take(4, "scope").ok()?)?, number(&mut f, 5)?], false)
        }
        "speaks" => (vec![hexed(&mut f, 2)?], false),
        // Taking back and distrusting prove nothing.
        _ => return None,
    };
    f.finish().ok()?;
    Some((verb, rest, worldly))
}
