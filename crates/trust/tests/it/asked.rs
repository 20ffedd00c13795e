//! Questions to policies: what holds, what does not, and that every counterexample is real.

use evidence::{MachineId, Measurement, Window};
use owners::{NOW, ask_with, changed, genesis, granted, in_force};
use trust::ask::{Answer, Asked, Asking, Counterexample, Question, Unseen};
use trust::claim::{Basis, Country, Scope, Source, Topic};
use trust::policy::{Endorsed, Issuer, Outsider, Place, PlaceBy};
use trust::signing::SigningKey;
use trust::{Claim, Claims, Decision, Policy, Revocations, RoleName};

fn role(name: &str) -> RoleName {
    RoleName::new(name).unwrap()
}

fn key(n: u8) -> SigningKey {
    SigningKey::from_seed([n; 32]).unwrap()
}

fn country(code: &str) -> Country {
    Country::new(code).unwrap()
}

fn issuer(n: u8, topic: Topic, scope: Scope) -> Issuer {
    Issuer {
        name: role(&format!("issuer-{n}")),
        key: key(n).issuer(),
        holder: format!("Holder {n}"),
        may: vec![(topic, scope)],
        depth: 0,
        until: NOW.plus_secs(3600),
    }
}

/// What asks and where, in every test: what `ask_with` decides about.
fn unseen() -> Unseen {
    let program: Measurement = silicon::software::program(0x11).measurement;
    Unseen { program, machine: owners::machine_id(), now: NOW }
}

fn ask(policy: &Policy, question: &Question) -> Answer {
    let in_force = in_force(policy, None).unwrap();
    Asking::new(policy, in_force.permissions(), &genesis(), &unseen()).ask(question)
}

fn fails(policy: &Policy, question: &Question) -> Vec<Counterexample> {
    match ask(policy, question) {
        Answer::Fails(found) => found,
        Answer::Holds(why) => panic!("{question} holds: {why:?}"),
    }
}

fn holds(policy: &Policy, question: &Question) {
    if let Answer::Fails(found) = ask(policy, question) {
        panic!("{question}: {found:?}");
    }
}

/// Made real: with these claims, and without any one of them not, the program is admitted as that role.
fn is_real(policy: &Policy, found: &Counterexample) {
    let role = found.role.as_ref().unwrap().as_str();
    let decide = |skip: Option<usize>| {
        let mut claims = Claims::new();
        for (n, (issuer, says)) in found.claims.iter().enumerate() {
            if skip == Some(n) {
                continue;
            }
            let by = (0..=255).map(key).find(|k| k.issuer() == *issuer).unwrap();
            let window = Window { not_before: NOW, not_after: NOW.plus_secs(9) };
            let domain = Some(policy.root);
            let claim = Claim { domain, issuer: *issuer, window, says: says.clone() };
            claims.add(claim.sign(&by).unwrap()).unwrap();
        }
        ask_with(&[policy], Some(role), &claims, &Revocations::default())
    };
    assert_eq!(granted(decide(None)).role.as_str(), role, "{found:?}");
    for n in 0..found.claims.len() {
        assert!(matches!(decide(Some(n)), Decision::Refused(_)), "without claim {n}: {found:?}");
    }
}

fn only(roles: &[&str], may: Asked) -> Question {
    Question::Only { roles: roles.iter().map(|r| role(r)).collect(), may }
}

#[test]
fn who_may_do_something_is_exactly_who_the_policy_lets_and_could_be_admitted() {
    let policy = changed(|p| {
        p.programs[0].secrets = vec!["db".into()];
        p.programs[0].connect = vec![role("api")];
        p.programs[1].measurements.clear();
    });
    let read = |roles: &[&str]| only(roles, Asked::Read("db".into()));
    holds(&policy, &read(&["web"]));
    let found = fails(&policy, &read(&["api"]));
    assert_eq!((found.len(), found[0].says.as_str()), (1, "web may read db"));
    is_real(&policy, &found[0]);
    holds(&policy, &only(&["web"], Asked::Connect(role("api"))));
    assert_eq!(fails(&policy, &only(&[], Asked::Connect(role("api")))).len(), 1);
    // Nobody vouches for api, so nothing is ever admitted as it; once somebody may, something is.
    holds(&policy, &only(&["web"], Asked::Exist));
    let vouched = Policy {
        issuers: vec![issuer(20, Topic::Program, Scope::of(&["api".into()]).unwrap())],
        ..policy.clone()
    };
    let found = fails(&vouched, &only(&["web"], Asked::Exist));
    is_real(&vouched, &found[0]);
    let open = changed(|p| p.programs[1].outsiders = vec![Outsider::Anonymous]);
    let found = fails(&open, &only(&["web", "api"], Asked::Connect(role("api"))));
    assert!(found[0].says.contains("anonymous clients"), "{found:?}");
}

#[test]
fn development_evidence_and_machines_that_can_be_debugged_are_told() {
    let found = fails(&owners::policy(), &Question::Production);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].says.contains("which is development"), "{found:?}");
    is_real(&owners::policy(), &found[0]);
    let snp = changed(|p| {
        p.hardware[0].kind = evidence::Kind::Snp;
        p.hardware[0].profile = "snp-2026-11".into();
        p.programs.iter_mut().for_each(|p| p.on = vec![evidence::Kind::Snp]);
    });
    holds(&snp, &Question::Production);
    // A kind that is listed and has no hardware admits nothing.
    let none = changed(|p| p.hardware.clear());
    holds(&none, &Question::Production);
}

