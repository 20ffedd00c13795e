//! The two signed objects of the software platform, and how they are written. `docs/formats/software-report.md` is their page.

use ciborium::Value;

use crate::bytes::{Measurement, ReportData, StatementKey};
use crate::cbor;
use crate::time::Window;

/// In every object of this platform, so that a person who sees one knows what it is worth.
pub const MARK: &str =
    "casemate software platform: for development, protects from nobody who owns the machine";
/// Label under which a root signs an [`Endorsement`].
pub const ENDORSEMENT_LABEL: &str = "casemate/software-endorsement/v1";
/// Label under which a machine signs a [`Report`].
pub const REPORT_LABEL: &str = "casemate/software-report/v1";
/// Neither object comes near this size.
pub const LEN_MAX: usize = 1024;
/// Format version of both.
pub const VERSION: u64 = 1;

/// A software root says: this key is the report key of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endorsement {
    /// The machine's id.
    pub machine: [u8; 32],
    /// The key it signs reports with.
    pub report_key: StatementKey,
    /// When the endorsement is in force.
    pub window: Window,
}

/// A software machine says: this was launched, under this configuration, and asked me to bind this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The machine's id.
    pub machine: [u8; 32],
    /// SHA-384 of the monitor's executable.
    pub measurement: Measurement,
    /// The caller-bound field.
    pub report_data: ReportData,
    /// The launcher's configuration: the domain root.
    pub host_data: [u8; 32],
}

/// What only this platform says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Window of the machine's endorsement.
    pub endorsement: Window,
}

impl Endorsement {
    /// The payload a root signs under [`ENDORSEMENT_LABEL`].
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(&cbor::map(vec![
            (1, VERSION.into()),
            (2, MARK.into()),
            (3, Value::Bytes(self.machine.to_vec())),
            (4, Value::Bytes(self.report_key.as_bytes().to_vec())),
            (5, self.window.not_before.unix().into()),
            (6, self.window.not_after.unix().into()),
        ]))
    }
}

impl Report {
    /// The payload a machine signs under [`REPORT_LABEL`].
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(&cbor::map(vec![
            (1, VERSION.into()),
            (2, MARK.into()),
            (3, Value::Bytes(self.machine.to_vec())),
            (4, Value::Bytes(self.measurement.as_bytes().to_vec())),
            (5, Value::Bytes(self.report_data.as_bytes().to_vec())),
            (6, Value::Bytes(self.host_data.to_vec())),
        ]))
    }
}
