//! Intel quotes on a platform of our own: all is signed as it should be, so every check stands alone. Each attack is refused for
//! exactly its reason, and passes once only that check is removed.

use evidence::controls::without;
use evidence::dcap::layout::Tee;
use evidence::dcap::{Collateral, DcapRefusal, Status, VerifiedCollateral, verify_collateral};
use evidence::tcg::{self, LogError};
use evidence::tdx::ccel;
use evidence::{Authentic, Check, Outcome, Time, sgx, tdx};
use serde_json::json;
use silicon::intel::{FMSPC, Made, Platform, enclave, td};
use silicon::{Certificate, Key};

use crate::profiles::{FORENSIC, changed, demands_every_knob, impossible, shipped};

const NOW: Time = Time::from_unix(1_800_000_000);

fn platform(tee: Tee, version: u16) -> Platform {
    Platform::new(tee, version, NOW)
}

fn collateral(made: &Made) -> Result<VerifiedCollateral, DcapRefusal> {
    verify_collateral(&made.collateral, &[made.root], NOW)
}

fn verify_td(made: &Made) -> Result<Authentic<tdx::Facts>, DcapRefusal> {
    tdx::verify(&made.quote, &collateral(made)?, NOW)
}

fn verify_enclave(made: &Made) -> Result<Authentic<sgx::Facts>, DcapRefusal> {
    sgx::verify(&made.quote, &collateral(made)?, NOW)
}

/// A changed platform's evidence.
fn made(tee: Tee, version: u16, change: impl Fn(&mut Platform)) -> Made {
    let mut platform = platform(tee, version);
    change(&mut platform);
    platform.make()
}

/// The refusal, and that nothing else stands in the way.
fn only(check: &'static str, made: &Made) -> DcapRefusal {
    let refused = verify_td(made).unwrap_err();
    let removed = without(check, || verify_td(made));
    assert!(removed.is_ok(), "without {check}: {:?}", removed.err());
    refused
}

fn td(change: impl Fn(&mut Platform)) -> Made {
    made(Tee::Tdx, 4, change)
}

#[test]
fn quotes_of_every_version_and_body_are_authentic_and_up_to_date() {
    for version in [4, 5] {
        let verified = verify_td(&made(Tee::Tdx, version, |_| {})).unwrap();
        assert_eq!(verified.facts().platform.tcb.status, Some(Status::UpToDate));
        assert!(failures(&td_checks(verified.facts())).is_empty());
    }
    for version in [3, 4, 5] {
        let verified = verify_enclave(&made(Tee::Sgx, version, |_| {})).unwrap();
        assert_eq!(verified.facts().platform.tcb.status, Some(Status::UpToDate));
        assert!(failures(&sgx_checks(verified.facts())).is_empty());
        assert_eq!(verified.holds_until(), NOW.plus_secs(86_400));
    }
    let other = verify_enclave(&td(|_| {})).unwrap_err();
    assert_eq!(other, DcapRefusal::OtherTee { expected: "SGX" });
    let other = verify_td(&made(Tee::Sgx, 4, |_| {})).unwrap_err();
    assert_eq!(other, DcapRefusal::OtherTee { expected: "TDX" });
}

#[test]
fn a_root_that_is_not_pinned_or_not_the_same_everywhere_is_refused() {
    let made = td(|_| {});
    let attack = || verify_collateral(&made.collateral, &[], NOW).map(drop);
    assert!(matches!(attack(), Err(DcapRefusal::UntrustedRoot { .. })));
    without("dcap_pinned_root", attack).unwrap();
    // The same name and key in other bytes: only the bytes are pinned.
    let platform = platform(Tee::Tdx, 4);
    let (mut first, second) = (platform.make(), platform.make());
    let other = second.collateral;
    first.collateral.tcb_info_issuer_chain.clone_from(&other.tcb_info_issuer_chain);
    assert!(matches!(only("dcap_one_root", &first), DcapRefusal::UntrustedRoot { .. }));
}

