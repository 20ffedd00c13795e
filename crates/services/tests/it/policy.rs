//! Policies that come into force while the authority runs: the owners' next one and no other, in the log before it counts,
//! and still there after a restart.

use std::path::Path;

use channel::admission::client::{self, AdmissionError};
use channel::handshake::Epochs;
use testkit::{Monitor, Served, Town, clock, program, sign};
use trust::policy::{Policy, PolicyInForce};
use trust::signing::{Namespace, Signed, SigningKey};

fn with_town<T>(
    act: impl AsyncFnOnce(&Path, Served, Policy, PolicyInForce, [Monitor; 2]) -> T,
) -> T {
    let dir = tempfile::tempdir().unwrap();
    let town = Town::new(dir.path(), vec![program("web", 0x11, &[])]);
    let monitors = [town.monitor(0x11), town.monitor(0x22)];
    let (policy, before) = (town.policy.clone(), town.in_force());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let served = town.serve(dir.path(), clock).await;
        act(dir.path(), served, policy, before, monitors).await
    })
}

/// The next version: `api` instead of `web`.
fn next(policy: &Policy, before: &PolicyInForce) -> Policy {
    let programs = vec![program("api", 0x22, &[])];
    Policy { version: 2, previous: Some(before.digest()), programs, ..policy.clone() }
}

async fn put(town: &Served, signed: &Signed) -> Result<u64, AdmissionError> {
    client::put_policy(&town.address, &town.trust, signed, clock).await
}

#[test]
fn the_owners_next_policy_is_in_force_for_the_next_admission() {
    with_town(async |dir, town, policy, before, [web, api]| {
        let (_, mut connected, _) = town.admit(&web, false).await.unwrap();
        assert!(town.admit(&api, false).await.is_err());
        let signed = sign(&town.owner, Namespace::Policy, next(&policy, &before).encode());
        // Whoever waits for news is woken.
        let known = Epochs { policy: 1, revocation: 0 };
        let (news, version) = tokio::join!(connected.news(known), put(&town, &signed));
        assert_eq!((news.unwrap().policy, version.unwrap()), (2, 2));
        assert_eq!(town.admit(&api, false).await.unwrap().0.policy, 2);
        assert!(matches!(town.admit(&web, false).await, Err(AdmissionError::Refused(_))));
        // Handed in again, it is the one in force; it is kept, and in the log once.
        assert_eq!(put(&town, &signed).await.unwrap(), 2);
        assert_eq!(std::fs::read(dir.join("policy-2.cbor")).unwrap(), signed.encode());
        let entries = std::fs::read(dir.join("entries")).unwrap();
        let entered = String::from_utf8_lossy(&entries).matches("policy 1800000000 2 ").count();
        assert_eq!(entered, 1);
    });
}

#[test]
fn what_is_not_the_owners_next_policy_changes_nothing() {
    with_town(async |dir, town, policy, before, [web, _]| {
        let good = next(&policy, &before);
        let thief = SigningKey::from_seed([8; 32]).unwrap();
        let other = Policy { programs: Vec::new(), ..policy.clone() };
        let cases = [
            ("signed by 0", sign(&thief, Namespace::Policy, good.encode())),
            ("signed by 0", sign(&town.owner, Namespace::Revocation, good.encode())),
            (
                "version 3",
                sign(
                    &town.owner,
                    Namespace::Policy,
                    Policy { version: 3, ..good.clone() }.encode(),
                ),
            ),
            (
                "does not follow",
                sign(
                    &town.owner,
                    Namespace::Policy,
                    Policy { previous: None, ..good.clone() }.encode(),
                ),
            ),
            ("two policies of version 1", sign(&town.owner, Namespace::Policy, other.encode())),
        ];
        for (why, signed) in cases {
            match put(&town, &signed).await {
                Err(AdmissionError::Refused(reasons)) => {
                    assert!(reasons.join(" ").contains(why), "{why}: {reasons:?}");
                }
                other => panic!("{why}: {other:?}"),
            }
        }
        assert_eq!(town.admit(&web, false).await.unwrap().0.policy, 1);
        let kept = |name: &str| {
            let all = std::fs::read_dir(dir).unwrap().flatten();
            all.filter(|e| e.file_name().to_string_lossy().starts_with(name)).count()
        };
        // Only the second policy of one number is kept: it is evidence that the owners signed both.
        assert_eq!((kept("policy-"), kept("fork-1-")), (0, 1));
        let good = sign(&town.owner, Namespace::Policy, good.encode());
        assert_eq!(put(&town, &good).await.unwrap(), 2);
        let old = sign(&town.owner, Namespace::Policy, policy.encode());
        assert!(matches!(put(&town, &old).await, Err(AdmissionError::Refused(_))));
    });
}
