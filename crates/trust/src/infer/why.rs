//! Why something holds, as a tree that is shared while it is searched and becomes a proof when it is needed.

use std::collections::HashMap;
use std::sync::Arc;

use evidence::Time;

use crate::claim::{AuthenticClaim, Says};
use crate::proof::{Proof, Rule, Step, Term};

/// A step and what it rests on.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) rule: Rule,
    pub(crate) premises: Vec<Why>,
    pub(crate) conclusion: Term,
}

pub(crate) type Why = Arc<Node>;

impl Node {
    pub(crate) fn new(rule: Rule, premises: Vec<Why>, parts: &[&str]) -> Why {
        Arc::new(Self { rule, premises, conclusion: Term::new(parts) })
    }

    /// What the policy says.
    pub(crate) fn policy(parts: &[&str]) -> Why {
        Self::new(Rule::Policy, Vec::new(), parts)
    }

    /// What evidence says.
    pub(crate) fn evidence(parts: &[&str]) -> Why {
        Self::new(Rule::Evidence, Vec::new(), parts)
    }

    /// What a claim says.
    pub(crate) fn claim(claim: &AuthenticClaim) -> Why {
        let c = claim.claim();
        let mut parts = vec![
            "says".to_owned(),
            claim.digest().to_string(),
            c.issuer.to_string(),
            number(c.window.not_after),
            c.says.verb().to_owned(),
        ];
        parts.extend(arguments(&c.says));
        Arc::new(Self { rule: Rule::Claim, premises: Vec::new(), conclusion: Term(parts) })
    }

    /// The proof that ends here: every step once, each after what it rests on.
    pub(crate) fn proof(self: &Why) -> Proof {
        let (mut steps, mut places) = (Vec::new(), HashMap::new());
        place(self, &mut steps, &mut places);
        Proof(steps)
    }
}

/// Depth is bounded by the search: a chain, its upgrades and what ties them together.
fn place(node: &Why, steps: &mut Vec<Step>, places: &mut HashMap<Vec<String>, usize>) -> usize {
    let mut key = vec![node.rule.as_str().to_owned()];
    key.extend(node.conclusion.0.iter().cloned());
    if let Some(known) = places.get(&key) {
        return *known;
    }
    let premises = node.premises.iter().map(|p| place(p, steps, places)).collect();
    let at = steps.len();
    steps.push(Step { rule: node.rule, premises, conclusion: node.conclusion.clone() });
    places.insert(key, at);
    at
}

/// A time in a proof: Unix seconds.
pub(crate) fn number(time: Time) -> String {
    time.unix().to_string()
}

/// The arguments of a verb, in the order of `docs/rules.md`.
fn arguments(says: &Says) -> Vec<String> {
    match says {
        Says::Program { role, measurement } | Says::Distrust { role, measurement } => {
            vec![role.to_string(), measurement.to_string()]
        }
        Says::Release { product, version, measurement } => {
            vec![product.to_string(), version.to_string(), measurement.to_string()]
        }
        Says::Build { source, revision, measurement } => {
            vec![source.to_string(), revision.clone(), measurement.to_string()]
        }
        Says::Upgrade { role, from, to } => {
            vec![role.to_string(), from.to_string(), to.to_string()]
        }
        Says::Place(s) => vec![
            s.machine.to_string(),
            s.country.to_string(),
            s.basis.as_str().to_owned(),
            s.level.to_string(),
            number(s.observed),
        ],
        Says::Delegate { to, topic, scope, depth } => {
            vec![to.to_string(), topic.as_str().to_owned(), scope.text(), depth.to_string()]
        }
        Says::Speaks { key } => vec![key.to_string()],
        Says::Withdraw { claim } => vec![claim.to_string()],
    }
}
