//! Firmware, kernels, enclave images and SIGSTRUCTs that are anything but: no panic, bounded work; a SIGSTRUCT counts under its
//! own signature alone.
#![no_main]

use evidence::predict::ovmf::Ovmf;
use evidence::predict::sgx::SigStruct;
use evidence::predict::tdx::{Order, mrtd};
use evidence::predict::tpm::{Boot, authenticode, registers};
use evidence::predict::{eif, volume};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = volume::packed(bytes);
    let _ = authenticode(bytes);
    let _ = eif::pcrs(bytes);
    assert!(SigStruct::verify(bytes).is_err());
    if let Ok(firmware) = Ovmf::parse(bytes) {
        let _ = mrtd(&firmware, Order::PageByPage);
    }
    // One input as every part: whatever is understood is understood of the same bytes.
    let (head, tail) = bytes.split_at(bytes.len() / 2);
    let boot =
        Boot { firmware: head, log: tail, kernel: tail, initrd: head, cmdline: "", memory: 1 << 29 };
    assert!(registers(&boot).is_err() || bytes.len() > 1024);
});
