//! Decisions: each check refuses alone, and without it alone the grant is made.

use evidence::appraise::Machines;
use evidence::controls::without;
use evidence::statement::HostOs;
use evidence::{Isolation, Kind, MachineId, Measurement, RootDigest};
use trust::Policy;

use owners::{ask, changed, granted, policy, refused};

type Change = fn(&mut Policy);

#[test]
fn each_check_of_a_decision_refuses_alone_and_grants_without_it() {
    let cases: [(&'static str, &str, Change); 8] = [
        ("role_measurement", "program", |p| {
            p.programs[0].measurements = vec![Measurement::new([9; 48])];
        }),
        ("role_kind", "program.on", |p| p.programs[0].on = vec![Kind::Snp]),
        ("role_place", "program.in", |p| p.programs[0].places = vec!["eu".into()]),
        ("root", "hardware", |p| p.hardware[0].roots = vec![RootDigest::new([9; 32])]),
        ("image", "hardware", |p| p.hardware[0].images = vec![Measurement::new([9; 48])]),
        ("machine", "hardware", |p| {
            let near = [&[3; 31][..], &[4]].concat();
            p.hardware[0].machines = Machines::Only(vec![MachineId::new(&near).unwrap()]);
        }),
        ("isolation", "hardware", |p| p.hardware[0].isolation = vec![Isolation::Process]),
        ("host", "hardware", |p| p.hardware[0].host = vec![HostOs::Measured]),
    ];
    for (check, rule, change) in cases {
        let policy = changed(change);
        let attack = || ask(&[&policy], Some("web"));
        let (refusing, expected) = refused(attack());
        assert_eq!(refusing, rule, "{check}");
        // The hardware's own checks are named to whoever is refused.
        assert!(rule != "hardware" || expected.starts_with(check), "{check}: {expected}");
        assert_eq!(granted(without(check, attack)).role.as_str(), "web", "{check}");
    }
}

#[test]
fn owners_whose_policies_name_two_roles_have_named_none() {
    let other = changed(|p| p.programs[0].role = trust::RoleName::new("shop").unwrap());
    let attack = || ask(&[&policy(), &other], None);
    assert_eq!(refused(attack()).0, "role");
    assert_eq!(granted(without("one_role", attack)).role.as_str(), "web");
}

#[test]
fn a_profile_that_was_not_shipped_takes_no_hardware() {
    let unknown = changed(|p| {
        p.hardware[0].kind = Kind::Snp;
        p.hardware[0].profile = "snp-1999-01".into();
        p.hardware.push(policy().hardware[0].clone());
        p.hardware[1].profile = "mine".into();
    });
    // The software platform has no profiles: a name is not passed over, it is looked up and not found.
    assert_eq!(refused(ask(&[&unknown], Some("web"))).0, "profile");
}

#[test]
fn no_policy_grants_nothing_and_a_policy_without_this_hardware_neither() {
    assert_eq!(refused(ask(&[], None)).0, "policy");
    let none = changed(|p| p.hardware.clear());
    assert_eq!(refused(ask(&[&none], None)).0, "hardware kind");
}
