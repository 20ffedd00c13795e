//! Bytes that pretend to be the HCL report of an Azure machine never panic and are read within their length.
#![no_main]

use evidence::azure::parse;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(report) = parse(bytes) {
        assert!(report.hardware.len() + report.runtime.len() < bytes.len());
        let _ = report.configuration();
    }
});
