//! Paths and revocation lists over certificates of our own: each link, flag and window refuses alone.

use evidence::bytes::sha256;
use evidence::controls::without;
use evidence::x509::crl::Crl;
use evidence::x509::path::{PATH_MAX, Path, PathError, order_path, verify_path};
use evidence::x509::{Certificate, LEN_MAX, Scheme, X509Error};
use evidence::{RootDigest, Time, Window};
use silicon::{self, Key};

const NOW: Time = Time::from_unix(1_800_000_000);
const SCHEMES: [Scheme; 1] = [Scheme::EcdsaP384Sha384];

fn window() -> Window {
    silicon::amd::around(NOW)
}

/// Root, intermediate, leaf.
struct Vendor {
    root: silicon::Certificate,
    middle: silicon::Certificate,
    leaf: silicon::Certificate,
    root_key: Key,
    middle_key: Key,
}

fn vendor() -> Vendor {
    let (root_key, middle_key, leaf_key) = (Key::p384(), Key::p384(), Key::p384());
    let named = |subject: &str, issuer: &str, key| {
        silicon::Certificate::new(subject, issuer, key, window())
    };
    Vendor {
        root: named("root", "root", &root_key).authority(None),
        middle: named("middle", "root", &middle_key).authority(Some(0)),
        leaf: named("leaf", "middle", &leaf_key),
        root_key,
        middle_key,
    }
}

impl Vendor {
    /// Leaf first.
    fn chain(&self) -> [Vec<u8>; 3] {
        [
            self.leaf.signed_by(&self.middle_key),
            self.middle.signed_by(&self.root_key),
            self.root.signed_by(&self.root_key),
        ]
    }
}

fn parsed(chain: &[Vec<u8>]) -> Vec<Certificate> {
    chain.iter().map(|der| Certificate::parse(der).unwrap()).collect()
}

fn walk(chain: &[Vec<u8>], at: Time) -> Result<Path, PathError> {
    let root = RootDigest::new(sha256(chain.last().unwrap()));
    verify_path(parsed(chain), &[root], &SCHEMES, at)
}

#[test]
fn a_path_leads_from_a_leaf_to_the_pinned_root() {
    let path = walk(&vendor().chain(), NOW).unwrap();
    assert_eq!(path.certificates[0].subject_cn(), "leaf");
    assert_eq!(path.window, window());
}

#[test]
fn a_root_that_is_not_pinned_ends_no_path() {
    let chain = vendor().chain();
    let attack = || verify_path(parsed(&chain), &[RootDigest::new([0; 32])], &SCHEMES, NOW);
    assert!(matches!(attack(), Err(PathError::UntrustedRoot(_))));
    assert!(without("path_pinned_root", attack).is_ok());
}

#[test]
fn a_link_that_another_key_or_scheme_signed_or_that_names_another_issuer_is_refused() {
    let v = vendor();
    let thief = Key::p384();
    let good = v.chain();
    let broken = [
        [v.leaf.signed_by(&thief), good[1].clone(), good[2].clone()],
        [good[0].clone(), v.middle.signed_by(&thief), good[2].clone()],
        [good[0].clone(), good[1].clone(), v.root.signed_by(&thief)],
        [
            silicon::Certificate { issuer: "Middle".into(), ..v.leaf.clone() }
                .signed_by(&v.middle_key),
            good[1].clone(),
            good[2].clone(),
        ],
    ];
    for (n, chain) in broken.iter().enumerate() {
        assert!(matches!(walk(chain, NOW), Err(PathError::Signature { .. })), "{n}");
        assert!(without("path_signature", || walk(chain, NOW)).is_ok(), "{n}");
    }
    // The right key by a scheme the vendor does not use.
    let root = RootDigest::new(sha256(&good[2]));
    let other = verify_path(parsed(&good), &[root], &[Scheme::RsaPssSha384], NOW);
    assert!(matches!(other, Err(PathError::Signature { .. })));
}

