//! What holds of every policy, evidence and set of claims: `docs/rules.md`, "Theorems".

use std::collections::BTreeSet;

use model::agree::{self, Answer};
use model::worlds::World;
use trust::proof::{Proof, Rule};

/// Worlds each theorem is tried on.
const WORLDS: u64 = 700;

fn accepted() -> impl Iterator<Item = (u64, World, Proof)> {
    (0..WORLDS).filter_map(|seed| {
        let world = World::of(seed);
        match agree::ask(&world).unwrap_or_else(|why| panic!("seed {seed}: {why}")) {
            Answer::Yes(_, proof) => Some((seed, world, proof)),
            Answer::No => None,
        }
    })
}

#[test]
fn every_proof_starts_from_the_policy_and_evidence_alone() {
    for (seed, world, proof) in accepted() {
        for step in &proof.0 {
            // A claim is a premise only beside somebody who may make it; nothing else has no premises.
            let leaf = matches!(step.rule, Rule::Policy | Rule::Evidence | Rule::Claim);
            assert_eq!(step.premises.is_empty(), leaf, "seed {seed}");
            let claims = step.premises.iter().filter(|p| proof.0[**p].rule == Rule::Claim).count();
            let mays =
                step.premises.iter().filter(|p| proof.0[**p].conclusion.0[0] == "may").count();
            assert_eq!(claims, mays, "seed {seed}");
        }
        // Without anybody the policy lets speak, no claim gets anybody in.
        let mut alone = world.clone();
        alone.policy.issuers.clear();
        let listed = proof.0.iter().all(|s| s.rule != Rule::Claim);
        assert_eq!(agree::engine(&alone).is_some(), listed, "seed {seed}");
    }
}

#[test]
fn adding_what_takes_away_never_grants_nor_prolongs() {
    for seed in 0..WORLDS {
        let world = World::of(seed);
        let before = agree::engine(&world).map(|g| g.not_after);
        for n in 0..3 {
            let after = agree::engine(&world.lessened(seed * 7 + n)).map(|g| g.not_after);
            assert!(after <= before, "seed {seed}: {before:?} then {after:?}");
        }
    }
}

#[test]
fn the_order_of_claims_changes_nothing() {
    for seed in 0..WORLDS {
        let world = World::of(seed);
        let answer = |w: &World| agree::engine(w).map(|g| (g.not_after, g.proof, g.claims));
        assert_eq!(answer(&world), answer(&world.shuffled(seed)), "seed {seed}");
    }
}

#[test]
fn no_decision_outlives_a_leaf() {
    for (seed, world, proof) in accepted() {
        let until = agree::engine(&world).unwrap().not_after.unix();
        for step in proof.0.iter().filter(|s| s.rule == Rule::Claim) {
            assert!(until <= step.conclusion.0[3].parse().unwrap(), "seed {seed}");
        }
        for step in proof.0.iter().filter(|s| s.conclusion.0[0] == "policy-lets") {
            assert!(until <= step.conclusion.0[5].parse().unwrap(), "seed {seed}");
        }
    }
}

#[test]
fn no_delegate_has_more_than_it_was_given() {
    let names = |scope: &str| scope.split(',').map(str::to_owned).collect::<BTreeSet<_>>();
    let mut seen = 0;
    for (seed, _, proof) in accepted() {
        for step in proof.0.iter().filter(|s| s.rule == Rule::Delegated) {
            let (from, to) = (&proof.0[step.premises[0]].conclusion.0, &step.conclusion.0);
            let number = |t: &[String], n: usize| t[n].parse::<i64>().unwrap();
            assert_eq!(from[2], to[2], "seed {seed}: the topic");
            assert!(from[3] == "*" || names(&to[3]).is_subset(&names(&from[3])), "seed {seed}");
            assert!(number(to, 4) < number(from, 4), "seed {seed}: depth");
            assert!(number(to, 5) <= number(from, 5), "seed {seed}: time");
            assert_eq!(from[6], to[6], "seed {seed}: whose voice it is");
            seen += 1;
        }
    }
    assert!(seen > 100, "{seen} delegations");
}

#[test]
fn claims_to_other_domains_change_nothing() {
    for seed in 0..WORLDS {
        let world = World::of(seed);
        let answer = |w: &World| agree::engine(w).map(|g| (g.not_after, g.proof));
        assert_eq!(answer(&world), answer(&world.beside_another_domain()), "seed {seed}");
    }
}

#[test]
fn each_holder_counts_once() {
    let mut seen = 0;
    for (seed, world, proof) in accepted() {
        for step in proof.0.iter().filter(|s| s.rule == Rule::Endorsed) {
            let place = &proof.0[step.premises[0]].conclusion.0;
            let holders = step.premises[1..].chunks(2).map(|pair| {
                let voice = &proof.0[pair[0]].conclusion.0[6];
                let issuer = world.policy.issuers.iter().find(|i| i.key.to_string() == *voice);
                issuer.unwrap().holder.as_str()
            });
            let distinct = holders.collect::<BTreeSet<_>>();
            assert_eq!(distinct.len().to_string(), place[3], "seed {seed}");
            seen += 1;
        }
    }
    assert!(seen > 50, "{seen} places");
}
