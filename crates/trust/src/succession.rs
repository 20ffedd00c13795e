//! Who signs after whom. A change of signers is an object of its own that follows the genesis in a hash chain, so that the domain root stays
//! what it was; the old k sign it, and k of the new show that they hold their keys. `docs/formats/genesis.md` is its page.
//!
//! Whoever signs next signs only what comes next: a change names the policy, the revocation and the role secrets it follows, and everything up
//! to there stays the word of those who signed before.

use std::collections::BTreeMap;

use ciborium::Value;
use evidence::cbor::{self, CborError, Fields};
use evidence::controls::holds;
use evidence::{ContentDigest, DomainRoot};
use thiserror::Error;

use crate::genesis::Genesis;
use crate::signing::{Namespace, Signed, Signers, SigningError};

const LEN_MAX: usize = 1 << 20;
const VERSION: u64 = 1;

/// What owners sign in [`Namespace::Signers`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignerChange {
    /// The domain.
    pub domain: DomainRoot,
    /// From 1, without gaps.
    pub number: u64,
    /// SHA-384 of the change before, or of the genesis.
    pub previous: ContentDigest,
    /// Who signs from here on.
    pub signers: Signers,
    /// The newest policy the old ones signed; none if there is none.
    pub policy: Option<(u64, ContentDigest)>,
    /// Their newest revocation.
    pub epoch: u64,
    /// Their newest number of each role secret.
    pub secrets: BTreeMap<String, u64>,
}

/// A change that was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    signed: Signed,
    change: SignerChange,
}

impl Change {
    pub(crate) const fn signed(&self) -> &Signed {
        &self.signed
    }
}

/// Why a change of signers is refused.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SuccessionError {
    /// Not signed by enough of those who sign now.
    #[error("change of signers: {0}")]
    Signing(#[from] SigningError),
    /// Malformed.
    #[error("change of signers: {0}")]
    Form(#[from] CborError),
    /// Of another domain.
    #[error("change of signers of domain {got}, expected {expected}")]
    Domain {
        /// Ours.
        expected: DomainRoot,
        /// The change's.
        got: DomainRoot,
    },
    /// Not the next one.
    #[error(
        "change of signers has number {got}, expected {expected}; numbers never go back or leave one out"
    )]
    Number {
        /// The next one.
        expected: u64,
        /// This one's.
        got: u64,
    },
    /// On top of another one.
    #[error(
        "change of signers {number} does not follow what is known, {expected}; there are two, keep both and ask the owners"
    )]
    Chain {
        /// Its number.
        number: u64,
        /// Digest of the one before.
        expected: ContentDigest,
    },
    /// The new ones did not show their keys.
    #[error(
        "change of signers is signed by {got} of the new owners, {need} are needed; each new owner signs it too, so that nobody hands the domain to keys nobody holds"
    )]
    Unpossessed {
        /// Distinct new keys with good signatures.
        got: usize,
        /// The new k.
        need: usize,
    },
    /// It would take back what was signed before it.
    #[error(
        "change of signers begins before the change it follows; make it anew from the newest policy and revocation"
    )]
    Backwards,
}

/// A time in which the same owners signed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Period<'g> {
    pub(crate) signers: &'g Signers,
    from: Option<&'g SignerChange>,
    to: Option<&'g SignerChange>,
}

impl Period<'_> {
    pub(crate) fn covers_policy(&self, version: u64, digest: ContentDigest) -> bool {
        let began = self.from.is_none_or(|c| version > c.policy.map_or(0, |(v, _)| v));
        let before_end = self.to.is_none_or(|to| match to.policy {
            None => false,
            Some((end, pinned)) => {
                version < end || (version == end && holds("retired_policy", digest == pinned))
            }
        });
        began && before_end
    }

    pub(crate) fn covers_revocation(&self, epoch: u64) -> bool {
        self.from.is_none_or(|c| epoch > c.epoch) && self.to.is_none_or(|to| epoch <= to.epoch)
    }

    pub(crate) fn covers_secret(&self, name: &str, number: u64) -> bool {
        let newest = |c: &SignerChange| c.secrets.get(name).copied().unwrap_or(0);
        self.from.is_none_or(|c| number > newest(c))
            && self.to.is_none_or(|to| number <= newest(to))
    }
}

impl SignerChange {
    /// The payload.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let number = |n: usize| Value::from(u64::try_from(n).unwrap_or(u64::MAX));
        let digest = |d: &ContentDigest| Value::Bytes(d.as_bytes().to_vec());
        let policy = self
            .policy
            .as_ref()
            .map_or(Value::Null, |(v, d)| Value::Array(vec![(*v).into(), digest(d)]));
        let secrets = self.secrets.iter();
        let secrets = secrets.map(|(n, v)| Value::Array(vec![n.as_str().into(), (*v).into()]));
        let keys = self.signers.keys().iter().map(|k| Value::from(k.as_str()));
        cbor::encode(&cbor::map(vec![
            (1, VERSION.into()),
            (2, Value::Bytes(self.domain.as_bytes().to_vec())),
            (3, self.number.into()),
            (4, digest(&self.previous)),
            (5, number(self.signers.need())),
            (6, number(self.signers.revoke())),
            (7, Value::Array(keys.collect())),
            (8, policy),
            (9, self.epoch.into()),
            (10, Value::Array(secrets.collect())),
        ]))
    }

    /// Reads it.
    ///
    /// # Errors
    /// [`SuccessionError`].
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, SuccessionError> {
        let mut f = Fields::decode(bytes, LEN_MAX)?;
        f.version(VERSION)?;
        let domain = f.named(2, "domain", DomainRoot::from_slice)?;
        let number = f.uint(3, "number")?;
        let previous = f.named(4, "previous", ContentDigest::from_slice)?;
        let mut count = |key, name| -> Result<usize, CborError> {
            usize::try_from(f.uint(key, name)?).map_err(|_| CborError::Field(name))
        };
        let (need, revoke) = (count(5, "need")?, count(6, "revoke")?);
        let text = |v: Value| v.into_text().map_err(|_| CborError::Field("keys"));
        let keys = f.array(7, "keys")?.into_iter().map(text).collect::<Result<Vec<_>, _>>()?;
        let policy = match f.take(8, "policy")? {
            Value::Null => None,
            v => Some(version(v).ok_or(CborError::Field("policy"))?),
        };
        let epoch = f.uint(9, "epoch")?;
        let secrets = f.array(10, "secrets")?.into_iter().map(secret);
        let secrets = secrets.collect::<Option<_>>().ok_or(CborError::Field("secrets"))?;
        f.finish()?;
        let signers = Signers::new(need, &keys)?.with_revoke(revoke)?;
        Ok(Self { domain, number, previous, signers, policy, epoch, secrets })
    }
}

