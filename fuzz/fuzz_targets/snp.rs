//! A genuine SNP report of our own silicon with bytes exchanged: unchanged it is authentic, changed it is not; and bytes that are no report.
#![no_main]

use std::sync::LazyLock;

use evidence::snp::{self, Product, SigningKey};
use evidence::{HardwareEvidence, Kind, RootDigest, Time};
use libfuzzer_sys::fuzz_target;
use silicon::amd::{Machine, around, root_of};

const NOW: Time = Time::from_unix(1_800_000_000);

static GENUINE: LazyLock<(HardwareEvidence, RootDigest)> = LazyLock::new(|| {
    let machine = Machine::new(Product::Milan, SigningKey::Vcek, around(NOW));
    let mut report = machine.report();
    machine.sign(&mut report);
    let evidence = machine.evidence(report);
    let root = root_of(&evidence);
    (evidence, root)
});

fuzz_target!(|bytes: &[u8]| {
    let (genuine, root) = &*GENUINE;
    let _ = snp::parse(bytes);
    let _ = snp::table::parse(bytes);
    let bare = HardwareEvidence { kind: Kind::Snp, report: bytes.to_vec(), endorsements: vec![bytes.to_vec()] };
    assert!(snp::verify(&bare, &[*root], NOW).is_err());
    // Three bytes a change: a place in the report, and what is added there.
    let mut changed = genuine.clone();
    for change in bytes.chunks_exact(3) {
        let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % changed.report.len();
        changed.report[at] = changed.report[at].wrapping_add(change[2]);
    }
    let same = changed.report[..0x2a0] == genuine.report[..0x2a0];
    assert!(same || snp::verify(&changed, &[*root], NOW).is_err());
});