#[test]
fn whoever_may_not_issue_has_issued_nothing() {
    let issuing = |middle: fn(silicon::Certificate) -> silicon::Certificate| {
        let mut v = vendor();
        v.middle.extensions.clear();
        v.middle = middle(v.middle);
        v.chain()
    };
    let no_flag = issuing(|c| c);
    // keyUsage digitalSignature without keyCertSign, beside a flag that says it may.
    let no_usage = issuing(|c| c.authority(None).with("2.5.29.15", true, vec![3, 2, 7, 0x80]));
    for chain in [no_flag, no_usage] {
        assert!(matches!(walk(&chain, NOW), Err(PathError::NotCa(_))));
        assert!(without("path_ca", || walk(&chain, NOW)).is_ok());
    }
    // A root whose path length leaves no room for an intermediate.
    let mut v = vendor();
    v.root.extensions.clear();
    v.root = v.root.authority(Some(0));
    let chain = v.chain();
    assert!(matches!(walk(&chain, NOW), Err(PathError::NotCa(_))));
    assert!(without("path_ca", || walk(&chain, NOW)).is_ok());
    v.root.extensions.clear();
    v.root = v.root.authority(Some(1));
    walk(&v.chain(), NOW).unwrap();
}

#[test]
fn a_path_holds_where_all_its_windows_do() {
    type Pick = fn(&mut Vendor) -> &mut silicon::Certificate;
    let picks: [(&str, Pick); 3] =
        [("leaf", |v| &mut v.leaf), ("middle", |v| &mut v.middle), ("root", |v| &mut v.root)];
    for (who, pick) in picks {
        let mut v = vendor();
        let (from, to) = (NOW.plus_secs(-10), NOW.plus_secs(10));
        pick(&mut v).window = Window { not_before: from, not_after: to };
        let chain = v.chain();
        let ends = [from.plus_secs(-1), from, to, to.plus_secs(1)];
        let holds = ends.map(|t| walk(&chain, t).is_ok());
        assert_eq!(holds, [false, true, true, false], "{who}");
        for t in [ends[0], ends[3]] {
            assert!(matches!(walk(&chain, t), Err(PathError::Window { .. })), "{who}");
            assert!(without("path_window", || walk(&chain, t)).is_ok(), "{who}");
        }
        let window = walk(&chain, NOW).unwrap().window;
        assert_eq!((window.not_before, window.not_after), (from, to), "{who}");
    }
}

#[test]
fn a_path_that_is_empty_or_too_long_is_refused() {
    let refused = verify_path(Vec::new(), &[], &SCHEMES, NOW).unwrap_err();
    assert!(matches!(refused, PathError::MissingIssuer(_)));
    let long = vec![vendor().chain()[0].clone(); PATH_MAX + 1];
    assert_eq!(walk(&long, NOW).unwrap_err(), PathError::TooLong(PATH_MAX + 1));
}

#[test]
fn certificates_are_ordered_by_issuer_and_key_and_a_gap_or_a_circle_is_named() {
    let v = vendor();
    let [leaf, middle, root] = v.chain();
    let p = |der: &[u8]| Certificate::parse(der).unwrap();
    // Another certificate of the intermediate's name, with another key, comes first.
    let look_alike = silicon::Certificate::new("middle", "root", &Key::p384(), window())
        .authority(Some(0))
        .signed_by(&v.root_key);
    let others = [p(&root), p(&look_alike), p(&middle)];
    let path = order_path(p(&leaf), &others, &SCHEMES).unwrap();
    let order = path.iter().map(|c| c.der().to_vec()).collect::<Vec<_>>();
    assert_eq!(order, [leaf.clone(), middle.clone(), root]);
    let gap = order_path(p(&leaf), &[p(&middle)], &SCHEMES).unwrap_err();
    assert!(matches!(gap, PathError::MissingIssuer(_)));
    let (key, named) = (Key::p384(), |s: &str, i: &str| (s.to_owned(), i.to_owned()));
    let circle = [named("a", "b"), named("b", "a")]
        .map(|(s, i)| p(&silicon::Certificate::new(&s, &i, &key, window()).signed_by(&key)));
    let refused = order_path(circle[0].clone(), &circle, &SCHEMES).unwrap_err();
    assert_eq!(refused, PathError::TooLong(PATH_MAX));
}