#[test]
fn a_genuine_certificate_in_anothers_place_or_of_another_issuer_is_refused() {
    let role = td(|p| p.signer.subject = "Intel SGX PCK Certificate".into());
    assert!(matches!(only("dcap_role", &role), DcapRefusal::Role { name: "TCB signing", .. }));
    let critical = td(|p| p.signer = p.signer.clone().with("1.2.3.4", true, vec![5, 0]));
    let refused = only("dcap_critical_extension", &critical);
    assert!(matches!(refused, DcapRefusal::CriticalExtension { name: "TCB signing", .. }));
    let forged = td(|p| p.forger = Some(Key::p256()));
    let refused = only("dcap_chain_signature", &forged);
    assert_eq!(refused, DcapRefusal::ChainSignature { name: "PCK CA", issuer: "root CA" });
}

#[test]
fn revocation_lists_are_their_authoritys_whole_ones_and_count() {
    let forged = td(|p| p.crl_forger = Some(Key::p256()));
    let refused = only("dcap_crl_signature", &forged);
    assert_eq!(refused, DcapRefusal::CrlSignature { name: "PCK CRL", issuer: "PCK CA" });
    let partial = td(|p| p.pck_crl.extensions.push(("2.5.29.28".into(), true, vec![0x30, 0])));
    let refused = only("dcap_crl_critical_extension", &partial);
    assert!(matches!(refused, DcapRefusal::CriticalExtension { name: "PCK CRL", .. }));
    for revoke in [(|p: &mut Platform| p.pck_crl.serials.push(77)) as fn(&mut Platform), |p| {
        p.root_crl.serials.push(p.ca.serial)
    }] {
        let refused = only("dcap_certificate_revoked", &td(revoke));
        assert!(matches!(refused, DcapRefusal::Revoked { .. }), "{refused}");
    }
}

#[test]
fn everything_is_in_force_from_its_first_second_to_its_last() {
    let made = td(|_| {});
    let (first, last) = (NOW.plus_secs(-86_400), NOW.plus_secs(86_400));
    let at = |at| {
        let collateral = verify_collateral(&made.collateral, &[made.root], at)?;
        tdx::verify(&made.quote, &collateral, at).map(drop)
    };
    at(first).unwrap();
    at(last).unwrap();
    for outside in [first.plus_secs(-1), last.plus_secs(1)] {
        assert!(matches!(at(outside), Err(DcapRefusal::Window { .. })));
        without("dcap_window", || at(outside)).unwrap();
    }
    // Kept collateral ends too, and so does each part alone.
    let kept = collateral(&made).unwrap();
    let late = tdx::verify(&made.quote, &kept, last.plus_secs(1)).map(drop);
    assert!(matches!(late, Err(DcapRefusal::Window { .. })));
    let ended = NOW.plus_secs(-1);
    for (what, end) in [
        ("PCK certificate", (|p, t| p.pck.window.not_after = t) as fn(&mut Platform, Time)),
        ("PCK CA certificate", |p, t| p.ca.window.not_after = t),
        ("root CA certificate", |p, t| p.root.window.not_after = t),
        ("TCB signing certificate", |p, t| p.signer.window.not_after = t),
        ("PCK CRL", |p, t| p.pck_crl.next_update = Some(t)),
        ("root CA CRL", |p, t| p.root_crl.next_update = Some(t)),
        ("TCB info", |p, t| p.tcb_info["nextUpdate"] = json!(t.to_string())),
        ("QE identity", |p, t| p.qe_identity["nextUpdate"] = json!(t.to_string())),
    ] {
        match verify_td(&td(|p| end(p, ended))) {
            Err(DcapRefusal::Window { what: named, .. }) => assert_eq!(named, what),
            other => panic!("{what}: {:?}", other.map(drop)),
        }
    }
}

#[test]
fn signed_texts_count_byte_for_byte() {
    for change in [(|c: &mut Collateral| c.tcb_info.push(' ')) as fn(&mut Collateral), |c| {
        c.qe_identity = c.qe_identity.replace("18", "19")
    }] {
        let mut made = td(|_| {});
        change(&mut made.collateral);
        assert!(matches!(only("dcap_json_signature", &made), DcapRefusal::JsonSignature(_)));
    }
}

