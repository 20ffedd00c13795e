//! Profiles of SEV-SNP: each knob refuses what it is about and nothing else, and a profile that leaves one out is none.

use evidence::controls::without;
use evidence::profile::{ProfileError, Section};
use evidence::snp::{self, Knobs, Product};
use evidence::{Detail, Profile, Time};

use crate::amd_forge::{Machine, NOW, VENDOR, at, crl, roots};

/// The forensic profile with some lines of its SNP section replaced.
fn profile(change: &[(&str, &str)]) -> Result<Knobs, ProfileError> {
    let head = "format = 1\nid = \"t\"\ndated = \"2026-11-25\"\nsources = []\n";
    let shipped = include_str!("../../profiles/forensic-2026-11.toml");
    let section = shipped.split("[kind.snp]").nth(1).unwrap();
    let section = section.split("[kind.").take(4).collect::<Vec<_>>().join("[kind.");
    let mut text = format!("{head}[kind.snp]{section}");
    for (knob, value) in change {
        let line = text.lines().find(|l| l.starts_with(&format!("{knob} ="))).unwrap().to_owned();
        text = text.replacen(&line, value, 1);
    }
    Profile::parse(&text)?.section()
}

fn facts(change: impl FnOnce(&mut [u8]), machine: &Machine, more: &[Vec<u8>]) -> snp::Facts {
    let evidence = machine.evidence(machine.report(change), more);
    match &snp::verify(&evidence, &roots(), at(NOW)).unwrap().facts().detail {
        Detail::Snp(f) => (**f).clone(),
        other => panic!("{other:?}"),
    }
}

fn failures(facts: &snp::Facts, knobs: &Knobs, at: Time) -> Vec<&'static str> {
    let checks = snp::appraise(facts, knobs, at);
    let failed = checks.iter().filter(|c| c.outcome == evidence::Outcome::Failed);
    failed.map(|c| c.name).collect()
}

#[test]
fn each_knob_refuses_what_it_is_about_and_nothing_else() {
    let (chip, provider) = (Machine::chip(), Machine::provider());
    let digest = "ab".repeat(48);
    let keys = format!("id-keys = [\"{digest}\"]");
    let authors = format!("author-keys = [\"{digest}\"]");
    type Row<'a> = (&'a str, &'a str, &'static str, fn(&mut [u8]), fn(&mut [u8]));
    let nothing: fn(&mut [u8]) = |_| {};
    // Knob, its line, the check, a report that fails it, one that passes it.
    let rows: [Row<'_>; 13] = [
        (
            "policy-required",
            "policy-required = [\"single-socket\", \"smt\"]",
            "snp_policy_required",
            nothing,
            |r| r[10] |= 0x10,
        ),
        (
            "policy-forbidden",
            "policy-forbidden = [\"migrate-ma\"]",
            "snp_policy_forbidden",
            |r| r[10] |= 4,
            nothing,
        ),
        (
            "platform-required",
            "platform-required = [\"alias-check-complete\"]",
            "snp_platform_required",
            |r| r[0x40] = 5,
            nothing,
        ),
        (
            "platform-forbidden",
            "platform-forbidden = [\"smt-en\"]",
            "snp_platform_forbidden",
            nothing,
            |r| r[0x40] = 0x24,
        ),
        (
            "platform-unknown-bits",
            "platform-unknown-bits = \"refused\"",
            "snp_platform_unknown",
            |r| r[0x41] = 1,
            nothing,
        ),
        ("abi-minimum", "abi-minimum = [0, 32]", "snp_abi", nothing, |r| r[8] = 32),
        ("guest-svn-minimum", "guest-svn-minimum = 3", "snp_guest_svn", |r| r[4] = 2, |r| r[4] = 3),
        ("vmpl-maximum", "vmpl-maximum = 1", "snp_vmpl", |r| r[0x30] = 2, |r| r[0x30] = 1),
        (
            "provisional-firmware",
            "provisional-firmware = \"refused\"",
            "snp_provisional",
            |r| r[0x1e8] = 1,
            nothing,
        ),
        (
            "launch-mitigations",
            "launch-mitigations = [0, 9]",
            "snp_launch_mitigations",
            |r| r[0x1f8] = 1,
            |r| {
                r[0x1f8] = 1;
                r[0x1f9] = 2;
            },
        ),
        (
            "current-mitigations",
            "current-mitigations = [63]",
            "snp_current_mitigations",
            nothing,
            |r| r[0x207] = 0x80,
        ),
        ("id-keys", &keys, "snp_id_key", nothing, |r| r[0xe0..0x110].fill(0xab)),
        ("author-keys", &authors, "snp_author_key", nothing, |r| {
            r[0x48] |= 1;
            r[0x110..0x140].fill(0xab);
        }),
    ];
    for (knob, line, check, bad, good) in rows {
        let knobs = profile(&[(knob, line)]).unwrap();
        let bad = facts(bad, &chip, &[]);
        assert_eq!(failures(&bad, &knobs, at(NOW)), [check], "{knob}");
        assert!(without(check, || failures(&bad, &knobs, at(NOW))).is_empty(), "{knob}");
        assert!(failures(&facts(good, &chip, &[]), &knobs, at(NOW)).is_empty(), "{knob}");
        let open = profile(&[]).unwrap();
        assert!(failures(&bad, &open, at(NOW)).is_empty(), "{knob}");
    }
    for (id, fails) in [
        ("CN=cc-nowhere-1.example", false),
        ("CN=cc-nowhere-1.exampl", true),
        ("CN=cc-nowhere-11.example", true),
    ] {
        let knobs = profile(&[("csp-ids", &format!("csp-ids = [\"{id}\"]"))]).unwrap();
        let seen = facts(nothing, &provider, &[]);
        assert_eq!(!failures(&seen, &knobs, at(NOW)).is_empty(), fails, "{id}");
        if fails {
            assert!(without("snp_csp_id", || failures(&seen, &knobs, at(NOW))).is_empty());
        }
    }
}

