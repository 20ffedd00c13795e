//! A trust domain's quote, verified: what both kinds of quote share ([`crate::dcap`]), then the domain's report.

use super::layout::{Td15, TdReport};
use crate::authentic::Authentic;
use crate::dcap::layout::BodyKind;
use crate::dcap::{self, DcapRefusal, Platform, Reader, TdSvns, Tee, VerifiedCollateral};
use crate::time::Time;

/// What an authentic quote says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The domain.
    pub report: TdReport,
    /// TD 1.0 or 1.5.
    pub body: BodyKind,
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
    if quote.header.tee != Tee::Tdx {
        return Err(DcapRefusal::OtherTee { expected: Tee::Tdx.as_str() });
    }
    let signed = dcap::verify(&quote, collateral, at)?;
    let report = td_report(quote.body, quote.kind)?;
    let svns = TdSvns {
        launched: report.tee_tcb_svn,
        current: report.td15.as_ref().map(|r| r.tee_tcb_svn2),
        mr_signer_seam: report.mr_signer_seam,
        seam_attributes: report.seam_attributes,
    };
    let platform = signed.platform(Some(&svns));
    let (checks, until) = (platform.checks(), platform.window.not_after);
    Ok(Authentic::new(Facts { report, body: quote.kind, platform }, at, until, checks))
}

fn td_report(body: &[u8], kind: BodyKind) -> Result<TdReport, DcapRefusal> {
    let mut r = Reader { what: "TD report", rest: body };
    Ok(TdReport {
        tee_tcb_svn: r.array()?,
        mr_seam: r.array()?,
        mr_signer_seam: r.array()?,
        seam_attributes: r.array()?,
        td_attributes: r.array()?,
        xfam: r.array()?,
        mr_td: r.array()?,
        mr_config_id: r.array()?,
        mr_owner: r.array()?,
        mr_owner_config: r.array()?,
        rtmr: [r.array()?, r.array()?, r.array()?, r.array()?],
        report_data: r.array()?,
        td15: match kind {
            BodyKind::Td15 => Some(Td15 { tee_tcb_svn2: r.array()?, mr_service_td: r.array()? }),
            BodyKind::Td10 | BodyKind::Enclave => None,
        },
    })
}
