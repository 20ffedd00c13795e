//! The client of the monitor: what a program says on `/run/casemate/program.sock`, `docs/formats/program-socket.md`.
//!
//! Frames are a big-endian u32 length and one deterministic CBOR item. The requests are the keyholder's own
//! ([`keyholder::Request`](crate::keyholder::Request)), which the proxy reads, checks and passes on; what the proxy itself
//! knows of the program's place; and two for a program that ends TLS itself: its key signs the authority's challenge,
//! and the proxy carries the rest. A request's number fixes its form for good; a new form gets a new number.

mod standing;

pub use standing::{News, Peer, Standing, Surroundings};

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use ciborium::Value;
use evidence::cbor::{self, CborError, Fields};
use evidence::{Binder, ContentDigest, HardwareEvidence, Nonce};

use crate::keyholder::{Reply, Request};
use crate::message::MESSAGE_MAX;
use crate::seal::{Opened, StoreId};
use crate::{Info, Platform, PlatformError, Refused, Secret};

/// Where a program finds its socket.
pub const SOCKET: &str = "/run/casemate/program.sock";
/// Where a program finds the SPIFFE Workload API.
pub const WORKLOAD_SOCKET: &str = "/run/casemate/workload.sock";
/// Longest certificate chain or bundle in a reply.
pub const CERTIFICATES_MAX: usize = 8;

/// Longest reason in a reply.
pub const REASON_MAX: usize = 1024;

const CREDENTIAL_BEGIN: u64 = 16;
const CREDENTIAL_FINISH: u64 = 17;
const SURROUNDINGS: u64 = 18;
const STANDING: u64 = 19;
const NEWS: u64 = 20;
const SECRET: u64 = 21;
const NOT_ADMITTED: u64 = 22;
const UNAVAILABLE: u64 = 23;

/// What a program may ask.
#[derive(Debug)]
pub enum ProgramRequest {
    /// Answered by the keyholder.
    Keyholder(Request),
    /// Start an admission for a key of the program's own: its DER SubjectPublicKeyInfo.
    CredentialBegin(Vec<u8>),
    /// Finish it: the key's ECDSA P-256 signature (DER) over what the reply said.
    CredentialFinish(Vec<u8>),
    /// What was I given at my start.
    Surroundings,
    /// How do I stand with the authority; a program whose admission is on its way waits for it.
    Standing,
    /// What is newer than this; answered at once if something is, else as soon as there is, else after a while with
    /// nothing.
    News {
        /// Version of the policy that is known.
        policy: u64,
        /// Number of the newest revocation that is known.
        revocation: u64,
    },
    /// A role secret of the newest admission, by name.
    Secret(String),
}

/// What it is answered.
#[derive(Debug)]
pub enum ProgramReply {
    /// From the keyholder.
    Keyholder(Reply),
    /// To [`ProgramRequest::CredentialBegin`]: sign this.
    ToBeSigned(Vec<u8>),
    /// To [`ProgramRequest::CredentialFinish`]: DER certificates, leaf first.
    Chain(Vec<Vec<u8>>),
    /// To [`ProgramRequest::Surroundings`].
    Surroundings(Surroundings),
    /// To [`ProgramRequest::Standing`].
    Standing(Standing),
    /// To [`ProgramRequest::News`].
    News(News),
    /// To [`ProgramRequest::Secret`].
    Secret(Secret<Vec<u8>>),
    /// The authority does not admit the program: its reasons.
    NotAdmitted(String),
    /// The authority could not be asked: why.
    Unavailable(String),
}

/// One frame: length, then the item. In one piece, and zeroed afterwards, for secrets travel in frames.
///
/// # Errors
/// [`CborError::TooLong`].
pub fn frame(item: &Value) -> Result<Secret<Vec<u8>>, CborError> {
    let item = Secret::new(cbor::encode(item));
    let got = item.expose().len();
    let len = u32::try_from(got).ok().filter(|_| got <= MESSAGE_MAX);
    let len = len.ok_or(CborError::TooLong { max: MESSAGE_MAX, got })?;
    Ok(Secret::new([&len.to_be_bytes(), item.expose().as_slice()].concat()))
}

/// Room for the item after a frame's first four bytes.
///
/// # Errors
/// [`CborError::TooLong`].
pub fn frame_room(len: [u8; 4]) -> Result<Secret<Vec<u8>>, CborError> {
    let got = usize::try_from(u32::from_be_bytes(len)).unwrap_or(usize::MAX);
    if got > MESSAGE_MAX {
        return Err(CborError::TooLong { max: MESSAGE_MAX, got });
    }
    Ok(Secret::new(vec![0; got]))
}

