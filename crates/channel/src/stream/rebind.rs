//! Re-binding: a live channel is bound anew by fresh credentials, in band, so that it outlives the lease it began with (I6).
//!
//! ```text
//! a -> Offer{nonce, chain}      a's credential was renewed
//! b -> Answer{nonce, chain, statement, proof}
//! a -> Confirm{statement, proof}
//! ```
//! Statements are under the binder of this same TLS connection with fresh nonces and the keys of the new chains; its
//! claims number the re-bind and name the keys before, so that nothing of another re-bind fits. The key of each chain
//! signs that binder too. The program, its monitor and its role stay what they were. Where both sides offer at once the
//! client's offer counts. `docs/formats/channel.md` is the page.

use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ciborium::Value;
use evidence::cbor::{self, CborError, Fields};
use evidence::controls::holds;
use evidence::{Binder, ContentDigest, Nonce, Side, SpkiDigest};
use platform::PlatformError;
use rustls::pki_types::CertificateDer;
use thiserror::Error;
use tokio::time::Instant;

use super::Bound;
use crate::credential::{self, Credential, CredentialRefusal, P256Key, VerifiedCredential};
use crate::frame::Kind;
use crate::handshake::bound::{self, Keys, Unbound, binder};
use crate::handshake::{Party, Stating};
use crate::link::{Link, Nonces};
use crate::session::SessionError;
use crate::standing::Own;

const LABEL: &str = "casemate/re-bind";
const VERSION: u64 = 1;
/// Offers a peer may make at once; each costs this side a statement.
const OFFERS_MAX: u32 = 8;
/// How long until it may make one more.
const OFFER_EVERY: Duration = Duration::from_secs(1);

