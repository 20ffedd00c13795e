//! Reference manifests: the vectors of other implementations, signatures, and which conditions match which claims.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use evidence::Time;
use evidence::controls::without;
use evidence::corim::{Claim, Comid, Corim, CorimError, Measurement, SignedCorim, Svn};
use evidence::cose::key::{Curve, EcKey};
use evidence::cose::vendor::VendorCoseError;
use serde_json::Value;

use crate::mint::{Bytes, Signer, array, bytes, int, map, tag, text};
use crate::vectors;

/// Profiles of the vectors, one of them an object identifier.
const PROFILES: [&str; 2] = ["http://example.com/example-profile", "6086480186f84d010f06"];
const NOW: Time = Time::from_unix(1_700_000_000);

/// A CoMID that says these measured values of one environment under `kind` of triple.
fn comid(kind: i64, measurements: &[Bytes]) -> Bytes {
    let class = map(&[(int(1), text("ACME")), (int(3), int(1))]);
    let environment = map(&[(int(0), class), (int(1), tag(560, bytes(&[7; 8])))]);
    let triples = map(&[(int(kind), array(&[array(&[environment, array(measurements)])]))]);
    map(&[(int(1), map(&[(int(0), text("tag"))])), (int(4), triples)])
}

fn measured(values: &[(Bytes, Bytes)]) -> Bytes {
    map(&[(int(1), map(values))])
}

fn corim(members: &[(Bytes, Bytes)]) -> Bytes {
    let mut all = vec![
        (int(0), text("manifest")),
        (int(1), array(&[tag(506, bytes(&comid(0, &[measured(&[(int(11), text("x"))])])))])),
    ];
    all.extend_from_slice(members);
    tag(501, map(&all))
}

fn read(values: &[(Bytes, Bytes)]) -> Result<evidence::corim::Triple, CorimError> {
    Ok(Comid::parse(&comid(0, &[measured(values)]))?.references.remove(0))
}

/// True if a reference of `want` holds of a claim of `got`.
fn matches(want: &[(Bytes, Bytes)], got: &[(Bytes, Bytes)]) -> bool {
    let got = read(got).unwrap();
    let claim =
        |m: &Measurement| Claim { environment: got.environment.clone(), measurement: m.clone() };
    read(want).unwrap().holds_of(&got.measurements.iter().map(claim).collect::<Vec<_>>())
}

fn digest(algorithm: i64, fill: u8) -> Bytes {
    let len = [0, 32, 0, 0, 0, 0, 0, 48, 64][usize::try_from(algorithm).unwrap()];
    array(&[int(algorithm), bytes(&vec![fill; len])])
}

#[test]
fn every_manifest_of_the_vectors_is_read_or_refused_as_stated() {
    let key = |jwk: &[u8]| {
        let jwk: Value = serde_json::from_slice(jwk).unwrap();
        let part = |n: &str| BASE64_URL_SAFE_NO_PAD.decode(jwk[n].as_str().unwrap()).unwrap();
        EcKey::from_coordinates(Curve::P256, &part("x"), &part("y")).unwrap()
    };
    let all = vectors::topic("corim");
    for v in &all {
        let path = v.path.as_str();
        if !path.ends_with(".cbor") || path.starts_with("coev") {
            continue;
        }
        if path.contains("/signed-") {
            let folder = path.split('/').next().unwrap();
            let jwk = all.iter().find(|o| o.path == format!("{folder}/ec-p256.jwk")).unwrap();
            let signed = SignedCorim::parse(&v.bytes).unwrap();
            let got = signed.verify(&key(&jwk.bytes), &PROFILES, NOW);
            let unsigned = format!("{folder}/un{}", path.rsplit('/').next().unwrap());
            let unsigned = all.iter().find(|o| o.path == unsigned).unwrap();
            assert_eq!(got.unwrap().1, Corim::parse(&unsigned.bytes, &PROFILES, NOW).unwrap());
        } else if v.bytes.starts_with(&[0xd9, 0x01, 0xf5]) {
            let got = Corim::parse(&v.bytes, &PROFILES, NOW);
            if v.outcome == "refuse" || path.starts_with("profile-psa-valid") {
                // The profile's rules are not known here, so that those which keep them are refused too.
                let Err(CorimError::Profile(profile)) = &got else { panic!("{path}: {got:?}") };
                if v.outcome != "refuse" {
                    assert!(Corim::parse(&v.bytes, &[profile], NOW).is_ok(), "{path}");
                }
            } else {
                assert!(got.is_ok(), "{path}: {got:?}");
            }
        } else {
            let got = Comid::parse(&v.bytes);
            assert!(got.is_ok(), "{path}: {got:?}");
        }
    }
}

