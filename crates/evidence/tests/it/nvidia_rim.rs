//! Manifests: what their signature covers, attacks on it, attacks on whoever reads the document, and each refusal of content.

use std::time::Instant;

use evidence::controls::without;
use evidence::nvidia::{PINNED_RIM_ROOTS, Rim, RimRefusal, verify_rim};
use evidence::x509::path::PathError;
use evidence::{Authentic, Time};

use crate::nvidia::case;
use crate::nvidia_silicon::{
    ALGORITHMS, DSIG, Device, Manifest, NOW, Signer, resource, signed_info, value,
};

struct Maker {
    device: Device,
    signer: Signer,
}

impl Maker {
    fn new() -> Self {
        let device = Device::new("GH100");
        let signer = Signer::new(&device);
        Self { device, signer }
    }

    fn good(&self) -> String {
        self.signer.manifest(&Manifest::vbios())
    }

    fn verify(&self, text: &str) -> Result<Authentic<Rim>, RimRefusal> {
        verify_rim(text.as_bytes(), &[self.device.rim_root.digest()], NOW)
    }

    /// The refusal of text that is not signed as it stands.
    fn refused(&self, text: &str) -> RimRefusal {
        self.verify(text).unwrap_err()
    }
}

#[test]
fn a_manifest_made_by_the_test_is_taken_and_read() {
    let maker = Maker::new();
    let rim = maker.verify(&maker.good()).unwrap();
    let rim = rim.facts();
    assert_eq!((rim.product.as_str(), rim.version.as_str()), ("GH100", "96.00.5E.00.01"));
    assert_eq!(rim.active.len(), 9);
    assert_eq!(rim.active[&9], [[0xee; 48], value(9)]);
}

#[test]
fn writing_that_canonicalisation_removes_does_not_matter() {
    let maker = Maker::new();
    let good = maker.good();
    let same = [
        good.replace("></ns0:Resource>", "/>"),
        good.replace(" active=", "   active = "),
        good.replace("name=\"M1\" size=\"48\"", "size='48'\n name='M1'"),
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{good}\n\n"),
        good.replace("NVIDIA Corporation", "NVIDIA&#x20;Corporation"),
        good.replace("</ds:X509Certificate>", "\r\n</ds:X509Certificate>"),
        good.replace("<ds:Signature xmlns:ds", "<ds:Signature  xmlns:ds"),
    ];
    for (n, text) in same.iter().enumerate() {
        assert_ne!(*text, good, "{n}");
        assert!(maker.verify(text).is_ok(), "{n}: {:?}", maker.verify(text).err());
    }
}

#[test]
fn every_flipped_byte_of_a_genuine_manifest_is_refused() {
    let Some(case) = case("rim-driver-550-144-03") else { return };
    let genuine = &case.evidence.rims[0];
    // Unsigned are only the signer's certificates, which their own chain protects, and the way things are written.
    for at in (0..genuine.len()).step_by(73) {
        let mut changed = genuine.clone();
        changed[at] ^= 1 << (at % 8);
        assert!(verify_rim(&changed, &PINNED_RIM_ROOTS, case.at).is_err(), "byte {at}");
    }
}

#[test]
fn a_changed_value_is_refused_by_the_digest_and_a_changed_digest_by_the_signature() {
    let maker = Maker::new();
    let changed = maker.good().replace(&hex::encode(value(9)), &hex::encode([0xbb; 48]));
    let attack = || maker.verify(&changed);
    assert_eq!(attack().unwrap_err(), RimRefusal::Digest);
    let believed = without("rim_digest", attack).unwrap();
    assert_eq!(believed.facts().active[&9][1], [0xbb; 48]);
    // The references of another manifest, which are right for the changed document.
    let other = Maker::new();
    let mut manifest = Manifest::vbios();
    manifest.resources =
        manifest.resources.replace(&hex::encode(value(9)), &hex::encode([0xbb; 48]));
    let theirs = other.signer.manifest(&manifest);
    let info = |text: &str| {
        let from = text.find("<ds:SignedInfo>").unwrap();
        text[from..text.find("</ds:SignedInfo>").unwrap()].to_owned()
    };
    let forged = changed.replace(&info(&changed), &info(&theirs));
    let attack = || maker.verify(&forged);
    assert!(matches!(attack(), Err(RimRefusal::Signature(_))));
    assert!(without("rim_signature", attack).is_ok());
}

