//! AR4SI: eight claims of one signed byte each, and the four tiers they fall into (draft-ietf-rats-ar4si section 2.3).

/// How far a claim or a whole result goes, from best to worst as numbers grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// Nothing is asserted.
    None,
    /// As expected.
    Affirming,
    /// Not as expected, with consequences for the relying party to weigh.
    Warning,
    /// Not to be trusted.
    Contraindicated,
}

impl Tier {
    const ALL: [Self; 4] = [Self::None, Self::Affirming, Self::Warning, Self::Contraindicated];

    /// In JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Affirming => "affirming",
            Self::Warning => "warning",
            Self::Contraindicated => "contraindicated",
        }
    }

    /// Reads that.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.as_str() == text)
    }

    /// In CBOR.
    #[must_use]
    pub const fn code(self) -> i64 {
        match self {
            Self::None => 0,
            Self::Affirming => 2,
            Self::Warning => 32,
            Self::Contraindicated => 96,
        }
    }

    /// Reads that.
    #[must_use]
    pub fn from_code(code: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.code() == code)
    }

    /// The tier of one claim's value.
    #[must_use]
    pub const fn of(value: i8) -> Self {
        match value {
            -1..=1 => Self::None,
            2..=31 | -32..=-2 => Self::Affirming,
            32..=95 | -96..=-33 => Self::Warning,
            96..=127 | -128..=-97 => Self::Contraindicated,
        }
    }
}

/// What a claim is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Which machine it is.
    InstanceIdentity,
    /// How it is configured.
    Configuration,
    /// What runs.
    Executables,
    /// Its files.
    FileSystem,
    /// Its hardware and firmware.
    Hardware,
    /// Whether others see into its memory.
    RuntimeOpaque,
    /// Whether others read what it stores.
    StorageOpaque,
    /// Data from elsewhere.
    SourcedData,
}

impl Claim {
    /// In the order of their CBOR keys.
    pub const ALL: [Self; 8] = [
        Self::InstanceIdentity,
        Self::Configuration,
        Self::Executables,
        Self::FileSystem,
        Self::Hardware,
        Self::RuntimeOpaque,
        Self::StorageOpaque,
        Self::SourcedData,
    ];

    /// In JSON; in CBOR the key is the place in [`Self::ALL`].
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InstanceIdentity => "instance-identity",
            Self::Configuration => "configuration",
            Self::Executables => "executables",
            Self::FileSystem => "file-system",
            Self::Hardware => "hardware",
            Self::RuntimeOpaque => "runtime-opaque",
            Self::StorageOpaque => "storage-opaque",
            Self::SourcedData => "sourced-data",
        }
    }

    /// Reads that.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.as_str() == text)
    }
}

/// A trustworthiness vector. An absent claim says nothing, and that is all a waived check can say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vector(Vec<(Claim, i8)>);

impl Vector {
    /// Sets a claim; of two values the worse one stays.
    pub fn claim(&mut self, claim: Claim, value: i8) {
        match self.0.iter_mut().find(|(c, _)| *c == claim) {
            Some((_, known)) if Tier::of(*known) >= Tier::of(value) => {}
            Some((_, known)) => *known = value,
            None => self.0.push((claim, value)),
        }
    }

    /// A claim's value.
    #[must_use]
    pub fn get(&self, claim: Claim) -> Option<i8> {
        self.0.iter().find(|(c, _)| *c == claim).map(|(_, v)| *v)
    }

    /// The claims that are made, in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (Claim, i8)> {
        Claim::ALL.into_iter().filter_map(|c| Some((c, self.get(c)?)))
    }

    /// The worst tier of any claim: no status above it may be better.
    #[must_use]
    pub fn worst(&self) -> Tier {
        self.0.iter().map(|(_, v)| Tier::of(*v)).max().unwrap_or(Tier::None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_its_tier_at_both_ends_of_each_range() {
        let tiers = [-128, -97, -96, -33, -32, -2, -1, 0, 1, 2, 31, 32, 95, 96, 127].map(Tier::of);
        use Tier::{Affirming as A, Contraindicated as C, None as N, Warning as W};
        assert_eq!(tiers, [C, C, W, W, A, A, N, N, N, A, A, W, W, C, C]);
    }

    #[test]
    fn of_two_values_for_one_claim_the_worse_one_stays() {
        let mut v = Vector::default();
        v.claim(Claim::Hardware, 2);
        v.claim(Claim::Hardware, 96);
        v.claim(Claim::Hardware, 32);
        v.claim(Claim::Executables, 2);
        assert_eq!((v.get(Claim::Hardware), v.worst()), (Some(96), Tier::Contraindicated));
        assert_eq!(
            v.iter().map(|(c, _)| c).collect::<Vec<_>>(),
            [Claim::Executables, Claim::Hardware]
        );
    }
}
