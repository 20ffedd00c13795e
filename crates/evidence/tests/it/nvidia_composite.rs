//! Composite evidence (I7): a machine and its GPUs name each other; one part swapped, missing or too many refuses all.

use evidence::composite::{CompositeRefusal, member_nonce, verify_composite};
use evidence::controls::without;
use evidence::nvidia::{Asked, Facts, PINNED_RIM_ROOTS, Roots, verify};
use evidence::{Authentic, BinderDigest, HardwareFacts, Nonce, Time, snp};

use crate::nvidia_silicon::{Device, NOW, Said};
use crate::{corpus, layers, nvidia};

fn lead() -> Authentic<HardwareFacts> {
    layers::good()
}

fn binder() -> BinderDigest {
    layers::binding().digest()
}

fn answer_at(device: &Device, nonce: Nonce, at: Time) -> Authentic<Facts> {
    let said = Said { nonce, ..Said::gpu() };
    let root = [device.root.digest()];
    let roots = Roots { device: &root, rim: &PINNED_RIM_ROOTS };
    verify(&device.evidence(&said), &roots, Asked::Nonce(nonce), at).unwrap()
}

fn answer(device: &Device, nonce: Nonce) -> Authentic<Facts> {
    answer_at(device, nonce, NOW)
}

/// Four devices, each answering for its place.
fn four() -> Vec<Authentic<Facts>> {
    (0..4).map(|place| answer(&Device::new("GH100"), member_nonce(&binder(), place))).collect()
}

#[test]
fn a_machine_and_its_four_devices_are_one_whole() {
    let whole = verify_composite(&lead(), &binder(), 4, &four()).unwrap();
    assert_eq!(whole.facts().members.len(), 4);
    assert_eq!(whole.holds_until(), lead().holds_until());
    assert!(verify_composite(&lead(), &binder(), 0, &[]).is_ok());
}

#[test]
fn the_derivation_of_a_members_nonce_is_fixed() {
    // SHA-256 of `casemate/composite-member/v1`, 48 bytes of 0x11, and the place in four big-endian bytes.
    let lead = BinderDigest::new([0x11; 48]);
    let nonces = [0, 1, u32::MAX].map(|p| member_nonce(&lead, p).to_string());
    assert_eq!(
        nonces,
        [
            "a63a13f72a395766fc69920ab200514516cb7d9807633aea547ff15e545c6460",
            "d95ab89aa7f1b6f4005c98c70f617e8100240b32a28250590c3225af8207ba51",
            "6b37c58eaf7fa69fc62112de1c8b8820c0c3f211e914153e25d2c0db7d7c1899",
        ]
    );
}

#[test]
fn swapped_members_are_refused_and_their_places_named() {
    let mut members = four();
    members.swap(1, 2);
    let attack = || verify_composite(&lead(), &binder(), 4, &members);
    let refused = attack().unwrap_err();
    let CompositeRefusal::Nonce { place: 1, belongs: Some(2), .. } = refused else {
        panic!("{refused}");
    };
    assert!(without("composite_nonce", attack).is_ok());
}

#[test]
fn a_member_missing_or_one_too_many_is_refused() {
    let members = four();
    for (expected, members) in [(4, &members[..3]), (3, &members[..]), (5, &members[..])] {
        let attack = || verify_composite(&lead(), &binder(), expected, members);
        let got = members.len();
        assert_eq!(attack().unwrap_err(), CompositeRefusal::Count { expected, got });
        assert!(without("composite_count", attack).is_ok());
    }
    // A hole in the middle moves the rest into places they do not answer for.
    let holed = [members[0].clone(), members[2].clone(), members[3].clone()];
    let refused = verify_composite(&lead(), &binder(), 3, &holed).unwrap_err();
    assert!(matches!(refused, CompositeRefusal::Nonce { place: 1, belongs: Some(2), .. }));
}

#[test]
fn a_device_of_another_machine_or_another_time_is_refused() {
    let mut members = four();
    // It answered a nonce of another machine's binder, or one that somebody chose.
    for nonce in [member_nonce(&BinderDigest::new([9; 48]), 3), Nonce::new([9; 32])] {
        members[3] = answer(&Device::new("GH100"), nonce);
        let attack = || verify_composite(&lead(), &binder(), 4, &members);
        let refused = attack().unwrap_err();
        assert!(matches!(refused, CompositeRefusal::Nonce { place: 3, belongs: None, .. }));
        assert!(without("composite_nonce", attack).is_ok());
    }
    members[3] = answer_at(&Device::new("GH100"), member_nonce(&binder(), 3), NOW.plus_secs(1));
    let attack = || verify_composite(&lead(), &binder(), 4, &members);
    assert_eq!(attack().unwrap_err(), CompositeRefusal::Times(3));
    assert!(without("composite_time", attack).is_ok());
}

#[test]
fn one_device_may_not_stand_for_two() {
    let mut members = four();
    let device = Device::new("GH100");
    members[1] = answer(&device, member_nonce(&binder(), 1));
    members[3] = answer(&device, member_nonce(&binder(), 3));
    let attack = || verify_composite(&lead(), &binder(), 4, &members);
    assert_eq!(attack().unwrap_err(), CompositeRefusal::Twice { first: 1, second: 3 });
    assert!(without("composite_twice", attack).is_ok());
    // Nor after it was started again with other firmware, which gives it another leaf under the same boot ROM.
    let again = Device { leaf: device.firmware("Test FMC LF 2"), ..device };
    members[3] = answer(&again, member_nonce(&binder(), 3));
    let refused = verify_composite(&lead(), &binder(), 4, &members).unwrap_err();
    assert_eq!(refused, CompositeRefusal::Twice { first: 1, second: 3 });
}

#[test]
fn a_lead_that_is_bound_to_something_else_is_refused() {
    let other = BinderDigest::new([9; 48]);
    let members = [answer(&Device::new("GH100"), member_nonce(&other, 0))];
    let attack = || verify_composite(&lead(), &other, 1, &members);
    assert!(matches!(attack(), Err(CompositeRefusal::Lead { .. })));
    assert!(without("composite_lead", attack).is_ok());
}

#[test]
fn a_genuine_machine_and_a_genuine_gpu_that_do_not_name_each_other_are_no_whole() {
    let machine = corpus::snp().into_iter().find(|c| c.id == "snp/milan-v3-microsoft");
    let (Some(machine), Some(gpu)) = (machine, nvidia::case("h100-driver-550-nvtrust")) else {
        return;
    };
    let at = machine.at;
    let lead = snp::verify(&machine.evidence, &snp::PINNED_ROOTS, at).unwrap();
    let member = verify(&gpu.evidence, &nvidia::ROOTS, gpu.asked, at).unwrap();
    let data = lead.facts().report_data;
    let binder = BinderDigest::from_slice(&data.as_bytes()[..48]).unwrap();
    let attack = || verify_composite(&lead, &binder, 1, std::slice::from_ref(&member));
    // Neither did this machine fill its report data so, nor did the GPU answer for it.
    let refused = attack().unwrap_err();
    if !data.as_bytes()[48..].iter().all(|b| *b == 0) {
        assert!(matches!(refused, CompositeRefusal::Lead { .. }), "{refused}");
    }
    let behind = without("composite_lead", attack).unwrap_err();
    assert!(matches!(behind, CompositeRefusal::Nonce { place: 0, belongs: None, .. }), "{behind}");
}
