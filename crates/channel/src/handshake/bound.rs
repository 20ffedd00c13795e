//! The one place where a peer's statement is held against this very connection, at the handshake and at every re-bind.

use evidence::controls::holds;
use evidence::statement::{self, Expected, Purpose, StatementRefusal};
use evidence::{Binder, BinderKind, ContentDigest, DomainRoot, End, Session, Side, SpkiDigest};
use thiserror::Error;

use crate::credential::Credential;
use crate::link::Nonces;

/// Why a statement does not bind the peer to this connection.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unbound {
    /// It is not of this connection, or of no platform this side knows.
    #[error("peer's statement: {0}")]
    Statement(#[from] StatementRefusal),
    /// It describes another program than the credential.
    #[error(
        "peer's statement and credential describe different programs; the credential was stolen or is stale"
    )]
    Program,
    /// This side takes no kind of binder.
    #[error("this side's policy takes no kind of statement; state which")]
    NoKind,
}

/// The keys of both ends; none: an anonymous client's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Keys {
    pub(crate) client: Option<SpkiDigest>,
    pub(crate) server: Option<SpkiDigest>,
}

impl Keys {
    pub(crate) const fn new(side: Side, own: Option<SpkiDigest>, peer: Option<SpkiDigest>) -> Self {
        match side {
            Side::Client => Self { client: own, server: peer },
            Side::Server => Self { client: peer, server: own },
        }
    }
}

/// The binder of a connection, spoken by `side`.
pub(crate) fn binder(
    (kind, side): (BinderKind, Side),
    domain: DomainRoot,
    keys: Keys,
    nonces: Nonces,
    session: Session,
    claims: ContentDigest,
) -> Binder {
    let end = |spki: Option<SpkiDigest>, nonce| End { domain: spki.map(|_| domain), spki, nonce };
    let (client, server) = (end(keys.client, nonces.client), end(keys.server, nonces.server));
    Binder { kind, side, client, server, session, claims }
}

/// The binder that the peer spoke if `statement` is its statement about the connection of `own`, in one of `kinds`, and
/// about the program of `credential`.
pub(crate) fn check(
    statement: &[u8],
    own: &Binder,
    credential: &Credential,
    kinds: &[BinderKind],
) -> Result<Binder, Unbound> {
    let mut refusal = Unbound::NoKind;
    for kind in kinds {
        let theirs = Binder { kind: *kind, ..own.reflected() };
        let expected = Expected {
            purpose: Purpose::Binder(*kind),
            domain: credential.domain,
            binder: theirs.digest(),
        };
        match statement::verify(statement, &credential.statement_key, &expected) {
            Ok(s) => {
                let p = &s.program;
                let same = p.measurement == credential.measurement
                    && p.isolation == credential.isolation
                    && p.host == credential.host;
                return if holds("statement_program", same) {
                    Ok(theirs)
                } else {
                    Err(Unbound::Program)
                };
            }
            Err(e) => refusal = e.into(),
        }
    }
    Err(refusal)
}
