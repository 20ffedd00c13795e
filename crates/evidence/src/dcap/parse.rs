//! Bytes to a [`Quote`]. Every length is checked against what is there and against what the version fixes; nothing is judged.

use super::layout::{
    BodyKind, Certification, EnclaveReport, HEADER_LEN, Header, QUOTE_MAX, Quote, REPORT_LEN, Tee,
};
use super::refusal::DcapRefusal;

/// Certification data type of the quoting enclave's report with what certifies it (versions 4 and 5).
const QE_REPORT_DATA: u16 = 6;

/// Takes a quote of version 3, 4 or 5 apart.
///
/// # Errors
/// [`DcapRefusal`]: lengths, and versions and types that are not understood.
pub fn parse(bytes: &[u8]) -> Result<Quote<'_>, DcapRefusal> {
    if bytes.len() > QUOTE_MAX {
        let got = bytes.len();
        return Err(DcapRefusal::TooLong { what: "quote", got, most: QUOTE_MAX });
    }
    let mut r = Reader { what: "quote", rest: bytes };
    let header = header(&mut r)?;
    let (kind, descriptor) = body_kind(&header, &mut r)?;
    let body = r.take(kind.len())?;
    let signed_len = HEADER_LEN.saturating_add(descriptor).saturating_add(kind.len());
    let signed = bytes.get(..signed_len).unwrap_or_default();
    let len = r.u32()?;
    let mut s = Reader { what: "quote signature data", rest: r.take(len)? };
    let (signature, key) = (s.take(64)?, s.take(64)?);
    if header.version >= 4 {
        let (kind, inner) = (s.u16()?, s.u32()?);
        if kind != QE_REPORT_DATA {
            return Err(DcapRefusal::CertificationType { expected: "6", got: kind });
        }
        let inner = s.take(inner)?;
        s.end()?;
        s = Reader { what: "QE report certification data", rest: inner };
    }
    let (qe_report, qe_signature) = (s.take(REPORT_LEN)?, s.take(64)?);
    let auth = s.u16()?;
    let qe_auth = s.take(auth.into())?;
    let (kind_of_chain, len) = (s.u16()?, s.u32()?);
    let data = s.take(len)?;
    s.end()?;
    let certification = match kind_of_chain {
        5 => Certification::Chain(data),
        1..=4 => Certification::Elsewhere(kind_of_chain),
        got => return Err(DcapRefusal::CertificationType { expected: "1 to 5", got }),
    };
    let trailing = r.rest;
    Ok(Quote {
        header,
        kind,
        body,
        signed,
        signature,
        key,
        qe_report,
        qe_signature,
        qe_auth,
        certification,
        trailing,
    })
}

fn header(r: &mut Reader<'_>) -> Result<Header, DcapRefusal> {
    let version = r.u16()?;
    if !matches!(version, 3..=5) {
        return Err(DcapRefusal::Version(version));
    }
    let key_type = r.u16()?;
    if key_type != 2 {
        return Err(DcapRefusal::KeyType(key_type));
    }
    let tee = match (version, r.u32()?) {
        (3..=5, 0) => Tee::Sgx,
        (4..=5, 0x81) => Tee::Tdx,
        (_, tee) => return Err(DcapRefusal::TeeType { version, tee }),
    };
    // QE_SVN and PCE_SVN in version 3, reserved later: the certificate and the QE's report say it, signed.
    r.take(4)?;
    Ok(Header { version, tee, vendor: r.array()?, user_data: r.array()? })
}

/// The kind of body, and the length of the descriptor that says so (version 5 only).
fn body_kind(header: &Header, r: &mut Reader<'_>) -> Result<(BodyKind, usize), DcapRefusal> {
    if header.version < 5 {
        let kind = if header.tee == Tee::Sgx { BodyKind::Enclave } else { BodyKind::Td10 };
        return Ok((kind, 0));
    }
    let (number, len) = (r.u16()?, r.u32()?);
    let kind = match (header.tee, number) {
        (Tee::Sgx, 1) => BodyKind::Enclave,
        (Tee::Tdx, 2) => BodyKind::Td10,
        (Tee::Tdx, 3) => BodyKind::Td15,
        (tee, number) => return Err(DcapRefusal::BodyType { tee: tee.as_str(), number }),
    };
    if len != kind.len() {
        return Err(DcapRefusal::BodyLength { expected: kind.len(), got: len });
    }
    Ok((kind, 6))
}

/// Reads an enclave's report body.
///
/// # Errors
/// [`DcapRefusal::Short`].
pub(crate) fn enclave_report(bytes: &[u8]) -> Result<EnclaveReport, DcapRefusal> {
    let mut r = Reader { what: "enclave report", rest: bytes };
    let (cpu_svn, misc_select) = (r.array()?, r.array().map(u32::from_le_bytes)?);
    r.take(12)?;
    let (isv_ext_prod_id, attributes, mr_enclave) = (r.array()?, r.array()?, r.array()?);
    r.take(32)?;
    let mr_signer = r.array()?;
    r.take(32)?;
    let config_id = r.array()?;
    let (isv_prod_id, isv_svn, config_svn) = (r.u16()?, r.u16()?, r.u16()?);
    r.take(42)?;
    Ok(EnclaveReport {
        cpu_svn,
        misc_select,
        isv_ext_prod_id,
        attributes,
        mr_enclave,
        mr_signer,
        config_id,
        isv_prod_id,
        isv_svn,
        config_svn,
        isv_family_id: r.array()?,
        report_data: r.array()?,
    })
}

/// Little-endian fields, one after the other.
pub(crate) struct Reader<'a> {
    /// What is read, for the refusal.
    pub(crate) what: &'static str,
    /// What is left of it.
    pub(crate) rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// The next `len` bytes.
    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], DcapRefusal> {
        let short = DcapRefusal::Short { what: self.what, needed: len, got: self.rest.len() };
        let (head, rest) = self.rest.split_at_checked(len).ok_or(short)?;
        self.rest = rest;
        Ok(head)
    }

    /// The next `N` bytes.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], DcapRefusal> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    fn u16(&mut self) -> Result<u16, DcapRefusal> {
        self.array().map(u16::from_le_bytes)
    }

    /// A length or a number of 32 bits; on a machine with smaller addresses no buffer is that long.
    fn u32(&mut self) -> Result<usize, DcapRefusal> {
        let value = self.array().map(u32::from_le_bytes)?;
        Ok(usize::try_from(value).unwrap_or(usize::MAX))
    }

    /// Nothing may be left inside a part whose length was stated.
    fn end(&self) -> Result<(), DcapRefusal> {
        let (what, bytes) = (self.what, self.rest.len());
        if bytes == 0 { Ok(()) } else { Err(DcapRefusal::Excess { what, bytes }) }
    }
}
