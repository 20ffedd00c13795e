//! Writes unsigned manifests of reference values: digests and exact security versions of environments, in deterministic CBOR.
//!
//! The same values give the same bytes (RFC 8949 section 4.2.1). What this has no form for is refused, never left out.

use super::claims::{Algorithm, Digest, Label, Measurement, Svn, Values};
use super::comid::{Class, Environment, Id, Triple};
use super::{Corim, CorimError, TAG_COMID, TAG_CORIM};
use crate::Time;
use crate::cbor::head;

/// A manifest of that name with one CoMID of the same name, which holds `references` in their order.
///
/// # Errors
/// [`CorimError::Unwritable`] for values besides digests and exact security versions, [`CorimError::Count`] for none, and
/// whatever a reader would refuse.
pub fn write(id: &str, references: &[Triple]) -> Result<Vec<u8>, CorimError> {
    let triples = references.iter().map(triple).collect::<Result<Vec<_>, _>>()?;
    let identity = map(&[(0, text(id))]);
    let comid = map(&[(1, identity), (4, map(&[(0, array("reference values", triples)?)]))]);
    let contents = array("tags", vec![tag(TAG_COMID, &bytes(&comid))])?;
    let out = tag(TAG_CORIM, &map(&[(0, text(id)), (1, contents)]));
    // Empty environments, algorithms twice: what no reader takes is not handed out.
    Corim::parse(&out, &[], Time::from_unix(0))?;
    Ok(out)
}

fn len(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

fn with(major: u8, argument: u64, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    head(major, argument, &mut out);
    out.extend(content);
    out
}

fn text(t: &str) -> Vec<u8> {
    with(3, len(t.len()), t.as_bytes())
}

fn bytes(b: &[u8]) -> Vec<u8> {
    with(2, len(b.len()), b)
}

fn tag(number: u64, inner: &[u8]) -> Vec<u8> {
    with(6, number, inner)
}

fn array(name: &'static str, items: Vec<Vec<u8>>) -> Result<Vec<u8>, CorimError> {
    match items.len() {
        n @ 1..=super::claims::LIST_MAX => Ok(with(4, len(n), &items.concat())),
        n => Err(CorimError::Count(name, n, super::claims::LIST_MAX)),
    }
}

/// Members whose keys come in order.
fn map(members: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let content = members.iter().flat_map(|(k, v)| with(0, *k, v)).collect::<Vec<_>>();
    with(5, len(members.len()), &content)
}

fn id(id: &Id) -> Vec<u8> {
    tag(id.tag, &bytes(&id.bytes))
}

fn number(n: i128) -> Result<Vec<u8>, CorimError> {
    let n = u64::try_from(n).map_err(|_| CorimError::Unwritable("a number"))?;
    Ok(with(0, n, &[]))
}

fn triple(t: &Triple) -> Result<Vec<u8>, CorimError> {
    let measurements = t.measurements.iter().map(measurement).collect::<Result<_, _>>()?;
    array("triple", vec![environment(&t.environment)?, array("measurements", measurements)?])
}

fn environment(e: &Environment) -> Result<Vec<u8>, CorimError> {
    if !e.unread.is_empty() {
        return Err(CorimError::Unwritable("an environment that was not read whole"));
    }
    let class = e.class.as_ref().map(|c| (0, class(c)));
    let instance = e.instance.as_ref().map(|i| (1, id(i)));
    let group = e.group.as_ref().map(|g| (2, id(g)));
    Ok(map(&[class, instance, group].into_iter().flatten().collect::<Vec<_>>()))
}

fn class(c: &Class) -> Vec<u8> {
    let number = |n: &u64| with(0, *n, &[]);
    let members = [
        c.id.as_ref().map(|i| (0, id(i))),
        c.vendor.as_ref().map(|v| (1, text(v))),
        c.model.as_ref().map(|m| (2, text(m))),
        c.layer.as_ref().map(|l| (3, number(l))),
        c.index.as_ref().map(|i| (4, number(i))),
    ];
    map(&members.into_iter().flatten().collect::<Vec<_>>())
}

fn measurement(m: &Measurement) -> Result<Vec<u8>, CorimError> {
    let Values { svn, digests, .. } = &m.values;
    let rest = Values { svn: *svn, digests: digests.clone(), ..Values::default() };
    if rest != m.values || !m.authorized_by.is_empty() {
        return Err(CorimError::Unwritable("a value besides digests and an svn"));
    }
    let key = match &m.key {
        None => None,
        Some(Label::Text(t)) => Some(text(t)),
        Some(Label::Int(n)) => Some(number(*n)?),
        Some(Label::Id(i)) => Some(id(i)),
    };
    let svn = match svn {
        None => None,
        Some(Svn::Exact(n)) => Some(tag(552, &with(0, *n, &[]))),
        Some(Svn::AtLeast(_)) => return Err(CorimError::Unwritable("a minimum")),
    };
    let all = digests.iter().map(digest).collect::<Result<Vec<_>, _>>()?;
    let all = (!all.is_empty()).then(|| array("digests", all)).transpose()?;
    let values = [svn.map(|s| (1, s)), all.map(|d| (2, d))];
    let values = (1, map(&values.into_iter().flatten().collect::<Vec<_>>()));
    Ok(map(&key.map(|k| (0, k)).into_iter().chain([values]).collect::<Vec<_>>()))
}

fn digest(d: &Digest) -> Result<Vec<u8>, CorimError> {
    let algorithm = match &d.algorithm {
        Algorithm::Number(n) => number(*n)?,
        Algorithm::Name(name) => text(name),
    };
    array("digest", vec![algorithm, bytes(&d.value)])
}
