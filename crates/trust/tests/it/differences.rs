//! What a signer is shown: every field that differs, once, with the direction; nothing where nothing does.

use evidence::appraise::Machines;
use evidence::statement::HostOs;
use evidence::{DomainRoot, Isolation, IssuerKey, Kind, MachineId, Measurement, RootDigest};
use trust::claim::{Basis, Country, Scope, Source, Topic};
use trust::describe;
use trust::diff::{Change, Direction, diff};
use trust::policy::{Endorsed, Issuer, Outsider, Place, PlaceBy};
use trust::{DomainName, Policy, RoleName};

use owners::role;

use Direction::{Changes, Narrows, Widens};

type Edit = fn(&mut Policy);

const MACHINE: &[u8] = &[7; 32];

fn machine() -> MachineId {
    MachineId::new(MACHINE).unwrap()
}

/// Issuers and places besides the programs of [`policy`].
fn policy() -> Policy {
    base(|_| {})
}

fn changed(edit: impl FnOnce(&mut Policy)) -> Policy {
    base(edit)
}

fn base(edit: impl FnOnce(&mut Policy)) -> Policy {
    owners::changed(|p| {
        p.issuers = vec![issuer("audit", 1)];
        p.places = vec![place("eu")];
        edit(p);
    })
}

fn issuer(name: &str, key: u8) -> Issuer {
    Issuer {
        name: RoleName::new(name).unwrap(),
        key: IssuerKey::new([key; 32]),
        holder: "Audit Ltd".into(),
        may: vec![(Topic::Program, Scope::Any), (Topic::Release, Scope::Any)],
        depth: 1,
        until: owners::NOW,
    }
}

fn said() -> Endorsed {
    Endorsed {
        countries: vec![Country::new("DE").unwrap()],
        need: 2,
        level: 2,
        basis: vec![Basis::AuditorVisit],
        age_secs_max: 86_400,
    }
}

fn place(name: &str) -> Place {
    let by = PlaceBy::Endorsed(said());
    Place { name: name.into(), by }
}

fn endorsed(p: &mut Policy) -> &mut Endorsed {
    let by = &mut p.places[0].by;
    if !matches!(by, PlaceBy::Endorsed(_)) {
        *by = PlaceBy::Endorsed(said());
    }
    match by {
        PlaceBy::Endorsed(e) => e,
        PlaceBy::AwsVlek(_) => unreachable!("replaced above"),
    }
}

/// Every field of a policy, changed alone: where it is told, and its direction.
const EDITS: [(Edit, &str, Direction); 44] = [
    (|p| p.issuers.push(issuer("new", 2)), "policy: issuer", Widens),
    (|p| p.places.push(place("us")), "policy: place", Widens),
    (|p| p.issuers[0].key = IssuerKey::new([9; 32]), "issuer audit: key", Changes),
    (|p| p.issuers[0].holder = "Other".into(), "issuer audit: holder", Changes),
    (|p| p.issuers[0].may.push((Topic::Build, Scope::Any)), "issuer audit: may", Widens),
    (|p| drop(p.issuers[0].may.pop()), "issuer audit: may", Narrows),
    (|p| p.issuers[0].may.push((Topic::Distrust, Scope::Any)), "issuer audit: may", Narrows),
    (|p| p.issuers[0].may.reverse(), "issuer audit: may", Changes),
    (|p| p.issuers[0].depth = 2, "issuer audit: depth", Widens),
    (|p| p.issuers[0].depth = 0, "issuer audit: depth", Narrows),
    (|p| p.issuers[0].until = owners::NOW.plus_secs(1), "issuer audit: until", Widens),
    (|p| p.places[0].by = PlaceBy::AwsVlek("x".into()), "place eu: by", Changes),
    (|p| endorsed(p).countries.push(Country::new("FR").unwrap()), "place eu: countries", Widens),
    (|p| endorsed(p).need = 1, "place eu: need", Widens),
    (|p| endorsed(p).need = 3, "place eu: need", Narrows),
    (|p| endorsed(p).level = 1, "place eu: level", Widens),
    (|p| endorsed(p).basis.push(Basis::GnssTpm), "place eu: basis", Widens),
    (|p| endorsed(p).age_secs_max = 1, "place eu: age", Narrows),
    (
        |p| p.programs[0].releases.push((RoleName::new("shop").unwrap(), 3)),
        "program web: releases",
        Widens,
    ),
    (
        |p| p.programs[0].builds.push(Source::new("git+https://a/b").unwrap()),
        "program web: builds",
        Widens,
    ),
    (|p| p.programs[1].builds.push(Source::new("git:x").unwrap()), "program api: builds", Widens),
    (|p| p.domain = DomainName::new("other").unwrap(), "domain: name", Changes),
    (|p| p.root = DomainRoot::new([9; 32]), "domain: root", Changes),
    (|p| p.hardware.clear(), "policy: hardware", Narrows),
    (|p| p.programs.push(role("new", 0x33)), "policy: program", Widens),
    (|p| drop(p.programs.pop()), "policy: program", Narrows),
    (|p| p.hardware[0].profile = "x".into(), "hardware software: profile", Changes),
    (|p| p.hardware[0].roots.push(RootDigest::new([9; 32])), "hardware software: root", Widens),
    (|p| p.hardware[0].roots.clear(), "hardware software: root", Narrows),
    (
        |p| p.hardware[0].machines = Machines::Only(vec![machine()]),
        "hardware software: machines",
        Narrows,
    ),
    (|p| p.hardware[0].images.push(Measurement::new([9; 48])), "hardware software: image", Widens),
    (|p| p.hardware[0].isolation.push(Isolation::Process), "hardware software: isolation", Widens),
    (|p| p.hardware[0].host.push(HostOs::Measured), "hardware software: host", Widens),
    (
        |p| p.programs[0].measurements.push(Measurement::new([9; 48])),
        "program web: measurement",
        Widens,
    ),
    (|p| p.programs[0].measurements.clear(), "program web: measurement", Narrows),
    (|p| p.programs[0].on.push(Kind::Snp), "program web: on", Widens),
    (|p| p.programs[0].places.push("eu".into()), "program web: in", Narrows),
    (|p| p.programs[0].listen.push(81), "program web: listen", Widens),
    (|p| p.programs[0].listen.clear(), "program web: listen", Narrows),
    (|p| p.programs[0].connect.push(RoleName::new("api").unwrap()), "program web: connect", Widens),
    (|p| p.programs[0].secrets.push("s".into()), "program web: secrets", Widens),
    (|p| p.programs[0].outsiders.push(Outsider::Anonymous), "program web: clients", Widens),
    (|p| p.programs[1].listen.push(81), "program api: listen", Widens),
    (|p| p.programs[0].listen = vec![80, 80], "program web: listen", Changes),
];