fn placed(countries: &[&str], need: u64, issuers: Vec<Issuer>) -> Policy {
    changed(|p| {
        p.programs.truncate(1);
        p.programs[0].places = vec!["eu".into()];
        let by = PlaceBy::Endorsed(Endorsed {
            countries: countries.iter().map(|c| country(c)).collect(),
            need,
            level: 2,
            basis: vec![Basis::GnssTpm],
            age_secs_max: 60,
        });
        p.places = vec![Place { name: "eu".into(), by }];
        p.issuers = issuers;
    })
}

#[test]
fn a_delegation_that_lets_an_issuer_say_a_country_changes_the_answer() {
    let within = Question::Within(vec![country("DE"), country("FR")]);
    let found = fails(&changed(|p| p.programs.truncate(1)), &within);
    assert_eq!(found[0].says, "web is confined to no place");
    let de = |n, codes: &[&str]| {
        let names = codes.iter().map(|c| (*c).to_owned()).collect::<Vec<_>>();
        issuer(n, Topic::Place, Scope::of(&names).unwrap())
    };
    holds(&placed(&["DE", "FR"], 1, vec![de(20, &["DE"])]), &within);
    // The place takes US, and nobody may say US: it holds. Let somebody, and it does not.
    let taken = placed(&["DE", "US"], 1, vec![de(20, &["DE"])]);
    holds(&taken, &within);
    let said = placed(&["DE", "US"], 1, vec![de(20, &["DE", "US"])]);
    let found = fails(&said, &within);
    assert!(found[0].says.ends_with("may say US"), "{found:?}");
    is_real(&said, &found[0]);
    // Two are needed: one who may say US is not enough, two keys of one holder neither.
    let mut two = placed(&["DE", "US"], 2, vec![de(20, &["DE", "US"]), de(21, &["DE"])]);
    holds(&two, &within);
    two.issuers.push(Issuer { holder: "Holder 20".into(), ..de(22, &["US"]) });
    holds(&two, &within);
    two.issuers.push(de(23, &["US"]));
    is_real(&two, &fails(&two, &within)[0]);
    // An issuer whose time is over says nothing any more.
    two.issuers[3].until = NOW.plus_secs(-1);
    holds(&two, &within);
    let region = changed(|p| {
        p.programs.truncate(1);
        p.hardware[0].kind = evidence::Kind::Snp;
        p.hardware[0].profile = "snp-2026-11".into();
        p.programs[0].on = vec![evidence::Kind::Snp];
        p.programs[0].places = vec!["aws".into()];
        p.places = vec![Place { name: "aws".into(), by: PlaceBy::AwsVlek("eu-central-1".into()) }];
    });
    assert!(fails(&region, &within)[0].says.contains("no evidence says"));
}

#[test]
fn whoever_can_widen_alone_is_named_and_can() {
    // One owner of one: of itself a counterexample.
    let found = fails(&owners::policy(), &Question::NoOne);
    assert!(found[0].says.contains("signs a policy alone"), "{found:?}");
    let with = |change: fn(&mut Policy)| {
        let policy = changed(|p| {
            p.programs.truncate(1);
            p.programs[0].measurements = vec![Measurement::new([5; 48])];
            change(p);
        });
        let found = fails(&policy, &Question::NoOne);
        (policy, found)
    };
    let cases: [fn(&mut Policy); 4] = [
        |p| p.issuers = vec![issuer(20, Topic::Program, Scope::Any)],
        |p| p.issuers = vec![issuer(20, Topic::Upgrade, Scope::Any)],
        |p| {
            p.programs[0].releases = vec![(role("shop"), 4)];
            p.issuers = vec![issuer(20, Topic::Release, Scope::Any)];
        },
        |p| {
            p.programs[0].builds = vec![Source::new("git:x").unwrap()];
            p.issuers = vec![issuer(20, Topic::Build, Scope::Any)];
        },
    ];
    for change in cases {
        let (policy, found) = with(change);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[1].says.contains("issuer-20 (Holder 20) alone lets"), "{found:?}");
        is_real(&policy, &found[1]);
    }
    // A release of a product the program does not take, and an upgrade of nothing, widen nothing.
    assert_eq!(with(|p| p.issuers = vec![issuer(20, Topic::Release, Scope::Any)]).1.len(), 1);
    let (_, none) = with(|p| {
        p.programs[0].measurements.clear();
        p.issuers = vec![issuer(20, Topic::Upgrade, Scope::Any)];
    });
    assert_eq!(none.len(), 1, "{none:?}");
    let alone = placed(&["DE"], 1, vec![issuer(20, Topic::Place, Scope::Any)]);
    assert!(
        fails(&alone, &Question::NoOne)[1].says.contains("alone says which machines stand in eu")
    );
    let apart = placed(
        &["DE"],
        2,
        vec![issuer(20, Topic::Place, Scope::Any), issuer(21, Topic::Place, Scope::Any)],
    );
    assert_eq!(fails(&apart, &Question::NoOne).len(), 1);
}

#[test]
fn who_can_make_each_attribute_true_is_listed() {
    let policy = changed(|p| {
        p.programs[0].releases = vec![(role("shop"), 4)];
        p.issuers = vec![Issuer { depth: 1, ..issuer(20, Topic::Release, Scope::Any) }];
    });
    let in_force = in_force(&policy, None).unwrap();
    let (genesis, unseen) = (genesis(), unseen());
    let all = Asking::new(&policy, in_force.permissions(), &genesis, &unseen).attributes();
    let release = all.iter().find(|a| a.what.contains("releases of shop")).unwrap();
    assert_eq!(release.by, ["issuer-20 (Holder 20), and whom it lets speak"]);
    assert!(all.iter().any(|a| a.of == "program web" && a.by == ["1 of 1 owners"]));
    let _: MachineId = unseen.machine;
}
