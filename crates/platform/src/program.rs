//! The client of the monitor: what a program says on `/run/casemate/program.sock`.
//!
//! Frames are a big-endian u32 length and one deterministic CBOR item. The requests are the keyholder's own
//! ([`keyholder::Request`]), which the proxy reads, checks and passes on, and two for a program that ends TLS itself:
//! its key signs the authority's challenge, and the proxy carries the rest.

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

const CREDENTIAL_BEGIN: u64 = 16;
const CREDENTIAL_FINISH: u64 = 17;

/// What a program may ask.
#[derive(Debug)]
pub enum ProgramRequest {
    /// Answered by the keyholder.
    Keyholder(Request),
    /// Start an admission for a key of the program's own: its DER SubjectPublicKeyInfo.
    CredentialBegin(Vec<u8>),
    /// Finish it: the key's ECDSA P-256 signature (DER) over what the reply said.
    CredentialFinish(Vec<u8>),
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
        }
    }

    /// From a frame's item.
    ///
    /// # Errors
    /// [`CborError`].
    pub fn decode(value: Value) -> Result<Self, CborError> {
        let mut f = Fields::from_value(value.clone())?;
        let make: fn(Vec<u8>) -> Self = match f.uint(1, "request")? {
            CREDENTIAL_BEGIN => Self::CredentialBegin,
            CREDENTIAL_FINISH => Self::CredentialFinish,
            _ => return Request::decode(value).map(Self::Keyholder),
        };
        let request = make(f.bytes(2, "bytes")?);
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
            _ => return Reply::decode(value).map(Self::Keyholder),
        };
        f.finish()?;
        Ok(reply)
    }
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
        let bytes = Secret::new(cbor::encode(&request.encode()));
        let len = u32::try_from(bytes.expose().len()).map_err(|_| CborError::Field("request"))?;
        self.0.write_all(&len.to_be_bytes())?;
        self.0.write_all(bytes.expose())?;
        let mut len = [0; 4];
        self.0.read_exact(&mut len)?;
        let len = usize::try_from(u32::from_be_bytes(len)).unwrap_or(usize::MAX);
        if len > MESSAGE_MAX {
            return Err(CborError::TooLong { max: MESSAGE_MAX, got: len }.into());
        }
        let mut reply = vec![0; len];
        self.0.read_exact(&mut reply)?;
        match ProgramReply::decode(cbor::decode(&reply, MESSAGE_MAX)?)? {
            ProgramReply::Keyholder(Reply::Refused(why)) => Err(PlatformError::Refused(why)),
            ProgramReply::Keyholder(Reply::NotOpened(why)) => Err(PlatformError::Open(why)),
            reply => Ok(reply),
        }
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
    /// [`PlatformError`]; [`Refused::NotAdmitted`] if the authority refuses.
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
