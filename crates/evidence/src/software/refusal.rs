//! Every way evidence of the software platform is refused before its content counts.

use thiserror::Error;

use crate::cbor::CborError;
use crate::cose::CoseError;
use crate::time::{Time, Window};

/// Why software evidence is not authentic.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SoftwareRefusal {
    /// An object is not of the form the format fixes.
    #[error("software evidence: {0}")]
    Form(#[from] CborError),
    /// The report's signature or envelope does not hold.
    #[error("software report: {0}")]
    Report(#[from] CoseError),
    /// Not the machine's endorsement and its root key came along.
    #[error(
        "software evidence carries {0} endorsements, expected 2; send the machine's endorsement and its root key"
    )]
    Endorsements(usize),
    /// The root did not sign the endorsement.
    #[error("software endorsement: {0}")]
    Endorsement(CoseError),
    /// The root is not pinned.
    #[error(
        "software endorsement is under a root that is not pinned; this is another root's machine, name its root in the policy or refuse it"
    )]
    UntrustedRoot,
    /// The endorsement is not in force.
    #[error("software endorsement is in force from {} to {}, not at {at}; renew it or mend the clock", window.not_before, window.not_after)]
    Expired {
        /// Its window.
        window: Window,
        /// The time asked about.
        at: Time,
    },
    /// The report is of another machine than the endorsement.
    #[error("software report names another machine than its endorsement; they were spliced")]
    Machine,
}