#[test]
fn a_manifest_counts_in_its_validity_and_under_a_profile_that_is_known() {
    let parse = |b: &[u8], at: i64| Corim::parse(b, &["tag:known"], Time::from_unix(at));
    let window = map(&[(int(0), tag(1, int(10))), (int(1), tag(1, int(20)))]);
    let bounded = corim(&[(int(4), window)]);
    assert!(parse(&bounded, 10).is_ok() && parse(&bounded, 20).is_ok());
    for at in [9, 21] {
        assert_eq!(parse(&bounded, at), Err(CorimError::NotInForce));
        assert!(without("corim_window", || parse(&bounded, at)).is_ok());
    }
    assert!(parse(&corim(&[(int(3), tag(32, text("tag:known")))]), 0).is_ok());
    let own = |member| corim(&[(int(3), tag(32, text("tag:known"))), (int(member), int(0))]);
    assert_eq!(parse(&own(-1), 0).unwrap().extensions, ["-1"]);
    assert!(matches!(parse(&own(9), 0), Err(CorimError::Member(_))));
    assert!(matches!(parse(&corim(&[(int(-1), int(0))]), 0), Err(CorimError::Member(_))));
    let other = corim(&[(int(3), tag(32, text("tag:other")))]);
    assert_eq!(parse(&other, 0), Err(CorimError::Profile("tag:other".into())));
    assert!(without("corim_profile", || parse(&other, 0)).is_ok());
    assert!(matches!(parse(&corim(&[(int(9), int(0))]), 0), Err(CorimError::Member(_))));
    let Some((_, inner)) = bounded.split_at_checked(3) else { panic!("a tag") };
    assert_eq!(parse(inner, 10), Err(CorimError::NoTag));
    for end in 0..bounded.len() {
        assert!(parse(&bounded[..end], 10).is_err(), "cut at {end}");
    }
}

