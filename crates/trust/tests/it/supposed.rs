//! What is supposed is judged as what is proved: `suppose` against `decide`, on genuine evidence of a machine of ours.

use std::cell::Cell;

use evidence::appraise::Machines;
use evidence::statement::HostOs;
use evidence::{Isolation, Kind, MachineId, Measurement, SpkiDigest};
use proptest::prelude::*;
use trust::policy::Policy;
use trust::suppose::{Outcome, Supposed, suppose};
use trust::{Context, Decision, Revocations, decide};

use owners::{NOW, in_force, machine, policy, role};

fn measured(n: u8) -> Measurement {
    Measurement::new([n; 48])
}

/// Policies near enough to the machine's programs that many of them let one in.
fn policies() -> impl Strategy<Value = Policy> {
    let kinds = prop::sample::subsequence(vec![Kind::Software, Kind::Snp], 1..=2);
    let program = (prop::sample::subsequence(vec![0x11_u8, 0x22, 0x33], 1..=3), kinds);
    let hardware = (0..16_u8, any::<bool>());
    (prop::collection::vec(program, 1..4), hardware).prop_map(|(programs, (faults, listed))| {
        let mut p = policy();
        p.programs = programs
            .into_iter()
            .zip(["web", "api", "db"])
            .map(|((measurements, on), name)| {
                let mut program = role(name, 0);
                program.measurements = measurements.into_iter().map(measured).collect();
                program.on = on;
                program
            })
            .collect();
        let h = &mut p.hardware[0];
        match faults {
            0 => h.images = vec![measured(9)],
            1 => h.isolation = vec![Isolation::Process],
            2 => h.host = vec![HostOs::Measured],
            3 => h.machines = Machines::Only(vec![MachineId::new(&[9]).unwrap()]),
            _ => {}
        }
        if faults > 3 && listed {
            let (hardware, _) = machine().facts(silicon::software::program(0x11), NOW);
            h.machines = Machines::Only(hardware.facts().machine.clone().into_iter().collect());
        }
        p
    })
}

#[test]
fn what_is_supposed_is_decided_as_what_is_proved() {
    let admitted = Cell::new(0_u32);
    let config = ProptestConfig { cases: 400, ..ProptestConfig::default() };
    let ask = prop::sample::select(vec![None, Some("web"), Some("api"), Some("db")]);
    let mut all = Revocations::default();
    let revoked = trust::Revoked::Measurement(measured(0x22));
    let revocation = trust::Revocation { domain: owners::genesis().root(), epoch: 1, revoked };
    let signed = owners::sign(trust::signing::Namespace::Revocation, revocation.encode());
    all.add(signed, &owners::genesis()).unwrap();
    proptest!(config, |(policy in policies(), program in prop::sample::select(vec![0x11_u8, 0x22, 0x33, 0x44]), ask in ask)| {
        let policy = in_force(&policy, None).unwrap();
        let (hardware, facts) = machine().facts(silicon::software::program(program), NOW);
        let revocations = &all;
        let (leaf, claims) = (SpkiDigest::new([1; 32]), &trust::Claims::new());
        let context = Context { now: NOW, leaf, narrow: ask, revocations, claims };
        let proved = decide(&[&policy], &facts, &hardware, &context);
        let state = &facts.facts().statement.program;
        let supposed = Supposed {
            measurement: state.measurement,
            kind: Kind::Software,
            place: None,
            ask: ask.map(ToOwned::to_owned),
            image: Some(hardware.facts().measurement),
            machine: hardware.facts().machine.clone(),
            isolation: Some(state.isolation),
            host: Some(state.host),
            vouched: None,
        };
        match (proved, suppose(policy.policy(), policy.permissions(), revocations, &supposed)) {
            (Decision::Granted(grant), Outcome::Admitted(a)) => {
                admitted.set(admitted.get() + 1);
                prop_assert_eq!((grant.role, grant.connect, grant.listen), (a.role, a.connect, a.listen));
                prop_assert_eq!((grant.secrets, grant.outsiders), (a.secrets, a.outsiders));
            }
            (Decision::Refused(reasons), Outcome::Refused { missing, .. }) => {
                let knobs = ["image", "machine", "isolation", "host"];
                let mut rules = missing.iter().map(|m| if knobs.contains(&m.rule) { "hardware" } else { m.rule }).collect::<Vec<_>>();
                let mut proved = reasons.iter().map(|r| r.rule).collect::<Vec<_>>();
                for list in [&mut rules, &mut proved] {
                    list.sort_unstable();
                    list.dedup();
                }
                prop_assert_eq!(rules, proved, "{:?}", missing);
            }
            (proved, supposed) => prop_assert!(false, "{proved:?} against {supposed:?}"),
        }
    });
    assert!(admitted.get() > 40, "{} of 400 admitted: the worlds are too hostile", admitted.get());
}

#[test]
fn the_nearest_role_and_the_change_are_named() {
    let mut p = policy();
    p.programs[0].on = vec![Kind::Snp];
    p.programs[0].places = vec!["eu".into()];
    p.programs[1].on = vec![Kind::Snp];
    p.programs[1].measurements.push(measured(0x11));
    let permissions = trust::permission::Permissions::compile(&p).unwrap();
    let mut supposed = Supposed {
        measurement: measured(0x11),
        kind: Kind::Software,
        place: None,
        ask: None,
        image: None,
        machine: None,
        isolation: None,
        host: None,
        vouched: None,
    };
    let refused =
        |supposed: &Supposed| match suppose(&p, &permissions, &Revocations::default(), supposed) {
            Outcome::Refused { nearest, missing } => (nearest.map(|r| r.to_string()), missing),
            Outcome::Admitted(a) => panic!("{a:?}"),
        };
    let (nearest, missing) = refused(&supposed);
    assert_eq!((nearest.as_deref(), missing.len()), (Some("api"), 1), "it lacks less than web");
    assert_eq!(missing[0].rule, "program.on");
    assert!(missing[0].change.contains("[program.api]"), "{}", missing[0]);
    // Who asks for the other one is told of that.
    supposed.ask = Some("web".into());
    let (nearest, missing) = refused(&supposed);
    let rules = missing.iter().map(|m| m.rule).collect::<Vec<_>>();
    assert_eq!((nearest.as_deref(), rules), (Some("web"), vec!["program.on", "program.in"]));
    supposed.measurement = measured(0x77);
    let (_, missing) = refused(&supposed);
    assert!(missing[0].change.contains("casemate add web"), "{}", missing[0]);
}