#[test]
fn a_key_or_family_the_profile_does_not_name_is_refused() {
    let chip = facts(|_| {}, &Machine::chip(), &[]);
    let vlek = profile(&[("signed-by", "signed-by = [\"vlek\"]")]).unwrap();
    assert_eq!(failures(&chip, &vlek, at(NOW)), ["snp_key"]);
    assert!(without("snp_key", || failures(&chip, &vlek, at(NOW))).is_empty());
    let mut milan = profile(&[]).unwrap();
    milan.family.remove(&Product::Turin);
    assert_eq!(failures(&chip, &milan, at(NOW)), ["snp_family"]);
    assert!(without("snp_family", || failures(&chip, &milan, at(NOW))).is_empty());
}

#[test]
fn floors_are_held_component_by_component_over_all_four_tcb_values() {
    let seen = facts(|_| {}, &Machine::chip(), &[]);
    let floor = |t: [u8; 5]| {
        let [fmc, bootloader, tee, snp, microcode] = t;
        let mut knobs = profile(&[]).unwrap();
        let tcb = snp::Tcb { fmc: Some(fmc), bootloader, tee, snp, microcode };
        knobs.family.get_mut(&Product::Turin).unwrap().tcb = evidence::profile::Stated::Value(tcb);
        knobs
    };
    assert!(failures(&seen, &floor([1, 2, 3, 4, 5]), at(NOW)).is_empty());
    let all = ["snp_reported_tcb", "snp_committed_tcb", "snp_current_tcb", "snp_launch_tcb"];
    for n in 0..5 {
        // One component higher is not made up for by all others lower.
        let mut wanted = [0; 5];
        wanted[n] = [1, 2, 3, 4, 5][n] + 1;
        assert_eq!(failures(&seen, &floor(wanted), at(NOW)), all, "component {n}");
        for one in all {
            let left = without(one, || failures(&seen, &floor(wanted), at(NOW)));
            assert_eq!(left, all.iter().copied().filter(|c| *c != one).collect::<Vec<_>>());
        }
    }
}

#[test]
fn a_demanded_revocation_list_must_be_there_and_young() {
    let list = crl("ARK-Turin", &VENDOR.root, "2026-05-01T00:00:00Z", "2026-12-01T00:00:00Z", &[]);
    let (with, bare) =
        (facts(|_| {}, &Machine::chip(), &[list]), facts(|_| {}, &Machine::chip(), &[]));
    let demanded = profile(&[("revocation-list", "revocation-list = \"required\"")]).unwrap();
    assert!(failures(&with, &demanded, at(NOW)).is_empty());
    assert_eq!(failures(&bare, &demanded, at(NOW)), ["snp_revocation_list"]);
    assert!(without("snp_revocation_list", || failures(&bare, &demanded, at(NOW))).is_empty());
    let young =
        profile(&[("revocation-list-days-maximum", "revocation-list-days-maximum = 31")]).unwrap();
    assert!(failures(&with, &young, at(NOW)).is_empty());
    for (seen, t) in [(&with, at(NOW).plus_secs(1)), (&bare, at(NOW))] {
        assert_eq!(failures(seen, &young, t), ["snp_revocation_list_age"]);
        assert!(without("snp_revocation_list_age", || failures(seen, &young, t)).is_empty());
    }
}