/// Where the parts of a quote of version 4 with a TD 1.0 body begin.
const QE_REPORT: usize = 48 + 584 + 4 + 64 + 64 + 6;
const QE_AUTH: usize = QE_REPORT + 384 + 64 + 2;

#[test]
fn each_signature_of_a_quote_holds_up_the_next() {
    let flipped = |at: usize| {
        let mut made = td(|_| {});
        made.quote[at] ^= 1;
        made
    };
    assert_eq!(
        only("dcap_qe_report_signature", &flipped(QE_REPORT + 20)),
        DcapRefusal::QeReportSignature
    );
    assert_eq!(only("dcap_qe_report_data", &flipped(QE_AUTH)), DcapRefusal::QeReportData);
    assert_eq!(only("dcap_quote_signature", &flipped(48 + td::MR_TD)), DcapRefusal::QuoteSignature);
    let vendor = td(|p| p.vendor[0] ^= 1);
    assert!(matches!(only("dcap_vendor", &vendor), DcapRefusal::Vendor(_)));
    for (field, at) in [
        ("MRSIGNER", enclave::MR_SIGNER),
        ("ISVPRODID", enclave::ISV_PROD_ID),
        ("MISCSELECT", enclave::MISC_SELECT),
        ("ATTRIBUTES", enclave::ATTRIBUTES),
    ] {
        let other = td(|p| p.qe_report[at] ^= 1);
        assert_eq!(only("dcap_qe_identity", &other), DcapRefusal::QeIdentity { field });
    }
}

#[test]
fn every_changed_byte_of_a_quote_is_refused_or_padding_or_nobodys() {
    let made = td(|p| p.trailing = vec![0; 8]);
    let kept = collateral(&made).unwrap();
    let facts = tdx::verify(&made.quote, &kept, NOW).unwrap();
    let trailing = made.quote.len() - 8;
    for at in 0..made.quote.len() {
        let mut quote = made.quote.clone();
        quote[at] ^= 0x40;
        match tdx::verify(&quote, &kept, NOW) {
            Err(_) => {}
            // Nobody signed the padding; no field comes of it.
            Ok(other) if at >= trailing => {
                assert_eq!(other.facts().report, facts.facts().report);
                assert!(!failures(&td_checks(other.facts())).is_empty(), "byte {at}");
            }
            Ok(_) => panic!("byte {at} may change"),
        }
        assert!(
            tdx::verify(&made.quote[..at.min(trailing - 1)], &kept, NOW).is_err(),
            "cut at {at}"
        );
    }
}

fn td_checks(facts: &tdx::Facts) -> Vec<Check> {
    tdx::appraise(facts, &shipped(FORENSIC))
}

fn sgx_checks(facts: &sgx::Facts) -> Vec<Check> {
    sgx::appraise(facts, &shipped(FORENSIC))
}

fn failures(checks: &[Check]) -> Vec<&'static str> {
    checks.iter().filter(|c| c.outcome == Outcome::Failed).map(|c| c.name).collect()
}

/// Authentic; that check fails, and is made by nobody once it is removed.
fn td_fails(name: &'static str, made: &Made, knobs: &tdx::Knobs) {
    let failed = || failures(&tdx::appraise(verify_td(made).unwrap().facts(), knobs));
    assert!(failed().contains(&name), "{name}: {:?}", failed());
    assert!(!without(name, failed).contains(&name), "{name}");
}

fn sgx_fails(name: &'static str, made: &Made, knobs: &sgx::Knobs) {
    let failed = || failures(&sgx::appraise(verify_enclave(made).unwrap().facts(), knobs));
    assert!(failed().contains(&name), "{name}: {:?}", failed());
    assert!(!without(name, failed).contains(&name), "{name}");
}

