//! Profiles for NVIDIA devices: manifests that belong and match, revocation, and every knob from both sides.

use evidence::controls::without;
use evidence::nvidia::{Asked, Devices, Evidence, Facts, Knobs, Roots, appraise};
use evidence::x509::Certificate;
use evidence::x509::ocsp::{Ocsp as Parsed, OcspError};
use evidence::{Check, Outcome};
use rcgen::ExtendedKeyUsagePurpose;

use crate::nvidia::{case, failed, verify};
use crate::nvidia_silicon::{
    Device, Holder, Manifest, NOW, Ocsp, Said, Signer, good, resource, responder, revoked, tlv,
    unknown, value,
};

struct Bench {
    device: Device,
    signer: Signer,
}

impl Bench {
    fn new(product: &str) -> Self {
        let device = Device::new(product);
        let signer = Signer::new(&device);
        Self { device, signer }
    }

    /// Certificates whose status matters, each with its issuer.
    fn asked_about(&self) -> [(&Holder, &Holder); 4] {
        let (d, s) = (&self.device, &self.signer);
        [
            (&d.boot, &d.identity),
            (&d.identity, &d.root),
            (&s.leaf, &s.authority),
            (&s.authority, &d.rim_root),
        ]
    }

    fn ocsp(&self) -> Vec<Vec<u8>> {
        self.asked_about().iter().map(|(c, i)| Ocsp::new(c, i, good()).encode()).collect()
    }

    fn evidence(&self, said: &Said, manifests: &[Manifest]) -> Evidence {
        let rims = manifests.iter().map(|m| self.signer.manifest(m).into_bytes()).collect();
        Evidence { rims, ocsp: self.ocsp(), ..self.device.evidence(said) }
    }

    fn gpu(&self) -> Evidence {
        self.evidence(&Said::gpu(), &[Manifest::driver(), Manifest::vbios()])
    }

    fn judge(&self, evidence: &Evidence, knobs: &Knobs) -> Vec<Check> {
        appraise(self.device.verify(evidence).unwrap().facts(), knobs)
    }

    /// What the production profile finds wrong.
    fn wrong(&self, evidence: &Evidence) -> Vec<&'static str> {
        failed(&self.judge(evidence, &Knobs::production_2026_11()))
    }

    /// Exactly `name` refuses, and without it nothing does.
    fn only(&self, evidence: &Evidence, name: &'static str) {
        assert_eq!(self.wrong(evidence), [name]);
        assert!(without(name, || self.wrong(evidence)).is_empty(), "{name}");
    }
}

fn outcome(checks: &[Check], name: &str) -> Option<Outcome> {
    checks.iter().find(|c| c.name == name).map(|c| c.outcome)
}

#[test]
fn the_production_profile_takes_a_gpu_or_switch_with_everything_in_order() {
    let bench = Bench::new("GH100");
    assert!(bench.wrong(&bench.gpu()).is_empty());
    let bench = Bench::new("LS_10");
    assert!(bench.wrong(&bench.evidence(&Said::switch(), &[Manifest::bios()])).is_empty());
}

#[test]
fn nothing_lives_longer_than_what_it_rests_on() {
    let bench = Bench::new("GH100");
    let mut evidence = bench.gpu();
    let until = |e: &Evidence| bench.device.verify(e).unwrap().holds_until().to_string();
    assert_eq!(until(&evidence), "2027-01-22T00:00:00Z");
    evidence.ocsp.clear();
    assert_eq!(until(&evidence), "2027-12-31T00:00:00Z");
    evidence.rims.clear();
    assert!(until(&evidence).starts_with("9999-12-31"));
}

