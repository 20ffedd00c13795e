//! Who may speak about what: from whom the policy names, down chains of delegation that only narrow (R6, R7, R8).

use std::cmp::Reverse;
use std::rc::Rc;

use evidence::controls::holds;
use evidence::{IssuerKey, Time};

use super::{HOPS_MAX, Look, Node, Search, Why, number};
use crate::claim::{Says, Scope, Topic};
use crate::policy::Issuer;
use crate::proof::Rule;

/// Ways one key may speak about one topic that are kept; the longest-lived ones are.
const WAYS_MAX: usize = 32;

/// A key may speak about a topic.
#[derive(Clone, Debug)]
pub(super) struct May<'a> {
    pub(super) scope: Scope,
    pub(super) depth: u64,
    pub(super) until: Time,
    /// Whom the policy names at the head of the chain: the one voice that all below it are.
    pub(super) root: &'a Issuer,
    pub(super) why: Why,
}

impl<'a> Search<'a> {
    /// Every way `key` may speak about `topic`.
    pub(super) fn may(&self, key: IssuerKey, topic: Topic, look: Look) -> Rc<Vec<May<'a>>> {
        self.may_within(key, topic, look, HOPS_MAX)
    }

    /// The same within a number of hops. What was found once in a search is not looked for again: ways through a
    /// net of delegations are many, its keys are few.
    fn may_within(
        &self,
        key: IssuerKey,
        topic: Topic,
        look: Look,
        hops: usize,
    ) -> Rc<Vec<May<'a>>> {
        let known = self.known.borrow().get(&(key, topic, look, hops)).cloned();
        if let Some(known) = known {
            return known;
        }
        let mut ways = self.named(key, topic, look);
        if let Some(hops) = hops.checked_sub(1) {
            for claim in self.claims.letting(key).filter(|c| self.counts(c, look)) {
                let c = claim.claim();
                let passed = match &c.says {
                    Says::Delegate { topic: about, .. } => *about == topic,
                    Says::Speaks { .. } => true,
                    _ => false,
                };
                if !passed {
                    continue;
                }
                let from = self.may_within(c.issuer, topic, look, hops);
                ways.extend(from.iter().filter_map(|m| m.passed_on(claim, key, topic)));
            }
        }
        if look == Look::InForce {
            ways.retain(|m| holds("may_ended", self.now <= m.until));
        }
        let found = Rc::new(best(ways));
        self.known.borrow_mut().insert((key, topic, look, hops), Rc::clone(&found));
        found
    }

    /// R6: whom the policy names.
    fn named(&self, key: IssuerKey, topic: Topic, look: Look) -> Vec<May<'a>> {
        if look == Look::InForce && !holds("issuer_revoked", !self.is_revoked(key)) {
            return Vec::new();
        }
        let issuers = self.policy.policy().issuers.iter().filter(|i| i.key == key);
        let mut ways = Vec::new();
        for issuer in issuers {
            for (_, scope) in issuer.may.iter().filter(|(t, _)| *t == topic) {
                let (key, depth) = (key.to_string(), issuer.depth.to_string());
                let parts = [&key, topic.as_str(), &scope.text(), &depth, &number(issuer.until)];
                let lets = [&["policy-lets"], &parts[..]].concat();
                let may = [&["may"], &parts[..], &[&*key]].concat();
                ways.push(May {
                    scope: scope.clone(),
                    depth: issuer.depth,
                    until: issuer.until,
                    root: issuer,
                    why: Node::new(Rule::Named, vec![Node::policy(&lets)], &may),
                });
            }
        }
        ways
    }
}

impl<'a> May<'a> {
    /// R7 and R8: what the next key in the chain may say. Nothing grows.
    fn passed_on(
        &self,
        claim: &crate::claim::AuthenticClaim,
        key: IssuerKey,
        topic: Topic,
    ) -> Option<Self> {
        let c = claim.claim();
        let (rule, scope, depth) = match &c.says {
            Says::Delegate { scope, depth, .. } => {
                let left = if holds("may_depth", self.depth > 0) {
                    self.depth.saturating_sub(1)
                } else {
                    return None;
                };
                (Rule::Delegated, self.scope.intersect(scope)?, left.min(*depth))
            }
            Says::Speaks { .. } => (Rule::SpeaksFor, self.scope.clone(), self.depth),
            _ => return None,
        };
        let until = self.until.min(c.window.not_after);
        let parts = [
            "may",
            &key.to_string(),
            topic.as_str(),
            &scope.text(),
            &depth.to_string(),
            &number(until),
            &self.root.key.to_string(),
        ];
        let why = Node::new(rule, vec![self.why.clone(), Node::claim(claim)], &parts);
        Some(Self { scope, depth, until, root: self.root, why })
    }

    /// True if `other` gives nothing that this does not.
    fn covers(&self, other: &Self) -> bool {
        self.root.key == other.root.key
            && self.depth >= other.depth
            && self.until >= other.until
            && self.scope.covers(&other.scope)
    }
}

/// Without what another way covers; the same whatever order the ways were found in.
fn best(mut ways: Vec<May<'_>>) -> Vec<May<'_>> {
    ways.sort_by_cached_key(|m| (Reverse((m.until, m.depth)), m.root.key, m.scope.clone()));
    let mut kept = Vec::<May<'_>>::new();
    for way in ways {
        if kept.len() < WAYS_MAX && !kept.iter().any(|k| k.covers(&way)) {
            kept.push(way);
        }
    }
    kept
}
