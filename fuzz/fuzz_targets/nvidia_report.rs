//! A report of any bytes: never a panic, and what is taken apart adds up to what came.
#![no_main]

use evidence::nvidia::{Asked, Evidence, PINNED_RIM_ROOTS, PINNED_ROOTS, Roots, parse, verify};
use evidence::x509::ocsp::Ocsp;
use evidence::Time;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(report) = parse(data) {
        assert_eq!(report.signed_len + report.signature.len() + report.trailing, data.len());
        assert!(report.blocks.windows(2).all(|b| b[0].index < b[1].index));
        let opaque = &report.opaque;
        for field in &opaque.fields {
            let _ = (opaque.text(field.id), opaque.byte(field.id), opaque.u16(field.id));
        }
        let _ = (opaque.counts(), opaque.version(), opaque.vbios(), report.measured(u16::MAX));
    }
    // The same bytes as a certificate and as an answer about one.
    let _ = Ocsp::parse(data);
    let evidence = Evidence {
        report: data.to_vec(),
        certificates: vec![data.to_vec()],
        rims: Vec::new(),
        ocsp: vec![data.to_vec()],
    };
    let roots = Roots { device: &PINNED_ROOTS, rim: &PINNED_RIM_ROOTS };
    assert!(verify(&evidence, &roots, Asked::Unstated, Time::from_unix(1_700_000_000)).is_err());
});
