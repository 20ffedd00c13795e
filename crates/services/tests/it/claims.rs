//! Claims at the authority: kept for whom the policy lets speak, counted from the next admission on, missed after a restart
//! if the host gives back fewer.

use std::path::Path;

use channel::admission::client::{self, AdmissionError};
use evidence::controls::without;
use evidence::{ContentDigest, DomainRoot, IssuerKey, Measurement, Window};
use services::authority::Core;
use testkit::{NOW, Served, Town, clock, program};
use trust::claim::{Says, Scope, Topic};
use trust::policy::Issuer;
use trust::signing::SigningKey;
use trust::{AuthenticClaim, Claim, RoleName};

fn key(n: u8) -> SigningKey {
    SigningKey::from_seed([n; 32]).unwrap()
}

fn role(name: &str) -> RoleName {
    RoleName::new(name).unwrap()
}

/// `web` is whatever key 20, or whoever it lets, says it is.
fn town(dir: &Path) -> Town {
    let mut town = Town::new(dir, vec![program("web", 0x77, &[])]);
    town.policy.programs[0].measurements.clear();
    town.policy.issuers = vec![Issuer {
        name: role("maker"),
        key: key(20).issuer(),
        holder: "Maker".into(),
        may: vec![(Topic::Program, Scope::Any)],
        depth: 1,
        until: NOW.plus_secs(3600),
    }];
    town
}

fn in_town<T>(act: impl AsyncFnOnce(&Path, Served) -> T) -> T {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let served = town(dir.path()).serve(dir.path(), clock).await;
        act(dir.path(), served).await
    })
}

fn said(by: u8, domain: DomainRoot, says: Says) -> AuthenticClaim {
    let window = Window { not_before: NOW.plus_secs(-10), not_after: NOW.plus_secs(100) };
    let claim = Claim { domain: Some(domain), issuer: IssuerKey::new([0; 32]), window, says };
    claim.sign(&key(by)).unwrap()
}

fn trusts(measured: u8) -> Says {
    Says::Program { role: role("web"), measurement: Measurement::new([measured; 48]) }
}

async fn put(town: &Served, claim: &AuthenticClaim) -> Result<String, AdmissionError> {
    client::put_claim(&town.address, &town.trust, claim.bytes(), clock).await
}

