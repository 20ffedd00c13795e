//! The check of one knob of a profile. Its name is its control's; one that fails says what to do; one that the profile leaves
//! open is reported as not applicable, never as passed.

use crate::authentic::Check;
use crate::controls::holds;
use crate::profile::Stated;

/// What there is to do about a value that is not on a list.
const LISTED: &str = "it is not on the profile's list";

/// The check of a knob that is always judged.
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

/// The check of a knob that may be open.
pub(crate) fn stated<T>(
    name: &'static str,
    knob: &Stated<T>,
    detail: impl Into<String>,
    advice: &str,
    good: impl FnOnce(&T) -> bool,
) -> Check {
    match knob.value() {
        Some(wanted) => judge(name, good(wanted), detail, advice),
        None => {
            Check::not_applicable(name, format!("{}; the profile leaves it open", detail.into()))
        }
    }
}

/// The check of a knob that lists values: one of them must be there, whole.
pub(crate) fn listed<T: PartialEq>(
    name: &'static str,
    knob: &Stated<Vec<T>>,
    seen: Option<&T>,
    shown: &str,
) -> Check {
    stated(name, knob, shown, LISTED, |list| seen.is_some_and(|seen| list.contains(seen)))
}

/// The same for bytes, which profiles list in hex.
pub(crate) fn listed_hex(
    name: &'static str,
    knob: &Stated<Vec<String>>,
    seen: Option<&[u8]>,
) -> Check {
    let seen = seen.map(hex::encode);
    listed(name, knob, seen.as_ref(), seen.as_deref().unwrap_or("absent"))
}

/// True if a list names values of these lengths in lower-case hex, or is open.
pub(crate) fn is_hex(knob: &Stated<Vec<String>>, lengths: &[usize]) -> bool {
    let digit = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    let fits = |t: &String| lengths.iter().any(|n| n.saturating_mul(2) == t.len());
    knob.value().into_iter().flatten().all(|t| fits(t) && t.bytes().all(digit))
}

/// A list in words.
pub(crate) fn words<T: ToString>(knob: &Stated<Vec<T>>) -> String {
    knob.words(|list| names(list.iter().map(ToString::to_string)))
}

/// Names joined, or that there is none.
pub(crate) fn names(all: impl Iterator<Item = String>) -> String {
    let all = all.collect::<Vec<_>>();
    if all.is_empty() { "none named".to_owned() } else { all.join(" or ") }
}
