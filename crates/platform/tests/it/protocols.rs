//! The protocols of keyholder and program: what is not exactly a message is none.

use ciborium::Value;
use evidence::cbor::{self, CborError};
use platform::keyholder::{Register, Reply, Request, Start};
use platform::program::{CERTIFICATES_MAX, ProgramReply, ProgramRequest};
use platform::seal::{OpenRefusal, PLAINTEXT_MAX};

fn item(pairs: Vec<(i64, Value)>) -> Value {
    cbor::map(pairs)
}

fn list(items: Vec<Value>) -> Value {
    Value::Array(items)
}

#[test]
fn a_refusal_with_more_behind_it_is_no_refusal() {
    let reply = |parts| Reply::decode(item(vec![(1, 5.into()), (2, list(parts))]));
    let Ok(Reply::NotOpened(why)) = reply(vec![7.into()]) else { panic!() };
    assert_eq!(why, OpenRefusal::Changed);
    for parts in [
        vec![7.into(), 1.into()],
        vec![],
        vec![8.into()],
        vec!["7".into()],
        vec![6.into(), 1.into()],
    ] {
        assert_eq!(reply(parts.clone()).unwrap_err(), CborError::Field("refusal"), "{parts:?}");
    }
}

#[test]
fn a_number_nobody_asked_for_or_a_field_more_is_refused_on_every_socket() {
    let unknown = item(vec![(1, 99.into())]);
    let more = item(vec![(1, 1.into()), (9, 1.into())]);
    assert_eq!(Request::decode(unknown.clone()).unwrap_err(), CborError::Field("request"));
    assert_eq!(Reply::decode(unknown.clone()).unwrap_err(), CborError::Field("reply"));
    assert_eq!(ProgramRequest::decode(unknown.clone()).unwrap_err(), CborError::Field("request"));
    assert_eq!(ProgramReply::decode(unknown).unwrap_err(), CborError::Field("reply"));
    assert_eq!(Request::decode(more.clone()).unwrap_err(), CborError::UnknownField(9));
    assert_eq!(ProgramRequest::decode(more).unwrap_err(), CborError::UnknownField(9));
    let newer = item(vec![(1, 2.into())]);
    assert_eq!(Register::decode(newer).unwrap_err(), CborError::Version(2));
    let older = item(vec![(1, 1.into())]);
    assert_eq!(Start::decode(older).unwrap_err(), CborError::Version(1));
    let begin = item(vec![(1, 16.into()), (2, Value::Bytes(vec![1])), (3, 1.into())]);
    assert_eq!(ProgramRequest::decode(begin).unwrap_err(), CborError::UnknownField(3));
}

#[test]
fn what_is_longer_than_its_limit_is_refused() {
    let seal = |len| {
        let plaintext = Value::Bytes(vec![0; len]);
        Request::decode(item(vec![(1, 5.into()), (2, "a".into()), (3, 1.into()), (4, plaintext)]))
    };
    assert!(seal(PLAINTEXT_MAX).is_ok());
    assert_eq!(seal(PLAINTEXT_MAX + 1).unwrap_err(), CborError::Field("plaintext"));
    let chain = |n| {
        let certificates = list(vec![Value::Bytes(vec![0]); n]);
        ProgramReply::decode(item(vec![(1, 17.into()), (2, certificates)]))
    };
    assert!(chain(CERTIFICATES_MAX).is_ok());
    assert_eq!(chain(CERTIFICATES_MAX + 1).unwrap_err(), CborError::Field("chain"));
}