#[test]
fn a_signed_manifest_counts_for_the_key_that_signed_it_alone() {
    let (signer, other) = (Signer::new(Curve::P384), Signer::new(Curve::P384));
    let name = |n: &str| map(&[(int(0), map(&[(int(0), text(n))]))]);
    let header = |alg: i64, content: &str, more: &[(Bytes, Bytes)]| {
        let mut all = vec![(int(1), int(alg)), (int(3), text(content))];
        all.extend_from_slice(more);
        map(&all)
    };
    let meta = || (int(8), bytes(&name("us")));
    let rim = "application/rim+cbor";
    let make = |protected: &[u8]| tag(18, signer.sign1(protected, &corim(&[])));
    let good = make(&header(-35, rim, &[meta()]));
    let verify = |b: &[u8], s: &Signer| {
        SignedCorim::parse(b).and_then(|c| c.verify(&s.key(), &[], NOW)).map(|(m, _)| m.signer)
    };
    assert_eq!(verify(&good, &signer), Ok("us".into()));
    let refused = Err(CorimError::Cose(VendorCoseError::Signature));
    assert_eq!(verify(&good, &other), refused);
    assert!(without("vendor_cose_signature", || verify(&good, &other)).is_ok());

    let content = make(&header(-35, "application/eat+cwt", &[meta()]));
    assert_eq!(
        verify(&content, &signer),
        Err(CorimError::ContentType("application/eat+cwt".into()))
    );
    assert!(without("corim_content_type", || verify(&content, &signer)).is_ok());

    let algorithm = make(&header(-7, rim, &[meta()]));
    assert_eq!(verify(&algorithm, &signer), Err(VendorCoseError::Algorithm(-7).into()));
    assert!(without("corim_algorithm", || verify(&algorithm, &signer)).is_ok());

    let claims = |n: &str| (int(15), map(&[(int(1), text(n))]));
    assert!(verify(&make(&header(-35, rim, &[meta(), claims("us")])), &signer).is_ok());
    let two = make(&header(-35, rim, &[meta(), claims("them")]));
    assert_eq!(verify(&two, &signer), Err(CorimError::Signer("two signers")));
    assert!(without("corim_one_signer", || verify(&two, &signer)).is_ok());
    let none = make(&header(-35, rim, &[]));
    assert_eq!(verify(&none, &signer), Err(CorimError::Signer("no signer")));

    let over = (int(15), map(&[(int(1), text("us")), (int(4), int(1_600_000_000))]));
    let over = make(&header(-35, rim, &[over]));
    assert_eq!(verify(&over, &signer), Err(CorimError::SignatureNotInForce));
    assert!(without("corim_signature_window", || verify(&over, &signer)).is_ok());

    let chain = make(&header(-35, rim, &[meta(), (int(33), bytes(&[1]))]));
    let header_33 = Err(VendorCoseError::Header("33".into()).into());
    assert_eq!(verify(&chain, &signer), header_33);
    assert_eq!(Corim::parse(&good, &[], NOW), Err(CorimError::NoTag));
}

#[test]
fn digests_match_by_a_common_algorithm_and_none_that_differs() {
    let d = |all: &[Bytes]| vec![(int(2), array(all))];
    assert!(matches(&d(&[digest(1, 1)]), &d(&[digest(1, 1), digest(7, 2)])));
    for (want, got, why) in [
        (d(&[digest(1, 1)]), d(&[digest(1, 2)]), "another value"),
        (d(&[digest(1, 1)]), d(&[digest(7, 1)]), "no common algorithm"),
        (d(&[digest(1, 1), digest(7, 1)]), d(&[digest(1, 1), digest(7, 2)]), "one of two differs"),
        (d(&[digest(1, 1)]), vec![(int(11), text("x"))], "nothing claimed"),
    ] {
        assert!(!matches(&want, &got), "{why}");
        assert!(without("corim_digests", || matches(&want, &got)), "{why}");
    }
    assert_eq!(read(&d(&[digest(1, 1), digest(1, 2)])), Err(CorimError::AlgorithmTwice));
    assert!(read(&d(&[array(&[int(1), bytes(&[1; 31])])])).is_err());
    assert!(read(&[]).is_err(), "a measurement without values would match anything");
}

