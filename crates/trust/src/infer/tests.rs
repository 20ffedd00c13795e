//! The bounds of the search, which no world of the model reaches.

use super::*;
use crate::claim::{Claim, Says, Scope, Topic};
use crate::names::RoleName;
use crate::signing::SigningKey;
use evidence::{Measurement, Window};

const NOW: Time = Time::from_unix(1_800_000_000);

fn key(n: u32) -> SigningKey {
    let mut seed = [7; 32];
    seed[..4].copy_from_slice(&n.to_be_bytes());
    SigningKey::from_seed(seed).unwrap()
}

fn say(claims: &mut Claims, policy: &PolicyInForce, by: u32, says: Says) {
    let window = Window { not_before: NOW.plus_secs(-10), not_after: NOW.plus_secs(10) };
    let domain = Some(policy.policy().root);
    let claim = Claim { domain, issuer: key(by).issuer(), window, says };
    claims.add(claim.sign(&key(by)).unwrap()).unwrap();
}

/// A policy that lets key 0 say which programs are trusted, and pass that on as often as can be.
fn policy() -> PolicyInForce {
    crate::decide::tests::policy(|p| {
        p.issuers = vec![crate::policy::Issuer {
            name: RoleName::new("head").unwrap(),
            key: key(0).issuer(),
            holder: "Head".into(),
            may: vec![(Topic::Program, Scope::Any), (Topic::Upgrade, Scope::Any)],
            depth: crate::claim::says::DEPTH_MAX,
            until: NOW.plus_secs(5),
        }];
    })
}

fn web() -> RoleName {
    RoleName::new("web").unwrap()
}

fn measured(n: u32) -> Measurement {
    let mut bytes = [9; 48];
    bytes[..4].copy_from_slice(&n.to_be_bytes());
    Measurement::new(bytes)
}

fn found(policy: &PolicyInForce, claims: &Claims, m: Measurement) -> Option<Time> {
    let revocations = Revocations::default();
    Search::new(policy, claims, &revocations, NOW).trusted(m, &web()).map(|h| h.until)
}

#[test]
fn a_chain_is_followed_to_its_longest_and_not_beyond() {
    let (policy, mut claims) = (policy(), Claims::new());
    // A key that speaks for another costs no depth, so only the bound on hops ends this chain.
    for n in 0..10 {
        say(&mut claims, &policy, n, Says::Speaks { key: key(n + 1).issuer() });
        say(&mut claims, &policy, n, Says::Program { role: web(), measurement: measured(n) });
    }
    for n in 0..10 {
        let within = usize::try_from(n).unwrap() <= HOPS_MAX;
        let until = within.then(|| NOW.plus_secs(5));
        assert_eq!(found(&policy, &claims, measured(n)), until, "{n} hops");
    }
}

#[test]
fn circles_of_delegation_and_of_upgrades_end_and_grant_nothing_by_themselves() {
    let (policy, mut claims) = (policy(), Claims::new());
    let delegate = |to: u32| Says::Delegate {
        to: key(to).issuer(),
        topic: Topic::Program,
        scope: Scope::Any,
        depth: 8,
    };
    for (from, to) in [(1, 2), (2, 3), (3, 1), (1, 1), (2, 1)] {
        say(&mut claims, &policy, from, delegate(to));
        say(&mut claims, &policy, from, Says::Speaks { key: key(to).issuer() });
    }
    say(&mut claims, &policy, 2, Says::Program { role: web(), measurement: measured(1) });
    assert_eq!(found(&policy, &claims, measured(1)), None, "nobody named is in the circle");
    say(&mut claims, &policy, 0, delegate(3));
    assert!(found(&policy, &claims, measured(1)).is_some(), "now somebody is");
    let up =
        |from: u32, to: u32| Says::Upgrade { role: web(), from: measured(from), to: measured(to) };
    for (from, to) in [(10, 11), (11, 12), (12, 10), (10, 10), (11, 11), (12, 12), (12, 11)] {
        say(&mut claims, &policy, 0, up(from, to));
    }
    assert_eq!(found(&policy, &claims, measured(10)), None);
    say(&mut claims, &policy, 0, up(1, 12));
    assert!(found(&policy, &claims, measured(11)).is_some());
}

#[test]
fn a_flood_of_delegations_ends_the_search_and_not_the_machine() {
    let (policy, mut claims) = (policy(), Claims::new());
    // Forty keys that all pass on to each other: the ways through them are more than anybody can count.
    for from in 1..=40 {
        for to in (1..=40).filter(|to| *to != from) {
            let says = Says::Delegate {
                to: key(to).issuer(),
                topic: Topic::Program,
                scope: Scope::Any,
                depth: 8,
            };
            say(&mut claims, &policy, from, says);
        }
    }
    say(&mut claims, &policy, 1, Says::Program { role: web(), measurement: measured(1) });
    let begin = std::time::Instant::now();
    assert_eq!(found(&policy, &claims, measured(1)), None);
    assert!(begin.elapsed().as_secs() < 20, "{:?}", begin.elapsed());
    // What the policy lists is not looked for among claims, and is found in any flood.
    assert!(found(&policy, &claims, Measurement::new([0x11; 48])).is_some());
}