#[test]
fn manifests_that_did_not_come_are_skipped_in_words_or_refused_with_their_names() {
    let bench = Bench::new("GH100");
    for (manifests, missing) in [
        (vec![], "driver and VBIOS"),
        (vec![Manifest::driver()], "VBIOS"),
        (vec![Manifest::vbios()], "driver"),
    ] {
        let evidence = bench.evidence(&Said::gpu(), &manifests);
        bench.only(&evidence, "rims");
        let checks = bench.judge(&evidence, &Knobs::forensic());
        assert!(failed(&checks).is_empty());
        assert_eq!(outcome(&checks, "rims"), Some(Outcome::Skipped));
        let detail = &checks.iter().find(|c| c.name == "rims").unwrap().detail;
        assert!(detail.starts_with(&format!("no manifest for {missing}:")), "{detail}");
        let named = |id: &str| detail.contains(id);
        let ids =
            [named("NV_GPU_DRIVER_GH100_550.1"), named("NV_GPU_VBIOS_1010_0200_882_96005E0001")];
        assert_eq!(ids, ["driver", "VBIOS"].map(|f| missing.contains(f)), "{detail}");
    }
}

#[test]
fn a_manifest_that_is_not_authentic_refuses_under_every_profile() {
    let bench = Bench::new("GH100");
    let mut evidence = bench.gpu();
    let last = evidence.rims[1].len() - 1;
    evidence.rims[1].truncate(last);
    assert_eq!(failed(&bench.judge(&evidence, &Knobs::forensic())), ["rim"]);
    assert_eq!(bench.wrong(&evidence), ["rim", "rims"]);
}

#[test]
fn a_manifest_of_another_driver_vbios_or_product_is_refused_for_that() {
    let bench = Bench::new("GH100");
    for (manifest, name) in [
        (Manifest { version: "550.2", ..Manifest::driver() }, "rim_version"),
        (Manifest { version: "96.00.5E.00.02", ..Manifest::vbios() }, "rim_version"),
        (Manifest { product: "GB100", ..Manifest::driver() }, "rim_product"),
        (Manifest { edition: "SWITCH", ..Manifest::driver() }, "rim_product"),
    ] {
        let other =
            if manifest.version.contains("96.") { Manifest::driver() } else { Manifest::vbios() };
        let evidence = bench.evidence(&Said::gpu(), &[manifest, other]);
        assert_eq!(failed(&bench.judge(&evidence, &Knobs::forensic())), [name]);
        assert_eq!(bench.wrong(&evidence), [name, "rims"]);
        assert!(without(name, || bench.wrong(&evidence)).is_empty(), "{name}");
    }
}

#[test]
fn the_chip_a_report_states_is_the_one_its_manifests_must_be_for() {
    // A certificate may name a family; the same bytes under a Hopper's name are another chip's manifest.
    let bench = Bench::new("GB20X");
    let said = Said::gpu().with(35, b"GB202\0");
    let manifests =
        |product| [Manifest::driver(), Manifest::vbios()].map(|m| Manifest { product, ..m });
    let wrong = |product| {
        let evidence = bench.evidence(&said, &manifests(product));
        failed(&bench.judge(&evidence, &Knobs::forensic()))
    };
    assert!(wrong("GB202").is_empty());
    for other in ["GB20X", "GH100", "GB2020"] {
        assert_eq!(wrong(other), ["rim_product", "rim_product"]);
    }
    let facts = bench.device.verify(&bench.device.evidence(&said)).unwrap();
    assert_eq!(facts.facts().rim_ids()[0].1, "NV_GPU_CC_DRIVER_GB202_550.1");
}

#[test]
fn a_genuine_driver_manifest_is_refused_for_a_report_of_another_driver() {
    let (Some(mut report), Some(rim)) =
        (case("h100-driver-550-nvtrust"), case("rim-driver-550-144-03"))
    else {
        return;
    };
    report.evidence.rims = rim.evidence.rims;
    report.at = rim.at;
    let checks = appraise(verify(&report).unwrap().facts(), &Knobs::forensic());
    assert_eq!(failed(&checks), ["rim_version"]);
    let detail = &checks.iter().find(|c| c.name == "rim_version").unwrap().detail;
    assert!(detail.contains("fetch NV_GPU_DRIVER_GH100_550.90.07"), "{detail}");
}

#[test]
fn two_manifests_must_not_claim_one_firmware_or_index() {
    let bench = Bench::new("GH100");
    let twice =
        bench.evidence(&Said::gpu(), &[Manifest::driver(), Manifest::driver(), Manifest::vbios()]);
    bench.only(&twice, "rim_conflict");
    let mut greedy = Manifest::driver();
    greedy.resources += &resource(9, "True", &[value(9)]);
    let both = bench.evidence(&Said::gpu(), &[Manifest::vbios(), greedy]);
    assert_eq!(bench.wrong(&both), ["rim_conflict", "rims"]);
    assert!(without("rim_conflict", || bench.wrong(&both)).is_empty());
}

