//! Reads the TOML tree field by field. Every mistake is noted with its place and reading goes on, so that all of them are told; a value
//! that makes no sense is never replaced by another, it is left out of what is read and the file is refused.

use core::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::mistake::{Found, Wrong};
use super::near::{disguised, nearest};

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) at: Range<usize>,
}

/// A table of the file, with its dotted name.
pub(super) struct Table<'a, 't> {
    pub(super) name: String,
    pub(super) at: Range<usize>,
    entries: &'a DeTable<'t>,
}

pub(super) type Item<'a, 't> = &'a Spanned<DeValue<'t>>;

/// A field that must be there, and what it states: for who has left it out.
pub(super) type Needed = (&'static str, &'static str);

impl<'a, 't> Table<'a, 't> {
    pub(super) const fn root(entries: &'a DeTable<'t>) -> Self {
        Self { name: String::new(), at: 0..0, entries }
    }

    /// An element of a list of tables.
    pub(super) fn element(name: &str, item: Item<'a, 't>, found: &mut Found<'_>) -> Option<Self> {
        as_table(name.to_owned(), item.span(), item, found)
    }

    pub(super) fn field(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    /// Notes every key that is not of `known`.
    pub(super) fn only(&self, known: &[&str], what: &'static str, found: &mut Found<'_>) {
        for key in self.entries.keys() {
            let word: &str = key.get_ref();
            if !known.contains(&word) && !found.is_full() {
                let wrong = unknown(what, word, known);
                found.error(&key.span(), &self.name, wrong);
            }
        }
    }

    /// The value of `key`, if it is there.
    pub(super) fn item(&self, key: &str) -> Option<Item<'a, 't>> {
        self.entries.get(key)
    }

    /// The value of a field that must be there.
    pub(super) fn needed(&self, (key, why): Needed, found: &mut Found<'_>) -> Option<Item<'a, 't>> {
        let item = self.item(key);
        if item.is_none() {
            found.error(&self.at, &self.name, Wrong::Missing { name: key, why });
        }
        item
    }

    /// The table of `key`.
    pub(super) fn table(&self, key: &str, found: &mut Found<'_>) -> Option<Table<'a, 't>> {
        let (name, item) = self.entries.get_key_value(key)?;
        let at = name.span();
        as_table(self.field(key), at, item, found)
    }

    /// Every entry as a table of its own, by the name it has.
    pub(super) fn tables(&self, found: &mut Found<'_>) -> Vec<(At<String>, Table<'a, 't>)> {
        let mut all = Vec::new();
        for (key, item) in self.entries {
            let name: &str = key.get_ref();
            if let Some(table) = as_table(self.field(name), key.span(), item, found) {
                all.push((At { value: name.to_owned(), at: key.span() }, table));
            }
        }
        all
    }
}

fn as_table<'a, 't>(
    name: String,
    at: Range<usize>,
    item: Item<'a, 't>,
    found: &mut Found<'_>,
) -> Option<Table<'a, 't>> {
    match item.get_ref() {
        DeValue::Table(entries) => Some(Table { name, at, entries }),
        other => {
            wrong_type(&name, "a table", item.span(), other, found);
            None
        }
    }
}

/// What is said of a word that is not known.
pub(super) fn unknown(what: &'static str, word: &str, known: &[&str]) -> Wrong {
    Wrong::Unknown {
        what,
        word: word.to_owned(),
        near: nearest(word, known.iter().copied()).map(ToOwned::to_owned),
        known: known.iter().map(|k| (*k).to_owned()).collect(),
    }
}

fn wrong_type(
    field: &str,
    expected: &'static str,
    at: Range<usize>,
    got: &DeValue<'_>,
    found: &mut Found<'_>,
) {
    let got = match got {
        DeValue::String(s) => s.to_string(),
        DeValue::Integer(i) => i.as_str().to_owned(),
        DeValue::Boolean(b) => b.to_string(),
        other => other.type_str().to_owned(),
    };
    found.error(&at, field, Wrong::Value { expected, got });
}

/// A text.
pub(super) fn text(
    field: &str,
    expected: &'static str,
    item: Item<'_, '_>,
    found: &mut Found<'_>,
) -> Option<At<String>> {
    match item.get_ref() {
        DeValue::String(s) => Some(At { value: s.to_string(), at: item.span() }),
        other => {
            wrong_type(field, expected, item.span(), other, found);
            None
        }
    }
}

/// A whole number that fits.
pub(super) fn number<T: TryFrom<u64>>(
    field: &str,
    expected: &'static str,
    item: Item<'_, '_>,
    found: &mut Found<'_>,
) -> Option<At<T>> {
    let value = match item.get_ref() {
        DeValue::Integer(i) => u64::from_str_radix(i.as_str(), i.radix()).ok(),
        _ => None,
    };
    let Some(value) = value.and_then(|v| T::try_from(v).ok()) else {
        wrong_type(field, expected, item.span(), item.get_ref(), found);
        return None;
    };
    Some(At { value, at: item.span() })
}

/// A list, each element read by `read`; what stands twice is a mistake.
pub(super) fn list<T: PartialEq>(
    field: &str,
    expected: &'static str,
    item: Item<'_, '_>,
    found: &mut Found<'_>,
    mut read: impl FnMut(Item<'_, '_>, &mut Found<'_>) -> Option<T>,
) -> Vec<At<T>> {
    let DeValue::Array(items) = item.get_ref() else {
        wrong_type(field, expected, item.span(), item.get_ref(), found);
        return Vec::new();
    };
    let mut all: Vec<At<T>> = Vec::new();
    for item in items.iter() {
        if let Some(value) = read(item, found) {
            all.push(At { value, at: item.span() });
        }
    }
    all
}

/// Notes what stands twice in a list; sorted by `key`, so that long lists cost no more than reading them.
pub(super) fn distinct<T, K: Ord>(
    field: &str,
    items: &[At<T>],
    key: impl Fn(&T) -> K,
    say: impl Fn(&T) -> String,
    found: &mut Found<'_>,
) {
    let mut seen = std::collections::BTreeSet::new();
    for item in items {
        if !seen.insert(key(&item.value)) {
            found.error(&item.at, field, Wrong::Twice(say(&item.value)));
        }
    }
}

/// A text that `parse` understands.
pub(super) fn word<T>(
    field: &str,
    expected: &'static str,
    item: Item<'_, '_>,
    found: &mut Found<'_>,
    parse: impl Fn(&str) -> Option<T>,
) -> Option<T> {
    let text = text(field, expected, item, found)?;
    let value = parse(&text.value);
    if value.is_none() {
        found.error(&text.at, field, Wrong::Value { expected, got: text.value });
    }
    value
}

/// A text among known ones, with the nearest where it is none of them.
pub(super) fn one_of<T>(
    (field, what): (&str, &'static str),
    known: &[&str],
    item: Item<'_, '_>,
    found: &mut Found<'_>,
    parse: impl Fn(&str) -> Option<T>,
) -> Option<T> {
    let text = text(field, "a text", item, found)?;
    let value = parse(&text.value);
    if value.is_none() {
        found.error(&text.at, field, unknown(what, &text.value, known));
    }
    value
}

/// A name of the allowed form; one in disguise is called that.
pub(super) fn name<T>(
    field: &str,
    expected: &'static str,
    name: &At<String>,
    found: &mut Found<'_>,
    parse: impl Fn(&str) -> Option<T>,
) -> Option<T> {
    let value = parse(&name.value);
    if value.is_none() {
        let got = name.value.clone();
        let wrong = match disguised(&got) {
            Some((character, looks)) => Wrong::Disguised { name: got, character, looks },
            None => Wrong::Value { expected, got },
        };
        found.error(&name.at, field, wrong);
    }
    value
}