#[test]
fn every_field_that_differs_is_told_once_with_its_direction() {
    for (edit, what, direction) in EDITS {
        let all = diff(&policy(), &changed(edit));
        assert_eq!(all.len(), 1, "{what}: {all:?}");
        assert_eq!((all[0].what.as_str(), all[0].direction), (what, direction));
        // Taken back, the opposite; what neither widens nor narrows stays so.
        let back = diff(&changed(edit), &policy());
        let opposite = match direction {
            // Whose voice goes may have been one that distrusts or contradicts.
            Widens if what == "policy: issuer" => Changes,
            Widens => Narrows,
            Narrows => Widens,
            Changes => Changes,
        };
        assert_eq!((back.len(), back[0].direction), (1, opposite), "{what}");
    }
    // Two fields at once are both told; of what is gone whole, nothing more is.
    for (first, one, _) in EDITS {
        let by = |w: &str| w == "place eu: by";
        // A place of another form has nothing else in common with what it was.
        let apart = |other: &str| {
            !(by(one) && other.starts_with("place eu") || by(other) && one.starts_with("place eu"))
        };
        for (second, other, _) in EDITS
            .iter()
            .filter(|(_, other, _)| *other != one && !other.starts_with("policy: ") && apart(other))
        {
            let both = diff(
                &policy(),
                &changed(|p| {
                    first(p);
                    if p.programs.len() > 1 && !p.hardware.is_empty() {
                        second(p);
                    }
                }),
            );
            assert!(both.iter().any(|c| c.what == one), "{one} beside {other}: {both:?}");
        }
    }
}

#[test]
fn policies_are_told_the_same_if_and_only_if_they_are() {
    assert_eq!(diff(&policy(), &policy()), Vec::<Change>::new());
    let next = changed(|p| (p.version, p.previous) = (2, Some(evidence::ContentDigest::of(b"x"))));
    assert!(diff(&policy(), &next).is_empty(), "number and chain are no rules");
}

#[test]
fn machines_and_places_are_told_by_what_they_permit() {
    let only =
        |list: Vec<MachineId>| changed(|p| p.hardware[0].machines = Machines::Only(list.clone()));
    let more = diff(&only(vec![machine()]), &only(vec![machine(), MachineId::new(&[8]).unwrap()]));
    assert_eq!((more.len(), more[0].direction), (1, Widens));
    let any = diff(&only(vec![machine()]), &policy());
    assert!(any[0].to_string().contains("diversion is not excluded"), "{}", any[0]);
    let places = |list: &[&str]| {
        changed(|p| p.programs[0].places = list.iter().map(|s| (*s).into()).collect())
    };
    assert_eq!(diff(&places(&["eu"]), &places(&["eu", "us"]))[0].direction, Widens);
    assert_eq!(diff(&places(&["eu", "us"]), &places(&["eu"]))[0].direction, Narrows);
    assert_eq!(diff(&places(&["eu"]), &places(&[]))[0].direction, Widens);
}

/// Policies out of a few edits, so that many pairs are equal and many differ in several fields.
fn edited() -> impl proptest::strategy::Strategy<Value = Policy> {
    use proptest::prelude::*;
    prop::collection::vec(0..EDITS.len(), 0..4).prop_map(|edits| {
        changed(|p| {
            for n in edits {
                if p.programs.len() > 1 && !p.hardware.is_empty() {
                    EDITS[n].0(p);
                }
            }
        })
    })
}

#[test]
fn nothing_that_differs_goes_untold_and_nothing_is_told_that_does_not() {
    use proptest::prelude::*;
    let (same, differ) = (std::cell::Cell::new(0_u32), std::cell::Cell::new(0_u32));
    let config = ProptestConfig { cases: 2000, ..ProptestConfig::default() };
    proptest!(config, |(old in edited(), new in edited())| {
        let told = diff(&old, &new);
        prop_assert_eq!(told.is_empty(), old == new, "{:?}", told);
        // The whole of a policy in words, shown to who signs a first one, leaves nothing out either.
        prop_assert_eq!(describe::policy(&old) == describe::policy(&new), old == new);
        let count = if old == new { &same } else { &differ };
        count.set(count.get() + 1);
    });
    assert!(same.get() > 50 && differ.get() > 500, "{} alike, {} not", same.get(), differ.get());
}

#[test]
fn every_field_stands_in_the_words_of_a_policy() {
    for (edit, what, _) in EDITS {
        let (old, new) = (describe::policy(&policy()), describe::policy(&changed(edit)));
        assert_ne!(old, new, "{what}");
    }
}
