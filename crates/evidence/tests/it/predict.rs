//! Predicted measurements: the values other projects state for their inputs, and hostile firmware, images and signatures.

use evidence::Measurement;
use evidence::controls::without;
use evidence::predict::ovmf::Ovmf;
use evidence::predict::sgx::{Enclave, PageFlags, SigStruct};
use evidence::predict::snp::{
    IdBlock, Kernel, Machine, Vmm, cpu_signature, firmware_digest, key_digest, launch_digest,
    qemu_signature,
};
use evidence::predict::tdx::{Order, mrtd};
use evidence::predict::{PredictError, eif};
use serde_json::Value;

use crate::vectors::of_topic as folder;

fn read(path: &std::path::Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn json(path: &std::path::Path) -> Value {
    serde_json::from_slice(&read(path)).unwrap()
}

fn hex_u64(v: &Value) -> u64 {
    u64::from_str_radix(v.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}

fn measurement(v: &Value) -> Measurement {
    Measurement::from_hex(v.as_str().unwrap()).unwrap()
}

/// A vector as a machine: files in place of a kernel are empty or absent in all of them.
fn machine(v: &Value) -> Machine {
    let signature = match v["vcpu_signature"].as_str() {
        Some(_) => u32::try_from(hex_u64(&v["vcpu_signature"])).unwrap(),
        None => 0,
    };
    Machine {
        vmm: Vmm::parse(v["vmm"].as_str().unwrap()).unwrap(),
        vcpus: u32::try_from(v["vcpus"].as_u64().unwrap()).unwrap(),
        signature,
        features: hex_u64(&v["guest_features"]),
        kernel: v["kernel"].as_str().map(|k| {
            assert!(k.is_empty() && v["initrd"].as_str().unwrap_or_default().is_empty());
            Kernel::of(b"", b"", v["append"].as_str().unwrap_or_default())
        }),
    }
}

#[test]
fn snp_launch_digests_are_those_other_projects_and_hardware_state() {
    let Some(dir) = folder("snp-measure") else { return };
    let mut compared = 0;
    for case in ["snp-amdsev-qemu", "snp-gce", "snp-ec2"] {
        let all = json(&dir.join(case).join("vectors.json"));
        for v in all.as_array().unwrap() {
            let name = v["name"].as_str().unwrap();
            let firmware = read(&dir.join(case).join(v["ovmf"].as_str().unwrap()));
            let firmware = Ovmf::parse(&firmware).unwrap();
            let got = launch_digest(&firmware, &machine(v));
            if v["outcome"] == "refuse" {
                assert!(got.is_err(), "{name}");
                continue;
            }
            // Two tools disagree about what EC2 writes into RDX; the one whose processors begin with zero is followed.
            let expected = v.get("other_value").unwrap_or(&v["expected"]);
            assert_eq!(got.unwrap(), measurement(expected), "{name}");
            if let Some(hash) = v.get("ovmf_hash") {
                assert_eq!(
                    firmware_digest(&firmware),
                    measurement(hash),
                    "{name}: the firmware alone"
                );
            }
            compared += 1;
        }
    }
    assert!(compared >= 8, "{compared} digests compared");
}

#[test]
fn one_synthetic_firmware_has_the_mrtd_and_the_launch_digest_its_makers_state() {
    let Some(dir) = folder("tdx-measure") else { return };
    let dir = dir.join("gce-synthetic-firmware");
    let (expected, firmware) = (json(&dir.join("expected.json")), read(&dir.join("firmware.fd")));
    let firmware = Ovmf::parse(&firmware).unwrap();
    let rtmr = |order| mrtd(&firmware, order).unwrap();
    assert_eq!(rtmr(Order::PageByPage), measurement(&expected["mrtd"]));
    let other = measurement(&expected["mrtd_extend_after_all_pages_of_a_section"]);
    assert_eq!(rtmr(Order::SectionBySection), other);
    let machine = Machine { vmm: Vmm::Gce, vcpus: 1, signature: 0, features: 1, kernel: None };
    let digest = launch_digest(&firmware, &machine).unwrap();
    assert_eq!(digest, measurement(&expected["snp_launch_digest_gce_1_vcpu"]));
}

#[test]
fn processors_are_known_by_the_names_of_qemu() {
    let Some(dir) = folder("snp-measure") else { return };
    for v in json(&dir.join("vcpu-signatures/signatures.json")).as_array().unwrap() {
        let number = |key: &str| u32::try_from(v[key].as_u64().unwrap()).unwrap();
        let expected = u32::try_from(hex_u64(&v["signature"])).unwrap();
        assert_eq!(cpu_signature(number("family"), number("model"), number("stepping")), expected);
        if let Some(name) = v["name"].as_str() {
            assert_eq!(qemu_signature(name), Some(expected), "{name}");
        }
    }
    for unknown in ["", "EPYC-v9", "epyc", "EPYC-Milan-v", "EPYC-Milan-v02", "Xeon"] {
        assert_eq!(qemu_signature(unknown), None, "{unknown}");
    }
}

#[test]
fn an_id_block_and_the_digests_of_its_keys_are_as_stated() {
    let Some(dir) = folder("snp-measure") else { return };
    let dir = dir.join("id-block-a");
    let v = json(&dir.join("vector.json"));
    let base64 = |key: &str| {
        base64::Engine::decode(&base64::engine::general_purpose::STANDARD, v[key].as_str().unwrap())
            .unwrap()
    };
    let digest = Measurement::from_slice(&base64("launch_digest_base64")).unwrap();
    let zero = [0; 16];
    let block = IdBlock { digest, family_id: zero, image_id: zero, guest_svn: 0, policy: 0x30000 };
    assert_eq!(block.encode(), base64("id_block_base64"));
    for (file, digest) in [
        ("id_key_test.pem", "id_key_digest_base64"),
        ("author_key_test.pem", "author_key_digest_base64"),
    ] {
        let pem = String::from_utf8(read(&dir.join(file))).unwrap();
        let body = pem.lines().filter(|l| !l.starts_with("-----")).collect::<String>();
        let der = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, body).unwrap();
        // The public point stands at the end of a private key in either form.
        let at =
            (0..der.len() - 96).rev().find(|at| der[*at] == 4 && der.len() - at == 97).unwrap();
        assert_eq!(key_digest(&der[at..]).unwrap().as_bytes().to_vec(), base64(digest), "{file}");
    }
    assert!(key_digest(&[4; 96]).is_err() && key_digest(&[3; 97]).is_err());
}

#[test]
fn pcrs_follow_the_rule_of_nitro() {
    let Some(dir) = folder("nitro-eif") else { return };
    let mut files = std::fs::read_dir(dir.join("pcr-rule")).unwrap();
    let rule = json(&files.next().unwrap().unwrap().path());
    for v in rule.as_array().unwrap() {
        let data = vec![0x4e; usize::try_from(v["length"].as_u64().unwrap()).unwrap()];
        assert_eq!(eif::pcr(&[&data]), measurement(&v["pcr_sha384"]), "{}", v["length"]);
    }
}

#[test]
fn a_sigstruct_says_what_its_makers_state_and_a_changed_one_nothing() {
    let Some(dir) = folder("sgx-sigstruct") else { return };
    for (case, file) in [("enarx", "encl.ss"), ("mobilecoin", "valid.css")] {
        let (dir, expected) = (dir.join(case), json(&dir.join(case).join("expected.json")));
        let good = read(&dir.join(file));
        let s = SigStruct::verify(&good).unwrap();
        let text = |b: &[u8]| Value::String(hex::encode(b));
        assert_eq!(text(&s.mrsigner), expected["mrsigner"]);
        assert_eq!(text(&s.mrenclave), expected["mrenclave"]);
        assert_eq!(text(&s.attributes.0), expected["attributes_hex"]);
        assert_eq!(text(&s.attributes.1), expected["attributemask_hex"]);
        assert_eq!(Value::from(s.isv_prod_id), expected["isvprodid"]);
        assert_eq!(Value::from(s.isv_svn), expected["isvsvn"]);
        // Every bit that is signed, and of key and signature; what is between is not signed.
        let signed = (0..128).chain(128..512).chain(516..900).chain(900..1028);
        for at in signed.step_by(7) {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            assert!(SigStruct::verify(&bad).is_err(), "{case}: byte {at}");
        }
        let mut other = good.clone();
        other[1024] ^= 1;
        assert!(without("sigstruct_signature", || SigStruct::verify(&other)).is_ok());
        assert!(SigStruct::verify(&good[..1807]).is_err());
    }
    assert!(SigStruct::verify(&read(&dir.join("mobilecoin/invalid.css"))).is_err());
}

#[test]
fn an_enclaves_pages_give_the_measurement_its_sigstruct_names() {
    let Some(dir) = folder("sgx-sigstruct") else { return };
    let (image, signed) = (read(&dir.join("enarx/encl.bin")), read(&dir.join("enarx/encl.ss")));
    let load = |first_is_thread: bool| {
        let mut enclave = Enclave::create(32768, 1).unwrap();
        for (page, n) in image.chunks(4096).zip(0_u64..) {
            let tcs = first_is_thread && n == 0;
            let flags = PageFlags { tcs, read: true, write: true, execute: true };
            enclave.add(n * 4096, flags, page, true).unwrap();
        }
        enclave.measurement()
    };
    let named = SigStruct::verify(&signed).unwrap().mrenclave;
    assert_eq!(load(true), named);
    assert_ne!(load(false), named);
    let mut enclave = Enclave::create(8192, 1).unwrap();
    let flags = PageFlags { tcs: false, read: true, write: false, execute: false };
    for (offset, page) in [(8192, vec![0; 4096]), (1, vec![0; 4096]), (0, vec![0; 4095])] {
        assert!(enclave.add(offset, flags, &page, true).is_err(), "{offset}");
    }
    for len in [0, 4096, 8193, u64::MAX] {
        assert!(Enclave::create(len, 1).is_err(), "{len}");
    }
}

/// A firmware of ours: metadata of both kinds, and a table of hashes.
fn firmware() -> Vec<u8> {
    let mut image = vec![0x5a; 0x4000];
    let end = image.len();
    let guid = |text: &str| {
        let h = hex::decode(text.replace('-', "")).unwrap();
        [h[3], h[2], h[1], h[0], h[5], h[4], h[7], h[6]]
            .into_iter()
            .chain(h[8..].to_vec())
            .collect::<Vec<_>>()
    };
    let mut sev = b"ASEV".to_vec();
    let sections: [(u32, u32, u32); 4] = [
        (0x80_0000, 0x2000, 1),
        (0x80_d000, 0x1000, 2),
        (0x80_e000, 0x1000, 3),
        (0x81_0000, 0x1000, 16),
    ];
    sev.extend(u32::try_from(16 + sections.len() * 12).unwrap().to_le_bytes());
    sev.extend(1_u32.to_le_bytes());
    sev.extend(u32::try_from(sections.len()).unwrap().to_le_bytes());
    for (gpa, len, kind) in sections {
        sev.extend([gpa, len, kind].iter().flat_map(|w| w.to_le_bytes()));
    }
    let mut tdx = b"TDVF".to_vec();
    tdx.extend([48_u32, 1, 1].iter().flat_map(|w| w.to_le_bytes()));
    tdx.extend([0_u32, 0x4000].iter().flat_map(|w| w.to_le_bytes()));
    tdx.extend([0xffff_c000_u64, 0x4000].iter().flat_map(|w| w.to_le_bytes()));
    tdx.extend([0_u32, 1].iter().flat_map(|w| w.to_le_bytes()));
    image[0x100..0x100 + sev.len()].copy_from_slice(&sev);
    image[0x200..0x200 + tdx.len()].copy_from_slice(&tdx);
    let from_end = |at: usize| u32::try_from(end - at).unwrap().to_le_bytes().to_vec();
    let entries = [
        ("e47a6535-984a-4798-865e-4685a7bf8ec2", from_end(0x200)),
        ("dc886566-984a-4798-a75e-5585a7bf67cc", from_end(0x100)),
        ("00f771de-1a7e-4fcb-890e-68c77e2fb44e", 0x80_b004_u32.to_le_bytes().to_vec()),
        (
            "7255371f-3a3b-4b04-927b-1da6efa8d454",
            [0x81_0c00_u32, 0x400].iter().flat_map(|w| w.to_le_bytes()).collect(),
        ),
    ];
    let mut table = Vec::new();
    for (id, data) in entries {
        let len = u16::try_from(data.len() + 18).unwrap();
        table.extend(data);
        table.extend(len.to_le_bytes());
        table.extend(guid(id));
    }
    table.extend(u16::try_from(table.len() + 18).unwrap().to_le_bytes());
    table.extend(guid("96b582de-1fb2-45f7-baea-a366c55a082d"));
    let at = end - 32 - table.len();
    image[at..end - 32].copy_from_slice(&table);
    image
}

fn ours() -> Machine {
    let kernel = Some(Kernel::of(b"kernel", b"initrd", "quiet"));
    let signature = cpu_signature(25, 1, 1);
    Machine { vmm: Vmm::Qemu, vcpus: 2, signature, features: 1, kernel }
}

#[test]
fn everything_that_decides_a_launch_changes_the_digest() {
    let bytes = firmware();
    let image = Ovmf::parse(&bytes).unwrap();
    let base = launch_digest(&image, &ours()).unwrap();
    let kernels = [
        Kernel::of(b"Kernel", b"initrd", "quiet"),
        Kernel::of(b"kernel", b"Initrd", "quiet"),
        Kernel::of(b"kernel", b"initrd", "quiet "),
    ];
    let mut all = kernels.map(|k| Machine { kernel: Some(k), ..ours() }).to_vec();
    all.push(Machine { kernel: None, ..ours() });
    all.push(Machine { vcpus: 1, ..ours() });
    all.push(Machine { vcpus: 3, ..ours() });
    all.push(Machine { signature: cpu_signature(25, 17, 0), ..ours() });
    all.push(Machine { features: 0x21, ..ours() });
    all.push(Machine { vmm: Vmm::Ec2, ..ours() });
    all.push(Machine { vmm: Vmm::Gce, ..ours() });
    let mut seen = std::collections::HashSet::from([base]);
    for machine in all {
        assert!(seen.insert(launch_digest(&image, &machine).unwrap()), "{machine:?}");
    }
    for at in (0..0x100).chain(0x300..0x3000).step_by(97) {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let image = Ovmf::parse(&changed).unwrap();
        assert!(seen.insert(launch_digest(&image, &ours()).unwrap()), "byte {at}");
        assert_ne!(
            mrtd(&image, Order::PageByPage),
            mrtd(&Ovmf::parse(&bytes).unwrap(), Order::PageByPage)
        );
    }
}

#[test]
fn what_a_machine_cannot_be_and_a_firmware_cannot_do_is_refused() {
    let bytes = firmware();
    let image = Ovmf::parse(&bytes).unwrap();
    for vcpus in [0, 4097] {
        let refused = launch_digest(&image, &Machine { vcpus, ..ours() }).unwrap_err();
        assert!(matches!(refused, PredictError::Value { what: "number of processors", .. }));
    }
    // Without its metadata, reset block, or table of hashes: by removing the GUID of each.
    for (guid, needs) in [
        ("dc886566", "SEV metadata"),
        ("00f771de", "reset block"),
        ("7255371f", "hashes of a kernel"),
    ] {
        let mut first = hex::decode(guid).unwrap();
        first.reverse();
        let at = bytes.windows(4).position(|w| w == first).unwrap();
        let mut less = bytes.clone();
        less[at] ^= 0xff;
        let refused = launch_digest(&Ovmf::parse(&less).unwrap(), &ours()).unwrap_err().to_string();
        assert!(refused.contains(needs), "{guid}: {refused}");
    }
    let mut less = bytes.clone();
    let at = bytes.windows(4).position(|w| w == [0x35, 0x65, 0x7a, 0xe4]).unwrap();
    less[at] ^= 0xff;
    let refused = mrtd(&Ovmf::parse(&less).unwrap(), Order::PageByPage).unwrap_err();
    assert_eq!(refused, PredictError::Lacks("TDX metadata"));
}

#[test]
fn no_changed_byte_of_a_firmware_is_followed_out_of_it() {
    let bytes = firmware();
    for at in (0x100..0x180).chain(0x200..0x240).chain(bytes.len() - 200..bytes.len()) {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut bad = bytes.clone();
            bad[at] = value;
            if let Ok(image) = Ovmf::parse(&bad) {
                let _ = launch_digest(&image, &Machine { vcpus: 1, ..ours() });
                let _ = mrtd(&image, Order::SectionBySection);
            }
        }
    }
    for cut in [0, 1, 32, 49, 50, 4095, 4096, 8192] {
        let _ = Ovmf::parse(&bytes[bytes.len() - cut..]);
    }
    assert!(Ovmf::parse(&bytes[1..]).is_err());
}

