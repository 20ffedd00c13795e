//! Conceptual message wrappers: the vectors of other implementations and of the draft, all three forms there and back, and what
//! is refused for its own reason.

use evidence::cbor::vendor::VendorCborError;
use evidence::cmw::{
    Cmw, CmwError, Collection, CollectionType, Indicators, Label, MediaType, MessageType, Record,
};
use evidence::x509::Certificate;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::mint::{Bytes, array, bytes, int, map, tag, text};
use crate::vectors;

fn record(media: &str, value: &[u8], indicators: Option<i128>) -> Cmw {
    Cmw::Record(Record {
        message_type: MessageType::Media(MediaType::new(media).unwrap()),
        value: value.to_vec(),
        indicators: indicators.map(|i| Indicators::new(i).unwrap()),
    })
}

fn numbered(format: u16, value: &[u8], indicators: Option<i128>) -> Cmw {
    Cmw::Record(Record {
        message_type: MessageType::Format(format),
        value: value.to_vec(),
        indicators: indicators.map(|i| Indicators::new(i).unwrap()),
    })
}

fn collection(kind: Option<&str>, members: Vec<(Label, Cmw)>) -> Cmw {
    let kind = kind.map(|k| CollectionType::new(k).unwrap());
    Cmw::Collection(Collection::new(kind, members).unwrap())
}

fn label(text: &str) -> Label {
    Label::text(text).unwrap()
}

#[test]
fn every_wrapper_of_the_vectors_is_read_or_refused_as_stated() {
    for v in vectors::topic("cmw") {
        let path = v.path.as_str();
        let name = path.rsplit('/').next().unwrap();
        if path.starts_with("x509-extension") {
            let certificate = Certificate::parse(&v.bytes).unwrap();
            let extension = certificate.extension(evidence::cmw::EXTENSION).unwrap();
            assert!(Cmw::from_extension(extension).is_ok(), "{path}");
            continue;
        }
        if !path.ends_with(".cbor") && !path.ends_with(".json") || name == "labels.json" {
            continue;
        }
        let got = match name {
            // A claims-set that holds a wrapper under its claim.
            "eat-example-1.json" => {
                let claims: Value = serde_json::from_slice(&v.bytes).unwrap();
                Cmw::from_json(claims["cmw"].to_string().as_bytes())
            }
            _ => Cmw::parse(&v.bytes),
        };
        // Upstream recognises the form of this one; the draft keeps content formats out of JSON, and so do we.
        if name == "json-array-with-coap-c-f.json" {
            assert_eq!(got, Err(CmwError::FormatInJson));
            continue;
        }
        assert_eq!(got.is_ok(), v.outcome == "accept", "{path}: {got:?}");
        let Ok(cmw) = got else { continue };
        if path.ends_with(".cbor") {
            assert_eq!(cmw.to_cbor().unwrap(), v.bytes, "{path} there and back");
        } else {
            assert_eq!(
                Cmw::from_json(cmw.to_json().unwrap().to_string().as_bytes()),
                Ok(cmw),
                "{path}"
            );
        }
    }
}

#[test]
fn types_and_labels_of_the_vectors_are_taken_or_refused_as_stated() {
    let file = vectors::topic("cmw").into_iter().find(|v| v.path.ends_with("labels.json"));
    let Some(file) = file else { return };
    let all: Value = serde_json::from_slice(&file.bytes).unwrap();
    for case in all["collection_types"].as_array().unwrap() {
        let name = case["collection_type"].as_str().unwrap();
        assert_eq!(json!(CollectionType::new(name).is_ok()), case["valid"], "{name:?}");
    }
    for case in all["keys"].as_array().unwrap() {
        let name = case["key"].as_str().unwrap();
        assert_eq!(json!(Label::text(name).is_ok()), case["valid"], "{name:?}");
    }
}

#[test]
fn the_examples_of_the_draft_are_read_as_they_are_meant() {
    let value = [0x23, 0x47, 0xda, 0x55];
    let first = array(&[int(64_999), bytes(&value)]);
    assert_eq!(Cmw::parse(&first).unwrap(), numbered(64_999, &value, None));
    let rim = array(&[
        text("application/rim+cose"),
        bytes(b"\xd2\x84\x40\xa0\x44\xd9\x01\xf5\xa0\x40"),
        int(3),
    ]);
    let Cmw::Record(rim) = Cmw::parse(&rim).unwrap() else { panic!("not a record") };
    let both = Indicators::REFERENCE_VALUES | Indicators::ENDORSEMENTS;
    assert_eq!(rim.indicators.unwrap().bits(), both);
    let tagged = [&[0xda][..], &1_668_612_070u32.to_be_bytes(), &bytes(&value)].concat();
    assert_eq!(Cmw::parse(&tagged).unwrap(), Cmw::Tag(64_999, value.to_vec()));
    let whole = map(&[
        (text("__cmwc_t"), text("tag:example.com,2024:composite-attester")),
        (int(0), array(&[int(64_999), bytes(&value), int(4)])),
        (int(1), tagged),
        (int(2), array(&[text("application/eat+jwt"), bytes(b"Li4u"), int(8)])),
    ]);
    let expected = collection(
        Some("tag:example.com,2024:composite-attester"),
        vec![
            (Label::Int(0), numbered(64_999, &value, Some(4))),
            (Label::Int(1), Cmw::Tag(64_999, value.to_vec())),
            (Label::Int(2), record("application/eat+jwt", b"Li4u", Some(8))),
        ],
    );
    assert_eq!(Cmw::parse(&whole).unwrap(), expected);
    assert_eq!(expected.to_cbor().unwrap(), whole);
}

