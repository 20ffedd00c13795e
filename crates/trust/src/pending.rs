//! An object that waits for its owners' signatures: what is to be signed, byte for byte, and who has signed. It travels by mail, so that
//! nothing in it is believed: what a signer is shown comes from the bytes to be signed. `docs/formats/pending.md` is its page.

use ciborium::Value;
use evidence::cbor::{self, CborError, Fields};
use evidence::controls::holds;
use evidence::{ContentDigest, DomainRoot};
use thiserror::Error;

use crate::describe;
use crate::diff::diff;
use crate::endorsement::AuthorityEndorsement;
use crate::genesis::Genesis;
use crate::permission::is_name;
use crate::policy::{Policy, PolicyInForce, Program};
use crate::revocation::{Revocation, Revoked};
use crate::role_secret::RoleSecret;
use crate::signing::{Namespace, SIGNED_MAX, SIGNERS_MAX, Signed, Signers, signer};
use crate::succession::{SignerChange, SuccessionError};

const VERSION: u64 = 1;

/// What waits, read from the bytes to be signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The next policy.
    Policy(Box<Policy>),
    /// Other signers.
    Signers(Box<SignerChange>),
    /// An authority to speak for the domain.
    Endorsement(Box<AuthorityEndorsement>),
    /// Something that is no longer trusted.
    Revocation(Revocation),
    /// A role secret.
    Secret(Box<RoleSecret>),
}

/// Why a pending object is refused.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PendingError {
    /// Malformed.
    #[error("pending object: {0}")]
    Form(#[from] CborError),
    /// A change of signers that makes no sense.
    #[error("pending object: {0}")]
    Succession(#[from] SuccessionError),
    /// Of another domain.
    #[error(
        "pending object of domain {got}, this one is {expected}; it was not made for you to sign"
    )]
    Domain {
        /// Ours.
        expected: DomainRoot,
        /// Its own.
        got: DomainRoot,
    },
    /// A name that would be shown as something it is not.
    #[error(
        "pending object: {0:?} is no plain name (letters, digits, . - _), as this version writes them; it could be shown as something else"
    )]
    Name(String),
    /// Bytes that say more than is read in them.
    #[error(
        "pending object: its bytes are not those its content is written as; have it made anew by this version"
    )]
    Spelling,
    /// A signature that is none of the owners'.
    #[error(
        "signature {0} is by no owner of this domain over these very bytes for {1}; what was signed is something else, or somebody else did"
    )]
    Stranger(usize, &'static str),
    /// Another object altogether.
    #[error("these are signatures over another object ({got}), this one is {expected}")]
    Other {
        /// This one's digest.
        expected: ContentDigest,
        /// The other one's.
        got: ContentDigest,
    },
    /// It does not follow what is known here.
    #[error(
        "policy version {version} stands on {stands}, in force here is {known}; fetch the versions between, or have it made anew"
    )]
    Behind {
        /// Its number.
        version: u64,
        /// What it stands on.
        stands: String,
        /// What is known.
        known: String,
    },
}

/// The object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The kind.
    pub namespace: Namespace,
    /// The exact bytes to be signed.
    pub payload: Vec<u8>,
    /// SSHSIG, PEM armoured.
    pub signatures: Vec<String>,
    /// Of an authority to be endorsed: what it showed, so that every owner appraises it. Not signed, and worth what its appraisal says.
    pub evidence: Option<Vec<u8>>,
}

/// Who has signed and who has not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Keys with a good signature.
    pub signed: Vec<String>,
    /// Keys that may sign and did not.
    pub missing: Vec<String>,
    /// How many more signatures at least.
    pub lacking: usize,
}

