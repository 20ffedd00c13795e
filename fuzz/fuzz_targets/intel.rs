//! Genuine Intel quotes of our own platform with bytes exchanged: what is signed may not change; collateral, logs and quotes of anybody are
//! read or refused.
#![no_main]

use std::sync::LazyLock;

use evidence::dcap::layout::Tee;
use evidence::dcap::{Collateral, VerifiedCollateral, parse, verify_collateral};
use evidence::tdx::{self, ccel};
use evidence::{Time, sgx};
use libfuzzer_sys::fuzz_target;
use silicon::intel::Platform;

const NOW: Time = Time::from_unix(1_800_000_000);

type Genuine = (Vec<u8>, usize, VerifiedCollateral);

fn genuine(tee: Tee, version: u16) -> Genuine {
    let made = Platform::new(tee, version, NOW).make();
    let kept = verify_collateral(&made.collateral, &[made.root], NOW).unwrap();
    let used = made.quote.len();
    (made.quote, used, kept)
}

static TDX: LazyLock<Genuine> = LazyLock::new(|| genuine(Tee::Tdx, 5));
static SGX: LazyLock<Genuine> = LazyLock::new(|| genuine(Tee::Sgx, 3));

fn changed(quote: &[u8], bytes: &[u8]) -> Vec<u8> {
    let mut quote = quote.to_vec();
    for change in bytes.chunks_exact(3) {
        let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % quote.len();
        quote[at] = quote[at].wrapping_add(change[2]);
    }
    quote
}

fuzz_target!(|bytes: &[u8]| {
    let _ = parse(bytes);
    let _ = ccel::replay(bytes);
    if let Ok(collateral) = Collateral::parse(bytes) {
        assert!(verify_collateral(&collateral, &evidence::dcap::PINNED_ROOTS, NOW).is_err());
    }
    let (quote, _, kept) = &*TDX;
    let other = changed(quote, bytes);
    assert!(other == *quote || tdx::verify(&other, kept, NOW).is_err());
    let (quote, _, kept) = &*SGX;
    let other = changed(quote, bytes);
    assert!(other == *quote || sgx::verify(&other, kept, NOW).is_err());
});
