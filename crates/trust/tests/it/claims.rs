//! Claims in decisions: what each rule grants, what exactly refuses it, and what would be granted without that one check.
//! Every grant is re-checked by the checker, which refuses on its own what the engine refuses.

use checker::{DecisionRecord, Part, recheck};
use evidence::controls::without;
use evidence::{ContentDigest, DomainRoot, IssuerKey, MachineId, Measurement, Time, Window};
use owners::{NOW, ask_with, changed, genesis, granted, record_of, refused, sign};
use trust::claim::{Basis, Country, Says, Scope, Source, Standing, Topic};
use trust::policy::{Endorsed, Issuer, Place, PlaceBy};
use trust::revocation::{Revocation, Revoked};
use trust::signing::{Namespace, SigningKey};
use trust::{AuthenticClaim, Claim, Claims, Decision, Policy, Revocations, RoleName};

const HOUR: i64 = 3600;

fn key(n: u8) -> SigningKey {
    SigningKey::from_seed([n; 32]).unwrap()
}

fn role(name: &str) -> RoleName {
    RoleName::new(name).unwrap()
}

fn names(list: &[&str]) -> Scope {
    Scope::of(&list.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>()).unwrap()
}

/// The program that asks in every decision of these tests.
fn asking() -> Measurement {
    silicon::software::program(0x11).measurement
}

fn machine() -> MachineId {
    owners::machine_id()
}

fn issuer(n: u8, topic: Topic, scope: Scope) -> Issuer {
    Issuer {
        name: role(&format!("issuer-{n}")),
        key: key(n).issuer(),
        holder: format!("Holder {n}"),
        may: vec![(topic, scope)],
        depth: 0,
        until: NOW.plus_secs(HOUR),
    }
}

/// A world: a policy that lists no measurement, and what is said in it.
struct World {
    policy: Policy,
    claims: Claims,
    revocations: Revocations,
}

impl World {
    fn new(change: impl FnOnce(&mut Policy)) -> Self {
        let policy = changed(|p| {
            p.programs[0].measurements.clear();
            change(p);
        });
        Self { policy, claims: Claims::new(), revocations: Revocations::default() }
    }

    fn with(topic: Topic, scope: Scope, depth: u64) -> Self {
        Self::new(|p| p.issuers = vec![Issuer { depth, ..issuer(10, topic, scope) }])
    }

    fn claim(&mut self, by: u8, secs: (i64, i64), domain: bool, says: Says) -> ContentDigest {
        let window = Window { not_before: NOW.plus_secs(secs.0), not_after: NOW.plus_secs(secs.1) };
        let domain = domain.then(|| genesis().root());
        let claim = Claim { domain, issuer: key(by).issuer(), window, says };
        let signed = claim.sign(&key(by)).unwrap();
        let digest = signed.digest();
        self.claims.add(signed).unwrap();
        digest
    }

    fn say(&mut self, by: u8, says: Says) -> ContentDigest {
        self.claim(by, (-HOUR, HOUR), true, says)
    }

    fn revoke(&mut self, revoked: Revoked) {
        let epoch = self.revocations.epoch() + 1;
        let payload = Revocation { domain: genesis().root(), epoch, revoked }.encode();
        self.revocations.add(sign(Namespace::Revocation, payload), &genesis()).unwrap();
    }

    fn ask(&self) -> Decision {
        ask_with(&[&self.policy], Some("web"), &self.claims, &self.revocations)
    }

    /// Granted, and the checker agrees.
    fn admits(&self) -> DecisionRecord {
        let record = record_of(&self.policy, granted(self.ask()));
        let report = recheck(&record);
        assert!(report.holds(), "{report:?}");
        record
    }

