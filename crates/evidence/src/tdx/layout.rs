//! A TD report body (Intel TDX DCAP Quoting Library API, appendix A.3.2 and A.3.3), byte for byte.

/// TDATTRIBUTES: DEBUG.
pub const DEBUG: u64 = 1;
/// TDATTRIBUTES: the other bits of TUD, which make a domain untrusted (profiling, and what is reserved).
pub const OTHER_TUD: u64 = 0xfe;
/// TDATTRIBUTES: SEPT_VE_DISABLE: no exception of the host's making reaches the guest for a page that was taken away.
pub const SEPT_VE_DISABLE: u64 = 1 << 28;
/// TDATTRIBUTES: MIGRATABLE.
pub const MIGRATABLE: u64 = 1 << 29;
/// TDATTRIBUTES: PKS, supervisor protection keys.
pub const PKS: u64 = 1 << 30;
/// TDATTRIBUTES: KL, key locker.
pub const KEY_LOCKER: u64 = 1 << 31;
/// TDATTRIBUTES: PERFMON.
pub const PERFMON: u64 = 1 << 63;
/// Bits that are understood here.
pub const KNOWN: u64 =
    DEBUG | OTHER_TUD | SEPT_VE_DISABLE | MIGRATABLE | PKS | KEY_LOCKER | PERFMON;

/// A TD report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TdReport {
    /// TEE_TCB_SVN: the TCB the domain was launched under.
    pub tee_tcb_svn: [u8; 16],
    /// MRSEAM: the TDX module.
    pub mr_seam: [u8; 48],
    /// MRSIGNERSEAM.
    pub mr_signer_seam: [u8; 48],
    /// SEAMATTRIBUTES.
    pub seam_attributes: [u8; 8],
    /// TDATTRIBUTES, a little-endian number of 64 bits.
    pub td_attributes: [u8; 8],
    /// XFAM.
    pub xfam: [u8; 8],
    /// MRTD: what the domain was built from.
    pub mr_td: [u8; 48],
    /// MRCONFIGID.
    pub mr_config_id: [u8; 48],
    /// MROWNER.
    pub mr_owner: [u8; 48],
    /// MROWNERCONFIG.
    pub mr_owner_config: [u8; 48],
    /// RTMR0 to RTMR3.
    pub rtmr: [[u8; 48]; 4],
    /// REPORTDATA.
    pub report_data: [u8; 64],
    /// What TD 1.5 adds.
    pub td15: Option<Td15>,
}

/// The end of a report of TD 1.5.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Td15 {
    /// TEE_TCB_SVN2: the TCB it runs under now.
    pub tee_tcb_svn2: [u8; 16],
    /// MRSERVICETD: service domains bound to this one; zero for none.
    pub mr_service_td: [u8; 48],
}

impl TdReport {
    /// TDATTRIBUTES as a number.
    #[must_use]
    pub const fn attributes(&self) -> u64 {
        u64::from_le_bytes(self.td_attributes)
    }

    /// True if a debugger could look inside.
    #[must_use]
    pub const fn debug(&self) -> bool {
        self.attributes() & DEBUG != 0
    }
}
