//! Where a machine stands: what its own evidence shows, or what enough issuers, independent of each other, say (R13, R14).
//!
//! Whoever contradicts the rest is heard even when it took its word back: taking a word back must not let anybody in.

use std::collections::BTreeMap;

use evidence::controls::holds;
use evidence::{Detail, HardwareFacts, MachineId, Time};

use super::{Held, Look, Node, Search, Why, number};
use crate::claim::{Basis, Country, Says, Standing, Topic};
use crate::policy::{Endorsed, Place, PlaceBy};
use crate::proof::Rule;

/// Why a machine is not known to be in a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unplaced {
    /// Its evidence names no machine, so nobody can say where it stands.
    Unnamed,
    /// Its evidence shows another region, or none.
    Region {
        /// What the place asks for.
        expected: String,
        /// What the evidence shows.
        got: Option<String>,
    },
    /// Not enough independent issuers say so.
    TooFew {
        /// How many are needed.
        need: u64,
        /// Who says so and counts.
        got: Vec<String>,
    },
    /// Issuers that count disagree about the country.
    Contradiction(Vec<Country>),
}

/// One issuer's word on a machine that counts for a place.
struct Word {
    until: Time,
    premises: [Why; 2],
}

impl Search<'_> {
    /// Whether a machine stands in a place.
    ///
    /// # Errors
    /// [`Unplaced`].
    pub fn stands(&self, facts: &HardwareFacts, place: &Place) -> Result<Held, Unplaced> {
        match &place.by {
            PlaceBy::AwsVlek(region) => region_shown(facts, place, region),
            PlaceBy::Endorsed(wanted) => {
                let machine = facts.machine.as_ref().ok_or(Unplaced::Unnamed)?;
                self.endorsed(machine, place, wanted)
            }
        }
    }

    /// R13.
    ///
    /// 1. nobody who counts contradicts, 2. a word from each independent issuer for the one country, 3. enough of them.
    fn endorsed(
        &self,
        machine: &MachineId,
        place: &Place,
        wanted: &Endorsed,
    ) -> Result<Held, Unplaced> {
        // 1
        let countries = self.countries_said(machine);
        let one = countries.iter().all(|c| Some(c) == countries.first());
        if !holds("place_contradiction", one) {
            return Err(Unplaced::Contradiction(countries));
        }
        // 2
        let mut words = BTreeMap::<&str, Word>::new();
        for claim in self.claims.of_machine(machine).filter(|c| self.counts(c, Look::InForce)) {
            let Says::Place(standing) = &claim.claim().says else { continue };
            // Of a voice that has said something else since, the word before does not count.
            let still = countries.first() == Some(&standing.country);
            if !still || !self.fits(standing, wanted) {
                continue;
            }
            let seen = standing.observed.plus_secs(wanted.age_secs_max);
            for may in self.may(claim.claim().issuer, Topic::Place, Look::InForce).iter() {
                if !holds("may_scope", may.scope.contains(standing.country.as_str())) {
                    continue;
                }
                let until = may.until.min(claim.claim().window.not_after).min(seen);
                let longer = words.get(may.root.holder.as_str()).is_none_or(|w| until > w.until);
                if longer {
                    let premises = [may.why.clone(), Node::claim(claim)];
                    words.insert(may.root.holder.as_str(), Word { until, premises });
                }
            }
        }
        // 3
        let need = usize::try_from(wanted.need).unwrap_or(usize::MAX);
        if !holds("place_need", words.len() >= need) || words.is_empty() {
            let got = words.into_keys().map(str::to_owned).collect();
            return Err(Unplaced::TooFew { need: wanted.need, got });
        }
        let mut words = words.into_values().collect::<Vec<_>>();
        words.sort_by_key(|w| core::cmp::Reverse(w.until));
        words.truncate(need);
        let until = words.iter().map(|w| w.until).min().unwrap_or(self.now);
        let premises = core::iter::once(leaf(place, wanted))
            .chain(words.into_iter().flat_map(|w| w.premises))
            .collect();
        Ok(held(Rule::Endorsed, premises, &machine.to_string(), place, until))
    }

    fn fits(&self, standing: &Standing, wanted: &Endorsed) -> bool {
        let oldest = standing.observed.plus_secs(wanted.age_secs_max);
        holds("place_country", wanted.countries.contains(&standing.country))
            && holds("place_level", standing.level >= wanted.level)
            && holds("place_basis", wanted.basis.contains(&standing.basis))
            && holds("place_seen", standing.observed <= self.now)
            && holds("place_age", self.now <= oldest)
    }

    /// The country each independent issuer named last, of all that ever spoke and may.
    fn countries_said(&self, machine: &MachineId) -> Vec<Country> {
        let mut last = BTreeMap::<&str, (Time, Vec<Country>)>::new();
        for claim in self.claims.of_machine(machine).filter(|c| self.counts(c, Look::Ever)) {
            let c = claim.claim();
            let Says::Place(s) = &c.says else { continue };
            if self.now > c.window.not_after || s.observed > self.now {
                continue;
            }
            for may in self.may(c.issuer, Topic::Place, Look::Ever).iter() {
                let about = holds("may_scope", may.scope.contains(s.country.as_str()));
                if self.now > may.until || !about {
                    continue;
                }
                let entry =
                    last.entry(may.root.holder.as_str()).or_insert((s.observed, Vec::new()));
                if s.observed > entry.0 {
                    *entry = (s.observed, Vec::new());
                }
                if s.observed == entry.0 {
                    entry.1.push(s.country);
                }
            }
        }
        let mut all = last.into_values().flat_map(|(_, c)| c).collect::<Vec<_>>();
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// R14.
fn region_shown(facts: &HardwareFacts, place: &Place, region: &str) -> Result<Held, Unplaced> {
    let shown = match &facts.detail {
        Detail::Snp(snp) => snp.csp_id.as_deref(),
        _ => None,
    };
    if !holds("place_region", shown == Some(region)) {
        let got = shown.map(str::to_owned);
        return Err(Unplaced::Region { expected: region.to_owned(), got });
    }
    let machine = facts.machine.as_ref().map_or_else(|| "unnamed".to_owned(), ToString::to_string);
    let premises = vec![
        Node::policy(&["policy-place-region", place.name.as_str(), region]),
        Node::evidence(&["evidence-shows-region", &machine, region]),
    ];
    Ok(held(Rule::Region, premises, &machine, place, Time::MAX))
}

fn leaf(place: &Place, wanted: &Endorsed) -> Why {
    let countries = wanted.countries.iter().map(Country::as_str).collect::<Vec<_>>().join(",");
    let basis = wanted.basis.iter().map(|b: &Basis| b.as_str()).collect::<Vec<_>>().join(",");
    Node::policy(&[
        "policy-place",
        place.name.as_str(),
        &countries,
        &wanted.need.to_string(),
        &wanted.level.to_string(),
        &basis,
        &wanted.age_secs_max.to_string(),
    ])
}

fn held(rule: Rule, premises: Vec<Why>, machine: &str, place: &Place, until: Time) -> Held {
    let parts = ["stands", machine, place.name.as_str(), &number(until)];
    Held { until, why: Node::new(rule, premises, &parts) }
}
