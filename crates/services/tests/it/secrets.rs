//! Role secrets: released to the roles the owners name, never to a key that can leave, never an older value again.

use std::path::Path;

use channel::admission::Admission;
use channel::admission::client::{self, AdmissionError};
use evidence::DomainRoot;
use evidence::controls::without;
use platform::Secret;
use services::authority::role_secrets::seal;
use services::authority::{Core, Ledgered, SecretsPair};
use testkit::{NOW, Served, Town, clock, program, secrets_pair, sign};
use trust::SignerChange;
use trust::role_secret::RoleSecret;
use trust::signing::{Namespace, Signed, SigningKey};

/// `web` may read `db`, `api` nothing.
fn town(dir: &Path) -> Town {
    let mut web = program("web", 0x11, &[]);
    web.secrets = vec!["db".to_owned(), "mail".to_owned()];
    Town::new(dir, vec![web, program("api", 0x22, &[])])
}

fn in_town<T>(act: impl AsyncFnOnce(&Path, Served) -> T) -> T {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let served = town(dir.path()).serve(dir.path(), clock).await;
        act(dir.path(), served).await
    })
}

fn secret(domain: DomainRoot, name: &str, number: u64, value: &str) -> RoleSecret {
    let value = Secret::new(value.as_bytes().to_vec());
    let to = secrets_pair().public().unwrap();
    let value = Some(seal(to, &domain, name, number, &value).unwrap());
    RoleSecret { domain, name: name.to_owned(), number, value }
}

async fn put(town: &Served, signed: &Signed) -> Result<u64, AdmissionError> {
    client::put_secret(&town.address, &town.trust, signed, clock).await
}

async fn set(town: &Served, name: &str, number: u64, value: &str) -> Result<u64, AdmissionError> {
    let payload = secret(town.genesis.root(), name, number, value).encode();
    put(town, &sign(&town.owner, Namespace::Secret, payload)).await
}

fn released(admission: &Admission) -> Vec<(&str, &str)> {
    let all = admission.secrets.iter();
    all.map(|(n, v)| (n.as_str(), core::str::from_utf8(v.expose()).unwrap())).collect()
}

fn reasons<T>(outcome: Result<T, AdmissionError>) -> String {
    match outcome {
        Ok(_) => "taken".to_owned(),
        Err(e) => e.to_string(),
    }
}

#[test]
fn a_secret_reaches_the_roles_that_may_read_it_and_a_newer_value_takes_its_place() {
    in_town(async |dir, town| {
        let (web, api) = (town.monitor(0x11), town.monitor(0x22));
        assert!(released(&town.admit(&web, false).await.unwrap().0).is_empty());
        assert_eq!(set(&town, "db", 1, "hunter2").await.unwrap(), 1);
        let (admission, _, _) = town.admit(&web, false).await.unwrap();
        assert_eq!(released(&admission), [("db", "hunter2")]);
        assert!(!format!("{admission:?}").contains("hunter2"));
        assert_eq!(Admission::decode(&admission.encode()).unwrap(), admission);
        assert!(released(&town.admit(&api, false).await.unwrap().0).is_empty());
        set(&town, "db", 7, "hunter3").await.unwrap();
        assert_eq!(released(&town.admit(&web, false).await.unwrap().0), [("db", "hunter3")]);
        // Taken back.
        let (domain, name) = (town.genesis.root(), "db".to_owned());
        let gone = RoleSecret { domain, name, number: 8, value: None };
        put(&town, &sign(&town.owner, Namespace::Secret, gone.encode())).await.unwrap();
        assert!(released(&town.admit(&web, false).await.unwrap().0).is_empty());
        // The disk holds ciphertext alone.
        for entry in std::fs::read_dir(dir).unwrap().flatten().filter(|e| e.path().is_file()) {
            let bytes = std::fs::read(entry.path()).unwrap();
            assert!(!bytes.windows(6).any(|w| w == b"hunter"), "{:?}", entry.path());
        }
    });
}

#[test]
fn a_key_that_can_leave_its_program_gets_no_secrets() {
    let attack = || {
        in_town(async |_, town| {
            set(&town, "db", 1, "hunter2").await.unwrap();
            let (admission, _, _) = town.admit(&town.monitor(0x11), true).await.unwrap();
            released(&admission).len()
        })
    };
    assert_eq!(attack(), 0);
    assert_eq!(without("secrets_exportable", attack), 1);
}

#[test]
fn an_older_value_never_comes_back() {
    let attack = || {
        in_town(async |_, town| {
            set(&town, "db", 2, "new").await.unwrap();
            let refused = reasons(set(&town, "db", 1, "old").await);
            let again = reasons(set(&town, "db", 2, "other").await);
            let (admission, _, _) = town.admit(&town.monitor(0x11), false).await.unwrap();
            let value = released(&admission).first().map(|(_, v)| (*v).to_owned());
            (refused, again, value.unwrap())
        })
    };
    let (refused, again, value) = attack();
    assert!(refused.contains("number 1, expected more than 2"), "{refused}");
    assert!(again.contains("number 2, expected more than 2"), "{again}");
    assert_eq!(value, "new");
    let (_, _, value) = without("secret_number", attack);
    assert_eq!(value, "other");
}

