//! What a profile says of one value: one of a list, or, written out, unconstrained. There is no third state and no default.
//! A check that fails says what to do.

use crate::authentic::Check;
use crate::controls::holds;

/// The check of one knob; its name is its control's.
pub(crate) fn judge(
    name: &'static str,
    good: bool,
    detail: impl Into<String>,
    advice: &str,
) -> Check {
    let detail = detail.into();
    if holds(name, good) {
        Check::passed(name, detail)
    } else {
        Check::failed(name, format!("{detail}; {advice}"))
    }
}

/// The values taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted<T> {
    /// Any value; results say so.
    Unconstrained,
    /// Exactly these. An empty list takes nothing.
    OneOf(Vec<T>),
}

impl<T: PartialEq> Wanted<T> {
    /// True if the profile takes that value.
    #[must_use]
    pub fn takes(&self, value: &T) -> bool {
        match self {
            Self::Unconstrained => true,
            Self::OneOf(list) => list.contains(value),
        }
    }

    /// True if the profile takes a value that may be absent: an absent one only if it is unconstrained.
    #[must_use]
    pub fn takes_opt(&self, value: Option<&T>) -> bool {
        match (self, value) {
            (Self::Unconstrained, _) => true,
            (Self::OneOf(list), Some(value)) => list.contains(value),
            (Self::OneOf(_), None) => false,
        }
    }
}

impl<T: PartialEq> Wanted<T> {
    /// The check of a value that may be absent.
    pub(crate) fn judge(
        &self,
        name: &'static str,
        value: Option<&T>,
        shown: &str,
        advice: &str,
    ) -> Check {
        match self {
            Self::Unconstrained => Check::passed(name, format!("{shown} (unconstrained)")),
            Self::OneOf(_) => judge(name, self.takes_opt(value), shown, advice),
        }
    }
}

impl<T> Wanted<T> {
    /// In words, for a profile's digest and for people.
    #[must_use]
    pub fn words(&self, show: impl Fn(&T) -> String) -> String {
        match self {
            Self::Unconstrained => "unconstrained".to_owned(),
            Self::OneOf(list) if list.is_empty() => "none".to_owned(),
            Self::OneOf(list) => list.iter().map(show).collect::<Vec<_>>().join(" or "),
        }
    }
}

impl<T: AsRef<[u8]>> Wanted<T> {
    /// In words, values in hex.
    #[must_use]
    pub fn hex_words(&self) -> String {
        self.words(|value| hex::encode(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_taken_unless_it_is_listed_or_all_are() {
        assert!(Wanted::Unconstrained.takes(&1) && Wanted::Unconstrained::<u8>.takes_opt(None));
        let list = Wanted::OneOf(vec![1, 2]);
        assert_eq!([list.takes(&2), list.takes(&3), list.takes_opt(None)], [true, false, false]);
        assert!(!Wanted::OneOf(Vec::new()).takes(&1));
        assert_eq!(list.words(u8::to_string), "1 or 2");
    }
}