#[test]
fn versions_flags_and_raw_values_match_as_the_condition_says() {
    let svn = |t: usize, n: i64| vec![(int(1), tag(t, int(n)))];
    assert_eq!(read(&svn(553, 3)).unwrap().measurements[0].values.svn, Some(Svn::AtLeast(3)));
    assert!(matches(&svn(552, 3), &svn(552, 3)));
    assert!(matches(&svn(553, 3), &svn(552, 3)) && matches(&svn(553, 3), &svn(552, 4)));
    for (want, got) in [
        (svn(552, 3), svn(552, 4)),
        (svn(553, 3), svn(552, 2)),
        (svn(553, 3), svn(553, 9)),
        (svn(552, 3), vec![(int(11), text("x"))]),
    ] {
        assert!(!matches(&want, &got));
        assert!(without("corim_svn", || matches(&want, &got)));
    }
    let flag = |b: u8| vec![(int(3), map(&[(int(3), vec![b])]))];
    assert!(matches(&flag(0xf4), &flag(0xf4)) && !matches(&flag(0xf4), &flag(0xf5)));
    assert!(without("corim_flags", || matches(&flag(0xf4), &flag(0xf5))));
    let raw = |v: &[u8]| vec![(int(4), tag(560, bytes(v)))];
    let masked = |v: &[u8], m: &[u8]| vec![(int(4), tag(563, array(&[bytes(v), bytes(m)])))];
    assert!(matches(&masked(&[0xa5, 0], &[0xf0, 0]), &raw(&[0xaf, 9])));
    for got in [raw(&[0xbf, 9]), raw(&[0xaf]), raw(&[0xaf, 9, 0]), masked(&[0xa5, 0], &[0; 2])] {
        assert!(!matches(&masked(&[0xa5, 0], &[0xf0, 0]), &got));
        assert!(without("corim_raw", || matches(&masked(&[0xa5, 0], &[0xf0, 0]), &got)));
    }
    assert_eq!(read(&masked(&[1, 2], &[1])), Err(CorimError::Mask { mask: 1, value: 2 }));
    let unread = vec![(int(-82), int(1)), (int(11), text("x"))];
    assert!(!matches(&unread, &unread), "what is not read cannot be compared");
    assert!(without("corim_unread_value", || matches(&unread, &unread)));
}

#[test]
fn a_condition_holds_of_its_own_environment_part_and_authority() {
    let key = |k: &str| array(&[tag(554, text(k))]);
    let with = |mkey: i64, by: &str| {
        let values = map(&[(int(11), text("x"))]);
        let m = map(&[(int(0), int(mkey)), (int(1), values), (int(2), key(by))]);
        Comid::parse(&comid(0, &[m])).unwrap().references.remove(0)
    };
    let claim = |t: &evidence::corim::Triple| {
        let measurement = t.measurements[0].clone();
        vec![Claim { environment: t.environment.clone(), measurement }]
    };
    let want = with(1, "a");
    assert!(want.holds_of(&claim(&with(1, "a"))) && !want.holds_of(&[]));
    for (got, control) in
        [(with(2, "a"), "corim_measurement_key"), (with(1, "b"), "corim_authority")]
    {
        assert!(!want.holds_of(&claim(&got)), "{control}");
        assert!(without(control, || want.holds_of(&claim(&got))), "{control}");
    }
    let mut elsewhere = with(1, "a");
    elsewhere.environment.instance.as_mut().unwrap().bytes.pop();
    assert!(!want.holds_of(&claim(&elsewhere)), "a prefix of an identifier is another one");
    assert!(without("corim_environment", || want.holds_of(&claim(&elsewhere))));
}

#[test]
fn integrity_registers_match_by_name_and_digest() {
    let register =
        |n: &str, fill: u8| vec![(int(14), map(&[(text(n), array(&[digest(7, fill)]))]))];
    let want = register("rtmr0", 1);
    assert!(matches(&want, &want));
    for got in [register("rtmr0", 2), register("rtmr1", 1), vec![(int(11), text("x"))]] {
        assert!(!matches(&want, &got));
        assert!(without("corim_registers", || matches(&want, &got)));
    }
}

#[test]
fn endorsements_count_where_all_their_conditions_hold() {
    let record = |layer: i64, name: &str| {
        let environment = map(&[(int(0), map(&[(int(3), int(layer))]))]);
        array(&[environment, array(&[measured(&[(int(11), text(name))])])])
    };
    let conditions = array(&[record(1, "a"), record(2, "b")]);
    let triple = array(&[conditions, array(&[record(1, "endorsed")])]);
    let triples = map(&[(int(10), array(&[triple]))]);
    let all = map(&[(int(1), map(&[(int(0), text("tag"))])), (int(4), triples)]);
    let conditional = Comid::parse(&all).unwrap().conditional.remove(0);
    let claims = conditional.conditions.iter().map(|t| Claim {
        environment: t.environment.clone(),
        measurement: t.measurements[0].clone(),
    });
    let claims = claims.collect::<Vec<_>>();
    assert_eq!(conditional.endorses(&claims).len(), 1);
    for some in [&claims[..1], &claims[1..], &[]] {
        assert!(conditional.endorses(some).is_empty());
        assert_eq!(without("corim_condition", || conditional.endorses(some)).len(), 1);
    }
}

