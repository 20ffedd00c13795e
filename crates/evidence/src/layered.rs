//! Layered evidence: hardware vouches for a monitor, the monitor makes statements about programs.
//!
//! One chain whose parts name each other (I7): the hardware report covers the monitor's statement key,
//! its domain and the verifier's nonce; the statement covers the program and the binder. Nothing is
//! acceptable here yet: that is appraisal's word.

use thiserror::Error;

use crate::authentic::{Authentic, Check};
use crate::binder::{Binder, BinderKind, MonitorBinding};
use crate::bytes::{BinderDigest, DomainRoot, ReportData, StatementKey};
use crate::controls::holds;
use crate::hardware::HardwareFacts;
use crate::statement::{self, Expected, Purpose, Statement, StatementRefusal};

/// A monitor that genuine hardware vouches for.
#[derive(Clone, Debug)]
pub struct MonitorFacts {
    /// The hardware underneath.
    pub hardware: HardwareFacts,
    /// The domain it serves.
    pub domain: DomainRoot,
    /// The key it makes statements with.
    pub statement_key: StatementKey,
}

/// A program that such a monitor speaks for.
#[derive(Clone, Debug)]
pub struct ProgramFacts {
    /// The monitor and the hardware underneath.
    pub monitor: MonitorFacts,
    /// What it stated.
    pub statement: Statement,
}

/// Why authentic hardware evidence does not vouch for a monitor.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MonitorRefusal {
    /// REPORT_DATA is not the binding that was asked for.
    #[error(
        "REPORT_DATA is {got}, expected {expected}: the report was made for another key, domain or nonce; ask the monitor for a fresh one"
    )]
    Binding {
        /// Computed by the verifier.
        expected: ReportData,
        /// Found in the report.
        got: ReportData,
    },
    /// The measured configuration names another domain.
    #[error(
        "HOST_DATA is {got}, expected domain root {expected}: the monitor was started for another domain"
    )]
    Domain {
        /// The verifier's domain.
        expected: DomainRoot,
        /// HOST_DATA, in hex.
        got: DomainRoot,
    },
}

/// The monitor, if the hardware report covers exactly `binding` and was configured for its domain.
///
/// # Errors
/// [`MonitorRefusal`].
pub fn verify_monitor(
    hardware: &Authentic<HardwareFacts>,
    binding: &MonitorBinding,
) -> Result<Authentic<MonitorFacts>, MonitorRefusal> {
    let facts = hardware.facts();
    let expected = binding.report_data(facts.kind);
    if !holds("monitor_binding", facts.report_data == expected) {
        return Err(MonitorRefusal::Binding { expected, got: facts.report_data });
    }
    let configured = DomainRoot::new(facts.host_data);
    if !holds("monitor_domain", configured == binding.domain) {
        return Err(MonitorRefusal::Domain { expected: binding.domain, got: configured });
    }
    let mut checks = hardware.checks().to_vec();
    checks.push(Check::passed(
        "monitor_binding",
        "REPORT_DATA covers statement key, domain and nonce",
    ));
    checks.push(Check::passed("domain", format!("HOST_DATA is {configured}")));
    let monitor = MonitorFacts {
        hardware: facts.clone(),
        domain: binding.domain,
        statement_key: binding.statement_key,
    };
    Ok(Authentic::new(monitor, hardware.verified_at(), hardware.holds_until(), checks))
}

/// The program, if the monitor's statement is for exactly `binder`.
///
/// # Errors
/// [`StatementRefusal`].
pub fn verify_program(
    monitor: &Authentic<MonitorFacts>,
    statement: &[u8],
    binder: &Binder,
) -> Result<Authentic<ProgramFacts>, StatementRefusal> {
    verify_program_digest(monitor, statement, binder.kind, binder.digest())
}

/// The same for whoever has only the binder's digest, as an auditor has.
///
/// # Errors
/// [`StatementRefusal`].
pub fn verify_program_digest(
    monitor: &Authentic<MonitorFacts>,
    statement: &[u8],
    kind: BinderKind,
    binder: BinderDigest,
) -> Result<Authentic<ProgramFacts>, StatementRefusal> {
    let m = monitor.facts();
    let expected = Expected { purpose: Purpose::Binder(kind), domain: m.domain, binder };
    let statement = statement::verify(statement, &m.statement_key, &expected)?;
    let mut checks = monitor.checks().to_vec();
    checks.push(Check::passed("statement", format!("program {}", statement.program.measurement)));
    let program = ProgramFacts { monitor: m.clone(), statement };
    Ok(Authentic::new(program, monitor.verified_at(), monitor.holds_until(), checks))
}
