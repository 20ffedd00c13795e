//! Issuers held against what there is to speak about, places against who could speak of them, and programs against who could vouch
//! for them: a voice that is never heard and a demand that no voices meet are mistakes.

use std::collections::{BTreeMap, BTreeSet};

use super::mistake::{Found, Wrong};
use super::reach::Index;
use super::read::unknown;
use super::{Draft, Spans};
use crate::claim::{Country, Source, Topic};
use crate::policy::{Issuer, PlaceBy, Program};

/// A program that nothing and nobody could ever vouch for.
pub(super) fn trust(draft: &Draft, spans: &Spans, program: &Program, found: &mut Found<'_>) {
    let stated = !program.releases.is_empty() || !program.builds.is_empty();
    let vouched = draft.issuers.iter().flat_map(|(_, i)| &i.may).any(|(topic, scope)| {
        matches!(topic, Topic::Program | Topic::Upgrade) && scope.contains(program.role.as_str())
    });
    // An empty list was noted where it stands.
    if !spans.says_measurement && !stated && !vouched {
        let why = "what is trusted for this role; `casemate add` writes it, or `releases`, `builds` or an issuer stand in for it";
        let wrong = Wrong::Missing { name: "measurement", why };
        found.error(&spans.name, &format!("program.{}", program.role), wrong);
    }
}

/// Issuers against what there is to speak about, and places against who could speak of them.
pub(super) fn check(draft: &Draft, index: &Index<'_>, found: &mut Found<'_>) {
    let programs = || draft.programs.iter().map(|(_, p)| p);
    let roles = index.roles.keys().copied().collect::<BTreeSet<_>>();
    let products = programs().flat_map(|p| &p.releases).map(|(p, _)| p.as_str());
    let products = products.collect::<BTreeSet<_>>();
    let sources = programs().flat_map(|p| &p.builds).map(Source::as_str);
    let sources = sources.collect::<BTreeSet<_>>();
    let mut keys = BTreeMap::new();
    for (spans, issuer) in &draft.issuers {
        for (topic, named) in &spans.names {
            let (what, known) = match topic {
                Topic::Program | Topic::Upgrade | Topic::Distrust => ("role", &roles),
                Topic::Release => ("product", &products),
                Topic::Build => ("source", &sources),
                Topic::Place => continue,
            };
            if !known.contains(named.value.as_str()) && !found.is_full() {
                let known = known.iter().copied().collect::<Vec<_>>();
                let field = format!("issuer.{}.may.{}", issuer.name, topic.as_str());
                found.error(&named.at, &field, unknown(what, &named.value, &known));
            }
        }
        let (other, before) = keys.entry(issuer.key).or_insert((&issuer.name, &spans.name));
        if *other != &issuer.name {
            let (line, _) = found.place(before.start);
            let why = format!("is the key of issuer.{other} of line {line}; one key is one voice");
            let field = format!("issuer.{}.key", issuer.name);
            found.error(&spans.key, &field, Wrong::Doubled { why });
        }
    }
    for place in &draft.described {
        let PlaceBy::Endorsed(wanted) = &place.by else { continue };
        let heard = |i: &&Issuer| {
            i.may.iter().any(|(topic, scope)| {
                let about = |c: &Country| scope.contains(c.as_str());
                *topic == Topic::Place && wanted.countries.iter().any(about)
            })
        };
        let holders = draft.issuers.iter().map(|(_, i)| i).filter(heard).map(|i| &i.holder);
        let holders = holders.collect::<BTreeSet<_>>().len();
        if u64::try_from(holders).unwrap_or(u64::MAX) < wanted.need {
            let why = "asks for more independent issuers than may speak about its countries; holders count, not keys";
            let at = draft.places.get(place.name.as_str()).cloned().unwrap_or_default();
            found.error(&at, &format!("place.{}.need", place.name), Wrong::Impossible { why });
        }
    }
}
