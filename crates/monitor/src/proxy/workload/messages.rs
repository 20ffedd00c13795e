//! Messages of the SPIFFE Workload API's X.509 profile (SPIFFE_Workload_API.md section 5.1), as far as they are ever
//! filled here: certificate revocation lists and other domains' bundles are never sent, and absent fields read as empty.

use std::collections::HashMap;
use std::fmt;

/// Request of both calls: it has no field.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Empty {}

/// Answer to `FetchX509SVID`: the whole of what a program is entitled to, every time.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct X509SvidResponse {
    #[prost(message, repeated, tag = "1")]
    pub(super) svids: Vec<X509Svid>,
}

/// One identity with its key.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub(super) struct X509Svid {
    #[prost(string, tag = "1")]
    pub(super) spiffe_id: String,
    /// DER, leaf first.
    #[prost(bytes = "vec", tag = "2")]
    pub(super) x509_svid: Vec<u8>,
    /// PKCS#8, DER.
    #[prost(bytes = "vec", tag = "3")]
    pub(super) x509_svid_key: Vec<u8>,
    /// DER.
    #[prost(bytes = "vec", tag = "4")]
    pub(super) bundle: Vec<u8>,
}

/// Keys are not printed (I9).
impl fmt::Debug for X509Svid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("X509Svid").field("spiffe_id", &self.spiffe_id).finish_non_exhaustive()
    }
}

/// Answer to `FetchX509Bundles`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct X509BundlesResponse {
    /// DER by `spiffe://` and the domain's name.
    #[prost(map = "string, bytes", tag = "2")]
    pub(super) bundles: HashMap<String, Vec<u8>>,
}