    /// Refused for `rule`, granted without `check` and only it; the checker does not take that grant.
    fn refuses(&self, rule: &str, check: &'static str) {
        assert_eq!(refused(self.ask()).0, rule, "{check}");
        let attack = granted(without(check, || self.ask()));
        assert_eq!(attack.role.as_str(), "web", "{check}");
        let report = recheck(&record_of(&self.policy, attack));
        // What is no longer said is not in a proof; that it was taken back, a record alone cannot show.
        let silent = [
            "claim_withdrawn",
            "claim_revoked",
            "issuer_revoked",
            "distrusted",
            "place_contradiction",
        ];
        if !silent.contains(&check) {
            assert!(matches!(report.proof, Part::Failed(_)), "{check}: {report:?}");
        }
    }
}

fn program(n: u8) -> Says {
    Says::Program { role: role("web"), measurement: Measurement::new([n; 48]) }
}

fn trusted() -> Says {
    Says::Program { role: role("web"), measurement: asking() }
}

#[test]
fn whom_the_policy_lets_speak_about_a_role_is_believed_about_it_and_nothing_else() {
    let mut w = World::with(Topic::Program, names(&["web"]), 0);
    assert_eq!(refused(w.ask()).0, "program");
    w.say(10, trusted());
    let record = w.admits();
    assert_eq!(record.claims.len(), 1);
    let english = trust::proof::Proof::decode(&record.proof).unwrap().english().join("\n");
    assert!(english.contains("may speak about program of web"), "{english}");
    // Somebody else's word, and a word about another topic.
    for (topic, by) in [(Topic::Program, 11), (Topic::Release, 10), (Topic::Upgrade, 10)] {
        let mut w = World::with(topic, Scope::Any, 0);
        w.say(by, trusted());
        assert_eq!(refused(w.ask()).0, "program");
    }
    let mut w = World::with(Topic::Program, names(&["api"]), 0);
    w.say(10, trusted());
    w.refuses("program", "may_scope");
}

#[test]
fn a_claim_counts_in_its_window_its_domain_and_until_it_is_taken_back() {
    let said = |secs| {
        let mut w = World::with(Topic::Program, Scope::Any, 0);
        let digest = w.claim(10, secs, true, trusted());
        (w, digest)
    };
    said((0, 0)).0.admits();
    said((1, 2)).0.refuses("program", "claim_began");
    said((-2, -1)).0.refuses("program", "claim_ended");
    let (mut w, digest) = said((-1, 1));
    w.say(11, Says::Withdraw { claim: digest });
    w.admits();
    w.say(10, Says::Withdraw { claim: digest });
    w.refuses("program", "claim_withdrawn");
    let (mut w, digest) = said((-1, 1));
    w.revoke(Revoked::Claim(digest));
    w.refuses("program", "claim_revoked");
    let (mut w, _) = said((-1, 1));
    w.revoke(Revoked::Issuer(key(10).issuer()));
    w.refuses("program", "issuer_revoked");
    let mut w = World::with(Topic::Program, Scope::Any, 0);
    let window = Window { not_before: NOW, not_after: NOW };
    let domain = Some(DomainRoot::new([9; 32]));
    let foreign = Claim { domain, issuer: key(10).issuer(), window, says: trusted() };
    w.claims.add(foreign.sign(&key(10)).unwrap()).unwrap();
    w.refuses("program", "claim_domain");
}

#[test]
fn a_decision_ends_with_the_first_thing_it_rests_on_that_ends() {
    let until = |policy_secs: i64, claim_secs: i64| {
        let mut w = World::with(Topic::Program, Scope::Any, 0);
        w.policy.issuers[0].until = NOW.plus_secs(policy_secs);
        w.claim(10, (-1, claim_secs), true, trusted());
        w
    };
    assert_eq!(until(30, 20).admits().not_after, NOW.plus_secs(20));
    assert_eq!(until(20, 30).admits().not_after, NOW.plus_secs(20));
    until(0, 30).admits();
    until(-1, 30).refuses("program", "may_ended");
    let late = DecisionRecord { not_after: NOW.plus_secs(21), ..until(30, 20).admits() };
    assert!(matches!(recheck(&late).proof, Part::Failed(_)));
}

fn delegate(to: u8, topic: Topic, scope: Scope, depth: u64) -> Says {
    Says::Delegate { to: key(to).issuer(), topic, scope, depth }
}