#[test]
fn a_signer_whose_chain_does_not_lead_to_the_pinned_root_is_refused() {
    let (maker, other) = (Maker::new(), Maker::new());
    let attack = || other.verify(&maker.good());
    assert!(matches!(attack(), Err(RimRefusal::Path(PathError::UntrustedRoot(_)))));
    let good = maker.good();
    assert!(without("path_pinned_root", || other.verify(&good)).is_ok());
    // A device's root is none for manifests.
    let roots = [maker.device.root.digest()];
    assert!(matches!(verify_rim(good.as_bytes(), &roots, NOW), Err(RimRefusal::Path(_))));
    let mut junk = good.clone();
    let at = junk.find("<ds:X509Certificate>").unwrap() + 20;
    junk.replace_range(at..at + 8, "AAAAAAAA");
    assert!(matches!(maker.refused(&junk), RimRefusal::Certificate { number: 1, .. }));
}

#[test]
fn a_manifest_holds_between_the_ends_of_its_signers_window_and_at_them() {
    let Some(case) = case("h100-driver-535-with-vbios-rim") else { return };
    let stated = &case.json["rims"][0]["signer_window"];
    let at = |n: usize, plus| {
        let at = Time::parse_rfc3339(stated[n].as_str().unwrap()).unwrap().plus_secs(plus);
        verify_rim(&case.evidence.rims[0], &PINNED_RIM_ROOTS, at)
    };
    let held = [at(0, -1), at(0, 0), at(1, 0), at(1, 1)].map(|got| got.is_ok());
    assert_eq!(held, [false, true, true, false]);
    assert!(matches!(at(1, 1), Err(RimRefusal::Path(PathError::Window { .. }))));
    assert!(without("path_window", || at(1, 1)).is_ok());
    assert_eq!(at(1, 0).unwrap().holds_until().to_string(), stated[1].as_str().unwrap());
}

#[test]
fn an_expired_sample_is_refused_for_its_window_and_behind_it_for_its_digest() {
    let Some(case) = case("rim-driver-570-expired") else { return };
    let attack = || verify_rim(&case.evidence.rims[0], &PINNED_RIM_ROOTS, case.at);
    assert!(matches!(attack(), Err(RimRefusal::Path(PathError::Window { .. }))));
    assert!(without("path_window", attack).is_err());
}

#[test]
fn two_signatures_none_or_one_elsewhere_are_refused() {
    let maker = Maker::new();
    let (good, head) = (maker.good(), Manifest::vbios().head());
    let signature = &good[head.len()..good.len() - "</SoftwareIdentity>".len()];
    assert_eq!(maker.refused(&good.replace(signature, "")), RimRefusal::Signatures(0));
    let twice = good.replace(signature, &signature.repeat(2));
    assert_eq!(maker.refused(&twice), RimRefusal::Signatures(2));
    // Wrapping: the signed manifest travels whole inside another, whose values would be read.
    let evil = Manifest { version: "96.00.FF.00.01", ..Manifest::vbios() };
    let wrapped = format!("{}<ns0:Link>{good}</ns0:Link></SoftwareIdentity>", evil.head());
    let attack = || maker.verify(&wrapped);
    assert_eq!(attack().unwrap_err(), RimRefusal::Signatures(0));
    assert_eq!(without("rim_signature_place", attack).unwrap_err(), RimRefusal::Digest);
    // The signature moved into the payload, where it covers what is around it all the same.
    let moved = good
        .replace(signature, "")
        .replace("</ns0:Payload>", &format!("{signature}</ns0:Payload>"));
    let attack = || maker.verify(&moved);
    assert_eq!(attack().unwrap_err(), RimRefusal::Signatures(0));
    let behind = without("rim_signature_place", attack).unwrap_err();
    assert!(matches!(behind, RimRefusal::Content { .. }), "{behind}");
    // A second one that hides as another namespace's element is content not understood.
    let hidden = Manifest { more: "<Signature></Signature>".into(), ..Manifest::vbios() };
    let refused = maker.refused(&maker.signer.manifest(&hidden));
    assert!(matches!(refused, RimRefusal::Content { .. }), "{refused}");
}

