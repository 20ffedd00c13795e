//! Proofs: each rule with each of its sides wrong, each refused alone.

use checker::{DecisionRecord, Part, recheck};
use evidence::controls::without;
use owners::{changed, record};
use trust::proof::{Proof, Rule, Step, Term};

fn proof() -> Proof {
    Proof::decode(&record().proof).unwrap()
}

fn with(change: impl FnOnce(&mut Vec<Step>)) -> DecisionRecord {
    let mut proof = proof();
    change(&mut proof.0);
    DecisionRecord { proof: proof.encode(), ..record() }
}

/// Why the proof part fails.
fn why(record: &DecisionRecord) -> String {
    match recheck(record).proof {
        Part::Failed(why) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_record_of_an_honest_decision_holds_in_every_part() {
    assert!(recheck(&record()).holds(), "{:?}", recheck(&record()));
    let steps = proof().0;
    assert_eq!(steps.iter().filter(|s| s.rule == Rule::Policy).count(), 3);
    assert_eq!(steps.iter().filter(|s| s.rule == Rule::Evidence).count(), 3);
    assert_eq!(steps.last().unwrap().rule, Rule::Role);
}

#[test]
fn a_step_with_any_word_changed_does_not_follow_and_would_without_the_check() {
    for n in 0..proof().0.len() {
        for word in 0..proof().0[n].conclusion.0.len() {
            let bad = with(|steps| steps[n].conclusion.0[word].push('0'));
            assert!(why(&bad).contains("does not follow"), "step {n} word {word}");
            let removed = without("proof_step", || recheck(&bad));
            // The last step is compared with the role granted besides; its end only may not come before what was granted.
            let compared = n + 1 == proof().0.len() && word < 3;
            assert_eq!(removed.holds(), !compared, "step {n} word {word}: {removed:?}");
        }
        let bad = with(|steps| steps[n].conclusion.0.push("more".into()));
        assert!(why(&bad).contains("does not follow"), "step {n} says more");
    }
}

#[test]
fn a_premise_left_out_added_or_exchanged_is_no_match() {
    let all = proof().0.len();
    for n in 0..all {
        for premise in 0..proof().0[n].premises.len() {
            // One of two premises alone: Certifier A5.
            let bad =
                with(|steps| steps[n].premises.retain(|p| *p != proof().0[n].premises[premise]));
            assert!(why(&bad).contains("does not follow"), "step {n} without {premise}");
            assert!(without("proof_step", || recheck(&bad)).holds());
            let own = proof().0[n].premises[premise];
            for other in (0..all).filter(|o| *o != own) {
                let bad = with(|steps| steps[n].premises[premise] = other);
                let refused = why(&bad);
                let wanted = if other < n { "does not follow" } else { "rests on a later step" };
                assert!(refused.contains(wanted), "step {n} from {other}: {refused}");
            }
        }
        let bad = with(|steps| steps[n].premises.push(0));
        assert!(matches!(recheck(&bad).proof, Part::Failed(_)), "step {n} with one more");
        for rule in Rule::ALL.map(Rule::as_str).into_iter().chain(["R16", ""]) {
            let own = proof().0[n].rule.as_str();
            if rule != own {
                let bad = named(n, rule);
                assert!(why(&bad).contains("does not follow"), "step {n} by {rule}");
            }
        }
    }
}

/// Step `n` under a rule's name that may be none.
fn named(n: usize, rule: &str) -> DecisionRecord {
    use ciborium::Value;
    use evidence::cbor;
    let mut value = cbor::decode(&record().proof, 1 << 20).unwrap();
    let Value::Map(pairs) = &mut value else { panic!() };
    let Value::Array(steps) = &mut pairs[1].1 else { panic!() };
    let Value::Array(step) = &mut steps[n] else { panic!() };
    step[0] = rule.into();
    DecisionRecord { proof: cbor::encode(&value), ..record() }
}

#[test]
fn a_proof_that_ends_elsewhere_than_at_the_key_and_role_granted_is_refused_alone() {
    let shorter = with(|steps| drop(steps.pop()));
    let none = with(Vec::clear);
    let other_role = DecisionRecord { role: "api".into(), ..record() };
    for bad in [&shorter, &none, &other_role] {
        assert!(why(bad).contains("ends somewhere else"), "{}", why(bad));
    }
    let removed = without("proof_conclusion", || recheck(&other_role));
    assert_eq!(removed.proof, Part::Rechecked);
    // A role that another program of the same policy has, proved step by step as far as rules go.
    let api = with(|steps| {
        let last = steps.len() - 1;
        let leaf = steps[last].conclusion.0[1].clone();
        let until = steps[last].conclusion.0[3].clone();
        steps[last].conclusion = Term::new(&["key-speaks-for-role", &leaf, "api", &until]);
    });
    let api = DecisionRecord { role: "api".into(), ..api };
    assert!(why(&api).contains("does not follow"), "{}", why(&api));
}

#[test]
fn what_the_policy_does_not_say_is_no_premise() {
    // The record's policy exchanged for one in which exactly one thing is otherwise.
    type Change = fn(&mut trust::Policy);
    use evidence::statement::HostOs;
    use evidence::{Isolation, Kind, MachineId, Measurement};
    let cases: [(&str, Change); 10] = [
        ("another kind", |p| p.hardware[0].kind = Kind::Snp),
        ("another profile", |p| p.hardware[0].profile = "other".into()),
        ("another image", |p| p.hardware[0].images = vec![Measurement::new([9; 48])]),
        ("other machines", |p| {
            let near = MachineId::new(&[3; 31]).unwrap();
            p.hardware[0].machines = evidence::appraise::Machines::Only(vec![near]);
        }),
        ("other isolation", |p| p.hardware[0].isolation = vec![Isolation::Process]),
        ("a measured host", |p| p.hardware[0].host = vec![HostOs::Measured]),
        ("a place, which nothing here proves", |p| p.programs[0].places = vec!["eu".into()]),
        ("another measurement", |p| p.programs[0].measurements = vec![Measurement::new([9; 48])]),
        ("other hardware for the program", |p| p.programs[0].on = vec![Kind::Snp]),
        ("another role", |p| p.programs[0].role = trust::RoleName::new("shop").unwrap()),
    ];
    for (name, change) in cases {
        // Roots stay those of the software platform, so that the evidence itself still holds.
        let policy = changed(|p| {
            change(p);
            if p.hardware[0].kind == Kind::Snp {
                let mut software = owners::policy().hardware.remove(0);
                software.profile = "software".into();
                p.hardware.push(software);
            }
        });
        let bad = DecisionRecord { policy: policy.encode(), ..record() };
        assert_eq!(recheck(&bad).evidence, Part::Rechecked, "{name}");
        assert!(why(&bad).contains("does not follow"), "{name}: {}", why(&bad));
    }
}

#[test]
fn a_proof_that_cannot_be_read_proves_nothing() {
    let long = with(|steps| *steps = vec![steps[0].clone(); 10_001]);
    let just = with(|steps| *steps = vec![steps[0].clone(); 10_000]);
    for proof in [Vec::new(), b"junk".to_vec(), vec![0xa0], long.proof] {
        let bad = DecisionRecord { proof, ..record() };
        assert_eq!(why(&bad), "the proof cannot be read");
    }
    assert!(why(&just).contains("ends somewhere else"));
}

#[test]
fn what_was_granted_never_outlives_the_evidence_the_proof_or_an_hour() {
    let good = record();
    let later = DecisionRecord { not_after: good.not_after.plus_secs(1), ..good };
    assert_eq!(why(&later), "what was granted outlives what it rests on");
    assert_eq!(without("recheck_life", || recheck(&later)).proof, Part::Rechecked);
}