#[test]
fn delegation_goes_as_deep_as_was_allowed_and_only_narrows() {
    for depth in 0..4_u8 {
        let mut w = World::with(Topic::Program, Scope::Any, u64::from(depth));
        for n in 0..depth {
            w.say(10 + n, delegate(11 + n, Topic::Program, Scope::Any, 8));
        }
        w.say(10 + depth, trusted());
        w.admits();
    }
    // One further than the policy allowed, and one further than a delegate did.
    let mut w = World::with(Topic::Program, Scope::Any, 0);
    w.say(10, delegate(11, Topic::Program, Scope::Any, 8));
    w.say(11, trusted());
    w.refuses("program", "may_depth");
    let mut w = World::with(Topic::Program, Scope::Any, 8);
    w.say(10, delegate(11, Topic::Program, Scope::Any, 0));
    w.say(11, delegate(12, Topic::Program, Scope::Any, 8));
    w.say(12, trusted());
    w.refuses("program", "may_depth");
    // No delegate gives more than it has: in names, in topics, in time.
    let mut w = World::with(Topic::Program, names(&["api"]), 1);
    w.say(10, delegate(11, Topic::Program, Scope::Any, 0));
    w.say(11, trusted());
    w.refuses("program", "may_scope");
    let mut w = World::with(Topic::Program, names(&["api"]), 1);
    w.say(10, delegate(11, Topic::Program, names(&["web"]), 0));
    w.say(11, trusted());
    assert_eq!(refused(w.ask()).0, "program", "nothing is shared");
    let mut w = World::with(Topic::Program, Scope::Any, 1);
    w.say(10, delegate(11, Topic::Build, Scope::Any, 0));
    w.say(11, trusted());
    assert_eq!(refused(w.ask()).0, "program");
    let mut w = World::with(Topic::Program, Scope::Any, 1);
    w.claim(10, (-1, 10), true, delegate(11, Topic::Program, Scope::Any, 0));
    w.say(11, trusted());
    assert_eq!(w.admits().not_after, NOW.plus_secs(10));
}

#[test]
fn a_key_that_speaks_for_another_says_what_that_one_might() {
    let mut w = World::with(Topic::Program, names(&["web"]), 0);
    w.say(10, Says::Speaks { key: key(11).issuer() });
    w.say(11, trusted());
    w.admits();
    // Nobody speaks for another by saying so itself.
    let mut w = World::with(Topic::Program, names(&["web"]), 0);
    w.say(11, Says::Speaks { key: key(10).issuer() });
    w.say(11, trusted());
    assert_eq!(refused(w.ask()).0, "program");
}

#[test]
fn releases_count_from_the_version_the_policy_names() {
    let release = |version, product: &str| {
        let mut w = World::with(Topic::Release, names(&["shop"]), 0);
        w.policy.programs[0].releases = vec![(role("shop"), 3)];
        let product = role(product);
        // To whoever takes its word: a release is one whoever asks.
        w.claim(10, (-1, 1), false, Says::Release { product, version, measurement: asking() });
        w
    };
    release(3, "shop").admits();
    release(u64::MAX, "shop").admits();
    release(2, "shop").refuses("program", "release_version");
    assert_eq!(refused(release(3, "shop2").ask()).0, "program");
}

#[test]
fn builds_count_from_the_sources_the_policy_names() {
    let build = |source: &str, scope: Scope| {
        let mut w = World::with(Topic::Build, scope, 0);
        w.policy.programs[0].builds = vec![Source::new("git+https://a.example/b").unwrap()];
        let source = Source::new(source).unwrap();
        let revision = "0a1b".into();
        w.claim(10, (-1, 1), false, Says::Build { source, revision, measurement: asking() });
        w
    };
    build("git+https://a.example/b", Scope::Any).admits();
    for other in ["git+https://a.example/", "git+https://a.example/b2", "git+https://A.example/b"] {
        assert_eq!(refused(build(other, Scope::Any).ask()).0, "program", "{other}");
    }
    build("git+https://a.example/b", names(&["git+https://a.example/c"]))
        .refuses("program", "may_scope");
}