fn refused<T: core::fmt::Debug>(outcome: Result<T, AdmissionError>) -> String {
    match outcome {
        Err(AdmissionError::Refused(reasons)) => reasons.join(" "),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_claim_of_whom_the_policy_lets_speak_counts_from_the_next_admission_until_taken_back() {
    in_town(async |dir, town| {
        let web = town.monitor(0x11);
        assert!(refused(town.admit(&web, false).await.map(drop)).contains("program"));
        let claim = said(20, town.genesis.root(), trusts(0x11));
        assert_eq!(put(&town, &claim).await.unwrap(), claim.digest().to_string());
        assert_eq!(put(&town, &claim).await.unwrap(), "known");
        let (admission, _, _) = town.admit(&web, false).await.unwrap();
        assert_eq!(admission.role, "web");
        // In the log once, kept, and told to whoever asks.
        let entries =
            String::from_utf8_lossy(&std::fs::read(dir.join("entries")).unwrap()).into_owned();
        assert_eq!(entries.matches(&format!("claim 1800000000 {}", claim.digest())).count(), 1);
        let kept = std::fs::read(dir.join(format!("claim-{}.cbor", claim.digest()))).unwrap();
        assert_eq!(kept, claim.bytes());
        let all = client::claims(&town.address, &town.trust, clock).await.unwrap();
        assert_eq!(all.as_slice(), std::slice::from_ref(&claim));
        let back = said(20, town.genesis.root(), Says::Withdraw { claim: claim.digest() });
        put(&town, &back).await.unwrap();
        assert!(refused(town.admit(&web, false).await.map(drop)).contains("vouches now"));
    });
}

#[test]
fn strangers_fill_no_disk_and_are_heard_once_somebody_lets_them_speak() {
    in_town(async |dir, town| {
        let root = town.genesis.root();
        let stranger = said(21, root, trusts(0x11));
        assert!(refused(put(&town, &stranger).await).contains("lets speak"));
        let foreign = said(20, DomainRoot::new([1; 32]), trusts(0x11));
        assert!(refused(put(&town, &foreign).await).contains("expected one to domain"));
        let mut forged = stranger.bytes().to_vec();
        *forged.last_mut().unwrap() ^= 1;
        let sent = client::put_claim(&town.address, &town.trust, &forged, clock).await;
        assert!(refused(sent).contains("does not verify"));
        for junk in [vec![], vec![0xff; 10], vec![0; 5000]] {
            assert!(client::put_claim(&town.address, &town.trust, &junk, clock).await.is_err());
        }
        let kept = std::fs::read_dir(dir).unwrap().flatten();
        let claims = kept.filter(|e| e.file_name().to_string_lossy().starts_with("claim-")).count();
        assert_eq!(claims, 0);
        let to = key(21).issuer();
        let says = Says::Delegate { to, topic: Topic::Program, scope: Scope::Any, depth: 0 };
        put(&town, &said(20, root, says)).await.unwrap();
        put(&town, &stranger).await.unwrap();
        town.admit(&town.monitor(0x11), false).await.unwrap();
    });
}

#[test]
fn each_check_of_a_claim_to_be_kept_refuses_alone() {
    let dir = tempfile::tempdir().unwrap();
    let town = town(dir.path());
    let root = town.genesis.root();
    let core = town.core(dir.path());
    let stranger = said(21, root, trusts(0x11));
    let attack = || core.next_claim(stranger.bytes(), NOW);
    assert!(attack().unwrap_err().join(" ").contains("lets speak"));
    assert!(without("claim_stranger", attack).unwrap().is_some());
    let foreign = said(20, DomainRoot::new([1; 32]), trusts(0x11));
    let attack = || core.next_claim(foreign.bytes(), NOW);
    assert!(attack().unwrap_err().join(" ").contains("expected one to domain"));
    assert!(without("claim_addressed", attack).unwrap().is_some());
}

#[test]
fn claims_come_in_pages_and_all_of_them() {
    in_town(async |_, town| {
        let mut digests = Vec::<ContentDigest>::new();
        for n in 0..70 {
            let claim = said(20, town.genesis.root(), trusts(n));
            put(&town, &claim).await.unwrap();
            digests.push(claim.digest());
        }
        digests.sort();
        let all = client::claims(&town.address, &town.trust, clock).await.unwrap();
        assert_eq!(all.iter().map(AuthenticClaim::digest).collect::<Vec<_>>(), digests);
    });
}

/// The core of a town after a restart with these claims on its disk.
fn restarted(dir: &Path, claims: &[&AuthenticClaim]) -> Core {
    let elsewhere = tempfile::tempdir().unwrap();
    let mut core = town(elsewhere.path()).core(dir);
    claims.iter().for_each(|c| core.restore_claim(c.bytes(), NOW).unwrap());
    core
}

#[test]
fn a_host_that_gives_back_fewer_claims_than_the_log_names_is_refused() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let root = town(other.path()).genesis.root();
    let claim = said(20, root, trusts(0x11));
    let back = said(20, root, Says::Withdraw { claim: claim.digest() });
    let mut core = restarted(dir.path(), &[]);
    core.take_claim(claim.clone(), NOW).unwrap();
    core.take_claim(back.clone(), NOW).unwrap();
    drop(core);
    assert_eq!(restarted(dir.path(), &[&back, &claim]).is_whole(), Ok(()));
    let attacked = restarted(dir.path(), &[&claim]);
    let refusal = attacked.is_whole().unwrap_err();
    assert!(
        refusal.contains(&back.digest().to_string()) && refusal.contains("set back"),
        "{refusal}"
    );
    assert_eq!(without("claims_behind_log", || attacked.is_whole()), Ok(()));
}