fn uint(value: Value) -> Option<u64> {
    u64::try_from(value.into_integer().ok()?).ok()
}

fn version(value: Value) -> Option<(u64, ContentDigest)> {
    let [version, digest] = <[Value; 2]>::try_from(value.into_array().ok()?).ok()?;
    Some((uint(version)?, ContentDigest::from_slice(&digest.into_bytes().ok()?)?))
}

fn secret(value: Value) -> Option<(String, u64)> {
    let [name, number] = <[Value; 2]>::try_from(value.into_array().ok()?).ok()?;
    Some((name.into_text().ok()?, uint(number)?))
}

impl Genesis {
    /// Who signs now.
    #[must_use]
    pub fn signers_now(&self) -> &Signers {
        self.changes.last().map_or(&self.signers, |c| &c.change.signers)
    }

    /// The changes of signers so far, oldest first.
    pub fn changes(&self) -> impl Iterator<Item = &SignerChange> {
        self.changes.iter().map(|c| &c.change)
    }

    /// Number and predecessor of the next change of signers.
    #[must_use]
    pub fn next_change(&self) -> (u64, ContentDigest) {
        let known = u64::try_from(self.changes.len()).unwrap_or(u64::MAX);
        let last = self.changes.last().map(|c| ContentDigest::of(&c.signed.payload));
        (known.saturating_add(1), last.unwrap_or_else(|| ContentDigest::of(&self.encode())))
    }

    /// Takes the next change of signers.
    ///
    /// 1. the old k signed it, 2. for this domain, 3. as the next, 4. k of the new hold their keys, 5. it begins where the last one did or later.
    ///
    /// # Errors
    /// [`SuccessionError`].
    pub fn follow(&mut self, signed: Signed) -> Result<(), SuccessionError> {
        // 1
        let payload = signed.verify(self.signers_now(), Namespace::Signers)?;
        let change = SignerChange::decode(payload)?;
        // 2
        let expected = self.root();
        if !holds("succession_domain", change.domain == expected) {
            return Err(SuccessionError::Domain { expected, got: change.domain });
        }
        // 3
        let (number, previous) = self.next_change();
        if !holds("succession_number", change.number == number) {
            return Err(SuccessionError::Number { expected: number, got: change.number });
        }
        if !holds("succession_chain", change.previous == previous) {
            return Err(SuccessionError::Chain { number, expected: previous });
        }
        // 4
        let got = signed.signed_by(&change.signers, Namespace::Signers).len();
        let need = change.signers.need();
        if !holds("succession_possession", got >= need) {
            return Err(SuccessionError::Unpossessed { got, need });
        }
        // 5
        let forward = self.changes().last().is_none_or(|before| {
            let version = |c: &SignerChange| c.policy.map_or(0, |(v, _)| v);
            let secret =
                |(n, v): (&String, &u64)| change.secrets.get(n).is_some_and(|new| new >= v);
            version(&change) >= version(before)
                && change.epoch >= before.epoch
                && before.secrets.iter().all(secret)
        });
        if !holds("succession_forward", forward) {
            return Err(SuccessionError::Backwards);
        }
        self.changes.push(Change { signed, change });
        Ok(())
    }

    /// Every time in which the same owners signed, newest first.
    fn periods(&self) -> impl Iterator<Item = Period<'_>> {
        let begins = core::iter::once(None).chain(self.changes().map(Some));
        let ends = self.changes().map(Some).chain(core::iter::once(None));
        let all = begins.zip(ends).map(|(from, to)| {
            let signers = from.map_or(&self.signers, |c| &c.signers);
            Period { signers, from, to }
        });
        all.collect::<Vec<_>>().into_iter().rev()
    }

    /// An object that those signed who signed when it was made: `within` says whether a time is its own.
    ///
    /// # Errors
    /// Those who sign now did not, or `read`'s.
    pub(crate) fn signed<T, E: From<SigningError>>(
        &self,
        signed: &Signed,
        namespace: Namespace,
        read: impl Fn(&[u8]) -> Result<T, E>,
        within: impl Fn(&T, &Period<'_>) -> bool,
    ) -> Result<T, E> {
        let mut refused = None;
        for period in self.periods() {
            match signed.verify(period.signers, namespace) {
                Ok(payload) => {
                    let object = read(payload)?;
                    if holds("retired_signers", within(&object, &period)) {
                        return Ok(object);
                    }
                    refused = Some(SigningError::Retired(namespace.as_str()));
                }
                Err(e) => refused = refused.or(Some(e)),
            }
        }
        Err(refused.unwrap_or(SigningError::Retired(namespace.as_str())).into())
    }
}