#[test]
fn a_condition_is_not_met_by_parts_of_two_devices() {
    let mut want = read(&[(int(1), tag(552, int(3)))]).unwrap();
    let second = read(&[(int(11), text("x"))]).unwrap().measurements.remove(0);
    want.measurements.push(second);
    let claim =
        |m: &Measurement| Claim { environment: want.environment.clone(), measurement: m.clone() };
    let mut claims = want.measurements.iter().map(claim).collect::<Vec<_>>();
    want.environment.instance = None;
    assert!(want.holds_of(&claims));
    claims[1].environment.instance.as_mut().unwrap().bytes[0] ^= 1;
    assert!(!want.holds_of(&claims));
    assert!(without("corim_one_environment", || want.holds_of(&claims)));
}

#[test]
fn names_and_identifiers_match_whole() {
    let version = |v: &str| vec![(int(0), map(&[(int(0), text(v))]))];
    let cases = [
        (version("1.0"), version("1.1")),
        (vec![(int(8), text("1"))], vec![(int(8), text("11"))]),
        (vec![(int(9), tag(550, bytes(&[1; 7])))], vec![(int(9), tag(550, bytes(&[1; 8])))]),
        (vec![(int(10), bytes(&[1; 16]))], vec![(int(10), bytes(&[2; 16]))]),
        (vec![(int(11), text("x"))], vec![(int(8), text("x"))]),
    ];
    for (want, got) in cases {
        assert!(matches(&want, &want) && !matches(&want, &got));
        assert!(without("corim_named", || matches(&want, &got)));
    }
}

#[test]
fn keys_under_conditions_that_are_not_read_are_nobodys() {
    let keys = |more: &[Bytes]| {
        let environment = map(&[(int(0), map(&[(int(3), int(1))]))]);
        let mut parts = vec![environment, array(&[tag(554, text("k"))])];
        parts.extend_from_slice(more);
        let triples = map(&[(int(3), array(&[array(&parts)]))]);
        let all = map(&[(int(1), map(&[(int(0), text("tag"))])), (int(4), triples)]);
        Comid::parse(&all).map(|mut c| c.attest_keys.remove(0))
    };
    assert_eq!(keys(&[]).unwrap().keys.len(), 1);
    let under = keys(&[map(&[(int(0), text("part"))])]).unwrap();
    assert!(under.conditional && under.keys.is_empty());
    assert!(keys(&[map(&[]), map(&[])]).is_err());
}

#[test]
fn what_is_written_is_read_back_and_nothing_is_left_out() {
    let values = [(int(1), tag(552, int(3))), (int(2), array(&[digest(7, 1), digest(1, 2)]))];
    let reference = read(&values).unwrap();
    let out = evidence::corim::write("node", std::slice::from_ref(&reference)).unwrap();
    assert_eq!(evidence::corim::write("node", std::slice::from_ref(&reference)), Ok(out.clone()));
    let back = Corim::parse(&out, &[], NOW).unwrap();
    assert_eq!(back.comids[0].references, [reference]);
    for values in [vec![(int(11), text("x"))], vec![(int(1), tag(553, int(3)))]] {
        let got = evidence::corim::write("node", &[read(&values).unwrap()]);
        assert!(matches!(got, Err(CorimError::Unwritable(_))));
    }
    assert!(matches!(evidence::corim::write("node", &[]), Err(CorimError::Count(..))));
    let mut twice = read(&values).unwrap();
    let first = twice.measurements[0].values.digests[0].clone();
    twice.measurements[0].values.digests.push(first);
    assert_eq!(evidence::corim::write("node", &[twice]), Err(CorimError::AlgorithmTwice));
}
