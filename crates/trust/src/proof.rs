//! Proofs: why a key speaks for a role, as data. The rules are written down in `docs/rules.md`; `checker` has its own
//! reading of them and of this encoding.

mod english;

use ciborium::Value;
use evidence::cbor;

/// What is known or concluded. Every term is an array: its name, then its arguments as text (hex for digests).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term(pub Vec<String>);

impl Term {
    /// A term.
    #[must_use]
    pub fn new(parts: &[&str]) -> Self {
        Self(parts.iter().map(|p| (*p).to_owned()).collect())
    }

    /// Its reading in English.
    #[must_use]
    pub fn english(&self) -> String {
        let parts = self.0.iter().map(String::as_str).collect::<Vec<_>>();
        english::of(&parts)
    }
}

/// Why a term holds. `docs/rules.md` states each rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The policy says so.
    Policy,
    /// Authentic evidence says so.
    Evidence,
    /// An authentic claim says so.
    Claim,
    /// R1: hardware the policy takes, shown by evidence, is genuine.
    Genuine,
    /// R2: a genuine machine's evidence makes its monitor trusted.
    Monitor,
    /// R3: what a trusted monitor states of a program's key holds.
    Speaks,
    /// R4: a key that speaks for a program trusted for a role on this hardware speaks for the role.
    Role,
    /// R5: what the policy lists is trusted.
    Listed,
    /// R6: whom the policy names may speak.
    Named,
    /// R7: who may speak and pass it on lets another speak.
    Delegated,
    /// R8: a key that speaks for one that may speak may speak.
    SpeaksFor,
    /// R9: what somebody who may speak about a role trusts is trusted.
    Vouched,
    /// R10: a release of a product the policy takes is trusted.
    Released,
    /// R11: what was built from a source the policy takes is trusted.
    Built,
    /// R12: what follows a trusted measurement is trusted.
    Upgraded,
    /// R13: a machine stands where enough independent issuers say.
    Endorsed,
    /// R14: a machine stands in the region its evidence shows.
    Region,
    /// R15: as R4, for a role that is confined to places.
    PlacedRole,
}

impl Rule {
    /// Every rule.
    pub const ALL: [Self; 18] = [
        Self::Policy,
        Self::Evidence,
        Self::Claim,
        Self::Genuine,
        Self::Monitor,
        Self::Speaks,
        Self::Role,
        Self::Listed,
        Self::Named,
        Self::Delegated,
        Self::SpeaksFor,
        Self::Vouched,
        Self::Released,
        Self::Built,
        Self::Upgraded,
        Self::Endorsed,
        Self::Region,
        Self::PlacedRole,
    ];

    /// The spelling in the encoding.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Evidence => "evidence",
            Self::Claim => "claim",
            Self::Genuine => "R1",
            Self::Monitor => "R2",
            Self::Speaks => "R3",
            Self::Role => "R4",
            Self::Listed => "R5",
            Self::Named => "R6",
            Self::Delegated => "R7",
            Self::SpeaksFor => "R8",
            Self::Vouched => "R9",
            Self::Released => "R10",
            Self::Built => "R11",
            Self::Upgraded => "R12",
            Self::Endorsed => "R13",
            Self::Region => "R14",
            Self::PlacedRole => "R15",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|r| r.as_str() == text)
    }
}

/// One step: a rule, the steps it rests on, what follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The rule.
    pub rule: Rule,
    /// Places of earlier steps.
    pub premises: Vec<usize>,
    /// What follows.
    pub conclusion: Term,
}

/// A proof; the last step is what is proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof(pub Vec<Step>);

impl Proof {
    /// Deterministic CBOR.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let step = |s: &Step| {
            Value::Array(vec![
                s.rule.as_str().into(),
                Value::Array(
                    s.premises
                        .iter()
                        .map(|p| u64::try_from(*p).unwrap_or(u64::MAX).into())
                        .collect(),
                ),
                Value::Array(s.conclusion.0.iter().map(|t| Value::from(t.as_str())).collect()),
            ])
        };
        cbor::encode(&cbor::map(vec![
            (1, 2.into()),
            (2, Value::Array(self.0.iter().map(step).collect())),
        ]))
    }

    /// Reads what [`Proof::encode`] writes.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut f = cbor::Fields::decode(bytes, 1 << 20).ok()?;
        f.version(2).ok()?;
        let steps = f.array(2, "steps").ok()?;
        f.finish().ok()?;
        let number = |v: Value| usize::try_from(v.into_integer().ok()?).ok();
        let step = |v: Value| {
            let [rule, premises, says] = <[Value; 3]>::try_from(v.into_array().ok()?).ok()?;
            let says = says
                .into_array()
                .ok()?
                .into_iter()
                .map(|t| t.into_text().ok())
                .collect::<Option<_>>()?;
            Some(Step {
                rule: Rule::parse(&rule.into_text().ok()?)?,
                premises: premises
                    .into_array()
                    .ok()?
                    .into_iter()
                    .map(number)
                    .collect::<Option<_>>()?,
                conclusion: Term(says),
            })
        };
        steps.into_iter().map(step).collect::<Option<_>>().map(Self)
    }

    /// In English, a line a step.
    #[must_use]
    pub fn english(&self) -> Vec<String> {
        self.0
            .iter()
            .zip(1..)
            .map(|(s, n): (&Step, usize)| {
                let from = s
                    .premises
                    .iter()
                    .map(|p| p.saturating_add(1).to_string())
                    .collect::<Vec<_>>()
                    .join(" and ");
                let why = match s.rule {
                    Rule::Policy | Rule::Evidence | Rule::Claim => String::new(),
                    rule => format!(" (by {}, from {from})", rule.as_str()),
                };
                format!("{n}. {}{why}", s.conclusion.english())
            })
            .collect()
    }
}
