//! Logs of an authority that logs other things than it does, and of one that shows two pasts.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use evidence::controls::without;
use evidence::statement::HostOs;
use evidence::{ContentDigest, DomainRoot, Isolation, Measurement, StatementKey, Time};
use ledger::entry::Kind;
use ledger::note::{Checkpoint, Signer};
use ledger::tree::Tree;
use trust::RoleName;

use super::*;

/// An authority's log, as it shows it.
#[derive(Clone, Default)]
struct Shown {
    tree: Tree,
}

fn signer(origin: &str, seed: u8) -> Signer {
    Signer::new(origin, platform::Secret::new([seed; 32])).unwrap()
}

fn log() -> String {
    signer("shop/log", 1).verifier().to_text()
}

impl Shown {
    /// Admits a program as `role`, for a client that has seen `asked` entries.
    fn admit(&mut self, role: &str, asked: u64) -> Admission {
        let decision = ContentDigest::of(role.as_bytes());
        let rest = format!("{role} {decision}");
        let (kind, at) = (Kind::Admission, Time::from_unix(7));
        let entry = Entry { kind, at, rest: rest.as_bytes() }.encode();
        let index = self.tree.len();
        self.tree.push(tree::leaf(&entry));
        let size = self.tree.len();
        let (inclusion, consistency) = (
            self.tree.inclusion(index, size).unwrap(),
            self.tree.consistency(usize::try_from(asked).unwrap(), size).unwrap_or_default(),
        );
        let checkpoint = self.checkpoint(&signer("shop/log", 1));
        Admission {
            certificate: Vec::new(),
            role: role.to_owned(),
            connect: Vec::new(),
            clients: Vec::new(),
            policy: 1,
            revocation: 0,
            log_index: u64::try_from(index).unwrap(),
            decision,
            secrets: Vec::new(),
            log: LogProof { entry, checkpoint, inclusion, consistency },
        }
    }

    fn checkpoint(&self, signer: &Signer) -> String {
        let (size, root) = (self.tree.len(), self.tree.root(self.tree.len()).unwrap());
        signer.sign(&Checkpoint { size: u64::try_from(size).unwrap(), root }).unwrap()
    }
}

/// A credential that names an entry.
fn credential(role: &str, log_index: u64) -> Credential {
    Credential {
        domain: DomainRoot::new([1; 32]),
        role: RoleName::new(role).unwrap(),
        measurement: Measurement::new([1; 48]),
        statement_key: StatementKey::new([2; 32]),
        kind: evidence::Kind::Software,
        isolation: Isolation::Software,
        host: HostOs::Mutable,
        exportable: false,
        policy: 1,
        proof: ContentDigest::of(b""),
        log_index,
    }
}

/// The client's side, with a credential of the entry it was told.
fn believe(seen: &mut LogSeen, admission: &Admission) -> Result<(), LogRefusal> {
    seen.extend(&log(), admission, &credential(&admission.role, admission.log_index))
}

#[test]
fn a_log_that_grows_is_followed_and_the_answer_reads_back() {
    let (mut shown, mut seen) = (Shown::default(), LogSeen::default());
    for n in 0_u64..20 {
        shown.admit("other", 0);
        let admission = shown.admit(&format!("web{n}"), seen.size());
        assert_eq!(Admission::decode(&admission.encode()).unwrap(), admission);
        believe(&mut seen, &admission).unwrap();
        assert_eq!(seen.size(), n * 2 + 2);
    }
}

