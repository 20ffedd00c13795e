//! Identity of the quoting enclave (Intel PCS API v4, `GET /qe/identity`): whose enclave may hold attestation keys, and what
//! its SVN is worth. Read from the text whose signature was checked.

use serde::Deserialize;

use super::layout::{EnclaveReport, Tee};
use super::refusal::DcapRefusal;
use super::signed_json::{Mask, RawSvnLevel, SvnLevel, date, hex_bytes, svn_levels, window};
use crate::time::{Time, Window};

/// The identity, its signature held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QeIdentity {
    /// What it is for.
    pub tee: Tee,
    /// From `issueDate` to `nextUpdate`.
    pub window: Window,
    /// `tcbEvaluationDataNumber`: grows with every TCB recovery.
    pub evaluation: u32,
    pub(super) misc_select: Mask<4>,
    pub(super) attributes: Mask<16>,
    pub(super) mr_signer: [u8; 32],
    pub(super) isv_prod_id: u16,
    /// Highest first.
    pub(super) levels: Vec<SvnLevel>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    id: String,
    version: u8,
    #[serde(deserialize_with = "date")]
    issue_date: Time,
    #[serde(deserialize_with = "date")]
    next_update: Time,
    tcb_evaluation_data_number: u32,
    #[serde(deserialize_with = "hex_bytes")]
    miscselect: [u8; 4],
    #[serde(deserialize_with = "hex_bytes")]
    miscselect_mask: [u8; 4],
    #[serde(deserialize_with = "hex_bytes")]
    attributes: [u8; 16],
    #[serde(deserialize_with = "hex_bytes")]
    attributes_mask: [u8; 16],
    #[serde(deserialize_with = "hex_bytes")]
    mrsigner: [u8; 32],
    isvprodid: u16,
    tcb_levels: Vec<RawSvnLevel>,
}

impl QeIdentity {
    /// Reads the text.
    pub(super) fn parse(text: &str) -> Result<Self, DcapRefusal> {
        let what = "QE identity";
        let form = |e: serde_json::Error| DcapRefusal::Json { what, why: e.to_string() };
        let refuse = |why: &str| DcapRefusal::Json { what, why: why.to_owned() };
        let raw = serde_json::from_str::<Raw>(text).map_err(form)?;
        let tee = match (raw.version, raw.id.as_str()) {
            (2, "QE") => Tee::Sgx,
            (2, "TD_QE") => Tee::Tdx,
            (2, _) => return Err(refuse("id is neither QE nor TD_QE")),
            (version, _) => return Err(DcapRefusal::JsonVersion { what, version }),
        };
        Ok(Self {
            tee,
            window: window(raw.issue_date, raw.next_update),
            evaluation: raw.tcb_evaluation_data_number,
            misc_select: Mask { value: raw.miscselect, mask: raw.miscselect_mask },
            attributes: Mask { value: raw.attributes, mask: raw.attributes_mask },
            mr_signer: raw.mrsigner,
            isv_prod_id: raw.isvprodid,
            levels: svn_levels(raw.tcb_levels)
                .ok_or_else(|| refuse("too many levels, or two for one SVN"))?,
        })
    }

    /// The first field of `report` that is not as the identity says, if there is one.
    pub(super) fn differs(&self, report: &EnclaveReport) -> Option<&'static str> {
        // MISCSELECT is a number in the report and bytes in the identity, least significant first (as Intel compares it).
        let misc = report.misc_select.to_le_bytes();
        let fields = [
            ("MRSIGNER", self.mr_signer == report.mr_signer),
            ("ISVPRODID", self.isv_prod_id == report.isv_prod_id),
            ("MISCSELECT", self.misc_select.fits(&misc)),
            ("ATTRIBUTES", self.attributes.fits(&report.attributes)),
        ];
        fields.into_iter().find(|(_, same)| !same).map(|(name, _)| name)
    }
}
