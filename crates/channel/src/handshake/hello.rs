//! Hello and News: the first messages of each side. `docs/formats/channel.md` is their page.

use ciborium::Value;
use evidence::Nonce;
use evidence::cbor::{self, CborError, Fields};
use trust::Revocations;
use trust::signing::Signed;

use crate::frame::Kind;
use crate::standing::Epochs;

const VERSION: u64 = 1;
/// Most revocations in one News; whoever lacks more asks its authority.
pub(crate) const NEWS_MAX: usize = 64;

/// How much a side wants to know of its peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Both platforms sign the binder.
    Bound,
    /// The server's platform signs it; the client is anonymous.
    OneSided,
    /// The attested keys alone, for peers that only speak SPIFFE mutual TLS: no frames, no messages.
    Credential,
}

impl Mode {
    /// As a Hello spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bound => "bound",
            Self::OneSided => "one-sided",
            Self::Credential => "credential",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Bound, Self::OneSided].into_iter().find(|m| m.as_str() == text)
    }

    /// True if the channel has frames.
    #[must_use]
    pub const fn is_framed(self) -> bool {
        !matches!(self, Self::Credential)
    }
}

#[derive(Debug)]
pub(crate) struct Hello {
    pub(crate) nonce: Nonce,
    pub(crate) mode: Mode,
    pub(crate) epochs: Epochs,
    /// The server's port that is meant.
    pub(crate) port: Option<u16>,
}

impl Hello {
    pub(crate) fn encode(&self) -> Vec<u8> {
        cbor::encode(&cbor::map(vec![
            (1, VERSION.into()),
            (2, Value::Bytes(self.nonce.as_bytes().to_vec())),
            (3, self.mode.as_str().into()),
            (4, self.epochs.policy.into()),
            (5, self.epochs.revocation.into()),
            (6, self.port.map_or(Value::Null, Value::from)),
        ]))
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, CborError> {
        let mut f = Fields::decode(bytes, Kind::Hello.len_max())?;
        f.version(VERSION)?;
        let hello = Self {
            nonce: f.named(2, "nonce", Nonce::from_slice)?,
            mode: Mode::parse(&f.text(3, "mode")?).ok_or(CborError::Field("mode"))?,
            epochs: Epochs {
                policy: f.uint(4, "policy epoch")?,
                revocation: f.uint(5, "revocation epoch")?,
            },
            port: match f.take(6, "port")? {
                Value::Null => None,
                v => {
                    let port = v.into_integer().ok().and_then(|i| u16::try_from(i).ok());
                    Some(port.ok_or(CborError::Field("port"))?)
                }
            },
        };
        f.finish()?;
        Ok(hello)
    }
}

/// The revocations after number `heard`, up to number `own`: as many as one message takes.
pub(crate) fn news(revocations: &Revocations, heard: u64, own: u64) -> Vec<u8> {
    let most = usize::try_from(own.saturating_sub(heard)).unwrap_or(usize::MAX).min(NEWS_MAX);
    let signed = revocations.after(heard);
    let encode = |signed: &[Signed]| {
        let list = signed.iter().map(|s| Value::Bytes(s.encode())).collect();
        cbor::encode(&cbor::map(vec![(1, VERSION.into()), (2, Value::Array(list))]))
    };
    // With many owners a signed object is long, and fewer fit.
    let fits =
        |n: &usize| encode(signed.get(..*n).unwrap_or(&signed)).len() <= Kind::News.len_max();
    let n = core::iter::successors(Some(most), |n| n.checked_div(2).filter(|h| h < n)).find(fits);
    encode(signed.get(..n.unwrap_or(0)).unwrap_or(&signed))
}

/// Reads [`news`]; what its revocations are worth, the owners' signatures say.
pub(crate) fn read_news(bytes: &[u8]) -> Result<Vec<Signed>, CborError> {
    let field = CborError::Field("revocations");
    let mut f = Fields::decode(bytes, Kind::News.len_max())?;
    f.version(VERSION)?;
    let list = f.array(2, "revocations")?;
    if list.len() > NEWS_MAX {
        return Err(field);
    }
    let signed = list.into_iter().map(|v| {
        let bytes = v.into_bytes().map_err(|_| field)?;
        Signed::decode(&bytes).map_err(|_| field)
    });
    let signed = signed.collect::<Result<_, _>>()?;
    f.finish()?;
    Ok(signed)
}