#[test]
fn collateral_of_another_platform_says_nothing_about_this_one() {
    let knobs = shipped(FORENSIC);
    td_fails("dcap_fmspc", &td(|p| p.tcb_info["fmspc"] = json!("00906ed50000")), &knobs);
    td_fails("dcap_pce_id", &td(|p| p.tcb_info["pceId"] = json!("0001")), &knobs);
    let other_list = td(|p| {
        let (key, window) = (Key::p256(), p.ca.window);
        let name = "Intel SGX PCK Processor CA";
        let ca = Certificate::new(name, "Intel SGX Root CA", &key, window).authority(Some(0));
        p.pck_crl.issuer = name.into();
        p.listed_ca = Some((ca, key));
    });
    td_fails("dcap_pck_crl", &other_list, &knobs);
    // Where the collateral does not fit, no status is made up.
    let verified = verify_td(&other_list).unwrap();
    assert_eq!(verified.facts().platform.tcb.status, None);
    let knobs = shipped(FORENSIC);
    let info = platform(Tee::Tdx, 4).tcb_info;
    sgx_fails("dcap_tcb_info_tee", &made(Tee::Sgx, 3, |p| p.tcb_info = info.clone()), &knobs);
    let identity = platform(Tee::Tdx, 4).qe_identity;
    let other = made(Tee::Sgx, 3, |p| {
        p.qe_identity = identity.clone();
        p.qe_report[enclave::ISV_PROD_ID] = 2;
    });
    sgx_fails("dcap_qe_identity_tee", &other, &knobs);
}

#[test]
fn what_a_tcb_is_worth_is_judged_part_by_part() {
    let knobs = shipped(FORENSIC);
    let high = |p: &mut Platform| p.level()["tcb"]["sgxtcbcomponents"][7]["svn"] = json!(200);
    td_fails("dcap_tcb_level", &td(high), &knobs);
    td_fails("dcap_tcb_status", &td(high), &knobs);
    let pce = td(|p| p.level()["tcb"]["pcesvn"] = json!(12));
    td_fails("dcap_tcb_level", &pce, &knobs);
    let old = td(|p| p.level()["tcbStatus"] = json!("OutOfDate"));
    td_fails("dcap_tcb_status", &old, &knobs);
    let revoked = td(|p| p.level()["tcbStatus"] = json!("Revoked"));
    td_fails("dcap_revoked", &revoked, &knobs);
    td_fails("tdx_module_level", &td(|p| p.body[td::TEE_TCB_SVN] = 3), &knobs);
    td_fails("tdx_module_level", &td(|p| p.body[td::TEE_TCB_SVN + 1] = 9), &knobs);
    td_fails("tdx_module_identity", &td(|p| p.body[td::MR_SIGNER_SEAM] = 1), &knobs);
    td_fails("tdx_module_identity", &td(|p| p.body[td::SEAM_ATTRIBUTES] = 1), &knobs);
    td_fails("dcap_qe_level", &td(|p| p.qe_report[enclave::ISV_SVN] = 8), &knobs);
    td_fails("dcap_trailing_bytes", &td(|p| p.trailing = vec![0, 1]), &knobs);
    let with = |line: (&str, &str)| changed::<tdx::Knobs>(FORENSIC, &[line]).unwrap();
    let newer = with(("evaluation-minimum", "evaluation-minimum = 19"));
    td_fails("dcap_tcb_info_evaluation", &td(|_| {}), &newer);
    td_fails("dcap_qe_identity_evaluation", &td(|_| {}), &newer);
    let elsewhere = with(("fmspcs", "fmspcs = [\"00906ed50000\"]"));
    td_fails("dcap_fmspc_listed", &td(|_| {}), &elsewhere);
    let here = with(("fmspcs", &format!("fmspcs = [\"{}\"]", hex::encode(FMSPC))));
    assert!(failures(&tdx::appraise(verify_td(&td(|_| {})).unwrap().facts(), &here)).is_empty());
    let off = with(("settings-off", "settings-off = [\"cachedKeys\", \"smtEnabled\"]"));
    td_fails("dcap_settings", &td(|_| {}), &off);
    let advised = td(|p| p.level()["advisoryIDs"] = json!(["INTEL-SA-00615"]));
    let refused = with(("advisories-refused", "advisories-refused = [\"INTEL-SA-00615\"]"));
    td_fails("dcap_advisories", &advised, &refused);
}