#[test]
fn records_of_another_form_are_refused_in_both_encodings() {
    let (media, value) = (|| text("application/eat+cwt"), || bytes(b"x"));
    for bad in [
        array(&[media()]),
        array(&[media(), value(), int(4), int(4)]),
        array(&[media(), text("x")]),
        array(&[bytes(b"application/eat+cwt"), value()]),
        array(&[int(-1), value()]),
        array(&[int(65_536), value()]),
        array(&[media(), value(), text("4")]),
    ] {
        assert!(matches!(Cmw::from_cbor(&bad), Err(CmwError::Record(_))), "{}", hex::encode(bad));
    }
    for bad in [
        json!([]),
        json!(["application/eat+cwt"]),
        json!(["application/eat+cwt", "eA", 4, 4]),
        json!(["application/eat+cwt", "eA=="]),
        json!(["application/eat+cwt", "e+"]),
        json!(["application/eat+cwt", "eB"]),
        json!(["application/eat+cwt", 1]),
        json!([true, "eA"]),
        json!([1.5, "eA"]),
        json!(["application/eat+cwt", "eA", "4"]),
        json!(["application/eat+cwt", "eA", 4.0]),
    ] {
        assert!(
            matches!(Cmw::from_json(bad.to_string().as_bytes()), Err(CmwError::Record(_))),
            "{bad}"
        );
    }
    let format = json!([30001, "eA"]).to_string();
    assert_eq!(Cmw::from_json(format.as_bytes()), Err(CmwError::FormatInJson));
    for name in [
        "",
        "eat",
        "/eat",
        "application/",
        "application /eat",
        "application/e at",
        "application/eat;\n",
        "äpp/eat",
        "#cmw-c2j-tunnel",
    ] {
        let refused = Err(CmwError::MediaType(name.to_owned()));
        assert_eq!(Cmw::from_cbor(&array(&[text(name), value()])), refused);
        assert_eq!(Cmw::from_json(json!([name, "eA"]).to_string().as_bytes()), refused);
    }
    let with = MediaType::new("application/eat+cwt; eat_profile=\"tag:a,2023:b\"").unwrap();
    assert_eq!(with.essence(), "application/eat+cwt");
}

#[test]
fn indicators_are_a_set_that_is_not_empty() {
    for bits in [1, 4, 31] {
        assert!(Cmw::from_cbor(&array(&[int(0), bytes(b""), int(bits)])).is_ok());
    }
    for bits in [0, 32, 64, 255, 256, -1] {
        let cbor = array(&[text("a/b"), bytes(b""), int(bits)]);
        assert_eq!(Cmw::from_cbor(&cbor), Err(CmwError::Indicators), "{bits}");
        let json = json!(["a/b", "", bits]).to_string();
        assert_eq!(Cmw::from_json(json.as_bytes()), Err(CmwError::Indicators), "{bits}");
    }
}

#[test]
fn only_tags_made_of_a_content_format_are_wrappers() {
    for (number, format) in
        [(1_668_546_817, 0), (1_668_547_071, 254), (1_668_547_073, 255), (1_668_612_095, 65_024)]
    {
        let cbor = tag(number, bytes(b"x"));
        // The tag's head is written in full here and in its shortest form there.
        let cmw = Cmw::from_cbor(&cbor).unwrap();
        assert_eq!(cmw, Cmw::Tag(format, b"x".to_vec()));
        assert_eq!(Cmw::from_cbor(&cmw.to_cbor().unwrap()), Ok(cmw));
    }
    for number in [18, 1_668_546_816, 1_668_547_072, 1_668_612_096, 1_668_612_097, 1 << 40] {
        assert_eq!(Cmw::from_cbor(&tag(number, bytes(b"x"))), Err(CmwError::Tag(number as u64)));
    }
    let text_inside = Cmw::from_cbor(&tag(1_668_546_817, text("x")));
    assert_eq!(text_inside, Err(CmwError::Tag(1_668_546_817)));
    let untaggable = Cmw::Tag(65_025, Vec::new());
    assert_eq!(untaggable.to_cbor(), Err(CmwError::Tag(65_025)));
}

