//! The authority: negotiates trust and issues credentials. It is itself a program under a monitor: it makes its CA key
//! inside, owners appraise its evidence and endorse the key, and a compromised authority still cannot grant beyond the
//! policy that the owners signed.

mod core;
mod hpke;
mod ledgered;
pub mod role_secrets;
pub mod sealed_record;
mod shell;
mod start;

pub use core::{Core, Keys, Limits};
pub use ledgered::Ledgered;
pub use role_secrets::{SealedValueError, SecretsPair};
pub use sealed_record::{AuditSecret, SealedRecordError};
pub use shell::{Speaker, serve};
pub use start::{AuthorityError, Bootstrap, run};
