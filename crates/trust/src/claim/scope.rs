//! What somebody may speak about: a topic, and the names within it.
//!
//! A scope is a list of names or, written out, any. Passing a topic on can only narrow it, and a scope with nothing in it
//! is no scope.

use std::collections::BTreeSet;

use ciborium::Value;

/// Names in one scope.
pub const NAMES_MAX: usize = 256;
/// Longest name in a scope: a source repository's.
pub const NAME_LEN_MAX: usize = 512;

/// What a word is about. The names of its scope are the things in parentheses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    /// Which measurements are trusted (roles).
    Program,
    /// Which measurement is which version of a product (products).
    Release,
    /// What a measurement was built from (sources).
    Build,
    /// Which measurement follows which (roles).
    Upgrade,
    /// Where a machine stands and who operates it (countries).
    Place,
    /// Which measurements are not trusted any more (roles).
    Distrust,
}

impl Topic {
    /// Every topic.
    pub const ALL: [Self; 6] =
        [Self::Program, Self::Release, Self::Build, Self::Upgrade, Self::Place, Self::Distrust];

    /// The spelling in policies, claims and proofs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Program => "program",
            Self::Release => "release",
            Self::Build => "build",
            Self::Upgrade => "upgrade",
            Self::Place => "place",
            Self::Distrust => "distrust",
        }
    }

    /// Reads that spelling.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.as_str() == text)
    }
}

/// The names a word counts for, compared byte for byte.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// All of them: written out, never by leaving something away.
    Any,
    /// These; at least one.
    Names(BTreeSet<String>),
}

/// True for a name that can stand in a scope: printable ASCII without what separates names or quotes them.
fn is_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_graphic() && !b"*,\"'`\\".contains(&b);
    (1..=NAME_LEN_MAX).contains(&name.len()) && name.bytes().all(plain)
}

impl Scope {
    /// Of these names, if there is at least one, none twice, and all are names.
    #[must_use]
    pub fn of(names: &[String]) -> Option<Self> {
        let set = names.iter().cloned().collect::<BTreeSet<_>>();
        let sound = set.len() == names.len()
            && (1..=NAMES_MAX).contains(&set.len())
            && set.iter().all(|n| is_name(n));
        sound.then_some(Self::Names(set))
    }

    /// True if `name` is in it.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Names(names) => names.contains(name),
        }
    }

    /// What both contain; none where that is nothing.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Any, scope) | (scope, Self::Any) => Some(scope.clone()),
            (Self::Names(a), Self::Names(b)) => {
                let both = a.intersection(b).cloned().collect::<BTreeSet<_>>();
                (!both.is_empty()).then_some(Self::Names(both))
            }
        }
    }

    /// True if everything in `other` is in it too.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (Self::Names(_), Self::Any) => false,
            (Self::Names(a), Self::Names(b)) => b.is_subset(a),
        }
    }

    /// As proofs spell it: `*`, or the names in order, with commas.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Any => "*".to_owned(),
            Self::Names(names) => names.iter().map(String::as_str).collect::<Vec<_>>().join(","),
        }
    }

    pub(crate) fn encode(&self) -> Value {
        match self {
            Self::Any => "*".into(),
            Self::Names(names) => {
                Value::Array(names.iter().map(|n| Value::from(n.as_str())).collect())
            }
        }
    }

    pub(crate) fn decode(value: Value) -> Option<Self> {
        match value {
            Value::Text(t) if t == "*" => Some(Self::Any),
            Value::Array(items) => {
                let names = items.into_iter().map(|v| v.into_text().ok());
                let names = names.collect::<Option<Vec<_>>>()?;
                // One way to write a scope: in order.
                let sorted = names.windows(2).all(|w| matches!(w, [a, b] if a < b));
                Self::of(&names).filter(|_| sorted)
            }
            _ => None,
        }
    }
}

impl core::fmt::Display for Scope {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Names(_) => f.write_str(&self.text()),
        }
    }
}