#[test]
fn a_revocation_list_counts_from_its_issuer_in_its_window_for_its_serials() {
    let v = vendor();
    let list = |issuer: &str, serials: &[u8], next| silicon::certificate::Crl {
        issuer: issuer.into(),
        this_update: NOW,
        next_update: next,
        serials: serials.to_vec(),
        extensions: Vec::new(),
    };
    let week = Some(NOW.plus_secs(7 * 86_400));
    let good = Crl::parse(&list("middle", &[7, 1, 3], week).signed_by(&v.middle_key)).unwrap();
    let [leaf, middle, _] = v.chain();
    let [leaf, middle] = [leaf, middle].map(|der| Certificate::parse(&der).unwrap());
    assert!(good.is_signed_by(&middle, &SCHEMES) && good.revokes(&leaf));
    assert!(!good.revokes(&middle), "the same serial of another issuer");
    assert_eq!((good.len(), good.is_empty()), (3, false));
    let ends = [-1, 0, 7 * 86_400, 7 * 86_400 + 1].map(|s| good.holds_at(NOW.plus_secs(s)));
    assert_eq!(ends, [false, true, true, false]);
    let others = [
        list("middle", &[], week).signed_by(&Key::p384()),
        list("root", &[], week).signed_by(&v.middle_key),
    ];
    for der in others {
        assert!(!Crl::parse(&der).unwrap().is_signed_by(&middle, &SCHEMES));
    }
    let mut changed = list("middle", &[1], week).signed_by(&v.middle_key);
    let serial = changed.windows(3).rposition(|w| w == [2, 1, 1]).unwrap();
    changed[serial + 2] = 2;
    assert!(!Crl::parse(&changed).unwrap().is_signed_by(&middle, &SCHEMES));
    let for_ever = list("middle", &[], None).signed_by(&v.middle_key);
    assert_eq!(Crl::parse(&for_ever).unwrap_err(), X509Error::CrlForm);
    for len in [0, 1, 40] {
        assert_eq!(Crl::parse(&for_ever[..len]).unwrap_err(), X509Error::CrlForm);
    }
    let long = vec![0x30; evidence::x509::crl::LEN_MAX + 1];
    assert_eq!(Crl::parse(&long).unwrap_err(), X509Error::TooLong(long.len()));
}

#[test]
fn a_certificate_is_der_of_bounded_length_and_nothing_after_it() {
    let [leaf, ..] = vendor().chain();
    assert_eq!(Certificate::parse(&leaf).unwrap().der(), leaf);
    for len in 0..leaf.len() {
        assert_eq!(Certificate::parse(&leaf[..len]).unwrap_err(), X509Error::Form, "{len}");
    }
    let more = [leaf.as_slice(), &[0]].concat();
    assert_eq!(Certificate::parse(&more).unwrap_err(), X509Error::Form);
    let long = vec![0x30; LEN_MAX + 1];
    assert_eq!(Certificate::parse(&long).unwrap_err(), X509Error::TooLong(LEN_MAX + 1));
}

#[test]
fn a_certificate_with_one_extension_twice_is_refused() {
    // Which of the two counts would depend on the reader (RFC 5280 section 4.2 forbids it).
    let v = vendor();
    let twice = v.middle.clone().authority(Some(7)).signed_by(&v.root_key);
    let attack = || Certificate::parse(&twice);
    assert_eq!(attack().unwrap_err(), X509Error::Form);
    // Without the check the first one counts.
    let read = without("x509_extension_twice", attack).unwrap();
    assert_eq!(read.path_len(), Some(0));
}

#[test]
fn an_algorithm_outside_that_is_not_the_signed_one_is_refused() {
    let v = vendor();
    let body = v.leaf.body(Scheme::EcdsaP384Sha384);
    let signature = silicon::der::bits(&v.middle_key.sign(Scheme::EcdsaP384Sha384, &body));
    let outside = silicon::key::algorithm(Scheme::EcdsaP384Sha256);
    let certificate = silicon::der::sequence(&[body, outside, signature]);
    let attack = || Certificate::parse(&certificate);
    assert_eq!(attack().unwrap_err(), X509Error::Form);
    assert!(without("x509_algorithm_repeated", attack).is_ok());
}