#[test]
fn references_to_anything_but_the_whole_document_and_other_algorithms_are_refused() {
    let maker = Maker::new();
    let head = Manifest::vbios().head();
    let covered = format!("{head}</SoftwareIdentity>");
    let with = |uri: &str, algorithms| {
        let signature = maker.signer.signature_with(&covered, uri, algorithms);
        format!("{head}{signature}</SoftwareIdentity>")
    };
    assert!(maker.verify(&with("", ALGORITHMS)).is_ok());
    for uri in ["#tag", "#xpointer(/)", "file:///etc/passwd", " "] {
        let attack = || maker.verify(&with(uri, ALGORITHMS));
        assert!(matches!(attack(), Err(RimRefusal::SignatureForm(_))), "{uri}");
        assert!(without("rim_reference", attack).is_ok(), "{uri}");
    }
    let others = [
        "http://www.w3.org/TR/2001/REC-xml-c14n-20010315",
        "http://www.w3.org/2000/09/xmldsig#hmac-sha1",
        "http://www.w3.org/TR/1999/REC-xslt-19991116",
        "http://www.w3.org/2001/10/xml-exc-c14n#",
        "http://www.w3.org/2000/09/xmldsig#sha1",
    ];
    for (n, other) in others.iter().enumerate() {
        let mut algorithms = ALGORITHMS;
        algorithms[n] = other;
        let attack = || maker.verify(&with("", algorithms));
        assert!(matches!(attack(), Err(RimRefusal::SignatureForm(_))), "{other}");
        // Whatever a document names, the one fixed algorithm is what is used.
        assert!(without("rim_algorithm", attack).is_ok(), "{other}");
    }
}

#[test]
fn a_signature_with_more_or_less_in_it_is_refused() {
    let maker = Maker::new();
    let (good, head) = (maker.good(), Manifest::vbios().head());
    let reference = good.find("<ds:Reference").unwrap()..good.find("</ds:SignedInfo>").unwrap();
    let reference = good[reference].to_owned();
    let second =
        maker.signer.signature_over(&format!("{}{reference}", signed_info("AAAA", "", ALGORITHMS)));
    let changes = [
        format!("{head}{second}</SoftwareIdentity>"),
        good.replace("</ds:Signature>", "<ds:Object></ds:Object></ds:Signature>"),
        good.replace("<ds:SignedInfo>", "<ds:SignedInfo Id=\"x\">"),
        good.replace("<ds:X509Data>", "<ds:KeyValue></ds:KeyValue><ds:X509Data>"),
        good.replace("<ds:X509Data>", "<ds:X509Data><ds:X509CRL>AA==</ds:X509CRL>"),
        good.replace("<ds:KeyInfo>", "<ds:KeyInfo>text"),
        good.replace("</ds:DigestValue>", "A</ds:DigestValue>"),
        good.replace("<ds:SignatureValue>", "<ds:SignatureValue>AAAA"),
        good.replace(" URI=\"\"", ""),
        good.replace(" URI=\"\"", " URI=\"\" Type=\"x\""),
        good.replace(" URI=\"\"", &format!(" xmlns:e=\"{DSIG}\" e:URI=\"\"")),
        good.replace("<ds:X509Certificate>", "<ds:X509Certificate>%"),
    ];
    for (n, text) in changes.iter().enumerate() {
        assert_ne!(*text, good, "{n}");
        let refused = maker.refused(text);
        let form = matches!(refused, RimRefusal::SignatureForm(_) | RimRefusal::Content { .. });
        assert!(form, "{n}: {refused}");
    }
    let from = good.find("<ds:X509Certificate>").unwrap();
    let certificates = &good[from..good.find("</ds:X509Data>").unwrap()];
    for (n, many) in [(0, String::new()), (9, certificates.repeat(3))] {
        let refused = maker.refused(&good.replace(certificates, &many));
        assert!(matches!(refused, RimRefusal::SignatureForm(_)), "{n}: {refused}");
    }
}

#[test]
fn document_types_are_refused_before_anything_of_them_is_expanded() {
    let maker = Maker::new();
    let good = maker.good();
    let laughs =
        (1..9).map(|n| format!("<!ENTITY l{n} \"{}\">", format!("&l{};", n - 1).repeat(9)));
    let laughs = laughs.collect::<String>();
    for dtd in [
        "<!DOCTYPE SoftwareIdentity>".to_owned(),
        "<!DOCTYPE r SYSTEM \"http://example.net/x.dtd\">".to_owned(),
        "<!DOCTYPE r [<!ATTLIST Meta product CDATA \"GB100\">]>".to_owned(),
        "<!DOCTYPE r [<!ENTITY x SYSTEM \"file:///etc/passwd\">]>".to_owned(),
        format!("<!DOCTYPE r [<!ENTITY l0 \"ha\">{laughs}]>"),
    ] {
        assert_eq!(maker.refused(&format!("{dtd}{good}")), RimRefusal::Dtd, "{dtd}");
    }
    // An entity nobody declared.
    let refused = maker.refused(&good.replace("NVIDIA Corporation", "&nvidia;"));
    assert!(matches!(refused, RimRefusal::Form(_)), "{refused}");
}