#[test]
fn every_active_index_must_have_been_measured_with_a_value_given_for_it() {
    let bench = Bench::new("GH100");
    let mut said = Said::gpu();
    said.blocks[9].3 = vec![0xee; 48];
    let alternative = bench.evidence(&said, &[Manifest::driver(), Manifest::vbios()]);
    assert!(bench.wrong(&alternative).is_empty(), "the other value is taken too");
    said.blocks[9].3 = vec![0xef; 48];
    bench.only(&bench.evidence(&said, &[Manifest::driver(), Manifest::vbios()]), "measurements");
    // An index nobody measured, and a value that only begins like the wanted one.
    let mut short = Said::gpu();
    short.blocks.remove(39);
    let short = bench.evidence(&short, &[Manifest::driver(), Manifest::vbios()]);
    assert_eq!(bench.wrong(&short), ["measurements", "msrscnt"]);
    assert_eq!(without("measurements", || bench.wrong(&short)), ["msrscnt"]);
    let mut cut = Said::gpu();
    cut.blocks[9].3.truncate(32);
    bench.only(&bench.evidence(&cut, &[Manifest::driver(), Manifest::vbios()]), "measurements");
    // An inactive index is not compared; a manifest without any active one compares nothing and is refused.
    let mut inactive = Said::gpu();
    inactive.blocks[10].3 = vec![0xef; 48];
    let evidence = bench.evidence(&inactive, &[Manifest::driver(), Manifest::vbios()]);
    assert!(bench.wrong(&evidence).is_empty());
    let empty = Manifest { resources: resource(33, "False", &[value(1)]), ..Manifest::driver() };
    bench.only(&bench.evidence(&Said::gpu(), &[empty, Manifest::vbios()]), "measurements");
}

#[test]
fn the_video_decoders_index_counts_unless_the_decoder_is_off() {
    let bench = Bench::new("GH100");
    let wrong = |status: u8| {
        let mut said = Said::gpu().with(11, &[status]);
        said.blocks[35].3 = vec![0xef; 48];
        bench.wrong(&bench.evidence(&said, &[Manifest::driver(), Manifest::vbios()]))
    };
    assert!(wrong(0x55).is_empty());
    for on in [0xaa, 0, 0x54] {
        assert_eq!(wrong(on), ["measurements"]);
    }
}

#[test]
fn a_least_security_version_must_be_reached_by_a_field_of_that_type() {
    const NS3: &str = "https://docs.nvidia.com/attestation/specs/latest/opaque-data.html";
    let bench = Bench::new("GH100");
    let mut manifest = Manifest::driver();
    manifest.resources += &format!(
        "<ns0:Resource xmlns:ns3=\"{NS3}\" active=\"True\" alternatives=\"1\" index=\"4136\" name=\"FMC_SVN\" size=\"2\" type=\"Measurement\" ns3:minSvn=\"300\"></ns0:Resource>"
    );
    let judged = |said: Said| {
        let evidence = bench.evidence(&said, &[manifest.clone(), Manifest::vbios()]);
        let knobs = Knobs { unknown_fields: true, ..Knobs::production_2026_11() };
        let control = without("security_versions", || failed(&bench.judge(&evidence, &knobs)));
        assert!(control.is_empty(), "{control:?}");
        failed(&bench.judge(&evidence, &knobs))
    };
    let header =
        |svn: u16| Said { header: Some((0, 2, 0)), ..Said::gpu().with(40, &svn.to_le_bytes()) };
    assert!(judged(header(300)).is_empty());
    assert!(judged(header(301)).is_empty());
    assert_eq!(judged(header(299)), ["security_versions"]);
    assert_eq!(judged(Said { header: Some((0, 2, 0)), ..Said::gpu() }), ["security_versions"]);
    // The same bytes without a type are no security version.
    assert_eq!(judged(Said::gpu().with(40, &300_u16.to_le_bytes())), ["security_versions"]);
}