#[test]
fn a_status_is_the_worst_of_platform_module_and_quoting_enclave() {
    let status = |change: &dyn Fn(&mut Platform)| {
        verify_td(&td(change)).unwrap().facts().platform.tcb.status.unwrap()
    };
    let module = |p: &mut Platform, s: &str| {
        p.tcb_info["tdxModuleIdentities"][0]["tcbLevels"][0]["tcbStatus"] = json!(s);
    };
    let qe = |p: &mut Platform, s: &str| p.qe_identity["tcbLevels"][0]["tcbStatus"] = json!(s);
    assert_eq!(status(&|p| module(p, "OutOfDate")), Status::OutOfDate);
    assert_eq!(status(&|p| qe(p, "SWHardeningNeeded")), Status::SWHardeningNeeded);
    let both = status(&|p| {
        qe(p, "OutOfDate");
        p.level()["tcbStatus"] = json!("ConfigurationNeeded");
    });
    assert_eq!(both, Status::OutOfDateConfigurationNeeded);
    // TDX 1.5: launched under an old module that was replaced since.
    let relaunch = made(Tee::Tdx, 5, |p| {
        let old = json!({"tcb": {"isvsvn": 2}, "tcbDate": "2024-01-01T00:00:00Z", "tcbStatus": "OutOfDate"});
        p.tcb_info["tdxModuleIdentities"][0]["tcbLevels"].as_array_mut().unwrap().push(old);
        p.body[td::TEE_TCB_SVN] = 2;
    });
    let verified = verify_td(&relaunch).unwrap();
    assert_eq!(verified.facts().platform.tcb.status, Some(Status::TDRelaunchAdvised));
}

#[test]
fn every_attribute_and_register_of_a_domain_is_judged() {
    let strict = shipped::<tdx::Knobs>("tdx-2026-11");
    let bit = |n: usize| td(move |p| p.body[td::ATTRIBUTES + n / 8] ^= 1 << (n % 8));
    for (name, n) in [
        ("tdx_debug", 0),
        ("tdx_tud", 4),
        ("tdx_sept_ve", 28),
        ("tdx_migratable", 29),
        ("tdx_unknown_attributes", 40),
        ("tdx_perfmon", 63),
    ] {
        td_fails(name, &bit(n), &strict);
    }
    let refused = |knob: &str| {
        changed::<tdx::Knobs>("tdx-2026-11", &[(knob, &format!("{knob} = \"refused\""))]).unwrap()
    };
    td_fails("tdx_pks", &bit(30), &refused("pks"));
    td_fails("tdx_key_locker", &bit(31), &refused("key-locker"));
    let served = made(Tee::Tdx, 5, |p| p.body[td::MR_SERVICE_TD] = 1);
    td_fails("tdx_service_td", &served, &strict);
    for (name, knob, at, len) in [
        ("tdx_xfam", "xfams", td::XFAM, 8),
        ("tdx_mr_seam", "mr-seam", td::MR_SEAM, 48),
        ("tdx_mr_td", "mr-td", td::MR_TD, 48),
        ("tdx_mr_config_id", "mr-config-id", td::MR_CONFIG_ID, 48),
        ("tdx_mr_owner", "mr-owner", td::MR_OWNER, 48),
        ("tdx_mr_owner_config", "mr-owner-config", td::MR_OWNER_CONFIG, 48),
        ("tdx_rtmr0", "rtmr0", td::RTMR, 48),
        ("tdx_rtmr1", "rtmr1", td::RTMR + 48, 48),
        ("tdx_rtmr2", "rtmr2", td::RTMR + 96, 48),
        ("tdx_rtmr3", "rtmr3", td::RTMR + 144, 48),
    ] {
        let value = hex::encode(&platform(Tee::Tdx, 4).body[at..at + len]);
        let line = format!("{knob} = [\"{value}\"]");
        let knobs = changed::<tdx::Knobs>(FORENSIC, &[(knob, &line)]).unwrap();
        assert!(
            failures(&tdx::appraise(verify_td(&td(|_| {})).unwrap().facts(), &knobs)).is_empty()
        );
        td_fails(name, &td(|p| p.body[at + len - 1] ^= 1), &knobs);
        impossible::<tdx::Knobs>(knob, &format!("{knob} = [\"{}\"]", &value[2..]));
    }
}

