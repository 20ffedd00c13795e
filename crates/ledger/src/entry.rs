//! Entries of an authority's log, `KIND UNIX REST` in text: what they say is public, so they name digests and not reasons.

use evidence::{ContentDigest, Time};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A program was admitted: `ROLE DIGEST` of the decision record.
    Admission,
    /// Authentic evidence was refused: `DIGEST` of the record.
    Refusal,
    /// The owners revoked something: the signed payload.
    Revocation,
    /// A policy came into force: `VERSION DIGEST`.
    Policy,
    /// The owners set or took back a role secret: `NAME NUMBER DIGEST` of the signed payload.
    Secret,
    /// Somebody the policy lets speak made a claim: `DIGEST` of it.
    Claim,
    /// Other owners sign from here on: `NUMBER DIGEST` of the signed payload.
    Signers,
}

impl Kind {
    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admission => "admission",
            Self::Refusal => "refusal",
            Self::Revocation => "revocation",
            Self::Policy => "policy",
            Self::Secret => "secret",
            Self::Claim => "claim",
            Self::Signers => "signers",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        let (about, by) = (
            [Self::Admission, Self::Refusal, Self::Revocation, Self::Claim],
            [Self::Policy, Self::Secret, Self::Signers],
        );
        about.into_iter().chain(by).find(|k| k.as_str() == word)
    }
}

/// One entry taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// What happened.
    pub kind: Kind,
    /// When, by the authority's clock.
    pub at: Time,
    /// What else is said.
    pub rest: &'a [u8],
}

/// Longest `rest`; what is longer is cut, and told from its record.
pub const REST_MAX: usize = 4096;

impl<'a> Entry<'a> {
    /// The bytes that are appended.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = format!("{} {} ", self.kind.as_str(), self.at.unix()).into_bytes();
        bytes.extend(self.rest.get(..self.rest.len().min(REST_MAX)).unwrap_or_default());
        bytes
    }

    /// Reads one; none if it is not of this form.
    #[must_use]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut parts = bytes.splitn(3, |b| *b == b' ');
        let mut text = || core::str::from_utf8(parts.next()?).ok();
        let (kind, at) = (Kind::parse(text()?)?, text()?.parse().ok()?);
        Some(Self { kind, at: Time::from_unix(at), rest: parts.next()? })
    }

    /// Version of a policy that came into force.
    #[must_use]
    pub fn policy(&self) -> Option<u64> {
        (self.kind == Kind::Policy).then(|| self.numbered())?.map(|(n, _)| n)
    }

    /// Digest of a policy that came into force.
    #[must_use]
    pub fn policy_digest(&self) -> Option<ContentDigest> {
        let (_, digest) = (self.kind == Kind::Policy).then(|| self.numbered())??;
        ContentDigest::from_hex(digest)
    }

    /// Number of a change of signers.
    #[must_use]
    pub fn signers(&self) -> Option<u64> {
        (self.kind == Kind::Signers).then(|| self.numbered())?.map(|(n, _)| n)
    }

    /// `NUMBER REST`.
    fn numbered(&self) -> Option<(u64, &'a str)> {
        let (number, rest) = core::str::from_utf8(self.rest).ok()?.split_once(' ')?;
        Some((number.parse().ok()?, rest))
    }

    /// Name and number of a role secret.
    #[must_use]
    pub fn secret(&self) -> Option<(&'a str, u64)> {
        (self.kind == Kind::Secret).then_some(())?;
        let mut words = core::str::from_utf8(self.rest).ok()?.split(' ');
        Some((words.next()?, words.next()?.parse().ok()?))
    }

    /// Digest of a claim.
    #[must_use]
    pub fn claim(&self) -> Option<ContentDigest> {
        (self.kind == Kind::Claim).then_some(())?;
        ContentDigest::from_hex(core::str::from_utf8(self.rest).ok()?)
    }

    /// Role of an admission, and digest of its record.
    #[must_use]
    pub fn admission(&self) -> Option<(&'a str, ContentDigest)> {
        (self.kind == Kind::Admission).then_some(())?;
        let (role, digest) = core::str::from_utf8(self.rest).ok()?.split_once(' ')?;
        Some((role, ContentDigest::from_hex(digest)?))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn an_entry_is_read_as_it_was_written_and_nothing_else_is_one() {
        let (digest, at) = (ContentDigest::of(b"x"), Time::from_unix(7));
        let rest = format!("web {digest}");
        let entry = Entry { kind: Kind::Admission, at, rest: rest.as_bytes() };
        let bytes = entry.encode();
        assert_eq!(Entry::parse(&bytes), Some(entry));
        assert_eq!(entry.admission(), Some(("web", digest)));
        assert_eq!(entry.policy(), None);
        let policy = Entry { kind: Kind::Policy, at, rest: b"3 abc" };
        assert_eq!((policy.policy(), policy.admission()), (Some(3), None));
        let (name, rest) = (ContentDigest::of(b"y"), ContentDigest::of(b"y").to_string());
        let claim = Entry { kind: Kind::Claim, at, rest: rest.as_bytes() };
        assert_eq!((claim.claim(), policy.claim()), (Some(name), None));
        assert_eq!(Entry::parse(&claim.encode()), Some(claim));
        assert_eq!((policy.signers(), policy.policy_digest()), (None, None));
        let signers = Entry { kind: Kind::Signers, at, rest: b"2 abc" };
        assert_eq!((signers.signers(), signers.policy()), (Some(2), None));
        let rest = format!("3 {digest}");
        let policy = Entry { kind: Kind::Policy, at, rest: rest.as_bytes() };
        assert_eq!(policy.policy_digest(), Some(digest));
        for junk in [&b""[..], b"admission", b"admission 7", b"admission x web", b"gossip 7 x"] {
            assert_eq!(Entry::parse(junk), None);
        }
        for rest in [&b"web"[..], b"web 00", b"web \xff", b""] {
            assert_eq!(Entry { kind: Kind::Admission, at, rest }.admission(), None);
        }
    }

    #[test]
    fn a_long_entry_is_cut() {
        let long = vec![b'x'; REST_MAX + 9];
        let entry = Entry { kind: Kind::Revocation, at: Time::from_unix(0), rest: &long };
        assert_eq!(Entry::parse(&entry.encode()).unwrap().rest.len(), REST_MAX);
    }
}