#[test]
fn comments_and_instructions_are_refused_wherever_they_are() {
    let maker = Maker::new();
    let good = maker.good();
    for markup in ["<!-- -->", "<?x y?>"] {
        let places = [
            format!("{good}{markup}"),
            format!("{markup}{good}"),
            good.replace("<ns0:Payload>", &format!("<ns0:Payload>{markup}")),
            good.replace("<ds:DigestValue>", &format!("<ds:DigestValue>{markup}")),
            good.replace("<ds:X509Certificate>", &format!("<ds:X509Certificate>AAAA{markup}")),
        ];
        for text in places {
            assert!(matches!(maker.refused(&text), RimRefusal::Markup(_)));
        }
    }
    // Behind that check no value can be split either: an element that is a value has one text and nothing else.
    let split = good.replace("<ds:DigestValue>", "<ds:DigestValue>AAAA<!-- -->");
    let behind = without("rim_markup", || maker.verify(&split)).unwrap_err();
    assert!(matches!(behind, RimRefusal::SignatureForm(_)), "{behind}");
    // Canonicalisation drops comments: without the check one that splits nothing would pass.
    let idle = format!("<!-- -->{good}");
    assert!(without("rim_markup", || maker.verify(&idle)).is_ok());
}

#[test]
fn attributes_of_other_namespaces_and_two_prefixes_deceive_nobody() {
    let maker = Maker::new();
    let good = maker.good();
    // The local name is right, the namespace is not; and it stands first.
    let meta = "<ns0:Meta colloquialVersion=";
    let alien = "<ns0:Meta xmlns:e=\"urn:e\" e:colloquialVersion=\"1.0\" colloquialVersion=";
    assert_eq!(maker.refused(&good.replace(meta, alien)), RimRefusal::Digest);
    // Signed so, the attribute without a namespace is the one that is read.
    let mut manifest = Manifest::vbios().head();
    manifest = manifest.replace(
        "<ns0:Meta colloquialVersion=\"96.00.5E.00.01\" edition=\"GPU\" product=\"GH100\">",
        "<ns0:Meta xmlns:e=\"urn:e\" colloquialVersion=\"96.00.5E.00.01\" edition=\"GPU\" product=\"GH100\" e:product=\"GB100\">",
    );
    let signature = maker.signer.signature(&format!("{manifest}</SoftwareIdentity>"));
    let signed = format!("{manifest}{signature}</SoftwareIdentity>");
    let first = signed.replace(
        " product=\"GH100\" e:product=\"GB100\"",
        " e:product=\"GB100\" product=\"GH100\"",
    );
    assert_eq!(maker.verify(&first).unwrap().facts().product, "GH100");
    // A prefix bound anew, a default namespace changed below, declared twice, or by a prefixed name.
    for (from, to) in [
        ("<ns0:Payload>", "<ns0:Payload xmlns:ns0=\"urn:e\">"),
        ("<ns0:Payload>", "<ns0:Payload xmlns=\"urn:e\">"),
        ("<SoftwareIdentity ", "<SoftwareIdentity xmlns=\"urn:e\" "),
        ("<SoftwareIdentity ", "<SoftwareIdentity xml:lang=\"en\" "),
        ("<ns0:Payload>", "<ns0:Payload ns0:xmlns=\"urn:e\">"),
        ("<ns0:Payload>", "<ns9:Payload>"),
    ] {
        let text = good.replace(from, to);
        assert_ne!(text, good);
        assert!(maker.verify(&text).is_err(), "{to}");
    }
}

