//! Nothing but tests: casemate and the crates `sev` and `dcap-qvl` judge the same evidence, see
//! docs/records/differential-2026-11.md. A crate of its own, so that no other test build waits for them.
#![forbid(unsafe_code)]