/// Why a channel is not bound anew, and ends.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RebindError {
    /// A message that is none.
    #[error("re-bind message: {0}")]
    Message(#[from] CborError),
    /// The new credential does not hold.
    #[error("re-bind: peer's credential: {0}")]
    Credential(#[from] CredentialRefusal),
    /// It is of another program, monitor or role.
    #[error(
        "re-bind: the new credential is for {got}, expected {expected}; a channel stays with the program it began with"
    )]
    Program {
        /// Role and measurement of the peer.
        expected: String,
        /// Of the new credential.
        got: String,
    },
    /// The new statement does not bind it.
    #[error("re-bind: {0}")]
    Unbound(#[from] Unbound),
    /// The new key does not sign.
    #[error("re-bind: the peer does not hold the key of its new credential; it was stolen")]
    Possession,
    /// A message out of turn.
    #[error("re-bind: {0:?} out of turn; the peer is broken or hostile")]
    Turn(Kind),
    /// Too many offers.
    #[error("re-bind: more than {OFFERS_MAX} offers at once; the peer is broken or hostile")]
    TooOften,
    /// Own key.
    #[error("re-bind: own key: {0}")]
    Key(#[from] rustls::Error),
    /// Own platform.
    #[error("re-bind: own statement: {0}")]
    Platform(#[from] PlatformError),
    /// The connection.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The network.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// One side's part of an exchange: everything but an anonymous client's is there.
#[derive(Debug, Default)]
struct Part {
    chain: Vec<CertificateDer<'static>>,
    statement: Vec<u8>,
    proof: Vec<u8>,
}

fn bytes(b: &[u8]) -> Value {
    Value::Bytes(b.to_vec())
}

fn certificates(chain: &[CertificateDer<'_>]) -> Value {
    Value::Array(chain.iter().map(|c| bytes(c)).collect())
}

fn read_chain(f: &mut Fields) -> Result<Vec<CertificateDer<'static>>, CborError> {
    let field = CborError::Field("chain");
    let list = f.array(3, "chain")?;
    list.into_iter().map(|v| v.into_bytes().map(Into::into).map_err(|_| field)).collect()
}

fn offer(nonce: Nonce, chain: &[CertificateDer<'_>]) -> Vec<u8> {
    let nonce = bytes(nonce.as_bytes());
    cbor::encode(&cbor::map(vec![(1, VERSION.into()), (2, nonce), (3, certificates(chain))]))
}

fn read_offer(message: &[u8]) -> Result<(Nonce, Part), CborError> {
    let mut f = Fields::decode(message, Kind::Offer.len_max())?;
    f.version(VERSION)?;
    let nonce = f.named(2, "nonce", Nonce::from_slice)?;
    let chain = read_chain(&mut f)?;
    f.finish()?;
    Ok((nonce, Part { chain, ..Part::default() }))
}

fn answer(nonce: Nonce, part: &Part) -> Vec<u8> {
    cbor::encode(&cbor::map(vec![
        (1, VERSION.into()),
        (2, bytes(nonce.as_bytes())),
        (3, certificates(&part.chain)),
        (4, bytes(&part.statement)),
        (5, bytes(&part.proof)),
    ]))
}

fn read_answer(message: &[u8]) -> Result<(Nonce, Part), CborError> {
    let mut f = Fields::decode(message, Kind::Answer.len_max())?;
    f.version(VERSION)?;
    let nonce = f.named(2, "nonce", Nonce::from_slice)?;
    let chain = read_chain(&mut f)?;
    let (statement, proof) = (f.bytes(4, "statement")?, f.bytes(5, "proof")?);
    f.finish()?;
    Ok((nonce, Part { chain, statement, proof }))
}

fn confirm(part: &Part) -> Vec<u8> {
    let (statement, proof) = (bytes(&part.statement), bytes(&part.proof));
    cbor::encode(&cbor::map(vec![(1, VERSION.into()), (4, statement), (5, proof)]))
}

fn read_confirm(message: &[u8]) -> Result<Part, CborError> {
    let mut f = Fields::decode(message, Kind::Confirm.len_max())?;
    f.version(VERSION)?;
    let (statement, proof) = (f.bytes(4, "statement")?, f.bytes(5, "proof")?);
    f.finish()?;
    Ok(Part { statement, proof, ..Part::default() })
}

/// The ends a re-bind leads to, with the binder as this side speaks it.
struct Ends {
    own: Option<Arc<Own>>,
    peer: Option<VerifiedCredential>,
    /// The peer's certificate, for its key.
    leaf: Option<CertificateDer<'static>>,
    binder: Binder,
}

/// How far an exchange is.
enum Phase {
    Idle,
    /// This side offered.
    Offered {
        nonce: Nonce,
        own: Arc<Own>,
    },
    /// This side's statement for the answer is in the making.
    Answering {
        nonce: Nonce,
        ends: Box<Ends>,
        stating: Stating,
    },
    /// It has answered and waits for the peer's part.
    Answered {
        ends: Box<Ends>,
    },
    /// The peer's part held; this side's statement is in the making.
    Confirming {
        ends: Box<Ends>,
        stating: Stating,
    },
}

/// The re-binds of one channel.
pub(super) struct Rebinding {
    phase: Phase,
    /// Re-binds so far.
    number: u64,
    offers: u32,
    refilled: Instant,
}

/// What came of looking.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// Nothing yet.
    OfNothing,
    /// The channel is bound anew.
    OfIt,
}

impl Rebinding {
    pub(super) fn new() -> Self {
        Self { phase: Phase::Idle, number: 0, offers: OFFERS_MAX, refilled: Instant::now() }
    }

    pub(super) const fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Idle)
    }

    /// Begins one with this side's renewed credential.
    pub(super) fn begin<T>(
        &mut self,
        link: &mut Link<T>,
        own: Arc<Own>,
    ) -> Result<(), RebindError> {
        let nonce = platform::fresh_nonce()?;
        link.put(Kind::Offer, &offer(nonce, &own.certified().cert))?;
        self.phase = Phase::Offered { nonce, own };
        Ok(())
    }

    /// A message of the peer's.
    pub(super) fn message<T>(
        &mut self,
        link: &mut Link<T>,
        party: &Party,
        bound: &mut Bound,
        kind: Kind,
        message: &[u8],
    ) -> Result<Came, RebindError> {
        match (kind, core::mem::replace(&mut self.phase, Phase::Idle)) {
            (Kind::Offer, Phase::Offered { nonce, own }) if bound.side == Side::Client => {
                // Both offered: the server drops its own and answers ours.
                self.spend()?;
                self.phase = Phase::Offered { nonce, own };
                Ok(Came::OfNothing)
            }
            (Kind::Offer, Phase::Idle | Phase::Offered { .. }) => {
                self.spend()?;
                let (theirs, part) = read_offer(message)?;
                let nonce = platform::fresh_nonce()?;
                let nonces = Nonces::new(bound.side, nonce, theirs);
                let own = bound.own.as_ref().and_then(|_| party.standing.now().own);
                let ends = self.ends(link, party, bound, nonces, own, part.chain)?;
                self.state(party, ends, |ends, stating| Phase::Answering { nonce, ends, stating });
                Ok(Came::OfNothing)
            }
            (Kind::Answer, Phase::Offered { nonce, own }) => {
                let (theirs, mut part) = read_answer(message)?;
                let nonces = Nonces::new(bound.side, nonce, theirs);
                let chain = core::mem::take(&mut part.chain);
                let ends = self.ends(link, party, bound, nonces, Some(own), chain)?;
                check(party, &ends, &part)?;
                self.state(party, ends, |ends, stating| Phase::Confirming { ends, stating });
                Ok(Came::OfNothing)
            }
            (Kind::Confirm, Phase::Answered { ends }) => {
                check(party, &ends, &read_confirm(message)?)?;
                Ok(self.done(bound, *ends))
            }
            _ => Err(RebindError::Turn(kind)),
        }
    }

    /// Goes on where this side's statement is in the making; ready when there is something new to send.
    pub(super) fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        link: &mut Link<T>,
        bound: &mut Bound,
    ) -> Poll<Result<Came, RebindError>> {
        let stating = match &mut self.phase {
            Phase::Answering { stating, .. } | Phase::Confirming { stating, .. } => stating,
            Phase::Idle | Phase::Offered { .. } | Phase::Answered { .. } => return Poll::Pending,
        };
        let statement = ready!(stating.as_mut().poll(cx))?;
        Poll::Ready(match core::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Answering { nonce, ends, .. } => {
                link.put(Kind::Answer, &answer(nonce, &part(&ends, statement)?))?;
                self.phase = Phase::Answered { ends };
                Ok(Came::OfNothing)
            }
            Phase::Confirming { ends, .. } => {
                link.put(Kind::Confirm, &confirm(&part(&ends, statement)?))?;
                Ok(self.done(bound, *ends))
            }
            _ => Ok(Came::OfNothing),
        })
    }

    fn state(
        &mut self,
        party: &Party,
        ends: Ends,
        phase: impl FnOnce(Box<Ends>, Stating) -> Phase,
    ) {
        // An anonymous client has no platform that speaks for it.
        let stating: Stating = match &ends.own {
            Some(_) => Arc::clone(&party.source).state(ends.binder.clone()),
            None => Box::pin(core::future::ready(Ok(Vec::new()))),
        };
        self.phase = phase(Box::new(ends), stating);
    }

    fn done(&mut self, bound: &mut Bound, ends: Ends) -> Came {
        self.number = self.number.saturating_add(1);
        (bound.own, bound.peer) = (ends.own, ends.peer);
        Came::OfIt
    }

    fn spend(&mut self) -> Result<(), RebindError> {
        let since = Instant::now().duration_since(self.refilled);
        let earned = since.as_secs().checked_div(OFFER_EVERY.as_secs()).unwrap_or(0);
        if earned > 0 {
            self.refilled = Instant::now();
            let earned = u32::try_from(earned).unwrap_or(OFFERS_MAX);
            self.offers = self.offers.saturating_add(earned).min(OFFERS_MAX);
        }
        if !holds("rebind_rate", self.offers > 0) {
            return Err(RebindError::TooOften);
        }
        self.offers = self.offers.saturating_sub(1);
        Ok(())
    }

    /// Where this re-bind leads to, if the peer's new chain is the same program's.
    fn ends<T>(
        &self,
        link: &Link<T>,
        party: &Party,
        bound: &Bound,
        nonces: Nonces,
        own: Option<Arc<Own>>,
        chain: Vec<CertificateDer<'static>>,
    ) -> Result<Ends, RebindError> {
        let trust = party.standing.now().trust;
        let (peer, leaf) = match &bound.peer {
            None if chain.is_empty() => (None, None),
            None => return Err(CredentialRefusal::Count(chain.len()).into()),
            Some(before) => {
                let peer = credential::verify(&chain, &trust, (party.clock)())?;
                same_program(before.credential(), peer.credential())?;
                (Some(peer), chain.into_iter().next())
            }
        };
        let keys = |own: Option<&Arc<Own>>, peer: Option<&VerifiedCredential>| {
            Keys::new(bound.side, own.map(|o| o.spki()), peer.map(VerifiedCredential::spki))
        };
        let binder = binder(
            (party.source.kind(), bound.side),
            trust.root(),
            keys(own.as_ref(), peer.as_ref()),
            nonces,
            link.session(&nonces)?,
            claims(self.number, keys(bound.own.as_ref(), bound.peer.as_ref())),
        );
        Ok(Ends { own, peer, leaf, binder })
    }
}