impl ProgramRequest {
    /// As a frame's item.
    #[must_use]
    pub fn encode(&self) -> Value {
        let one =
            |code: u64, b: &[u8]| cbor::map(vec![(1, code.into()), (2, Value::Bytes(b.to_vec()))]);
        match self {
            Self::Keyholder(r) => r.encode(),
            Self::CredentialBegin(spki) => one(CREDENTIAL_BEGIN, spki),
            Self::CredentialFinish(signature) => one(CREDENTIAL_FINISH, signature),
            Self::Surroundings => cbor::map(vec![(1, SURROUNDINGS.into())]),
            Self::Standing => cbor::map(vec![(1, STANDING.into())]),
            Self::News { policy, revocation } => {
                cbor::map(vec![(1, NEWS.into()), (2, (*policy).into()), (3, (*revocation).into())])
            }
            Self::Secret(name) => cbor::map(vec![(1, SECRET.into()), (2, name.as_str().into())]),
        }
    }

    /// From a frame's item.
    ///
    /// # Errors
    /// [`CborError`].
    pub fn decode(value: Value) -> Result<Self, CborError> {
        let mut f = Fields::from_value(value.clone())?;
        let request = match f.uint(1, "request")? {
            CREDENTIAL_BEGIN => Self::CredentialBegin(f.bytes(2, "spki")?),
            CREDENTIAL_FINISH => Self::CredentialFinish(f.bytes(2, "signature")?),
            SURROUNDINGS => Self::Surroundings,
            STANDING => Self::Standing,
            NEWS => {
                Self::News { policy: f.uint(2, "policy")?, revocation: f.uint(3, "revocation")? }
            }
            SECRET => Self::Secret(f.text(2, "name")?),
            _ => return Request::decode(value).map(Self::Keyholder),
        };
        f.finish()?;
        Ok(request)
    }
}

impl ProgramReply {
    /// As a frame's item.
    #[must_use]
    pub fn encode(&self) -> Value {
        match self {
            Self::Keyholder(r) => r.encode(),
            Self::ToBeSigned(b) => {
                cbor::map(vec![(1, CREDENTIAL_BEGIN.into()), (2, Value::Bytes(b.clone()))])
            }
            Self::Chain(chain) => {
                let chain = chain.iter().map(|c| Value::Bytes(c.clone())).collect();
                cbor::map(vec![(1, CREDENTIAL_FINISH.into()), (2, Value::Array(chain))])
            }
            Self::Surroundings(s) => s.encode(SURROUNDINGS),
            Self::Standing(s) => s.encode(STANDING),
            Self::News(n) => n.encode(NEWS),
            Self::Secret(value) => {
                let value = Value::Bytes(value.expose().clone());
                cbor::map(vec![(1, SECRET.into()), (2, value)])
            }
            Self::NotAdmitted(why) => reason(NOT_ADMITTED, why),
            Self::Unavailable(why) => reason(UNAVAILABLE, why),
        }
    }

    /// From a frame's item.
    ///
    /// # Errors
    /// [`CborError`].
    pub fn decode(value: Value) -> Result<Self, CborError> {
        let mut f = Fields::from_value(value.clone())?;
        let reply = match f.uint(1, "reply")? {
            CREDENTIAL_BEGIN => Self::ToBeSigned(f.bytes(2, "to_be_signed")?),
            CREDENTIAL_FINISH => {
                let chain = f.array(2, "chain")?;
                if chain.len() > CERTIFICATES_MAX {
                    return Err(CborError::Field("chain"));
                }
                let der = |v: Value| v.into_bytes().map_err(|_| CborError::Field("chain"));
                Self::Chain(chain.into_iter().map(der).collect::<Result<_, _>>()?)
            }
            SURROUNDINGS => Self::Surroundings(Surroundings::decode(&mut f)?),
            STANDING => Self::Standing(Standing::decode(&mut f)?),
            NEWS => Self::News(News::decode(&mut f)?),
            SECRET => Self::Secret(Secret::new(f.bytes(2, "secret")?)),
            NOT_ADMITTED => Self::NotAdmitted(f.text(2, "why")?),
            UNAVAILABLE => Self::Unavailable(f.text(2, "why")?),
            _ => return Reply::decode(value).map(Self::Keyholder),
        };
        f.finish()?;
        Ok(reply)
    }

    /// From a frame; a no becomes an error.
    ///
    /// # Errors
    /// [`PlatformError`].
    pub fn read(item: &[u8]) -> Result<Self, PlatformError> {
        match Self::decode(cbor::decode(item, MESSAGE_MAX)?)? {
            Self::Keyholder(Reply::Refused(why)) => Err(PlatformError::Refused(why)),
            Self::Keyholder(Reply::NotOpened(why)) => Err(PlatformError::Open(why)),
            Self::NotAdmitted(why) => Err(PlatformError::NotAdmitted(why)),
            Self::Unavailable(why) => Err(PlatformError::Unavailable(why)),
            reply => Ok(reply),
        }
    }
}

