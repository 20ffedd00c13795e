//! Statements and software reports of anybody verify under no key of ours.
#![no_main]

use evidence::statement::{self, Expected, Purpose};
use evidence::{BinderDigest, BinderKind, DomainRoot, HardwareEvidence, Kind, StatementKey, Time, software};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let expected = Expected {
        purpose: Purpose::Binder(BinderKind::Admission),
        domain: DomainRoot::new([1; 32]),
        binder: BinderDigest::new([2; 48]),
    };
    assert!(statement::verify(bytes, &StatementKey::new([3; 32]), &expected).is_err());
    let evidence = HardwareEvidence {
        kind: Kind::Software,
        report: bytes.to_vec(),
        endorsements: vec![bytes.to_vec(), vec![4; 32]],
    };
    let root = evidence::software::chain::root_digest(&StatementKey::new([4; 32]));
    assert!(software::verify(&evidence, &[root], Time::from_unix(1_800_000_000)).is_err());
});