/// What the binder of re-bind number `number` says besides: the number, and the keys before.
fn claims(number: u64, before: Keys) -> ContentDigest {
    let key = |k: Option<SpkiDigest>| k.map_or(Value::Null, |k| bytes(k.as_bytes()));
    ContentDigest::of(&cbor::encode(&Value::Array(vec![
        LABEL.into(),
        VERSION.into(),
        number.into(),
        key(before.client),
        key(before.server),
    ])))
}

fn same_program(before: &Credential, new: &Credential) -> Result<(), RebindError> {
    let same = before.role == new.role
        && before.measurement == new.measurement
        && before.statement_key == new.statement_key
        && before.kind == new.kind
        && before.isolation == new.isolation
        && before.host == new.host
        && !new.exportable;
    if !holds("rebind_program", same) {
        let text = |c: &Credential| format!("{} {} on {}", c.role, c.measurement, c.statement_key);
        return Err(RebindError::Program { expected: text(before), got: text(new) });
    }
    Ok(())
}

/// This side's part.
fn part(ends: &Ends, statement: Vec<u8>) -> Result<Part, RebindError> {
    let Some(own) = &ends.own else { return Ok(Part::default()) };
    let proof = own.prove(&ends.binder.encode())?;
    Ok(Part { chain: own.certified().cert.clone(), statement, proof })
}

/// The peer's part: 1. its platform's statement, 2. its key's signature, both about this connection and these keys.
fn check(party: &Party, ends: &Ends, part: &Part) -> Result<(), RebindError> {
    let (Some(peer), Some(leaf)) = (&ends.peer, &ends.leaf) else {
        return match part.statement.is_empty() && part.proof.is_empty() {
            true => Ok(()),
            false => Err(CborError::Field("an anonymous client's part").into()),
        };
    };
    // 1
    let theirs =
        bound::check(&part.statement, &ends.binder, peer.credential(), &party.policy.kinds)?;
    // 2
    let key: P256Key = credential::leaf_key(leaf)?;
    if !holds("rebind_possession", key.verifies(&theirs.encode(), &part.proof)) {
        return Err(RebindError::Possession);
    }
    Ok(())
}