#[test]
fn what_follows_a_trusted_measurement_is_trusted_forward_and_never_back() {
    let up = |from: Measurement, to: Measurement| Says::Upgrade { role: role("web"), from, to };
    let at = |n: u8| Measurement::new([n; 48]);
    let mut w = World::with(Topic::Upgrade, names(&["web"]), 0);
    w.policy.programs[0].measurements = vec![at(1)];
    w.say(10, up(at(1), at(2)));
    w.say(10, up(at(2), asking()));
    w.admits();
    let mut back = World::with(Topic::Upgrade, names(&["web"]), 0);
    back.policy.programs[0].measurements = vec![at(1)];
    back.say(10, up(asking(), at(1)));
    assert_eq!(refused(back.ask()).0, "program");
    let mut other = World::with(Topic::Upgrade, names(&["api"]), 0);
    other.policy.programs[0].measurements = vec![at(1)];
    other.say(10, up(at(1), asking()));
    other.refuses("program", "may_scope");
    // Vouched for first, followed then: of two topics, each by whom it was given to.
    let mut both = World::new(|p| {
        p.issuers =
            vec![issuer(10, Topic::Program, Scope::Any), issuer(11, Topic::Upgrade, Scope::Any)];
    });
    both.say(10, program(5));
    both.say(11, up(at(5), asking()));
    both.admits();
}

#[test]
fn what_somebody_may_distrust_is_not_trusted_whoever_takes_that_back() {
    let mut w = World::new(|p| {
        p.programs[0].measurements = vec![asking()];
        p.issuers = vec![issuer(10, Topic::Distrust, names(&["web"]))];
    });
    w.admits();
    w.say(11, Says::Distrust { role: role("web"), measurement: asking() });
    w.say(10, Says::Distrust { role: role("api"), measurement: asking() });
    w.admits();
    let digest = w.say(10, Says::Distrust { role: role("web"), measurement: asking() });
    w.refuses("program", "distrusted");
    // Neither taking it back, nor revoking it, nor revoking whoever said it lets anybody in again.
    w.say(10, Says::Withdraw { claim: digest });
    w.revoke(Revoked::Claim(digest));
    w.revoke(Revoked::Issuer(key(10).issuer()));
    w.refuses("program", "distrusted");
}

fn standing(country: &str, level: u64, observed: i64) -> Standing {
    Standing {
        machine: machine(),
        country: Country::new(country).unwrap(),
        site: "hall 3".into(),
        operator: "Host GmbH".into(),
        basis: Basis::AuditorVisit,
        level,
        observed: NOW.plus_secs(observed),
    }
}

fn endorsed() -> Endorsed {
    Endorsed {
        countries: vec![Country::new("DE").unwrap(), Country::new("FR").unwrap()],
        need: 2,
        level: 2,
        basis: vec![Basis::AuditorVisit, Basis::ConsoleCeremony],
        age_secs_max: 86_400,
    }
}

/// `web` may run in `eu` only, and three independent issuers may say where machines stand.
fn placed() -> World {
    World::new(|p| {
        p.programs[0].measurements = vec![asking()];
        p.programs[0].places = vec!["eu".into()];
        p.places = vec![Place { name: "eu".into(), by: PlaceBy::Endorsed(endorsed()) }];
        let may = |n, scope| issuer(n, Topic::Place, scope);
        p.issuers = vec![may(10, names(&["DE"])), may(11, Scope::Any), may(12, names(&["US"]))];
    })
}