#[test]
fn a_status_missing_is_skipped_in_words_or_refused() {
    let bench = Bench::new("GH100");
    for n in 0..4 {
        let mut evidence = bench.gpu();
        evidence.ocsp.remove(n);
        bench.only(&evidence, "revocation");
        let checks = bench.judge(&evidence, &Knobs::forensic());
        assert!(failed(&checks).is_empty());
        assert_eq!(outcome(&checks, "revocation"), Some(Outcome::Skipped));
    }
}

#[test]
fn a_revoked_or_unknown_certificate_refuses_under_every_profile_and_hold_by_its_own_knob() {
    let bench = Bench::new("GH100");
    for (n, (subject, issuer)) in bench.asked_about().into_iter().enumerate() {
        let with = |status| {
            let mut evidence = bench.gpu();
            evidence.ocsp[n] = Ocsp::new(subject, issuer, status).encode();
            evidence
        };
        for status in [revoked(1), unknown()] {
            let evidence = with(status);
            bench.only(&evidence, "revocation");
            assert_eq!(failed(&bench.judge(&evidence, &Knobs::forensic())), ["revocation"]);
        }
        let held = with(revoked(6));
        bench.only(&held, "certificate_hold");
        assert_eq!(failed(&bench.judge(&held, &Knobs::forensic())), ["certificate_hold"]);
        let lenient = Knobs { hold: true, ..Knobs::production_2026_11() };
        assert!(failed(&bench.judge(&held, &lenient)).is_empty());
    }
}

#[test]
fn a_good_answer_beside_a_revocation_does_not_undo_it() {
    let bench = Bench::new("GH100");
    let (subject, issuer) = bench.asked_about()[0];
    for at in [0, 4] {
        let mut evidence = bench.gpu();
        evidence.ocsp.insert(at, Ocsp::new(subject, issuer, revoked(1)).encode());
        assert_eq!(bench.wrong(&evidence), ["revocation"]);
    }
}

#[test]
fn two_answers_about_one_certificate_in_one_response_are_refused() {
    let bench = Bench::new("GH100");
    let (subject, issuer) = bench.asked_about()[0];
    let mut evidence = bench.gpu();
    evidence.ocsp[0] =
        Ocsp { and: Some(revoked(1)), ..Ocsp::new(subject, issuer, good()) }.encode();
    assert_eq!(bench.wrong(&evidence), ["revocation"]);
    assert!(without("ocsp_once", || bench.wrong(&evidence)).is_empty());
}

#[test]
fn an_answer_by_anybody_but_the_issuer_or_its_responder_counts_for_nothing() {
    let bench = Bench::new("GH100");
    let (subject, issuer) = bench.asked_about()[0];
    let answer = |by: &Holder| {
        let mut evidence = bench.gpu();
        evidence.ocsp[0] = Ocsp { by, ..Ocsp::new(subject, issuer, good()) }.encode();
        evidence
    };
    // Certified by the issuer, or by an authority above it.
    for authority in [&bench.device.identity, &bench.device.root] {
        let by = responder(authority, ExtendedKeyUsagePurpose::OcspSigning);
        assert!(bench.wrong(&answer(&by)).is_empty());
    }
    // For another purpose, by a stranger, or the certificate itself.
    let stranger = Device::new("GH100");
    let forgers = [
        responder(&bench.device.identity, ExtendedKeyUsagePurpose::ServerAuth),
        responder(&stranger.identity, ExtendedKeyUsagePurpose::OcspSigning),
        responder(&bench.device.boot, ExtendedKeyUsagePurpose::OcspSigning),
    ];
    for by in &forgers {
        let evidence = answer(by);
        assert_eq!(bench.wrong(&evidence), ["revocation"]);
        assert!(without("ocsp_responder", || bench.wrong(&evidence)).is_empty());
        assert!(without("ocsp_signature", || bench.wrong(&evidence)).is_empty());
    }
}

