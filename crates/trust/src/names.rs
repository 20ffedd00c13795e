//! Names that are compared byte for byte: domains (SPIFFE trust domains) and roles (one SPIFFE path segment).

use core::fmt;

/// A SPIFFE trust domain: lower-case letters, digits, `.`, `-`, `_`; 1 to 255 bytes (SPIFFE-ID section 2.1).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomainName(String);

/// A role: one path segment of lower-case letters, digits, `.`, `-`, `_`; 1 to 63 bytes, not `.` or `..`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoleName(String);

fn plain(text: &str, most: usize) -> bool {
    let ok =
        |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_');
    (1..=most).contains(&text.len()) && text.bytes().all(ok) && text != "." && text != ".."
}

impl DomainName {
    /// A name of the allowed form; nothing is lower-cased or repaired.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        plain(text, 255).then(|| Self(text.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The SPIFFE id of a role of this domain.
    #[must_use]
    pub fn spiffe_id(&self, role: &RoleName) -> String {
        format!("spiffe://{}/{}", self.0, role.0)
    }
}

impl RoleName {
    /// A name of the allowed form.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        plain(text, 63).then(|| Self(text.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

macro_rules! shown {
    ($($name:ident),+) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+};
}
shown!(DomainName, RoleName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn look_alikes_and_other_spellings_are_no_names() {
        for bad in ["", "Shop", "shöp", "shop/x", "shop ", "ѕhop", "a%2fb", "..", "."] {
            assert!(DomainName::new(bad).is_none() && RoleName::new(bad).is_none(), "{bad:?}");
        }
        let role = RoleName::new("cache").unwrap();
        assert_eq!(
            DomainName::new("pay.bank.example").unwrap().spiffe_id(&role),
            "spiffe://pay.bank.example/cache"
        );
    }
}
