//! Every way a conceptual message wrapper is refused.

use thiserror::Error;

use super::{DEPTH_MAX, MEMBERS_MAX};
use crate::cbor::vendor::VendorCborError;
use crate::json::JsonError;

/// Why bytes are no wrapper, or a wrapper cannot be written.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CmwError {
    /// The first byte begins none of the forms.
    #[error(
        "not a conceptual message wrapper: neither record, tag nor collection; wrap the message with its media type"
    )]
    NoForm,
    /// Not CBOR.
    #[error("wrapper: {0}")]
    Cbor(#[from] VendorCborError),
    /// Not JSON.
    #[error("wrapper: {0}")]
    Json(#[from] JsonError),
    /// Not type, value and perhaps indicators.
    #[error("record is not [type, value] or [type, value, indicators] of the right types: {0}")]
    Record(&'static str),
    /// Not a media type.
    #[error("{0:?} is no media type; write type/subtype as registered")]
    MediaType(String),
    /// A number where JSON has a media type.
    #[error("content formats have no place in JSON; write the media type")]
    FormatInJson,
    /// Bits outside the five.
    #[error("indicators outside 1 to 31; leave them out rather than write 0")]
    Indicators,
    /// A tag that is not made of a content format.
    #[error(
        "tag {0} is made of no content format (RFC 9277 appendix B), or its content is not bytes"
    )]
    Tag(u64),
    /// A tag where it cannot be written.
    #[error("a tag has no form in JSON; write a record with the media type")]
    TagInJson,
    /// A collection without members.
    #[error("collection without members")]
    Empty,
    /// A collection with too many.
    #[error("collection of {0} members, at most {MEMBERS_MAX} allowed")]
    TooMany(usize),
    /// Collections in collections.
    #[error("collections nested deeper than {DEPTH_MAX}")]
    Deep,
    /// A label that is blank, reserved or of another type.
    #[error(
        "{0:?} is no label; labels are text that is not blank and not __cmwc_t, or in CBOR integers"
    )]
    Label(String),
    /// A label that occurs twice.
    #[error("label {0} occurs twice; which member is meant cannot be said")]
    LabelTwice(String),
    /// A collection's type that is none.
    #[error(
        "{0:?} is no type of a collection; it is an absolute URI or a dotted object identifier"
    )]
    CollectionType(String),
    /// The extension holds something else.
    #[error("extension is neither a UTF8String with JSON nor an OCTET STRING with CBOR")]
    Extension,
}