#[test]
fn a_forked_or_shortened_log_is_refused_with_both_signed_notes() {
    let (mut shown, mut seen) = (Shown::default(), LogSeen::default());
    let mut other = shown.clone();
    shown.admit("a", 0);
    believe(&mut seen, &shown.admit("b", 0)).unwrap();
    other.admit("c", 0);
    let (same_length, longer) = (other.admit("d", 0), other.admit("e", 2));
    for forked in [same_length, longer, Shown::default().admit("z", 0)] {
        let mut now = seen.clone();
        let refused = believe(&mut now, &forked).unwrap_err();
        let LogRefusal::Fork { seen: 2, earlier, later, .. } = &refused else {
            unreachable!("{refused}")
        };
        assert!(refused.to_string().contains(earlier) && refused.to_string().contains(later));
        assert_ne!(earlier, later);
        assert_eq!(now.size(), 2, "what was seen is kept");
        without("log_fork", || believe(&mut now, &forked)).unwrap();
    }
    believe(&mut seen, &shown.admit("f", 2)).unwrap();
}

#[test]
fn an_admission_that_is_not_in_the_log_is_refused() {
    let mut shown = Shown::default();
    let real = shown.admit("web", 0);
    let mut unlogged = shown.clone().admit("api", 0);
    unlogged.log.checkpoint = shown.admit("web", 0).log.checkpoint;
    let attack = || believe(&mut LogSeen::default(), &unlogged);
    assert_eq!(attack().unwrap_err(), LogRefusal::Inclusion { index: 1, size: 2 });
    without("log_inclusion", attack).unwrap();
    // A proof from nothing to nothing is one only for a log of one entry.
    let mut cut = shown.admit("web", 0);
    cut.log.inclusion.clear();
    assert!(matches!(
        believe(&mut LogSeen::default(), &cut),
        Err(LogRefusal::Inclusion { index: 2, size: 3 })
    ));
    believe(&mut LogSeen::default(), &real).unwrap();
}

#[test]
fn an_entry_of_another_admission_is_refused() {
    let mut shown = Shown::default();
    let logged = shown.admit("web", 0);
    let claimed = Admission { role: "api".into(), ..logged.clone() };
    let attack = || believe(&mut LogSeen::default(), &claimed);
    assert!(matches!(attack(), Err(LogRefusal::Entry { .. })), "{:?}", attack());
    without("log_entry", attack).unwrap();
    let other = Admission { decision: ContentDigest::of(b"kept back"), ..logged.clone() };
    assert!(matches!(believe(&mut LogSeen::default(), &other), Err(LogRefusal::Entry { .. })));
    let junk = Admission { log: LogProof { entry: vec![0; 9], ..logged.log.clone() }, ..logged };
    assert!(matches!(believe(&mut LogSeen::default(), &junk), Err(LogRefusal::Entry { .. })));
}

#[test]
fn a_credential_of_another_entry_is_refused() {
    let mut shown = Shown::default();
    shown.admit("web", 0);
    let second = shown.admit("web", 0);
    let attack = || LogSeen::default().extend(&log(), &second, &credential("web", 0));
    assert_eq!(attack().unwrap_err(), LogRefusal::Index { credential: 0, answer: 1 });
    without("log_index", attack).unwrap();
}

#[test]
fn a_checkpoint_of_another_key_or_log_is_refused() {
    let mut shown = Shown::default();
    let real = shown.admit("web", 0);
    for (stranger, junk) in
        [(signer("shop/log", 2), ""), (signer("bank/log", 1), ""), (signer("shop/log", 1), "x")]
    {
        let checkpoint = shown.checkpoint(&stranger) + junk;
        let told = Admission { log: LogProof { checkpoint, ..real.log.clone() }, ..real.clone() };
        let refused = believe(&mut LogSeen::default(), &told).unwrap_err();
        assert!(matches!(refused, LogRefusal::Note(_)), "{refused}");
    }
}

#[test]
fn a_proof_of_endless_hashes_is_no_answer() {
    let mut admission = Shown::default().admit("web", 0);
    admission.log.inclusion = vec![[0; 32]; PROOF_MAX];
    assert!(Admission::decode(&admission.encode()).is_ok());
    admission.log.inclusion.push([0; 32]);
    let refused = Admission::decode(&admission.encode()).unwrap_err();
    assert_eq!(refused, CborError::Field("inclusion"));
}
