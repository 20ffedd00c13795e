//! The protocol's items: what is written is read back, and nothing else is taken.

use std::net::{Ipv4Addr, SocketAddrV4};

use evidence::Time;
use proptest::prelude::*;

use super::*;

fn requests() -> Vec<ProgramRequest> {
    vec![
        ProgramRequest::Keyholder(Request::Info),
        ProgramRequest::CredentialBegin(vec![1; 91]),
        ProgramRequest::CredentialFinish(vec![2; 70]),
        ProgramRequest::Surroundings,
        ProgramRequest::Standing,
        ProgramRequest::News { policy: 7, revocation: 9 },
        ProgramRequest::Secret("db-password".into()),
    ]
}

fn replies() -> Vec<ProgramReply> {
    let time = Time::from_unix(1_800_000_000);
    let address = SocketAddrV4::new(Ipv4Addr::new(127, 0, 1, 2), 6379);
    vec![
        ProgramReply::ToBeSigned(vec![1; 9]),
        ProgramReply::Chain(vec![vec![1], vec![2]]),
        ProgramReply::Surroundings(Surroundings {
            self_tls: true,
            listen: vec![80, 443],
            peers: vec![Peer { role: "cache".into(), address }],
            domain: vec![3; 9],
        }),
        ProgramReply::Standing(Standing {
            certificate: vec![4; 9],
            connect: vec!["cache".into()],
            clients: vec!["web".into(), "cli".into()],
            policy: 3,
            time,
        }),
        ProgramReply::News(News { policy: 4, revocations: vec![vec![5; 9], vec![6]], time }),
        ProgramReply::Secret(Secret::new(vec![7; 9])),
        ProgramReply::NotAdmitted("measurement".into()),
        ProgramReply::Unavailable("is it up?".into()),
    ]
}

#[test]
fn what_was_written_is_read_back_and_a_field_more_or_fewer_is_refused() {
    let read_request = |v: Value| ProgramRequest::decode(v).map(|r| r.encode());
    let read_reply = |v: Value| ProgramReply::decode(v).map(|r| r.encode());
    let all = requests().into_iter().map(|r| (r.encode(), true));
    let all = all.chain(replies().into_iter().map(|r| (r.encode(), false)));
    for (item, is_request) in all {
        let read = |v| if is_request { read_request(v) } else { read_reply(v) };
        assert_eq!(read(item.clone()), Ok(item.clone()));
        let Value::Map(fields) = item else { panic!("no map") };
        for at in 0..fields.len() {
            let mut fewer = fields.clone();
            fewer.remove(at);
            assert!(read(Value::Map(fewer)).is_err(), "without {:?}", fields[at]);
            let mut other = fields.clone();
            other[at].1 = Value::Null;
            assert!(read(Value::Map(other)).is_err(), "null in {:?}", fields[at]);
        }
        let mut more = fields.clone();
        more.push((99.into(), 0.into()));
        assert!(read(Value::Map(more)).is_err());
    }
}

#[test]
fn an_object_of_another_version_and_a_list_without_end_are_refused() {
    let surroundings = replies().swap_remove(2).encode();
    let Value::Map(mut fields) = surroundings else { panic!("no map") };
    fields[3].1 = Value::Array(vec![80.into(); 1025]);
    assert!(ProgramReply::decode(Value::Map(fields.clone())).is_err());
    fields[1].1 = 2.into();
    let refused = ProgramReply::decode(Value::Map(fields)).unwrap_err();
    assert_eq!(refused, CborError::Version(2));
}

#[test]
fn reasons_are_cut_to_their_limit() {
    let long = ProgramReply::NotAdmitted("x".repeat(5000)).encode();
    let ProgramReply::NotAdmitted(why) = ProgramReply::decode(long).unwrap() else { panic!() };
    assert_eq!(why.len(), REASON_MAX);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = ProgramReply::read(&bytes);
        let _ = cbor::decode(&bytes, MESSAGE_MAX).and_then(ProgramRequest::decode);
    }
}
