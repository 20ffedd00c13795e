//! Certificates in PEM (RFC 7468) as quotes and collateral carry them: strict, since no signature covers the text around them.
//! Line ends are LF or CR LF, base64 is canonical, nothing stands between certificates but line ends.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::refusal::DcapRefusal;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";
/// Longest text taken: vendors' chains of three are below 4 KiB.
pub(super) const TEXT_MAX: usize = 32 * 1024;
/// Most certificates taken from one text.
const CERTIFICATES_MAX: usize = 4;

/// The certificates of a text, DER, in their order.
pub(super) fn certificates(what: &'static str, text: &[u8]) -> Result<Vec<Vec<u8>>, DcapRefusal> {
    if text.len() > TEXT_MAX {
        return Err(DcapRefusal::TooLong { what, got: text.len(), most: TEXT_MAX });
    }
    let bad = || DcapRefusal::Pem(what);
    let mut rest = core::str::from_utf8(text).map_err(|_| bad())?;
    let mut out = Vec::new();
    loop {
        rest = rest.trim_start_matches(['\n', '\r']);
        if rest.is_empty() {
            return Ok(out);
        }
        let inner = rest.strip_prefix(BEGIN).ok_or_else(bad)?;
        let (body, after) = inner.split_once(END).ok_or_else(bad)?;
        let body = body.split(['\n', '\r']).collect::<String>();
        out.push(BASE64_STANDARD.decode(body).map_err(|_| bad())?);
        if out.len() > CERTIFICATES_MAX {
            return Err(bad());
        }
        rest = after;
    }
}

/// As in a quote: a C string, whose end mark may be part of it.
pub(super) fn certificates_of_quote(text: &[u8]) -> Result<Vec<Vec<u8>>, DcapRefusal> {
    certificates("PCK certificate chain", text.strip_suffix(&[0]).unwrap_or(text))
}
