//! A writer of DER (X.690), as much as certificates and revocation lists take. It writes what it is told, also nonsense.

use evidence::Time;

/// A tag, the length, the content.
#[must_use]
pub fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let len = content.len();
    let mut out = vec![tag];
    if len < 0x80 {
        out.push(len.try_into().unwrap());
    } else {
        let bytes = len.to_be_bytes();
        let used = &bytes[bytes.iter().take_while(|b| **b == 0).count()..];
        out.push(0x80 | u8::try_from(used.len()).unwrap());
        out.extend(used);
    }
    out.extend(content);
    out
}

#[must_use]
pub fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    element(0x30, &parts.concat())
}

#[must_use]
pub fn set(parts: &[Vec<u8>]) -> Vec<u8> {
    element(0x31, &parts.concat())
}

/// A tag of the context, constructed, around `content`.
#[must_use]
pub fn explicit(n: u8, content: &[u8]) -> Vec<u8> {
    element(0xa0 | n, content)
}

/// An unsigned integer from its big-endian bytes.
#[must_use]
pub fn integer(bytes: &[u8]) -> Vec<u8> {
    let mut used = bytes.iter().skip_while(|b| **b == 0).copied().collect::<Vec<_>>();
    if used.first().is_none_or(|b| *b >= 0x80) {
        used.insert(0, 0);
    }
    element(2, &used)
}

#[must_use]
pub fn boolean(value: bool) -> Vec<u8> {
    element(1, &[if value { 0xff } else { 0 }])
}

#[must_use]
pub fn octets(bytes: &[u8]) -> Vec<u8> {
    element(4, bytes)
}

/// A bit string of whole bytes.
#[must_use]
pub fn bits(bytes: &[u8]) -> Vec<u8> {
    element(3, &[&[0], bytes].concat())
}

#[must_use]
pub fn null() -> Vec<u8> {
    element(5, &[])
}

#[must_use]
pub fn text(text: &str) -> Vec<u8> {
    element(12, text.as_bytes())
}

/// An object identifier in dotted form.
#[must_use]
pub fn oid(dotted: &str) -> Vec<u8> {
    let arcs = dotted.split('.').map(|a| a.parse::<u32>().unwrap()).collect::<Vec<_>>();
    let mut out = Vec::new();
    for arc in std::iter::once(arcs[0] * 40 + arcs[1]).chain(arcs[2..].iter().copied()) {
        let mut groups = vec![(arc & 0x7f).try_into().unwrap()];
        let mut rest = arc >> 7;
        while rest > 0 {
            groups.push(0x80 | u8::try_from(rest & 0x7f).unwrap());
            rest >>= 7;
        }
        out.extend(groups.iter().rev());
    }
    element(6, &out)
}

/// UTCTime until 2049, GeneralizedTime from then on (RFC 5280 section 4.1.2.5).
#[must_use]
pub fn time(at: Time) -> Vec<u8> {
    let digits = at.to_string().chars().filter(char::is_ascii_digit).collect::<String>();
    if ("1950".."2050").contains(&&digits[..4]) {
        element(0x17, format!("{}Z", &digits[2..]).as_bytes())
    } else {
        element(0x18, format!("{digits}Z").as_bytes())
    }
}