#[test]
fn collections_that_are_empty_ambiguous_too_large_or_too_deep_are_refused() {
    let one = || array(&[text("a/b"), bytes(b"x")]);
    assert_eq!(Cmw::from_cbor(&map(&[])), Err(CmwError::Empty));
    assert_eq!(Cmw::from_json(b"{}"), Err(CmwError::Empty));
    let typed = map(&[(text("__cmwc_t"), text("1.2.3"))]);
    assert_eq!(Cmw::from_cbor(&typed), Err(CmwError::Empty));
    assert_eq!(Cmw::from_json(br#"{"__cmwc_t": "1.2.3"}"#), Err(CmwError::Empty));
    let many = (0..65).map(|n| (int(n), one())).collect::<Vec<_>>();
    assert_eq!(Cmw::from_cbor(&map(&many)), Err(CmwError::TooMany(65)));
    assert!(Cmw::from_cbor(&map(&many[..64])).is_ok());
    let twice = map(&[(text("a"), one()), (text("a"), one())]);
    assert_eq!(
        Cmw::from_cbor(&twice),
        Err(CmwError::Cbor(VendorCborError::DuplicateKey("\"a\"".into())))
    );
    assert!(matches!(
        Cmw::from_json(br#"{"a": ["a/b", ""], "a": ["a/b", ""]}"#),
        Err(CmwError::Json(_))
    ));
    let same = vec![(label("a"), record("a/b", b"", None)), (label("a"), record("a/b", b"", None))];
    assert_eq!(Collection::new(None, same), Err(CmwError::LabelTwice("\"a\"".into())));
    for name in ["", " ", "\t"] {
        let refused = Err(CmwError::Label(name.to_owned()));
        assert_eq!(Cmw::from_cbor(&map(&[(text(name), one())])), refused);
        assert_eq!(Cmw::from_json(json!({name: ["a/b", ""]}).to_string().as_bytes()), refused);
    }
    // The reserved label holds a type, never a member.
    let misused = map(&[(text("__cmwc_t"), one()), (text("a"), one())]);
    assert!(matches!(Cmw::from_cbor(&misused), Err(CmwError::CollectionType(_))));
    assert!(matches!(
        Cmw::from_json(br#"{"__cmwc_t": ["a/b", ""], "a": ["a/b", ""]}"#),
        Err(CmwError::CollectionType(_))
    ));
    for kind in ["", "relative/uri", "1", "3.1", "1.02", "1..2", ":a", "a:", "a: b", "1a:b"] {
        let cbor = map(&[(text("__cmwc_t"), text(kind)), (text("a"), one())]);
        assert_eq!(Cmw::from_cbor(&cbor), Err(CmwError::CollectionType(kind.to_owned())));
    }
    let nest = |depth: usize| (0..depth).fold(one(), |inner, _| map(&[(text("a"), inner)]));
    assert!(Cmw::from_cbor(&nest(4)).is_ok());
    assert_eq!(Cmw::from_cbor(&nest(5)), Err(CmwError::Deep));
    assert!(matches!(Cmw::from_cbor(&nest(100)), Err(CmwError::Cbor(VendorCborError::Deep(_)))));
    let nest = |depth: usize| (0..depth).fold(json!(["a/b", ""]), |inner, _| json!({"a": inner}));
    assert!(Cmw::from_json(nest(4).to_string().as_bytes()).is_ok());
    assert_eq!(Cmw::from_json(nest(5).to_string().as_bytes()), Err(CmwError::Deep));
    let endless = [br#"{"a":"#.repeat(5000), b"1".to_vec(), b"}".repeat(5000)].concat();
    assert!(matches!(Cmw::from_json(&endless), Err(CmwError::Json(_))));
}

#[test]
fn what_is_no_wrapper_is_refused_by_its_first_byte_and_nothing_may_follow_one() {
    for junk in [
        &b""[..],
        b"eyJ",
        b"\x01",
        b"\x80",
        b"\x81\x00",
        b"\x84\x00\x00\x00\x00",
        b"\xd2\x40",
        b" []",
        b"\xff",
    ] {
        assert_eq!(Cmw::parse(junk), Err(CmwError::NoForm), "{junk:?}");
    }
    let good = array(&[text("a/b"), bytes(b"x")]);
    let open = [&[0x9f][..], &good[1..], &[0xff]].concat();
    assert_eq!(Cmw::parse(&open), Cmw::parse(&good));
    let more = [&good[..], &[0]].concat();
    assert_eq!(Cmw::parse(&more), Err(CmwError::Cbor(VendorCborError::Trailing { got: 1 })));
    assert!(matches!(Cmw::parse(br#"["a/b", "eA"] x"#), Err(CmwError::Json(_))));
    for len in 0..good.len() {
        assert!(Cmw::parse(&good[..len]).is_err());
    }
    assert!(matches!(
        Cmw::parse(&vec![0x82; 5 << 20]),
        Err(CmwError::Cbor(VendorCborError::TooLong { .. }))
    ));
}

#[test]
fn an_extension_holds_json_as_text_or_cbor_as_bytes_and_nothing_else() {
    let der = |tag: u8, content: &[u8]| [&[tag, content.len() as u8], content].concat();
    let (cbor, json) = (array(&[text("a/b"), bytes(b"x")]), br#"["a/b","eA"]"#);
    let expected = record("a/b", b"x", None);
    assert_eq!(Cmw::from_extension(&der(0x0c, json)), Ok(expected.clone()));
    assert_eq!(Cmw::from_extension(&der(0x04, &cbor)), Ok(expected));
    assert!(Cmw::from_extension(&der(0x0c, &cbor)).is_err());
    assert!(Cmw::from_extension(&der(0x04, json)).is_err());
    let behind = [&der(0x04, &cbor)[..], &[0]].concat();
    for bad in [&b""[..], &der(0x16, json), &der(0x30, &cbor), &behind] {
        assert_eq!(Cmw::from_extension(bad), Err(CmwError::Extension));
    }
}

#[test]
fn what_json_has_no_form_for_is_said_so() {
    assert_eq!(Cmw::Tag(0, Vec::new()).to_json(), Err(CmwError::TagInJson));
    assert_eq!(numbered(1, b"", None).to_json(), Err(CmwError::FormatInJson));
    let numbered = collection(None, vec![(Label::Int(7), record("a/b", b"", None))]);
    assert_eq!(numbered.to_json(), Err(CmwError::Label("7".into())));
}

fn any_record(json: bool) -> impl Strategy<Value = Cmw> {
    let media = "[a-z][a-z0-9.+-]{0,8}/[a-z][a-z0-9.+-]{0,8}(; p=\"[ -!#-~]{0,8}\")?";
    let media = media.prop_map(|m| MessageType::Media(MediaType::new(&m).unwrap()));
    let kind = if json {
        media.boxed()
    } else {
        prop_oneof![media, any::<u16>().prop_map(MessageType::Format)].boxed()
    };
    let value = proptest::collection::vec(any::<u8>(), 0..40);
    (kind, value, proptest::option::of(1i128..32)).prop_map(|(message_type, value, i)| {
        let indicators = i.map(|i| Indicators::new(i).unwrap());
        Cmw::Record(Record { message_type, value, indicators })
    })
}

fn any_cmw(json: bool) -> impl Strategy<Value = Cmw> {
    let tag = (0u16..65_025, proptest::collection::vec(any::<u8>(), 0..9))
        .prop_map(|(f, v)| Cmw::Tag(f, v));
    let leaf =
        if json { any_record(true).boxed() } else { prop_oneof![any_record(false), tag].boxed() };
    leaf.prop_recursive(3, 16, 4, move |inner| {
        let text = "[a-zA-Z ]{0,4}[a-z]".prop_map(|t| Label::text(&t).unwrap());
        let labels = if json {
            text.boxed()
        } else {
            prop_oneof![text, any::<i64>().prop_map(Label::Int)].boxed()
        };
        let members = proptest::collection::btree_map(labels, inner, 1..5);
        let kind =
            proptest::option::of("[a-z]{1,5}:[a-z0-9/.]{1,9}|[0-2](\\.[1-9][0-9]{0,3}){1,4}");
        (kind, members)
            .prop_map(|(kind, members)| collection(kind.as_deref(), members.into_iter().collect()))
    })
}

proptest! {
    #[test]
    fn every_wrapper_comes_back_from_cbor_as_it_was(cmw in any_cmw(false)) {
        let cbor: Bytes = cmw.to_cbor().unwrap();
        prop_assert_eq!(Cmw::parse(&cbor), Ok(cmw));
    }

    #[test]
    fn every_wrapper_comes_back_from_json_as_it_was(cmw in any_cmw(true)) {
        let json = cmw.to_json().unwrap().to_string();
        prop_assert_eq!(Cmw::parse(json.as_bytes()), Ok(cmw));
    }

    #[test]
    fn arbitrary_bytes_are_read_or_refused_and_what_is_read_comes_back(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        if let Ok(cmw) = Cmw::parse(&bytes) {
            prop_assert_eq!(Cmw::from_cbor(&cmw.to_cbor().unwrap()), Ok(cmw));
        }
    }
}