fn reason(code: u64, why: &str) -> Value {
    let why = why.chars().take(REASON_MAX).collect::<String>();
    cbor::map(vec![(1, code.into()), (2, why.into())])
}

/// A program's connection to its monitor.
#[derive(Debug)]
pub struct Client(UnixStream);

impl Client {
    /// Connects to the socket a monitor put into the program's root.
    ///
    /// # Errors
    /// [`PlatformError::Socket`]; outside a monitor there is no such socket.
    pub fn connect() -> Result<Self, PlatformError> {
        Self::connect_at(Path::new(SOCKET))
    }

    /// The same at another path.
    ///
    /// # Errors
    /// [`PlatformError::Socket`].
    pub fn connect_at(path: &Path) -> Result<Self, PlatformError> {
        Ok(Self(UnixStream::connect(path)?))
    }

    /// Asks and waits.
    ///
    /// # Errors
    /// [`PlatformError`].
    pub fn ask(&mut self, request: &ProgramRequest) -> Result<ProgramReply, PlatformError> {
        self.0.write_all(frame(&request.encode())?.expose())?;
        let mut len = [0; 4];
        self.0.read_exact(&mut len)?;
        let mut reply = frame_room(len)?;
        self.0.read_exact(reply.expose_mut())?;
        ProgramReply::read(reply.expose())
    }

    fn keyholder(&mut self, request: Request) -> Result<Reply, PlatformError> {
        match self.ask(&ProgramRequest::Keyholder(request))? {
            ProgramReply::Keyholder(reply) => Ok(reply),
            _ => Err(unexpected()),
        }
    }

    /// Hardware evidence for the monitor, with a verifier's nonce.
    ///
    /// # Errors
    /// [`PlatformError`].
    pub fn hardware_evidence(&mut self, nonce: Nonce) -> Result<HardwareEvidence, PlatformError> {
        match self.keyholder(Request::HardwareEvidence(nonce))? {
            Reply::HardwareEvidence(e) => Ok(e),
            _ => Err(unexpected()),
        }
    }

    /// A statement for a connection that this program terminates itself (grant `self-tls`).
    ///
    /// # Errors
    /// [`PlatformError::Refused`] with [`Refused::NotGranted`] without the grant.
    pub fn state(&mut self, binder: &Binder) -> Result<Vec<u8>, PlatformError> {
        match self.keyholder(Request::State(Box::new(binder.clone())))? {
            Reply::Bytes(b) => Ok(b),
            _ => Err(unexpected()),
        }
    }

    /// A credential for a key of the program's own: `sign` signs the challenge with it (ECDSA P-256, DER).
    ///
    /// # Errors
    /// [`PlatformError`]; [`PlatformError::NotAdmitted`] if the authority refuses.
    pub fn credential(
        &mut self,
        spki: &[u8],
        sign: impl FnOnce(&[u8]) -> Option<Vec<u8>>,
    ) -> Result<Vec<Vec<u8>>, PlatformError> {
        let ProgramReply::ToBeSigned(challenge) =
            self.ask(&ProgramRequest::CredentialBegin(spki.to_vec()))?
        else {
            return Err(unexpected());
        };
        let signature = sign(&challenge).ok_or(PlatformError::Refused(Refused::Malformed))?;
        match self.ask(&ProgramRequest::CredentialFinish(signature))? {
            ProgramReply::Chain(chain) => Ok(chain),
            _ => Err(unexpected()),
        }
    }
}

fn unexpected() -> PlatformError {
    io::Error::from(io::ErrorKind::InvalidData).into()
}

impl Platform for Client {
    fn info(&mut self) -> Result<Info, PlatformError> {
        match self.keyholder(Request::Info)? {
            Reply::Info(i) => Ok(i),
            _ => Err(unexpected()),
        }
    }

    fn seal(
        &mut self,
        store: &StoreId,
        version: u64,
        plaintext: &[u8],
    ) -> Result<Vec<u8>, PlatformError> {
        let plaintext = Secret::new(plaintext.to_vec());
        match self.keyholder(Request::Seal { store: store.clone(), version, plaintext })? {
            Reply::Bytes(b) => Ok(b),
            _ => Err(unexpected()),
        }
    }

    fn open(
        &mut self,
        store: &StoreId,
        at_least: u64,
        blob: &[u8],
    ) -> Result<Opened, PlatformError> {
        match self.keyholder(Request::Open {
            store: store.clone(),
            at_least,
            blob: blob.to_vec(),
        })? {
            Reply::Opened(o) => Ok(o),
            _ => Err(unexpected()),
        }
    }

    fn attest(&mut self, nonce: Nonce, said: ContentDigest) -> Result<Vec<u8>, PlatformError> {
        match self.keyholder(Request::Claim { nonce, said })? {
            Reply::Bytes(b) => Ok(b),
            _ => Err(unexpected()),
        }
    }
}

#[cfg(test)]
mod tests;