#[test]
fn an_answer_holds_in_its_window_only_and_one_without_end_never() {
    let bench = Bench::new("GH100");
    let (subject, issuer) = bench.asked_about()[0];
    let answer = |from, to| {
        let mut evidence = bench.gpu();
        evidence.ocsp[0] = Ocsp { from, to, ..Ocsp::new(subject, issuer, good()) }.encode();
        evidence
    };
    // Now is 2027-01-15T08:00:00Z; both ends belong to a window.
    assert!(bench.wrong(&answer("20270115080000Z", Some("20270115080000Z"))).is_empty());
    for (from, to) in
        [("20270115080001Z", "20270116000000Z"), ("20270101000000Z", "20270115075959Z")]
    {
        let evidence = answer(from, Some(to));
        assert_eq!(bench.wrong(&evidence), ["revocation"]);
        assert!(without("ocsp_window", || bench.wrong(&evidence)).is_empty());
    }
    assert_eq!(bench.wrong(&answer("20270101000000Z", None)), ["revocation"]);
}

#[test]
fn answers_that_cannot_be_read_are_refused_and_named() {
    let bench = Bench::new("GH100");
    let (subject, issuer) = bench.asked_about()[0];
    let whole = Ocsp::new(subject, issuer, good()).encode();
    let parsed = Parsed::parse(&whole).unwrap();
    assert_eq!(parsed.nonce(), Some(&[5; 16][..]));
    for len in 0..whole.len() {
        assert_eq!(Parsed::parse(&whole[..len]).unwrap_err(), OcspError::Form, "{len}");
    }
    let later = tlv(0x30, &tlv(0x0a, &[3]));
    assert_eq!(Parsed::parse(&later).unwrap_err(), OcspError::Unsuccessful(3));
    assert_eq!(Parsed::parse(&[0; 70_000]).unwrap_err(), OcspError::TooLong(70_000));
    let endless = Ocsp { to: None, ..Ocsp::new(subject, issuer, good()) };
    assert_eq!(Parsed::parse(&endless.encode()).unwrap_err(), OcspError::NoEnd);
    // Every flipped bit of what is signed, and of the signature.
    let authorities = [issuer, &bench.device.root].map(|h| Certificate::parse(&h.der).unwrap());
    let subject = Certificate::parse(&subject.der).unwrap();
    let schemes = [evidence::x509::Scheme::EcdsaP384Sha384];
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1 << (at % 8);
        let got =
            Parsed::parse(&changed).and_then(|o| o.answer(&subject, &authorities, &schemes, NOW));
        // A change that makes it somebody else's answer leaves this certificate without one.
        assert!(!matches!(got, Ok(Some(_))), "byte {at}");
    }
    let mut evidence = bench.gpu();
    evidence.ocsp.push(b"junk".to_vec());
    bench.only(&evidence, "revocation");
}

#[test]
fn each_knob_refuses_what_it_is_about_and_takes_it_when_it_says_so() {
    let bench = Bench::new("GH100");
    let manifests = [Manifest::driver(), Manifest::vbios()];
    let production = Knobs::production_2026_11;
    let mut uncounted = Said::gpu();
    uncounted.blocks[0].3 = vec![1; 48];
    let cases = [
        ("fwid_stated", Said::gpu().without(20), Knobs { without_fwid: true, ..production() }),
        (
            "opaque_fields",
            Said::gpu().with(77, b"?"),
            Knobs { unknown_fields: true, ..production() },
        ),
        (
            "opaque_fields",
            Said::gpu().with(34, &[3, 0]),
            Knobs { unknown_fields: true, ..production() },
        ),
        ("msrscnt", uncounted, Knobs { uncounted: true, ..production() }),
        ("msrscnt", Said::gpu().without(12), Knobs { uncounted: true, ..production() }),
    ];
    for (name, said, lenient) in cases {
        let evidence = bench.evidence(&said, &manifests);
        bench.only(&evidence, name);
        assert!(failed(&bench.judge(&evidence, &lenient)).is_empty(), "{name}");
        assert!(failed(&bench.judge(&evidence, &Knobs::forensic())).is_empty(), "{name}");
    }
    let pcie = |on, status: &[u8]| {
        let evidence = bench.evidence(&Said::gpu().with(21, status), &manifests);
        let knobs = Knobs { protected_pcie: on, ..production() };
        let wrong = failed(&bench.judge(&evidence, &knobs));
        assert!(without("protected_pcie", || failed(&bench.judge(&evidence, &knobs))).is_empty());
        wrong.is_empty()
    };
    assert!(pcie(None, &[0xaa]) && pcie(Some(true), &[0xaa]) && pcie(Some(false), &[0x55]));
    assert!(!pcie(Some(true), &[0x55]) && !pcie(Some(false), &[0xaa]) && !pcie(Some(true), &[1]));
    let other = Bench::new("GX999");
    let manifests = manifests.map(|m| Manifest { product: "GX999", ..m });
    other.only(&other.evidence(&Said::gpu(), &manifests), "product");
}

