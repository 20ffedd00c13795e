//! A genuine decision record with bytes exchanged anywhere: re-checked whole only where nothing that counts was changed.
#![no_main]

use std::sync::LazyLock;

use checker::{DecisionRecord, recheck};
use libfuzzer_sys::fuzz_target;

static GENUINE: LazyLock<DecisionRecord> = LazyLock::new(owners::record);

fuzz_target!(|bytes: &[u8]| {
    if let Ok(record) = DecisionRecord::decode(bytes) {
        assert!(!recheck(&record).holds());
    }
    let mut encoded = GENUINE.encode();
    for change in bytes.chunks_exact(3) {
        let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % encoded.len();
        encoded[at] = encoded[at].wrapping_add(change[2]);
    }
    let Ok(changed) = DecisionRecord::decode(&encoded) else { return };
    if recheck(&changed).holds() {
        // Times inside every window, and names the decision does not rest on, may differ; what was granted and why may not.
        let granted = |r: &DecisionRecord| (r.role.clone(), r.proof.clone(), r.statement.clone(), r.hardware.report.clone());
        assert_eq!(granted(&changed), granted(&GENUINE));
    }
});
