//! A name that lies is refused, and by this check alone.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests")]

use std::path::PathBuf;

use evidence::controls::without;

use super::{Store, StoreError};
use crate::verify::input::certificates;

#[test]
fn an_entry_under_another_name_is_refused() {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/evidence");
    let corpus = std::env::var("CASEMATE_EVIDENCE").unwrap_or_else(|_| default.to_owned());
    let Ok(ark) = std::fs::read(PathBuf::from(&corpus).join("roots/amd/milan/ark.pem")) else {
        println!("skipped: no captured evidence at {corpus}; set CASEMATE_EVIDENCE");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let objects = dir.path().join("objects");
    std::fs::create_dir(&objects).unwrap();
    let der = certificates(&ark).unwrap().remove(0);
    std::fs::write(objects.join("0".repeat(64)), der).unwrap();
    let open = || Store::open(dir.path());
    assert!(matches!(open(), Err(StoreError::Damaged { .. })));
    assert!(without("collateral_digest", open).is_ok());
}
