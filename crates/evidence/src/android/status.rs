//! Google's list of certificates whose keys leaked or are suspended (android.googleapis.com/attestation/status). The list is
//! not signed and bears no date: whoever fetched it over TLS answers for its origin and its age.
//!
//! A certificate that is on it is refused, whatever the list says about it besides.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::refusal::AndroidRefusal;
use crate::json;
use crate::x509::Certificate;

/// The list is below 1 MiB.
pub const LIST_MAX: usize = 8 * 1024 * 1024;

/// The list, by serial number.
#[derive(Clone, Debug)]
pub struct StatusList(BTreeMap<String, String>);

#[derive(Deserialize)]
struct List {
    entries: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
struct Entry {
    status: String,
}

impl StatusList {
    /// Reads the list.
    ///
    /// # Errors
    /// [`AndroidRefusal::StatusForm`].
    pub fn parse(json: &[u8]) -> Result<Self, AndroidRefusal> {
        let json = json::parse(json, LIST_MAX).map_err(|_| AndroidRefusal::StatusForm)?;
        let list: List = serde_json::from_value(json).map_err(|_| AndroidRefusal::StatusForm)?;
        let digit = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        if !list.entries.keys().all(|serial| !serial.is_empty() && serial.bytes().all(digit)) {
            return Err(AndroidRefusal::StatusForm);
        }
        Ok(Self(list.entries.into_iter().map(|(serial, e)| (serial, e.status)).collect()))
    }

    /// Serial number and status of a certificate that is on the list.
    #[must_use]
    pub fn find(&self, certificate: &Certificate) -> Option<(String, String)> {
        let serial = hex::encode(certificate.serial());
        let serial = serial.trim_start_matches('0');
        self.0.get(serial).map(|status| (serial.to_owned(), status.clone()))
    }
}
