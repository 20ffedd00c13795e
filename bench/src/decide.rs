//! A decision under a policy of 1,000 programs, and the check of its proof; beside plain Cedar over the same permissions.

use std::str::FromStr;

use cedar_policy::{Authorizer, Context, Entities, EntityUid, PolicySet, Request};
use channel::admission::client::Attester;
use checker::DecisionRecord;
use evidence::layered::{verify_monitor, verify_program};
use evidence::{
    Binder, BinderKind, ContentDigest, End, Exporter, MonitorBinding, Nonce, Session, Side, SpkiDigest, software,
};
use testkit::{NOW, Town};
use trust::{Decision, Revocations, decide};

use crate::table::{Samples, ratio, time};

const PROGRAMS: usize = 1000;
const ROUNDS: usize = 20_000;

pub fn run() {
    let dir = tempfile::tempdir().unwrap();
    let measured = |n: usize| {
        let mut m = [0; 48];
        m[..8].copy_from_slice(&(n as u64).to_be_bytes());
        evidence::Measurement::new(m)
    };
    let programs = (0..PROGRAMS)
        .map(|n| {
            let peer = format!("role-{}", (n + 1) % PROGRAMS);
            let mut p = testkit::program(&format!("role-{n}"), 0, &[&peer]);
            p.measurements = vec![measured(n)];
            p
        })
        .collect();
    let town = Town::new(dir.path(), programs);
    let mut monitor = town.monitor(0);
    monitor.program.measurement = measured(PROGRAMS / 2);
    let policy = town.in_force();
    let root = town.trust.root();
    let nonce = Nonce::new([1; 32]);
    let hardware_evidence = monitor.hardware_evidence(nonce).unwrap();
    let hardware = software::verify(&hardware_evidence, &[town.machine.root()], NOW).unwrap();
    let binding = MonitorBinding { domain: root, statement_key: monitor.statement_key(), nonce };
    let verified = verify_monitor(&hardware, &binding).unwrap();
    let end = |b: u8| End { domain: Some(root), spki: Some(SpkiDigest::new([b; 32])), nonce: Nonce::new([b; 32]) };
    let binder = Binder {
        kind: BinderKind::Admission,
        side: Side::Client,
        client: end(1),
        server: end(2),
        session: Session { exporter: Exporter::new([3; 32]), cipher_suite: 1, group: 2, inner_protocol: "x".into() },
        claims: ContentDigest::of(b""),
    };
    let statement = Attester::state(&monitor, &binder).unwrap();
    let program = verify_program(&verified, &statement, &binder).unwrap();
    let revocations = Revocations::default();
    let leaf = SpkiDigest::new([1; 32]);
    let claims = trust::Claims::new();
    let (revocations, claims) = (&revocations, &claims);
    let context = trust::Context { now: NOW, leaf, narrow: None, revocations, claims };
    let decided = || decide(&[&policy], &program, &hardware, &context);
    let Decision::Granted(grant) = decided() else { panic!("not granted") };
    let record = DecisionRecord {
        at: NOW,
        domain: root,
        policy: policy.signed().payload.clone(),
        hardware: hardware_evidence,
        hardware_at: NOW,
        nonce,
        statement_key: monitor.statement_key(),
        statement,
        binder: binder.encode(),
        proof: grant.proof.encode(),
        role: grant.role.to_string(),
        connect: grant.connect.iter().map(ToString::to_string).collect(),
        listen: grant.listen.clone(),
        secrets: grant.secrets.clone(),
        claims: grant.claims.clone(),
        revocation: 0,
        not_after: grant.not_after,
    };
    let prepared = checker::Prepared::new(&record).unwrap();
    assert!(prepared.proof_holds(&record).is_ok());
    let set = PolicySet::from_str(&policy.permissions().text()).unwrap();
    let uid = |t: &str| EntityUid::from_str(t).unwrap();
    let question = || {
        Request::new(
            uid(&format!("Role::\"{}\"", record.role)),
            uid("Action::\"connect\""),
            uid(&format!("Role::\"{}\"", record.connect[0])),
            Context::empty(),
            None,
        )
        .unwrap()
    };
    let (mut ours, mut cedar, mut proof) = (Samples::default(), Samples::default(), Samples::default());
    for n in 0..ROUNDS {
        ours.add(time(decided));
        proof.add(time(|| prepared.proof_holds(&record)));
        if n % 100 == 0 {
            cedar.add(time(|| Authorizer::new().is_authorized(&question(), &set, &Entities::empty())));
        }
    }
    println!(
        "decide, {PROGRAMS} programs: p50 {:?}, p99 {:?}; one question to plain Cedar over the same permissions: p50 {:?}",
        ours.median(), ours.percentile(99), cedar.median()
    );
    println!("check of the proof (9 steps): p50 {:?}, p99 {:?}", proof.median(), proof.percentile(99));
    let micros = |d: std::time::Duration| d.as_secs_f64() * 1e6;
    ratio("decide p99, microseconds", micros(ours.percentile(99)), "<= 200", micros(ours.percentile(99)) <= 200.0);
    ratio("proof check p99, microseconds", micros(proof.percentile(99)), "<= 20", micros(proof.percentile(99)) <= 20.0);
    let times = cedar.median().as_secs_f64() / ours.median().as_secs_f64();
    println!("plain Cedar takes {times:.1} times as long");
}
