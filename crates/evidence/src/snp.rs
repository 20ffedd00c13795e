//! AMD SEV-SNP attestation reports.

/// What only an SNP report says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {}