#[test]
fn a_report_below_version_five_shows_no_mitigation() {
    let mut seen = facts(|r| r[0x1f8] = 1, &Machine::chip(), &[]);
    let knobs = profile(&[("launch-mitigations", "launch-mitigations = [0]")]).unwrap();
    assert!(failures(&seen, &knobs, at(NOW)).is_empty());
    seen.report.launch_mit_vector = None;
    assert_eq!(failures(&seen, &knobs, at(NOW)), ["snp_launch_mitigations"]);
}

#[test]
fn a_profile_that_leaves_a_knob_out_or_misspells_one_is_none() {
    let shipped = include_str!("../../profiles/snp-2026-11.toml");
    assert!(Profile::parse(shipped).unwrap().section::<Knobs>().is_ok());
    let section = shipped.split("[kind.snp]").nth(1).unwrap().split("[kind.").next().unwrap();
    let knobs = section.lines().filter(|l| l.contains('=')).collect::<Vec<_>>();
    assert_eq!(knobs.len(), 18);
    for line in knobs {
        let name = line.split('=').next().unwrap().trim();
        let gone = Profile::parse(&shipped.replacen(line, "", 1)).unwrap().section::<Knobs>();
        let Err(ProfileError::Form(why)) = gone else { panic!("{name} can be left out") };
        assert!(why.contains(name), "{why}");
        let misspelt = Profile::parse(&shipped.replacen(name, &format!("{name}x"), 1)).unwrap();
        let Err(ProfileError::Form(why)) = misspelt.section::<Knobs>() else { panic!("{name}") };
        assert!(why.contains(name), "{why}");
    }
    for (from, to) in
        [("format = 1", "format = 2"), ("format = 1", "format = 1\nmore = 1"), ("id = ", "idx = ")]
    {
        assert!(matches!(
            Profile::parse(&shipped.replacen(from, to, 1)),
            Err(ProfileError::Form(_))
        ));
    }
    assert!(matches!(Profile::parse(&"#".repeat(2 << 20)), Err(ProfileError::TooLong(_))));
}

#[test]
fn demands_that_nothing_can_meet_are_errors_when_the_profile_is_read() {
    let impossible: [(&[(&str, &str)], &str); 9] = [
        (&[("policy-required", "policy-required = [\"smmt\"]")], "no such name"),
        (&[("platform-forbidden", "platform-forbidden = [\"smt\"]")], "no such name"),
        (
            &[
                ("policy-required", "policy-required = [\"smt\"]"),
                ("policy-forbidden", "policy-forbidden = [\"smt\"]"),
            ],
            "also forbids",
        ),
        (&[("policy-required", "policy-required = [\"debug\"]")], "debugging"),
        (&[("signed-by", "signed-by = []")], "no machine can ever pass"),
        (
            &[("signed-by", "signed-by = [\"vcek\"]"), ("csp-ids", "csp-ids = [\"x\"]")],
            "only VLEKs",
        ),
        (&[("id-keys", "id-keys = [\"AB\"]")], "96 lower-case"),
        (&[("policy-required", "policy-required = [\"page-swap-disable\"]")], "never have"),
        (
            &[("tcb", "tcb = { fmc = 1, bootloader = 1, tee = 1, snp = 1, microcode = 1 }")],
            "another family's",
        ),
    ];
    for (change, word) in impossible {
        match profile(change) {
            Err(ProfileError::Impossible { why, .. }) => assert!(why.contains(word), "{why}"),
            other => panic!("{change:?}: {other:?}"),
        }
    }
    for (change, word) in [
        (("debug", "debug = false"), "expected a string"),
        (("debug", "debug = \"maybe\""), "expected \"taken\""),
        (("vmpl-maximum", "vmpl-maximum = \"any\""), "unconstrained"),
        (("guest-svn-minimum", "guest-svn-minimum = -1"), "unconstrained"),
    ] {
        match profile(&[change]) {
            Err(ProfileError::Form(why)) => assert!(why.contains(word), "{why}"),
            other => panic!("{change:?}: {other:?}"),
        }
    }
}

#[test]
fn a_profile_that_is_silent_about_a_kind_refuses_it_and_every_knob_has_words() {
    let text = "format = 1\nid = \"t\"\ndated = \"\"\nsources = []\n[kind.other]\n";
    let silent = Profile::parse(text).unwrap().section::<Knobs>();
    assert!(matches!(silent, Err(ProfileError::Silent { kind: "snp", .. })));
    for name in Profile::shipped_names() {
        assert_eq!(Profile::shipped(name).unwrap().id(), name);
    }
    let shipped = Profile::shipped_sections::<Knobs>();
    assert_eq!(shipped.len(), 2);
    for (_, knobs) in shipped {
        assert_eq!(knobs.words().len(), 19 + knobs.family.len());
    }
}