#[test]
fn what_the_owners_did_not_sign_or_what_is_of_another_domain_is_no_secret() {
    let foreign = DomainRoot::new([3; 32]);
    let attack = || {
        in_town(async |_, town| {
            let payload = secret(foreign, "db", 1, "planted").encode();
            reasons(put(&town, &sign(&town.owner, Namespace::Secret, payload)).await)
        })
    };
    assert!(attack().contains("role secret of domain"), "{}", attack());
    assert_eq!(without("secret_domain", attack), "taken");
    in_town(async |_, town| {
        let root = town.genesis.root();
        let good = secret(root, "db", 1, "planted");
        let thief = SigningKey::from_seed([8; 32]).unwrap();
        let other = SecretsPair::new([9; 32]).public().unwrap();
        let value = seal(other, &root, "db", 1, &Secret::new(b"x".to_vec())).unwrap();
        let elsewhere = RoleSecret { value: Some(value), ..good.clone() };
        let moved = RoleSecret { name: "mail".to_owned(), ..good.clone() };
        let misnamed = RoleSecret { name: "../db".to_owned(), ..good.clone() };
        let cases = [
            ("signed by 0", sign(&thief, Namespace::Secret, good.encode())),
            ("signed by 0", sign(&town.owner, Namespace::Policy, good.encode())),
            ("another authority's key", sign(&town.owner, Namespace::Secret, elsewhere.encode())),
            ("does not open", sign(&town.owner, Namespace::Secret, moved.encode())),
            ("name", sign(&town.owner, Namespace::Secret, misnamed.encode())),
            ("role secret: ", sign(&town.owner, Namespace::Secret, b"junk".to_vec())),
        ];
        for (why, signed) in cases {
            let refused = reasons(put(&town, &signed).await);
            assert!(refused.contains(why), "{why}: {refused}");
        }
        assert!(released(&town.admit(&town.monitor(0x11), false).await.unwrap().0).is_empty());
    });
}

#[test]
fn secrets_beyond_what_one_answer_carries_are_refused_and_not_cut() {
    let names = (0..9).map(|n| format!("s{n}")).collect::<Vec<_>>();
    let dir = tempfile::tempdir().unwrap();
    let mut web = program("web", 0x11, &[]);
    web.secrets.clone_from(&names);
    let town = Town::new(dir.path(), vec![web]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let town = town.serve(dir.path(), clock).await;
        let long = "x".repeat(trust::role_secret::VALUE_MAX);
        for (n, name) in names.iter().enumerate() {
            set(&town, name, 1, &long).await.unwrap();
            let admitted = town.admit(&town.monitor(0x11), false).await;
            if n < 8 {
                assert_eq!(admitted.unwrap().0.secrets.len(), n + 1);
            } else {
                let refused = reasons(admitted);
                assert!(refused.contains("at most 131072 bytes"), "{refused}");
            }
        }
    });
}

/// An authority that starts again over the log of `dir`.
fn again(dir: &Path) -> (Core, trust::Genesis, SigningKey) {
    let machine = tempfile::tempdir().unwrap();
    let town = town(machine.path());
    let (genesis, owner) = (town.genesis.clone(), SigningKey::from_seed([9; 32]).unwrap());
    (town.core(dir), genesis, owner)
}

#[test]
fn a_state_directory_that_was_set_back_behind_its_log_starts_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (mut core, genesis, owner) = again(dir.path());
    let signed = |number, value| {
        let payload = secret(genesis.root(), "db", number, value).encode();
        sign(&owner, Namespace::Secret, payload)
    };
    let (first, second) = (signed(1, "one"), signed(2, "two"));
    core.take_secret(&first, NOW).unwrap();
    core.take_secret(&second, NOW).unwrap();
    core.is_whole().unwrap();
    drop(core);
    let start = |kept: Option<&Signed>| {
        let (mut core, ..) = again(dir.path());
        kept.into_iter().for_each(|s| core.restore_secret(s, NOW).unwrap());
        core.is_whole()
    };
    start(Some(&second)).unwrap();
    for kept in [None, Some(&first)] {
        let refused = start(kept).unwrap_err();
        assert!(refused.contains("expected number 2"), "{refused}");
        without("state_behind_log", || start(kept)).unwrap();
    }
    // One that was kept and not entered yet is entered at the start.
    start(Some(&signed(3, "three"))).unwrap();
    assert!(start(Some(&second)).unwrap_err().contains("expected number 3"));
}

#[test]
fn a_start_with_another_policy_than_the_log_names_or_without_a_change_of_signers_is_refused() {
    let open = |town: &Town, dir: &Path| {
        let audit = town.trust.authority().endorsement().audit;
        Ledgered::open(dir, testkit::log_signer(), audit).unwrap()
    };
    let start = |dir: &Path| {
        let machine = tempfile::tempdir().unwrap();
        town(machine.path()).core(dir).is_whole()
    };
    // The owners signed two first policies; the log took the other one.
    let (dir, machine) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let other = Town::new(machine.path(), vec![program("web", 0x33, &[])]);
    open(&other, dir.path()).policy(&other.in_force(), NOW).unwrap();
    let refused = start(dir.path()).unwrap_err();
    assert!(refused.contains("the log names another version 1"), "{refused}");
    without("policy_of_log", || start(dir.path())).unwrap();
    // Whoever started last knew of another set of signers.
    let dir = tempfile::tempdir().unwrap();
    let mut genesis = other.genesis.clone();
    let (number, previous) = genesis.next_change();
    let change = SignerChange {
        domain: genesis.root(),
        number,
        previous,
        signers: genesis.signers_now().clone(),
        policy: None,
        epoch: 0,
        secrets: std::collections::BTreeMap::new(),
    };
    let owner = SigningKey::from_seed([9; 32]).unwrap();
    genesis.follow(sign(&owner, Namespace::Signers, change.encode())).unwrap();
    let mut log = open(&other, dir.path());
    log.follow(&genesis, NOW).unwrap();
    log.follow(&genesis, NOW).unwrap();
    assert_eq!(log.signers(), 1);
    drop(log);
    let refused = start(dir.path()).unwrap_err();
    assert!(refused.contains("change of signers: expected number 1"), "{refused}");
    without("state_behind_log", || start(dir.path())).unwrap();
}
