//! Evidence: a record whose evidence, binder, times or policy are not those of the decision.

use checker::{DecisionRecord, Part, Prepared, recheck};
use evidence::controls::without;
use evidence::{DomainRoot, HardwareEvidence, Nonce, StatementKey, cbor};
use owners::{NOW, machine, record};

/// Why the evidence part fails; the proof then has nothing to stand on.
fn why(record: &DecisionRecord) -> String {
    let report = recheck(record);
    assert!(matches!(report.proof, Part::InputWithheld(_)), "{report:?}");
    assert!(!report.holds());
    assert!(Prepared::new(record).is_err());
    match report.evidence {
        Part::Failed(why) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn evidence_for_another_domain_key_or_nonce_is_not_the_decisions() {
    let foreign = DecisionRecord { domain: DomainRoot::new([9; 32]), ..record() };
    assert!(why(&foreign).contains("another domain"), "{}", why(&foreign));
    // Behind it the evidence itself names its domain.
    let behind = without("recheck_domain", || why(&foreign));
    assert!(behind.starts_with("REPORT_DATA"), "{behind}");
    let foreign = owners::changed(|p| p.root = DomainRoot::new([9; 32]));
    let foreign = DecisionRecord { policy: foreign.encode(), listen: vec![80], ..record() };
    let foreign = DecisionRecord { connect: vec![], secrets: vec![], ..foreign };
    assert!(why(&foreign).contains("another domain"), "{}", why(&foreign));
    assert!(without("recheck_domain", || recheck(&foreign)).holds());
    for bad in [
        DecisionRecord { nonce: Nonce::new([9; 32]), ..record() },
        DecisionRecord { statement_key: StatementKey::new([9; 32]), ..record() },
    ] {
        assert!(why(&bad).starts_with("REPORT_DATA"), "{}", why(&bad));
    }
    let stale = DecisionRecord { nonce: Nonce::new([9; 32]), ..record() };
    assert!(without("monitor_binding", || recheck(&stale)).holds());
}

#[test]
fn a_root_the_policy_does_not_pin_vouches_for_nothing() {
    let policy = owners::changed(|p| p.hardware[0].roots.clear());
    let bad = DecisionRecord { policy: policy.encode(), ..record() };
    assert!(why(&bad).contains("not pinned"), "{}", why(&bad));
}

#[test]
fn evidence_counts_from_its_first_second_to_its_last() {
    let window = machine().window;
    let at = |at| recheck(&DecisionRecord { at, hardware_at: NOW, ..record() }).evidence;
    assert_eq!(at(window.not_after), Part::Rechecked);
    assert!(matches!(at(window.not_after.plus_secs(1)), Part::Failed(_)));
    let verified = |hardware_at| {
        recheck(&DecisionRecord { at: window.not_after, hardware_at, ..record() }).evidence
    };
    assert_eq!(verified(window.not_before), Part::Rechecked);
    assert!(matches!(verified(window.not_before.plus_secs(-1)), Part::Failed(_)));
}

#[test]
fn a_decision_before_its_evidence_was_verified_is_refused() {
    let bad = DecisionRecord { hardware_at: NOW.plus_secs(1), ..record() };
    assert!(why(&bad).contains("before"), "{}", why(&bad));
    assert!(without("recheck_order", || recheck(&bad)).holds());
    let late = DecisionRecord { at: machine().window.not_after.plus_secs(1), ..record() };
    assert_eq!(without("recheck_window", || recheck(&late)).evidence, Part::Rechecked);
}

#[test]
fn a_statement_or_report_with_any_byte_changed_is_refused() {
    let good = record();
    for byte in 0..good.statement.len() {
        let mut bad = good.clone();
        bad.statement[byte] ^= 1;
        why(&bad);
    }
    for byte in 0..good.hardware.report.len() {
        let mut bad = good.clone();
        bad.hardware.report[byte] ^= 1;
        why(&bad);
    }
    let HardwareEvidence { endorsements, .. } = good.hardware.clone();
    for (n, endorsement) in endorsements.iter().enumerate() {
        for byte in 0..endorsement.len() {
            let mut bad = good.clone();
            bad.hardware.endorsements[n][byte] ^= 1;
            why(&bad);
        }
    }
}

#[test]
fn a_binder_that_is_no_admission_of_a_key_is_refused() {
    let good = cbor::decode(&record().binder, 4096).unwrap().into_array().unwrap();
    let with = |place: usize, value: ciborium::Value| {
        let mut items = good.clone();
        items[place] = value;
        DecisionRecord { binder: cbor::encode(&ciborium::Value::Array(items)), ..record() }
    };
    for bad in [
        with(0, "other/label".into()),
        with(2, "channel/monitor".into()),
        with(3, "server".into()),
        with(6, ciborium::Value::Null),
        with(6, ciborium::Value::Bytes(vec![1; 31])),
        DecisionRecord { binder: Vec::new(), ..record() },
        DecisionRecord { binder: vec![0x80], ..record() },
    ] {
        assert_eq!(why(&bad), "binder: not an admission of a key");
    }
    // Another key in an otherwise good binder is another binder than the statement's.
    let other = with(6, ciborium::Value::Bytes(vec![9; 32]));
    assert!(why(&other).contains("replayed"), "{}", why(&other));
}

#[test]
fn a_policy_that_cannot_be_read_fails_every_part() {
    for policy in [Vec::new(), b"junk".to_vec(), vec![0xa0]] {
        let report = recheck(&DecisionRecord { policy, ..record() });
        let parts = [report.evidence, report.proof, report.permission];
        assert!(parts.iter().all(|p| matches!(p, Part::Failed(_))), "{parts:?}");
    }
}

#[test]
fn a_policy_that_says_more_than_is_understood_is_not_judged_by_the_rest_of_it() {
    use ciborium::Value;
    let good = cbor::decode(&record().policy, 1 << 20).unwrap().into_map().unwrap();
    let place = |key: i64| good.iter().position(|(k, _)| *k == key.into()).unwrap();
    type Pairs = Vec<(Value, Value)>;
    let refused = |change: &dyn Fn(&mut Pairs)| {
        let mut pairs = good.clone();
        change(&mut pairs);
        let policy = cbor::encode(&Value::Map(pairs));
        matches!(recheck(&DecisionRecord { policy, ..record() }).evidence, Part::Failed(_))
    };
    assert!(!refused(&|_| {}));
    assert!(refused(&|p| p.push((99.into(), 1.into()))));
    for list in [6, 7] {
        // One more field in the first hardware section, in the first program.
        assert!(refused(&|p| {
            let Value::Array(items) = &mut p[place(list)].1 else { panic!() };
            let Value::Map(first) = &mut items[0] else { panic!() };
            first.push((99.into(), 1.into()));
        }));
    }
    assert!(refused(&|p| {
        let Value::Array(items) = &mut p[place(7)].1 else { panic!() };
        let Value::Map(first) = &mut items[0] else { panic!() };
        let ports = first.iter_mut().find(|(k, _)| *k == 5.into()).unwrap();
        ports.1 = Value::Array(vec![70_000.into()]);
    }));
}
