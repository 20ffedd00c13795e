//! Signed payloads of the software platform to values. What comes out is only what somebody signed, not yet what holds.

use super::layout::{Endorsement, LEN_MAX, MARK, Report, VERSION};
use super::refusal::SoftwareRefusal;
use crate::bytes::{Measurement, ReportData, StatementKey};
use crate::cbor::{CborError, Fields};
use crate::time::{Time, Window};

pub(super) fn parse_endorsement(payload: &[u8]) -> Result<Endorsement, SoftwareRefusal> {
    let mut f = marked(payload)?;
    let endorsement = Endorsement {
        machine: f.named(3, "machine", |b| b.try_into().ok())?,
        report_key: f.named(4, "report_key", StatementKey::from_slice)?,
        window: Window {
            not_before: Time::from_unix(f.int(5, "not_before")?),
            not_after: Time::from_unix(f.int(6, "not_after")?),
        },
    };
    f.finish()?;
    Ok(endorsement)
}

pub(super) fn parse_report(payload: &[u8]) -> Result<Report, SoftwareRefusal> {
    let mut f = marked(payload)?;
    let report = Report {
        machine: f.named(3, "machine", |b| b.try_into().ok())?,
        measurement: f.named(4, "measurement", Measurement::from_slice)?,
        report_data: f.named(5, "report_data", ReportData::from_slice)?,
        host_data: f.named(6, "host_data", |b| b.try_into().ok())?,
    };
    f.finish()?;
    Ok(report)
}

fn marked(payload: &[u8]) -> Result<Fields, SoftwareRefusal> {
    let mut f = Fields::decode(payload, LEN_MAX)?;
    f.version(VERSION)?;
    if f.text(2, "mark")? != MARK {
        return Err(SoftwareRefusal::Form(CborError::Field("mark")));
    }
    Ok(f)
}