impl Subject {
    /// Reads what is to be signed.
    ///
    /// # Errors
    /// [`PendingError`].
    pub fn read(namespace: Namespace, payload: &[u8]) -> Result<Self, PendingError> {
        let subject = match namespace {
            Namespace::Policy => Self::Policy(Box::new(Policy::decode(payload)?)),
            Namespace::Endorsement => {
                Self::Endorsement(Box::new(AuthorityEndorsement::decode(payload)?))
            }
            Namespace::Revocation => Self::Revocation(Revocation::decode(payload)?),
            Namespace::Secret => Self::Secret(Box::new(RoleSecret::decode(payload)?)),
            Namespace::Signers => Self::Signers(Box::new(SignerChange::decode(payload)?)),
        };
        // ATTACK: a place called "eu, us", or one with a line end and a line of its own, is shown as what it is not.
        if let Some(name) = subject.names().find(|n| !holds("pending_name", is_name(n))) {
            return Err(PendingError::Name(name.to_owned()));
        }
        // ATTACK: bytes that decode to what is shown and mean something else to another reader.
        if !holds("pending_spelling", subject.encode() == payload) {
            return Err(PendingError::Spelling);
        }
        Ok(subject)
    }

    /// Every name in it that is read as text of its own.
    fn names(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        match self {
            Self::Policy(p) => {
                let profiles = p.hardware.iter().map(|h| h.profile.as_str());
                let texts = p.programs.iter().flat_map(|p| p.places.iter().chain(&p.secrets));
                Box::new(profiles.filter(|p| !p.is_empty()).chain(texts.map(String::as_str)))
            }
            Self::Signers(c) => Box::new(c.secrets.keys().map(String::as_str)),
            Self::Secret(s) => Box::new(core::iter::once(s.name.as_str())),
            Self::Endorsement(_) | Self::Revocation(_) => Box::new(core::iter::empty()),
        }
    }

    /// The bytes to be signed.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Policy(p) => p.encode(),
            Self::Signers(c) => c.encode(),
            Self::Endorsement(e) => e.encode(),
            Self::Revocation(r) => r.encode(),
            Self::Secret(s) => s.encode(),
        }
    }

    /// The kind.
    #[must_use]
    pub const fn namespace(&self) -> Namespace {
        match self {
            Self::Policy(_) => Namespace::Policy,
            Self::Signers(_) => Namespace::Signers,
            Self::Endorsement(_) => Namespace::Endorsement,
            Self::Revocation(_) => Namespace::Revocation,
            Self::Secret(_) => Namespace::Secret,
        }
    }

    /// The domain it says it is of.
    #[must_use]
    pub const fn domain(&self) -> DomainRoot {
        match self {
            Self::Policy(p) => p.root,
            Self::Signers(c) => c.domain,
            Self::Endorsement(e) => e.domain,
            Self::Revocation(r) => r.domain,
            Self::Secret(s) => s.domain,
        }
    }

    /// A short name: of its file, and in lists.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Policy(p) => format!("policy-{}", p.version),
            Self::Signers(c) => format!("signers-{}", c.number),
            Self::Endorsement(e) => {
                format!(
                    "endorsement-{}",
                    e.measurement.to_string().chars().take(8).collect::<String>()
                )
            }
            Self::Revocation(r) => format!("revocation-{}", r.epoch),
            Self::Secret(s) => format!("secret-{}-{}", s.name, s.number),
        }
    }

    /// Everything a signer should know: for a policy the whole difference to the one in force, and of what is new all of it.
    ///
    /// # Errors
    /// [`PendingError::Behind`], for a policy that does not stand on the one in force.
    pub fn words(
        &self,
        genesis: &Genesis,
        in_force: Option<&PolicyInForce>,
        names: impl Fn(&str) -> String,
    ) -> Result<Vec<String>, PendingError> {
        Ok(match self {
            Self::Policy(p) => policy_words(p, in_force)?,
            Self::Signers(c) => describe::signers(c, genesis.signers_now(), names),
            Self::Endorsement(e) => describe::endorsement(e),
            Self::Revocation(r) => known_as(
                describe::revocation(r),
                in_force,
                |p| matches!(&r.revoked, Revoked::Measurement(m) if p.measurements.contains(m)),
            ),
            Self::Secret(s) => {
                known_as(describe::secret(s), in_force, |p| p.secrets.contains(&s.name))
            }
        })
    }
}