/// An enclave image of these sections.
fn image(sections: &[(u16, &[u8])]) -> Vec<u8> {
    let mut header = b".eif".to_vec();
    header.extend(4_u16.to_be_bytes());
    header.extend(0_u16.to_be_bytes());
    header.extend([0; 16]);
    header.extend(0_u16.to_be_bytes());
    header.extend(u16::try_from(sections.len()).unwrap().to_be_bytes());
    let (mut at, mut body) = (548_u64, Vec::new());
    let (mut offsets, mut sizes) = ([0_u64; 32], [0_u64; 32]);
    for (n, (kind, data)) in sections.iter().enumerate() {
        let len = u64::try_from(data.len()).unwrap();
        (offsets[n], sizes[n]) = (at, len);
        body.extend(kind.to_be_bytes());
        body.extend(0_u16.to_be_bytes());
        body.extend(len.to_be_bytes());
        body.extend(*data);
        at += 12 + len;
    }
    header.extend(offsets.iter().chain(&sizes).flat_map(|w| w.to_be_bytes()));
    header.extend([0; 4]);
    let mut crc = u32::MAX;
    for byte in header.iter().chain(&body) {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    header.extend((!crc).to_be_bytes());
    header.extend(body);
    header
}

#[test]
fn an_enclave_image_gives_the_registers_of_what_stands_in_it() {
    let all: [(u16, &[u8]); 5] =
        [(1, b"kernel"), (2, b"quiet"), (5, b"{}"), (3, b"init"), (3, b"app")];
    let good = image(&all);
    let pcrs = eif::pcrs(&good).unwrap();
    assert_eq!(pcrs.pcr0, eif::pcr(&[b"kernel", b"quiet", b"init", b"app"]));
    assert_eq!(pcrs.pcr1, eif::pcr(&[b"kernel", b"quiet", b"init"]));
    assert_eq!((pcrs.pcr2, pcrs.pcr8), (eif::pcr(&[b"app"]), None));
    // Metadata is measured by nobody.
    let others = image(&[(1, b"kernel"), (2, b"quiet"), (5, b"{1}"), (3, b"init"), (3, b"app")]);
    assert_eq!(eif::pcrs(&others).unwrap(), pcrs);
    let pem = b"-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n".to_vec();
    let signature = ciborium::Value::Array(vec![ciborium::Value::Map(vec![
        ("signing_certificate".into(), ciborium::Value::Bytes(pem)),
        ("signature".into(), ciborium::Value::Bytes(vec![0; 8])),
    ])]);
    let mut section = Vec::new();
    ciborium::into_writer(&signature, &mut section).unwrap();
    let signed = [&all[..], &[(4, &section)]].concat();
    assert_eq!(eif::pcrs(&image(&signed)).unwrap().pcr8, Some(eif::pcr(&[&[1, 2, 3]])));
    for n in 0..good.len() {
        let mut bad = good.clone();
        bad[n] ^= 1;
        assert!(eif::pcrs(&bad).is_err(), "byte {n}");
        assert!(eif::pcrs(&good[..n]).is_err(), "cut at {n}");
    }
    assert!(eif::pcrs(&[&good[..], &[0]].concat()).is_err());
    for sections in [
        &[(2, &b"quiet"[..]), (3, b"init")][..],
        &[(1, b"k"), (1, b"k"), (2, b"q"), (3, b"i")],
        &[(1, b"k"), (3, b"i")],
        &[(1, b"k"), (2, b"q")],
        &[(1, b"k"), (2, b"q"), (6, b"x"), (3, b"i")],
        &[(1, b"k"), (2, b"q"), (3, b"i"), (4, b"junk")],
        &[],
    ] {
        assert!(eif::pcrs(&image(sections)).is_err(), "{sections:?}");
    }
}