#[test]
fn every_flag_and_field_of_an_enclave_is_judged() {
    let strict = shipped::<sgx::Knobs>("sgx-2026-11");
    let enclave_with = |change: &dyn Fn(&mut Platform)| made(Tee::Sgx, 3, change);
    let bit =
        |n: usize| enclave_with(&move |p| p.body[enclave::ATTRIBUTES + n / 8] ^= 1 << (n % 8));
    for (name, n) in [
        ("sgx_debug", 1),
        ("sgx_provision_key", 4),
        ("sgx_launch_key", 5),
        ("sgx_unknown_flags", 20),
    ] {
        sgx_fails(name, &bit(n), &strict);
    }
    for (name, knob, at, len) in [
        ("sgx_mr_enclave", "mr-enclave", enclave::MR_ENCLAVE, 32),
        ("sgx_mr_signer", "mr-signer", enclave::MR_SIGNER, 32),
        ("sgx_misc_select", "misc-select", enclave::MISC_SELECT, 4),
        ("sgx_xfrm", "xfrms", enclave::ATTRIBUTES + 8, 8),
        ("sgx_config_id", "config-ids", enclave::CONFIG_ID, 64),
        ("sgx_family_id", "family-ids", enclave::FAMILY_ID, 16),
        ("sgx_ext_prod_id", "ext-prod-ids", enclave::EXT_PROD_ID, 16),
    ] {
        let value = hex::encode(&platform(Tee::Sgx, 3).body[at..at + len]);
        let line = format!("{knob} = [\"{value}\"]");
        let knobs = changed::<sgx::Knobs>(FORENSIC, &[(knob, &line)]).unwrap();
        let good = verify_enclave(&enclave_with(&|_| {})).unwrap();
        assert!(failures(&sgx::appraise(good.facts(), &knobs)).is_empty());
        sgx_fails(name, &enclave_with(&|p| p.body[at + len - 1] ^= 1), &knobs);
        impossible::<sgx::Knobs>(knob, &format!("{knob} = [\"{}\"]", &value[2..]));
    }
    let with = |line: (&str, &str)| changed::<sgx::Knobs>(FORENSIC, &[line]).unwrap();
    let good = enclave_with(&|_| {});
    sgx_fails("sgx_isv_prod_id", &good, &with(("isv-prod-ids", "isv-prod-ids = [1, 2]")));
    sgx_fails("sgx_isv_svn", &good, &with(("isv-svn-minimum", "isv-svn-minimum = 4")));
    sgx_fails("sgx_config_svn", &good, &with(("config-svn-minimum", "config-svn-minimum = 1")));
    let svn = with(("isv-svn-minimum", "isv-svn-minimum = 3"));
    assert!(failures(&sgx::appraise(verify_enclave(&good).unwrap().facts(), &svn)).is_empty());
}

#[test]
fn profiles_state_every_knob_and_ask_nothing_impossible() {
    demands_every_knob::<tdx::Knobs>("tdx-2026-11");
    demands_every_knob::<sgx::Knobs>("sgx-2026-11");
    for (knob, line) in [
        ("statuses", "statuses = []"),
        ("statuses", "statuses = [\"Revoked\"]"),
        ("fmspcs", "fmspcs = [\"00806F050000\"]"),
    ] {
        impossible::<tdx::Knobs>(knob, line);
    }
    assert!(changed::<tdx::Knobs>(FORENSIC, &[("statuses", "statuses = [\"Fine\"]")]).is_err());
    let relaunch = [("statuses", "statuses = [\"UpToDate\", \"TDRelaunchAdvised\"]")];
    assert_eq!(changed::<tdx::Knobs>(FORENSIC, &relaunch).unwrap().platform.statuses.len(), 2);
}