/// Which roles it touches, by the policy that the signer holds.
fn known_as(
    mut words: Vec<String>,
    in_force: Option<&PolicyInForce>,
    touches: impl Fn(&Program) -> bool,
) -> Vec<String> {
    if let Some(policy) = in_force.map(PolicyInForce::policy) {
        let roles = policy.programs.iter().filter(|p| touches(p)).map(|p| p.role.to_string());
        let roles = roles.collect::<Vec<_>>().join(", ");
        let roles = if roles.is_empty() { "none".to_owned() } else { roles };
        words.push(format!("  roles it concerns under policy version {}: {roles}", policy.version));
    }
    words
}

fn policy_words(
    policy: &Policy,
    in_force: Option<&PolicyInForce>,
) -> Result<Vec<String>, PendingError> {
    let none = || "nothing".to_owned();
    let known = in_force.map(PolicyInForce::digest);
    let next = in_force.map_or(1, |p| p.policy().version.saturating_add(1));
    let follows = policy.previous == known && policy.version == next;
    if !holds("pending_follows", follows) {
        return Err(PendingError::Behind {
            version: policy.version,
            stands: policy.previous.map_or_else(none, |d| d.to_string()),
            known: known.map_or_else(none, |d| d.to_string()),
        });
    }
    let Some(before) = in_force.map(PolicyInForce::policy) else {
        return Ok(describe::policy(policy));
    };
    let mut out = vec![format!(
        "policy version {} of domain {}, after version {}",
        policy.version, policy.domain, before.version
    )];
    out.extend(diff(before, policy).iter().map(ToString::to_string));
    if out.len() == 1 {
        out.push("nothing changes".to_owned());
    }
    // Of what comes, a name says nothing.
    let new = policy.hardware.iter().filter(|h| before.hardware.iter().all(|b| b.kind != h.kind));
    out.extend(new.flat_map(describe::hardware).map(|l| format!("  + {l}")));
    let new = policy.programs.iter().filter(|p| before.programs.iter().all(|b| b.role != p.role));
    out.extend(new.flat_map(describe::program).map(|l| format!("  + {l}")));
    Ok(out)
}

impl Pending {
    /// Nobody has signed it yet.
    #[must_use]
    pub fn new(subject: &Subject) -> Self {
        let (namespace, payload) = (subject.namespace(), subject.encode());
        Self { namespace, payload, signatures: Vec::new(), evidence: None }
    }

