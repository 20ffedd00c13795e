//! The statement: in-toto Statement v1 about subjects, with SLSA provenance v1 (slsa.dev/spec/v1.0/provenance) as predicate.
//!
//! A source counts where the builder was told it (`externalParameters`). That it is also among the resolved dependencies says only
//! which commit it was: every library a program uses stands there too, and none of them is its source.

use serde_json::Value;

use super::{
    DEPENDENCIES_MAX, Demand, LEN_MAX, PREDICATE_TYPE, ProvenanceRefusal, STATEMENT_TYPE,
    SUBJECTS_MAX,
};
use crate::bytes::Measurement;
use crate::controls::holds;
use crate::json;

/// A statement of the version and predicate that are read.
pub struct Statement(Value);

impl Statement {
    /// Reads a payload whose signatures hold.
    pub fn parse(payload: &[u8]) -> Result<Self, ProvenanceRefusal> {
        let json = json::parse(payload, LEN_MAX)?;
        let kind = text(&json, "/_type", "_type")?;
        if !holds("provenance_statement", kind == STATEMENT_TYPE) {
            return Err(ProvenanceRefusal::StatementType(kind.to_owned()));
        }
        let predicate = text(&json, "/predicateType", "predicateType")?;
        if !holds("provenance_predicate", predicate == PREDICATE_TYPE) {
            return Err(ProvenanceRefusal::PredicateType(predicate.to_owned()));
        }
        Ok(Self(json))
    }

    /// True if one of its subjects has this SHA-384. Each must have a digest; names mean nothing.
    pub fn is_about(&self, subject: &Measurement) -> Result<bool, ProvenanceRefusal> {
        let wanted = hex::encode(subject.as_bytes());
        let mut found = false;
        for each in list(&self.0, "/subject", SUBJECTS_MAX, "subject")? {
            let digests = each.get("digest").and_then(Value::as_object).filter(|d| !d.is_empty());
            let digests = digests.ok_or(ProvenanceRefusal::Field("subject.digest"))?;
            found |= digests.get("sha384").and_then(Value::as_str) == Some(&wanted);
        }
        Ok(found)
    }

    /// The commit it was built from, if builder, way and source are those demanded.
    pub fn built(&self, demand: &Demand) -> Result<String, ProvenanceRefusal> {
        let builder = text(&self.0, "/predicate/runDetails/builder/id", "builder.id")?;
        if !holds("provenance_builder", builder == demand.builder) {
            let (expected, got) = (demand.builder.clone(), builder.to_owned());
            return Err(ProvenanceRefusal::Builder { expected, got });
        }
        let way = text(&self.0, "/predicate/buildDefinition/buildType", "buildType")?;
        if !holds("provenance_build_type", way == demand.build_type) {
            let (expected, got) = (demand.build_type.clone(), way.to_owned());
            return Err(ProvenanceRefusal::BuildType { expected, got });
        }
        self.told(demand)?;
        self.revision(&demand.source)
    }

    /// The builder was told to build this source, and nothing that nobody expected.
    fn told(&self, demand: &Demand) -> Result<(), ProvenanceRefusal> {
        const NAME: &str = "externalParameters";
        let told = self.0.pointer("/predicate/buildDefinition/externalParameters");
        let told = told.ok_or(ProvenanceRefusal::Field(NAME))?;
        let members = told.as_object().ok_or(ProvenanceRefusal::Field(NAME))?;
        let first = demand.source_at.split('/').nth(1).unwrap_or_default();
        let first = first.replace("~1", "/").replace("~0", "~");
        for name in members.keys() {
            let expected = *name == first || demand.parameters.contains(name);
            if !holds("provenance_parameter", expected) {
                return Err(ProvenanceRefusal::Parameter(name.clone()));
            }
        }
        let source = text(told, &demand.source_at, "source in externalParameters")?;
        if !holds("provenance_source", source == demand.source) {
            let (expected, got) = (demand.source.clone(), source.to_owned());
            return Err(ProvenanceRefusal::Source { expected, got });
        }
        Ok(())
    }

    /// The commit of the one resolved dependency that is the source.
    fn revision(&self, source: &str) -> Result<String, ProvenanceRefusal> {
        let at = "/predicate/buildDefinition/resolvedDependencies";
        let all = list(&self.0, at, DEPENDENCIES_MAX, "resolvedDependencies")?;
        let uri = |d: &Value| d.get("uri").and_then(Value::as_str).map(str::to_owned);
        let mut those = all.iter().filter(|d| uri(d).is_some_and(|uri| is_state_of(&uri, source)));
        let (one, more) = (those.next(), those.count());
        let one = one.ok_or(ProvenanceRefusal::Revision(0))?;
        if !holds("provenance_one_source", more == 0) {
            return Err(ProvenanceRefusal::Revision(more.saturating_add(1)));
        }
        let commit = text(one, "/digest/gitCommit", "digest.gitCommit")?;
        let digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        let sound = matches!(commit.len(), 40 | 64) && commit.bytes().all(digit);
        if sound {
            Ok(commit.to_owned())
        } else {
            Err(ProvenanceRefusal::Field("digest.gitCommit"))
        }
    }
}

/// A dependency names a source by its URI, as SPDX spells downloads: `git+` before, `@refs/…` behind, or neither.
fn is_state_of(uri: &str, source: &str) -> bool {
    let bare = uri.strip_prefix("git+").unwrap_or(uri);
    let source = source.strip_prefix("git+").unwrap_or(source);
    let rest = bare.strip_prefix(source);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("@refs/"))
}

fn text<'a>(json: &'a Value, at: &str, name: &'static str) -> Result<&'a str, ProvenanceRefusal> {
    json.pointer(at).and_then(Value::as_str).ok_or(ProvenanceRefusal::Field(name))
}

fn list<'a>(
    json: &'a Value,
    at: &str,
    max: usize,
    name: &'static str,
) -> Result<&'a [Value], ProvenanceRefusal> {
    let items = json.pointer(at).and_then(Value::as_array).filter(|l| l.len() <= max);
    items.map(Vec::as_slice).ok_or(ProvenanceRefusal::Field(name))
}
