//! Admissions against a real authority in this process: what each side's checks are for, shown by removing them one by one.

use std::sync::atomic::{AtomicI64, Ordering};

use channel::admission::LogSeen;
use channel::admission::client::{self, AdmissionError, Attester};
use channel::keys::LeafKey;
use evidence::controls::without;
use evidence::{Binder, HardwareEvidence, Nonce, StatementKey, Time};
use platform::PlatformError;
use testkit::{Monitor, NOW, Served, Town, clock, program};

/// One thread for both ends: a check that a test removes on it is removed for whoever makes it.
fn in_town<T>(act: impl AsyncFnOnce(Served, Monitor) -> T) -> T {
    let dir = tempfile::tempdir().unwrap();
    let town =
        Town::new(dir.path(), vec![program("web", 0x11, &["api"]), program("api", 0x22, &[])]);
    let web = town.monitor(0x11);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { act(town.serve(dir.path(), clock).await, web).await })
}

fn reasons<T>(outcome: Result<T, AdmissionError>) -> String {
    match outcome {
        Ok(_) => "admitted".to_owned(),
        Err(e) => e.to_string(),
    }
}

#[test]
fn an_honest_program_is_admitted_in_its_role_and_with_its_peers() {
    in_town(async |town, web| {
        let (admission, _, _) = town.admit(&web, false).await.unwrap();
        assert_eq!(
            (admission.role.as_str(), &admission.connect[..]),
            ("web", &["api".to_owned()][..])
        );
    });
}

#[test]
fn a_key_that_is_not_shown_to_be_held_is_not_certified() {
    let try_it = || {
        in_town(async |town, web| {
            let (pending, _) = town.begin(&web, false).await.unwrap();
            let thief = LeafKey::generate().unwrap();
            let signature = thief.sign(&pending.to_be_signed()).unwrap();
            reasons(pending.finish(signature, &mut LogSeen::default()).await.map(drop))
        })
    };
    assert!(try_it().starts_with("proof of possession"), "{}", try_it());
    assert_eq!(without("proof_of_possession", try_it), "admitted");
}

/// Asks for a challenge with one key and for a credential with another.
struct OtherKey<'a>(&'a Monitor);

impl Attester for OtherKey<'_> {
    fn statement_key(&self) -> StatementKey {
        self.0.statement_key()
    }

    fn hardware_evidence(&self, nonce: Nonce) -> Result<HardwareEvidence, PlatformError> {
        self.0.hardware_evidence(nonce)
    }

    fn state(&self, binder: &Binder) -> Result<Vec<u8>, PlatformError> {
        Attester::state(self.0, binder)
    }
}

#[test]
fn the_certified_key_is_the_one_the_challenge_was_made_for() {
    let try_it = || {
        in_town(async |town, web| {
            let (first, second) = (LeafKey::generate().unwrap(), LeafKey::generate().unwrap());
            let mut pending = client::begin(
                &town.address,
                &town.trust,
                &OtherKey(&web),
                first.spki(),
                None,
                false,
                clock,
            )
            .await
            .unwrap();
            pending.dangerous_exchange_key(second.spki(), |b| Attester::state(&web, b).unwrap());
            let signature = second.sign(&pending.to_be_signed()).unwrap();
            reasons(pending.finish(signature, &mut LogSeen::default()).await.map(drop))
        })
    };
    assert!(try_it().starts_with("proof of possession"), "{}", try_it());
    assert_eq!(without("admission_leaf", try_it), "admitted");
}

static WRONG: AtomicI64 = AtomicI64::new(0);

fn wrong_clock() -> Time {
    NOW.plus_secs(WRONG.load(Ordering::Relaxed))
}

#[test]
fn clocks_that_differ_by_more_than_two_minutes_stop_an_admission() {
    let try_it = |secs: i64| {
        WRONG.store(secs, Ordering::Relaxed);
        in_town(async |town, web| {
            let key = LeafKey::generate().unwrap();
            let begun = client::begin(
                &town.address,
                &town.trust,
                &web,
                key.spki(),
                None,
                false,
                wrong_clock,
            );
            reasons(begun.await.map(drop))
        })
    };
    assert_eq!(try_it(client::SKEW_SECS_MAX), "admitted");
    assert_eq!(try_it(-client::SKEW_SECS_MAX), "admitted");
    assert!(try_it(client::SKEW_SECS_MAX + 1).starts_with("clock:"));
    // To a clock that is behind, the authority's own certificate is not in force yet.
    assert_ne!(try_it(-client::SKEW_SECS_MAX - 1), "admitted");
    assert_eq!(without("clock", || try_it(client::SKEW_SECS_MAX + 1)), "admitted");
}

#[test]
fn an_authority_whose_clock_was_set_back_behind_its_log_admits_nobody() {
    let log = tempfile::tempdir().unwrap();
    let admit_at = |clock: fn() -> Time| {
        let dir = tempfile::tempdir().unwrap();
        let town = Town::at(dir.path(), vec![program("web", 0x11, &[])], clock());
        let web = town.monitor(0x11);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            reasons(town.serve(log.path(), clock).await.admit(&web, false).await.map(drop))
        })
    };
    assert_eq!(admit_at(clock), "admitted");
    assert_eq!(admit_at(|| NOW.plus_secs(-client::SKEW_SECS_MAX)), "admitted");
    // It signs no time either, so a client does not get as far as being refused.
    let back: fn() -> Time = || NOW.plus_secs(-client::SKEW_SECS_MAX - 1);
    assert!(admit_at(back).starts_with("signed time:"), "{}", admit_at(back));
    assert_eq!(without("authority_clock", || admit_at(back)), "admitted");
}

static LATER: AtomicI64 = AtomicI64::new(0);

fn later_clock() -> Time {
    NOW.plus_secs(LATER.load(Ordering::Relaxed))
}

#[test]
fn a_challenge_that_waited_longer_than_half_a_minute_is_not_answered_any_more() {
    let answered_after = |secs: i64| {
        LATER.store(0, Ordering::Relaxed);
        let dir = tempfile::tempdir().unwrap();
        let town = Town::new(dir.path(), vec![program("web", 0x11, &[])]);
        let web = town.monitor(0x11);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let town = town.serve(dir.path(), later_clock).await;
            let (pending, key) = town.begin(&web, false).await.unwrap();
            LATER.store(secs, Ordering::Relaxed);
            let signature = key.sign(&pending.to_be_signed()).unwrap();
            reasons(pending.finish(signature, &mut LogSeen::default()).await.map(drop))
        })
    };
    assert_eq!(answered_after(30), "admitted");
    assert!(answered_after(31).starts_with("challenge:"), "{}", answered_after(31));
    assert_eq!(without("challenge_age", || answered_after(31)), "admitted");
}