    /// Deterministic CBOR.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(&cbor::map(vec![
            (1, VERSION.into()),
            (2, self.namespace.as_str().into()),
            (3, Value::Bytes(self.payload.clone())),
            (4, Value::Array(self.signatures.iter().map(|s| Value::from(s.as_str())).collect())),
            (5, self.evidence.as_ref().map_or(Value::Null, |e| Value::Bytes(e.clone()))),
        ]))
    }

    /// Reads it, for the owners of `genesis`: its domain is theirs, its content is all there is in it, and every signature is an owner's.
    ///
    /// # Errors
    /// [`PendingError`].
    pub fn decode(bytes: &[u8], genesis: &Genesis) -> Result<(Self, Subject), PendingError> {
        let mut f = Fields::decode(bytes, SIGNED_MAX)?;
        f.version(VERSION)?;
        let namespace = f.text(2, "kind")?;
        let namespace = Namespace::parse(&namespace).ok_or(CborError::Field("kind"))?;
        let payload = f.bytes(3, "payload")?;
        let signatures = f.array(4, "signatures")?;
        let evidence = match f.take(5, "evidence")? {
            Value::Null => None,
            Value::Bytes(bytes) if namespace == Namespace::Endorsement => Some(bytes),
            _ => return Err(CborError::Field("evidence").into()),
        };
        f.finish()?;
        if signatures.len() > SIGNERS_MAX {
            return Err(CborError::Field("signatures").into());
        }
        let text = |v: Value| v.into_text().map_err(|_| CborError::Field("signatures"));
        let signatures = signatures.into_iter().map(text).collect::<Result<_, _>>()?;
        let pending = Self { namespace, payload, signatures, evidence };
        let subject = pending.subject(genesis)?;
        for (i, pem) in pending.signatures.iter().enumerate() {
            pending.owner(pem, i.saturating_add(1), genesis, &subject)?;
        }
        Ok((pending, subject))
    }

    /// What is to be signed, if it is of this domain.
    ///
    /// # Errors
    /// [`PendingError`].
    pub fn subject(&self, genesis: &Genesis) -> Result<Subject, PendingError> {
        let subject = Subject::read(self.namespace, &self.payload)?;
        let (expected, got) = (genesis.root(), subject.domain());
        let named = !matches!(&subject, Subject::Policy(p) if p.domain != genesis.domain);
        if !holds("pending_domain", got == expected && named) {
            return Err(PendingError::Domain { expected, got });
        }
        Ok(subject)
    }

    /// The owner who made signature number `n`.
    fn owner(
        &self,
        pem: &str,
        n: usize,
        genesis: &Genesis,
        subject: &Subject,
    ) -> Result<String, PendingError> {
        let key = signer(pem, self.namespace, &self.payload);
        let eligible = eligible(genesis, subject);
        let known = key.filter(|k| holds("pending_stranger", eligible.contains(k)));
        known.ok_or(PendingError::Stranger(n, self.namespace.as_str()))
    }

    /// Adds a signature; whose it is. One owner's second one changes nothing.
    ///
    /// # Errors
    /// [`PendingError::Stranger`] and those of [`Pending::subject`].
    pub fn add(&mut self, pem: &str, genesis: &Genesis) -> Result<String, PendingError> {
        let subject = self.subject(genesis)?;
        let n = self.signatures.len().saturating_add(1);
        let key = self.owner(pem, n, genesis, &subject)?;
        if !self.progress(genesis, &subject).signed.contains(&key) {
            self.signatures.push(pem.to_owned());
        }
        Ok(key)
    }

    /// Takes the signatures of another copy.
    ///
    /// # Errors
    /// [`PendingError::Other`] and those of [`Pending::add`].
    pub fn merge(&mut self, other: &Self, genesis: &Genesis) -> Result<(), PendingError> {
        if !holds(
            "pending_other",
            (self.namespace, &self.payload) == (other.namespace, &other.payload),
        ) {
            let (expected, got) =
                (ContentDigest::of(&self.payload), ContentDigest::of(&other.payload));
            return Err(PendingError::Other { expected, got });
        }
        other.signatures.iter().try_for_each(|pem| self.add(pem, genesis).map(drop))
    }

    /// Who has signed and who has not.
    #[must_use]
    pub fn progress(&self, genesis: &Genesis, subject: &Subject) -> Progress {
        let all = eligible(genesis, subject);
        let mut signed = self
            .signatures
            .iter()
            .filter_map(|p| signer(p, self.namespace, &self.payload))
            .collect::<Vec<_>>();
        signed.sort();
        signed.dedup();
        signed.retain(|k| all.contains(k));
        let missing = all.into_iter().filter(|k| !signed.contains(k)).collect();
        let of = |signers: &Signers| {
            let got = signed.iter().filter(|k| signers.keys().contains(k)).count();
            signers.needed(self.namespace).saturating_sub(got)
        };
        let mut lacking = of(genesis.signers_now());
        if let Subject::Signers(change) = subject {
            lacking = lacking.max(of(&change.signers));
        }
        Progress { signed, missing, lacking }
    }

    /// The signed object, once enough have signed.
    #[must_use]
    pub fn complete(&self, genesis: &Genesis, subject: &Subject) -> Option<Signed> {
        let done = self.progress(genesis, subject).lacking == 0;
        done.then(|| Signed { payload: self.payload.clone(), signatures: self.signatures.clone() })
    }
}

/// Whose signatures count: those who sign now, and whom a change of signers names.
fn eligible(genesis: &Genesis, subject: &Subject) -> Vec<String> {
    let mut all = genesis.signers_now().keys().to_vec();
    if let Subject::Signers(change) = subject {
        all.extend(change.signers.keys().iter().cloned());
        all.sort();
        all.dedup();
    }
    all
}
