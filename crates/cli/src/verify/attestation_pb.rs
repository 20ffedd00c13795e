//! Values of PCRs in an `Attestation` of go-tpm-tools (protocol buffers), as far as a quote needs them: field 2 is a quote, its field 3 the
//! PCRs, of which 1 is the bank and 2 a map from index to value. Nothing of it is trusted: the quote's digest says whether the values hold.

use evidence::tcg::Bank;
use evidence::tpm::Pcrs;

/// Values by bank; none if the bytes are no such message.
pub(super) fn pcrs(bytes: &[u8]) -> Option<Pcrs> {
    let mut all = Pcrs::new();
    for quote in messages(bytes, 2)? {
        for pcrs in messages(quote, 3)? {
            let bank = Bank::of(u16::try_from(number(pcrs, 1)?).ok()?)?;
            for entry in messages(pcrs, 2)? {
                // An index of zero is left out, as every zero is.
                let index = u32::try_from(number(entry, 1).unwrap_or_default()).ok()?;
                let value = messages(entry, 2)?.pop()?.to_vec();
                all.entry(bank).or_default().insert(index, value);
            }
        }
    }
    Some(all)
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

fn messages(bytes: &[u8], field: u64) -> Option<Vec<&[u8]>> {
    let all = fields(bytes)?;
    let of = all.into_iter().filter(|(n, _)| *n == field);
    of.map(|(_, v)| if let Value::Bytes(b) = v { Some(b) } else { None }).collect()
}

fn number(bytes: &[u8], field: u64) -> Option<u64> {
    fields(bytes)?.into_iter().find_map(|(n, v)| match v {
        Value::Number(v) if n == field => Some(v),
        _ => None,
    })
}

fn fields(mut bytes: &[u8]) -> Option<Vec<(u64, Value<'_>)>> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let value = match tag & 7 {
            0 => Value::Number(varint(&mut bytes)?),
            2 => {
                let len = usize::try_from(varint(&mut bytes)?).ok()?;
                let (head, rest) = bytes.split_at_checked(len)?;
                bytes = rest;
                Value::Bytes(head)
            }
            _ => return None,
        };
        all.push((tag >> 3, value));
    }
    Some(all)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
