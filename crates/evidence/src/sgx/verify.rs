//! An enclave's quote, verified: what both kinds of quote share ([`crate::dcap`]), then the enclave's report.

use crate::authentic::Authentic;
use crate::dcap::{
    self, DcapRefusal, EnclaveReport, Platform, Tee, VerifiedCollateral, enclave_report,
};
use crate::time::Time;

/// What an authentic quote says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The enclave.
    pub report: EnclaveReport,
    /// The platform under it.
    pub platform: Platform,
}

/// Authentic facts, if the quote's chain ends in the collateral's root and every signature holds at `at`.
///
/// # Errors
/// [`DcapRefusal`], the first that applies.
pub fn verify(
    quote: &[u8],
    collateral: &VerifiedCollateral,
    at: Time,
) -> Result<Authentic<Facts>, DcapRefusal> {
    let quote = dcap::parse(quote)?;
    if quote.header.tee != Tee::Sgx {
        return Err(DcapRefusal::OtherTee { expected: Tee::Sgx.as_str() });
    }
    let signed = dcap::verify(&quote, collateral, at)?;
    let report = enclave_report(quote.body)?;
    let platform = signed.platform(None);
    let (checks, until) = (platform.checks(), platform.window.not_after);
    Ok(Authentic::new(Facts { report, platform }, at, until, checks))
}
