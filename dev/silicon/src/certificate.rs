//! Certificates and revocation lists (RFC 5280) that say whatever a test wants them to say, signed by whoever it wants.

use evidence::x509::Scheme;
use evidence::{Time, Window};

use crate::der::{bits, boolean, explicit, integer, octets, oid, sequence, set, text, time};
use crate::key::{Key, algorithm};

/// What stands in a certificate.
#[derive(Clone)]
pub struct Certificate {
    pub subject: String,
    pub issuer: String,
    pub serial: u8,
    pub window: Window,
    /// DER SubjectPublicKeyInfo.
    pub spki: Vec<u8>,
    /// Dotted identifier, critical or not, content.
    pub extensions: Vec<(String, bool, Vec<u8>)>,
}

/// A distinguished name with nothing but a common name.
#[must_use]
pub fn name(cn: &str) -> Vec<u8> {
    sequence(&[set(&[sequence(&[oid("2.5.4.3"), text(cn)])])])
}

impl Certificate {
    /// One for `key`, without extensions.
    #[must_use]
    pub fn new(subject: &str, issuer: &str, key: &Key, window: Window) -> Self {
        let (subject, issuer) = (subject.to_owned(), issuer.to_owned());
        Self { subject, issuer, serial: 1, window, spki: key.spki(), extensions: Vec::new() }
    }

    #[must_use]
    pub fn with(mut self, extension: &str, critical: bool, content: Vec<u8>) -> Self {
        self.extensions.push((extension.to_owned(), critical, content));
        self
    }

    /// With basic constraints: may issue, with so many certificates between it and a leaf.
    #[must_use]
    pub fn authority(self, path_len: Option<u8>) -> Self {
        let path_len = path_len.map(|n| integer(&[n]));
        let content = std::iter::once(boolean(true)).chain(path_len).collect::<Vec<_>>();
        self.with("2.5.29.19", true, sequence(&content))
    }

    /// The to-be-signed part.
    #[must_use]
    pub fn body(&self, scheme: Scheme) -> Vec<u8> {
        let extensions = extensions(3, &self.extensions);
        sequence(&[
            explicit(0, &integer(&[2])),
            integer(&[self.serial]),
            algorithm(scheme),
            name(&self.issuer),
            sequence(&[time(self.window.not_before), time(self.window.not_after)]),
            name(&self.subject),
            self.spki.clone(),
            extensions,
        ])
    }

    /// Signed by the key's usual scheme; DER.
    #[must_use]
    pub fn signed_by(&self, key: &Key) -> Vec<u8> {
        let scheme = key.scheme();
        signed(self.body(scheme), scheme, key)
    }
}

/// Extensions under the tag `n`; nothing for none.
fn extensions(n: u8, all: &[(String, bool, Vec<u8>)]) -> Vec<u8> {
    let one = |(id, critical, content): &(String, bool, Vec<u8>)| {
        let critical = if *critical { boolean(true) } else { Vec::new() };
        sequence(&[oid(id), critical, octets(content)])
    };
    let all = all.iter().map(one).collect::<Vec<_>>();
    if all.is_empty() { Vec::new() } else { explicit(n, &sequence(&all)) }
}

fn signed(body: Vec<u8>, scheme: Scheme, key: &Key) -> Vec<u8> {
    let signature = bits(&key.sign(scheme, &body));
    sequence(&[body, algorithm(scheme), signature])
}

/// What stands in a revocation list.
#[derive(Clone)]
pub struct Crl {
    pub issuer: String,
    pub this_update: Time,
    pub next_update: Option<Time>,
    pub serials: Vec<u8>,
    /// Dotted identifier, critical or not, content.
    pub extensions: Vec<(String, bool, Vec<u8>)>,
}

impl Crl {
    /// Signed by the key's usual scheme; DER.
    #[must_use]
    pub fn signed_by(&self, key: &Key) -> Vec<u8> {
        let scheme = key.scheme();
        let revoked = |n: &u8| sequence(&[integer(&[*n]), time(self.this_update)]);
        let revoked = self.serials.iter().map(revoked).collect::<Vec<_>>();
        let body = sequence(&[
            integer(&[1]),
            algorithm(scheme),
            name(&self.issuer),
            time(self.this_update),
            self.next_update.map(time).unwrap_or_default(),
            if revoked.is_empty() { Vec::new() } else { sequence(&revoked) },
            extensions(0, &self.extensions),
        ]);
        signed(body, scheme, key)
    }
}
