//! The save area of a processor before its first instruction (AMD APM volume 2, table B-4), as each hypervisor sets it up: it is
//! measured whole.

use super::PAGE;

/// Who starts the machine: hypervisors differ in what processors begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vmm {
    /// QEMU with KVM.
    Qemu,
    /// Google Compute Engine.
    Gce,
    /// Amazon EC2.
    Ec2,
}

impl Vmm {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Qemu, Self::Gce, Self::Ec2];

    /// The spelling on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Qemu => "qemu",
            Self::Gce => "gce",
            Self::Ec2 => "ec2",
        }
    }

    /// Reads that spelling.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|v| v.as_str() == text)
    }
}

/// What a processor begins with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Processor {
    pub(super) vmm: Vmm,
    /// Its first instruction, a linear address.
    pub(super) eip: u32,
    /// CPUID_Fn00000001_EAX.
    pub(super) signature: u32,
    /// SEV_FEATURES.
    pub(super) features: u64,
}

/// Where the boot processor begins.
pub(super) const RESET_EIP: u32 = 0xffff_fff0;

/// A page of zeros with fields at their offsets.
struct Fields(Vec<u8>);

impl Fields {
    fn put(&mut self, at: usize, bytes: &[u8]) {
        if let Some(to) = self.0.get_mut(at..at.saturating_add(bytes.len())) {
            to.copy_from_slice(bytes);
        }
    }

    /// Selector, attributes, limit, base.
    fn segment(&mut self, at: usize, selector: u16, attributes: u16, base: u64) {
        self.put(at, &selector.to_le_bytes());
        self.put(at.saturating_add(2), &attributes.to_le_bytes());
        self.put(at.saturating_add(4), &0xffff_u32.to_le_bytes());
        self.put(at.saturating_add(8), &base.to_le_bytes());
    }
}

/// The page.
pub(super) fn page(p: &Processor) -> Vec<u8> {
    let mut f = Fields(vec![0; PAGE]);
    let (code, stack, task) = match p.vmm {
        Vmm::Qemu | Vmm::Gce => (0x9b, 0x93, 0x8b),
        Vmm::Ec2 if p.eip == RESET_EIP => (0x9a, 0x92, 0x83),
        Vmm::Ec2 => (0x9b, 0x92, 0x83),
    };
    let (rdx, mxcsr, fcw) = match p.vmm {
        Vmm::Qemu => (u64::from(p.signature), 0x1f80_u32, 0x37f_u16),
        // EDX of a processor after reset names its family and model; these hypervisors write a family and nothing else.
        Vmm::Gce => (0x600, 0, 0),
        Vmm::Ec2 => (0, 0, 0),
    };
    let pat: u64 = match p.vmm {
        Vmm::Gce => 0x0007_0106,
        Vmm::Qemu | Vmm::Ec2 => 0x0007_0406_0007_0406,
    };
    for data in [0x00, 0x30, 0x40, 0x50] {
        f.segment(data, 0, 0x93, 0); // ES, DS, FS, GS
    }
    f.segment(0x10, 0xf000, code, u64::from(p.eip & 0xffff_0000)); // CS
    f.segment(0x20, 0, stack, 0); // SS
    f.segment(0x60, 0, 0, 0); // GDTR
    f.segment(0x70, 0, 0x82, 0); // LDTR
    f.segment(0x80, 0, 0, 0); // IDTR
    f.segment(0x90, 0, task, 0); // TR
    f.put(0xd0, &0x1000_u64.to_le_bytes()); // EFER: SVME
    f.put(0x148, &0x40_u64.to_le_bytes()); // CR4: MCE
    f.put(0x158, &0x10_u64.to_le_bytes()); // CR0: ET
    f.put(0x160, &0x400_u64.to_le_bytes()); // DR7
    f.put(0x168, &0xffff_0ff0_u64.to_le_bytes()); // DR6
    f.put(0x170, &2_u64.to_le_bytes()); // RFLAGS
    f.put(0x178, &u64::from(p.eip & 0xffff).to_le_bytes()); // RIP
    f.put(0x268, &pat.to_le_bytes()); // G_PAT
    f.put(0x310, &rdx.to_le_bytes()); // RDX
    f.put(0x3b0, &p.features.to_le_bytes()); // SEV_FEATURES
    f.put(0x3e8, &1_u64.to_le_bytes()); // XCR0
    f.put(0x408, &mxcsr.to_le_bytes()); // MXCSR
    f.put(0x410, &fcw.to_le_bytes()); // FCW
    f.0
}