#[test]
fn a_machine_is_in_a_place_when_enough_independent_issuers_say_so() {
    let mut w = placed();
    assert_eq!(refused(w.ask()).0, "program.in");
    w.claim(10, (-1, 50), false, Says::Place(standing("DE", 2, -5)));
    w.refuses("program.in", "place_need");
    // Its own word again, and another's that is its own: by a key that speaks for it, and by one it let speak.
    w.say(10, Says::Place(standing("DE", 3, -4)));
    w.say(10, Says::Speaks { key: key(20).issuer() });
    w.say(20, Says::Place(standing("DE", 3, -4)));
    w.policy.issuers[0].depth = 1;
    w.say(10, delegate(21, Topic::Place, Scope::Any, 0));
    w.say(21, Says::Place(standing("DE", 3, -4)));
    w.refuses("program.in", "place_need");
    // Another key of the same holder is the same voice.
    w.policy.issuers[1].holder = "Holder 10".into();
    w.say(11, Says::Place(standing("DE", 2, -5)));
    w.refuses("program.in", "place_need");
    w.policy.issuers[1].holder = "Holder 11".into();
    assert!(w.admits().not_after <= NOW.plus_secs(HOUR));
}

#[test]
fn an_endorsement_counts_for_its_machine_country_level_basis_and_age() {
    let with = |change: fn(&mut Standing)| {
        let mut w = placed();
        w.say(10, Says::Place(standing("DE", 2, -5)));
        let mut s = standing("DE", 2, -5);
        change(&mut s);
        w.say(11, Says::Place(s));
        w
    };
    with(|_| {}).admits();
    with(|s| s.level = 1).refuses("program.in", "place_level");
    with(|s| s.basis = Basis::OperatorAssertion).refuses("program.in", "place_basis");
    with(|s| s.observed = NOW.plus_secs(1)).refuses("program.in", "place_seen");
    with(|s| s.observed = NOW.plus_secs(-86_401)).refuses("program.in", "place_age");
    with(|s| s.observed = NOW.plus_secs(-86_400)).admits();
    // Another machine, however alike its id is.
    for id in [[&machine().as_bytes()[..31], &[0xff]].concat(), machine().as_bytes()[..31].to_vec()]
    {
        let mut w = placed();
        w.say(10, Says::Place(standing("DE", 2, -5)));
        let near = Standing { machine: MachineId::new(&id).unwrap(), ..standing("DE", 2, -5) };
        w.say(11, Says::Place(near));
        assert_eq!(refused(w.ask()).0, "program.in");
    }
    // A country its issuer may not speak about, and one that is not in the place.
    let mut w = placed();
    w.policy.places[0].by = PlaceBy::Endorsed(Endorsed { need: 1, ..endorsed() });
    w.say(10, Says::Place(standing("FR", 2, -5)));
    w.refuses("program.in", "may_scope");
    let mut w = placed();
    w.policy.places[0].by = PlaceBy::Endorsed(Endorsed { need: 1, ..endorsed() });
    w.say(11, Says::Place(standing("US", 2, -5)));
    w.refuses("program.in", "place_country");
}

#[test]
fn issuers_who_contradict_each_other_place_a_machine_nowhere_even_when_one_takes_it_back() {
    let mut w = placed();
    w.say(10, Says::Place(standing("DE", 2, -5)));
    w.say(11, Says::Place(standing("DE", 2, -5)));
    w.admits();
    let other = w.say(12, Says::Place(standing("US", 1, -5)));
    w.refuses("program.in", "place_contradiction");
    w.say(12, Says::Withdraw { claim: other });
    w.revoke(Revoked::Claim(other));
    w.revoke(Revoked::Issuer(key(12).issuer()));
    w.refuses("program.in", "place_contradiction");
    // What it says later replaces what it said, and nobody else's word does.
    let mut w = placed();
    w.say(10, Says::Place(standing("DE", 2, -5)));
    w.say(11, Says::Place(standing("FR", 2, -9)));
    assert_eq!(refused(w.ask()).0, "program.in");
    w.say(11, Says::Place(standing("DE", 2, -3)));
    w.admits();
    // Who has said something else since has not said it: one voice is not enough, and the word before is not its second.
    let mut moved = placed();
    moved.say(11, Says::Place(standing("DE", 2, -9)));
    moved.say(11, Says::Place(standing("FR", 2, -5)));
    moved.policy.issuers[0].may = vec![(Topic::Place, names(&["FR"]))];
    moved.say(10, Says::Place(standing("FR", 2, -5)));
    let proof = granted(moved.ask()).proof;
    assert!(proof.0.iter().all(|s| !s.conclusion.0.contains(&"DE".to_owned())), "{proof:?}");
    moved.admits();
    // Whoever may not speak about a country contradicts nobody.
    w.say(12, Says::Place(standing("FR", 3, -1)));
    w.say(30, Says::Place(standing("US", 3, -1)));
    w.admits();
}

