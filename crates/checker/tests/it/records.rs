//! Records: read as written, and nothing else is one.

use checker::DecisionRecord;
use checker::record::RecordError;
use evidence::ContentDigest;
use evidence::cbor::{self, CborError};
use owners::record;

#[test]
fn a_record_is_read_as_it_was_written_and_named_by_its_bytes() {
    let bytes = record().encode();
    assert_eq!(DecisionRecord::decode(&bytes).unwrap(), record());
    assert_eq!(record().digest(), ContentDigest::of(&bytes));
}

#[test]
fn a_record_without_any_field_or_with_one_more_is_none() {
    let pairs = cbor::decode(&record().encode(), 1 << 20).unwrap().into_map().unwrap();
    for n in 0..pairs.len() {
        let mut fewer = pairs.clone();
        fewer.remove(n);
        let refused = DecisionRecord::decode(&cbor::encode(&ciborium::Value::Map(fewer)));
        assert!(matches!(refused, Err(RecordError(CborError::Field(_)))), "field {n}");
        let mut other = pairs.clone();
        other[n].1 = ciborium::Value::Null;
        let refused = DecisionRecord::decode(&cbor::encode(&ciborium::Value::Map(other)));
        assert!(matches!(refused, Err(RecordError(CborError::Field(_)))), "field {n} null");
    }
    let mut more = pairs;
    more.push((99.into(), 1.into()));
    let refused = DecisionRecord::decode(&cbor::encode(&ciborium::Value::Map(more)));
    assert_eq!(refused.unwrap_err(), RecordError(CborError::UnknownField(99)));
}