#[test]
fn a_device_that_is_not_on_the_list_is_refused_whatever_serial_number_it_shows() {
    let bench = Bench::new("GH100");
    let evidence = bench.gpu();
    let identity = bench.device.verify(&evidence).unwrap().facts().identity;
    let only = |id| {
        let knobs = Knobs { devices: Devices::Only(vec![id]), ..Knobs::production_2026_11() };
        failed(&bench.judge(&evidence, &knobs))
    };
    assert!(only(identity).is_empty());
    // The other one shows the same serial number.
    let other = Bench::new("GH100");
    let other = other.device.verify(&other.gpu()).unwrap().facts().clone();
    assert_eq!(other.device, bench.device.verify(&evidence).unwrap().facts().device);
    assert_eq!(only(other.identity), ["device"]);
    assert!(without("device", || only(other.identity)).is_empty());
}

#[test]
fn a_report_whose_nonce_nobody_states_is_refused_where_a_profile_wants_to_know_its_age() {
    let bench = Bench::new("GH100");
    let (device, rim) = ([bench.device.root.digest()], [bench.device.rim_root.digest()]);
    let roots = Roots { device: &device, rim: &rim };
    let facts = evidence::nvidia::verify(&bench.gpu(), &roots, Asked::Unstated, NOW).unwrap();
    let wrong = |knobs| failed(&appraise(facts.facts(), &knobs));
    assert!(wrong(Knobs { unasked: true, ..Knobs::production_2026_11() }).is_empty());
    assert_eq!(wrong(Knobs::production_2026_11()), ["nonce_asked"]);
    assert!(without("nonce_asked", || wrong(Knobs::production_2026_11())).is_empty());
}

#[test]
fn every_knob_is_said_in_words() {
    let words = |k: Knobs| k.words().join("\n");
    let all = words(Knobs::forensic());
    let changed = [
        Knobs { devices: Devices::Only(Vec::new()), ..Knobs::forensic() },
        Knobs { products: Some(vec!["GH100".into()]), ..Knobs::forensic() },
        Knobs { rims: evidence::nvidia::Rims::Complete, ..Knobs::forensic() },
        Knobs { revocation: evidence::nvidia::Revocations::Complete, ..Knobs::forensic() },
        Knobs { hold: true, ..Knobs::forensic() },
        Knobs { unasked: false, ..Knobs::forensic() },
        Knobs { without_fwid: false, ..Knobs::forensic() },
        Knobs { unknown_fields: false, ..Knobs::forensic() },
        Knobs { uncounted: false, ..Knobs::forensic() },
        Knobs { protected_pcie: Some(true), ..Knobs::forensic() },
    ];
    for knobs in changed {
        assert_ne!(words(knobs.clone()), all, "{knobs:?}");
    }
}

#[test]
fn captured_reports_show_what_the_production_profile_would_still_need() {
    let facts = |id: &str| case(id).map(|c| verify(&c).unwrap());
    let (Some(hopper), Some(blackwell)) =
        (facts("h100-ppcie-gpu"), facts("blackwell-gb100-driver-575"))
    else {
        return;
    };
    let wrong = |f: &Facts| failed(&appraise(f, &Knobs::production_2026_11()));
    assert_eq!(wrong(hopper.facts()), ["rims", "revocation"]);
    assert_eq!(wrong(blackwell.facts()), ["rims", "revocation"]);
    let ids = blackwell.facts().rim_ids().into_iter().map(|(_, id)| id).collect::<Vec<_>>();
    assert_eq!(ids, ["NV_GPU_CC_DRIVER_GB100_575.32", "NV_GPU_VBIOS_G525_0220_886_970088000F"]);
    assert_eq!(hopper.facts().revocation.certificates.len(), 3);
}