#[test]
fn what_would_cost_more_than_any_manifest_is_refused_at_once() {
    let maker = Maker::new();
    let good = maker.good();
    let deep = |n: usize| format!("{}{}", "<a>".repeat(n), "</a>".repeat(n));
    let crowd = (0..200).map(|n| format!(" a{n}=\"\"")).collect::<String>();
    let spaces = (0..40).map(|n| format!("<a xmlns:n{n}=\"u\">")).collect::<String>();
    let begin = Instant::now();
    let cases = [
        ("nesting", deep(40)),
        ("nodes", deep(20_000)),
        ("nodes", format!("<a>{}</a>", "<b/>".repeat(5_000))),
        ("attributes of one element", format!("<a{crowd}/>")),
        ("namespace declarations", spaces),
    ];
    for (what, text) in cases {
        assert_eq!(maker.refused(&text), RimRefusal::Limit(what));
    }
    let long = " ".repeat(256 * 1024 + 1);
    assert_eq!(maker.refused(&long), RimRefusal::TooLong(256 * 1024 + 1));
    assert!(begin.elapsed().as_secs() < 2, "took {:?}", begin.elapsed());
    // Nesting in a place where a manifest ignores what it holds: refused for the digest without the limit.
    let nested = good.replace("</ns0:Entity>", &format!("{}</ns0:Entity>", deep(40)));
    assert_eq!(maker.refused(&nested), RimRefusal::Limit("nesting"));
    assert_eq!(without("rim_depth", || maker.verify(&nested)).unwrap_err(), RimRefusal::Digest);
}

#[test]
fn junk_is_refused_for_its_form() {
    let maker = Maker::new();
    let good = maker.good();
    for text in ["", "junk", "<a>", "<a/><b/>", "\u{0}", "<a b='<'/>", &good[..good.len() - 1]] {
        assert!(matches!(maker.refused(text), RimRefusal::Form(_)), "{text:?}");
    }
    let roots = [maker.device.rim_root.digest()];
    assert!(matches!(verify_rim(&[0xff, 0xfe, 0], &roots, NOW), Err(RimRefusal::Form(_))));
    assert_eq!(maker.refused("<a/>"), RimRefusal::Signatures(0));
}

#[test]
fn content_of_another_form_is_refused_though_the_right_key_signed_it() {
    let maker = Maker::new();
    let one = |r: String| Manifest { resources: r, ..Manifest::vbios() };
    let good = resource(1, "True", &[value(1)]);
    let changed = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        one(good.replace(from, to))
    };
    let seventy = (0..70).map(|n| [n; 48]).collect::<Vec<_>>();
    let manifests = [
        changed("True", "true"),
        changed("index=\"1\"", "index=\"+1\""),
        changed("index=\"1\"", "index=\"01\""),
        changed("index=\"1\"", "index=\"255\""),
        changed("index=\"1\"", "index=\"99999999999\""),
        changed("alternatives=\"1\"", "alternatives=\"2\""),
        changed("alternatives=\"1\"", "alternatives=\"0\""),
        changed("size=\"48\"", "size=\"32\""),
        changed("type=\"Measurement\"", "type=\"File\""),
        changed("ns2:Hash0", "ns2:Hash1"),
        changed("ns2:Hash0=\"01", "ns2:Hash0=\""),
        changed("ns2:Hash0=\"01", "ns2:Hash0=\"zz"),
        changed("type=\"Measurement\"", "type=\"Measurement\" x=\"\""),
        changed("</ns0:Resource>", "<a></a></ns0:Resource>"),
        changed("ns0:Resource", "ns0:File"),
        one(good.repeat(2)),
        one(resource(1, "True", &seventy)),
        one("text".to_owned()),
        Manifest { more: "<ns0:Link></ns0:Link>".into(), ..Manifest::vbios() },
        Manifest { more: "<ns0:Meta></ns0:Meta>".into(), ..Manifest::vbios() },
        Manifest { more: "text".into(), ..Manifest::vbios() },
        Manifest { product: "", ..Manifest::vbios() },
    ];
    for (n, manifest) in manifests.iter().enumerate() {
        let refused = maker.refused(&maker.signer.manifest(manifest));
        assert!(matches!(refused, RimRefusal::Content { .. }), "{n}: {refused}");
    }
    let head = Manifest::vbios().head().replace("SoftwareIdentity", "SoftwareIdentitx");
    let signature = maker.signer.signature(&format!("{head}</SoftwareIdentitx>"));
    let refused = maker.refused(&format!("{head}{signature}</SoftwareIdentitx>"));
    assert!(matches!(refused, RimRefusal::Content { .. }), "{refused}");
}
