//! Permissions: whatever a record grants beyond its policy is found, in each of its three lists.

use checker::{DecisionRecord, Part, recheck};
use evidence::controls::without;
use owners::record;

#[test]
fn a_permission_the_policy_does_not_give_is_refused_alone() {
    type Change = fn(&mut DecisionRecord);
    let wider: [(&str, Change); 4] = [
        ("listen", |r| r.listen.push(81)),
        ("connect", |r| r.connect.push("web".into())),
        ("read", |r| r.secrets.push("root-password".into())),
        ("read", |r| r.secrets.push(String::new())),
    ];
    for (action, change) in wider {
        let mut bad = record();
        change(&mut bad);
        let Part::Failed(why) = recheck(&bad).permission else { panic!("{action}") };
        assert!(why.contains(&format!("does not permit web to {action}")), "{why}");
        assert!(without("recheck_permission", || recheck(&bad)).holds(), "{action}");
    }
}

#[test]
fn less_than_the_policy_gives_is_a_permission_too() {
    let fewer = DecisionRecord { listen: vec![], connect: vec![], secrets: vec![], ..record() };
    assert!(recheck(&fewer).holds());
}

#[test]
fn text_that_would_be_cedar_asks_nothing() {
    for name in ["\"", "x\" || true || \"", "db-password\" )", "\\", "a\nb"] {
        for list in 0..2 {
            let mut bad = record();
            [&mut bad.secrets, &mut bad.connect][list].push(name.to_owned());
            assert!(matches!(recheck(&bad).permission, Part::Failed(_)), "{name:?}");
        }
    }
}

#[test]
fn a_role_the_policy_does_not_have_may_nothing() {
    let bad = DecisionRecord { role: "root".into(), ..record() };
    let Part::Failed(why) = recheck(&bad).permission else { panic!() };
    assert_eq!(why, "the policy has no such role");
}