#[test]
fn order_and_duplicates_of_claims_do_not_matter() {
    let make = |order: &[usize]| {
        let mut w = World::with(Topic::Program, Scope::Any, 3);
        let all: [(u8, Says); 5] = [
            (10, delegate(11, Topic::Program, names(&["web"]), 2)),
            (10, delegate(11, Topic::Program, names(&["api", "web"]), 1)),
            (11, delegate(12, Topic::Program, Scope::Any, 0)),
            (12, trusted()),
            (10, trusted()),
        ];
        for n in order {
            let (by, says) = all[*n].clone();
            w.say(by, says);
        }
        w.admits()
    };
    let first = make(&[0, 1, 2, 3, 4]);
    for order in [[4, 3, 2, 1, 0], [2, 0, 4, 1, 3], [1, 4, 0, 3, 2]] {
        assert_eq!(make(&order), first);
    }
    assert_eq!(make(&[0, 1, 0, 2, 3, 3, 4, 2, 4, 1]), first);
    let mut claims = Claims::new();
    let says = trusted();
    let window = Window { not_before: NOW, not_after: Time::MAX };
    let claim =
        Claim { domain: Some(genesis().root()), issuer: IssuerKey::new([0; 32]), window, says };
    let signed: AuthenticClaim = claim.sign(&key(1)).unwrap();
    assert_eq!((claims.add(signed.clone()), claims.add(signed)), (Ok(true), Ok(false)));
    assert_eq!(claims.len(), 1);
}

#[test]
fn a_record_rests_on_claims_to_its_domain_that_were_in_force() {
    let part = |record: &DecisionRecord| recheck(record).proof;
    let mut w = World::with(Topic::Program, Scope::Any, 0);
    w.claim(10, (5, 9), true, trusted());
    let early = record_of(&w.policy, granted(without("claim_began", || w.ask())));
    let Part::Failed(why) = part(&early) else { panic!("a claim that had not begun") };
    assert!(why.contains("was not in force"), "{why}");
    assert_eq!(without("recheck_claim_window", || part(&early)), Part::Rechecked);

    let mut w = World::with(Topic::Program, Scope::Any, 0);
    let window = Window { not_before: NOW, not_after: NOW };
    let domain = Some(DomainRoot::new([9; 32]));
    let foreign = Claim { domain, issuer: key(10).issuer(), window, says: trusted() };
    w.claims.add(foreign.sign(&key(10)).unwrap()).unwrap();
    let foreign = record_of(&w.policy, granted(without("claim_domain", || w.ask())));
    let Part::Failed(why) = part(&foreign) else { panic!("a claim to another domain") };
    assert!(why.contains("not addressed to this domain"), "{why}");
    assert_eq!(without("recheck_claim_domain", || part(&foreign)), Part::Rechecked);

    // A claim left out, exchanged, changed, or one that proves nothing.
    let mut w = World::with(Topic::Program, Scope::Any, 0);
    let digest = w.say(10, trusted());
    let good = w.admits();
    let other = w.say(10, Says::Withdraw { claim: digest });
    let bytes = |d: &ContentDigest| w.claims.get(d).unwrap().bytes().to_vec();
    let mut changed = bytes(&digest);
    *changed.last_mut().unwrap() ^= 1;
    for claims in [vec![], vec![bytes(&other)], vec![changed], vec![bytes(&digest), bytes(&other)]]
    {
        let bad = DecisionRecord { claims, ..good.clone() };
        assert!(matches!(part(&bad), Part::Failed(_)), "{:?}", part(&bad));
    }
}