/// A log of events (register, kind, digest).
fn log(events: &[(u32, u32, [u8; 48])]) -> Vec<u8> {
    let spec = [
        &b"Spec ID Event03\0"[..],
        &[0; 4],
        &[0, 2, 0, 2],
        &1_u32.to_le_bytes(),
        &[0x0c, 0, 48, 0],
        &[0],
    ];
    let spec = spec.concat();
    let mut out = [&1_u32.to_le_bytes()[..], &3_u32.to_le_bytes(), &[0; 20]].concat();
    out.extend(u32::try_from(spec.len()).unwrap().to_le_bytes());
    out.extend(spec);
    for (register, kind, digest) in events {
        let head = [register.to_le_bytes(), kind.to_le_bytes(), 1_u32.to_le_bytes()].concat();
        out.extend([&head[..], &[0x0c, 0], digest, &2_u32.to_le_bytes(), b"hi"].concat());
    }
    out
}

fn extended(digests: &[[u8; 48]]) -> [u8; 48] {
    digests.iter().fold([0; 48], |r, d| evidence::bytes::sha384(&[&r[..], d].concat()))
}

#[test]
fn an_event_log_counts_where_it_leads_to_the_quotes_registers() {
    let (a, b, c) = ([1; 48], [2; 48], [3; 48]);
    let events = [(1, 8, a), (2, 8, b), (1, 8, c), (3, 3, a)];
    let honest = log(&events);
    let replayed = ccel::replay(&honest).unwrap();
    assert_eq!((replayed.events, replayed.used), (5, honest.len()));
    assert_eq!(replayed.rtmr, [extended(&[a, c]), extended(&[b]), [0; 48], [0; 48]]);
    let quote = td(|p| {
        p.body[td::RTMR..][..48].copy_from_slice(&extended(&[a, c]));
        p.body[td::RTMR + 48..][..48].copy_from_slice(&extended(&[b]));
        p.body[td::RTMR + 144..][..48].fill(9);
    });
    let verified = verify_td(&quote).unwrap();
    let check = |log: &[u8]| ccel::check(log, &verified.facts().report);
    assert_eq!(check(&honest).outcome, Outcome::Passed, "{}", check(&honest).detail);
    assert!(check(&honest).detail.contains("does not speak of RTMR3"));
    for padding in [&[0xff; 64][..], &[0; 64], &[0xff; 8]] {
        assert_eq!(check(&[&honest, padding].concat()).outcome, Outcome::Passed);
    }
    let swapped = log(&[(1, 8, c), (2, 8, b), (1, 8, a)]);
    let shorter = log(&[(1, 8, a), (2, 8, b)]);
    for other in [swapped, shorter, log(&[(4, 8, a)])] {
        assert_eq!(check(&other).outcome, Outcome::Failed);
        assert_eq!(without("tdx_event_log", || check(&other)).outcome, Outcome::Passed);
    }
}

#[test]
fn a_malformed_event_log_is_refused_by_its_event() {
    let good = log(&[(1, 8, [1; 48]), (2, 8, [2; 48])]);
    for len in 0..good.len() {
        // A cut between events is a shorter log; anywhere else it is refused.
        if let Ok(cut) = ccel::replay(&good[..len]) {
            assert_eq!(cut.used, len);
            assert!(cut.events < 3);
        }
    }
    assert_eq!(
        ccel::replay(&log(&[(5, 8, [1; 48])])),
        Err(LogError::Event(1, "a register that is no RTMR"))
    );
    assert_eq!(
        ccel::replay(&log(&[(0, 8, [1; 48])])),
        Err(LogError::Event(1, "a register that is no RTMR"))
    );
    let mut other = good.clone();
    other[32] ^= 1;
    assert_eq!(ccel::replay(&other), Err(LogError::Header));
    let mut sha1 = good.clone();
    sha1[32 + 28] = 4;
    assert!(matches!(ccel::replay(&sha1), Err(LogError::Event(0, _))));
    let mut many = good.clone();
    many[32 + 33 + 8] = 2;
    assert!(matches!(ccel::replay(&many), Err(LogError::Event(1, _))));
    assert_eq!(ccel::replay(&vec![0; tcg::LOG_MAX + 1]), Err(LogError::TooLong(tcg::LOG_MAX + 1)));
    assert!(ccel::replay(&[]).is_err());
}
