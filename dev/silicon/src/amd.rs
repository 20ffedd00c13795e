//! An SEV-SNP machine: ARK, ASK, a signing key certified for one chip at one TCB, and reports it signs (AMD 56860, 57230).

use evidence::bytes::sha256;
use evidence::snp::{Product, SigningKey};
use evidence::{HardwareEvidence, Kind, RootDigest, Time, Window};

use crate::certificate::Certificate;
use crate::der::{element, integer};
use crate::key::Key;

/// Arc of AMD's extensions.
const AMD: &str = "1.3.6.1.4.1.3704.1";

/// Where fields stand in a report.
pub mod at {
    pub const VERSION: usize = 0x00;
    pub const POLICY: usize = 0x08;
    pub const VMPL: usize = 0x30;
    pub const SIGNATURE_ALGO: usize = 0x34;
    pub const CURRENT_TCB: usize = 0x38;
    pub const PLATFORM_INFO: usize = 0x40;
    pub const KEY_INFO: usize = 0x48;
    pub const REPORT_DATA: usize = 0x50;
    pub const MEASUREMENT: usize = 0x90;
    pub const HOST_DATA: usize = 0xc0;
    pub const REPORTED_TCB: usize = 0x180;
    pub const CPUID: usize = 0x188;
    pub const CHIP_ID: usize = 0x1a0;
    pub const COMMITTED_TCB: usize = 0x1e0;
    pub const LAUNCH_TCB: usize = 0x1f0;
    pub const SIGNATURE: usize = 0x2a0;
    pub const END: usize = 0x4a0;
}

/// A machine with its vendor behind it. Every field is what the next certificate or report will say.
pub struct Machine {
    pub product: Product,
    pub signing_key: SigningKey,
    pub ark: Certificate,
    pub ask: Certificate,
    pub vek: Certificate,
    pub ark_key: Key,
    pub ask_key: Key,
    pub vek_key: Key,
}

/// The TCB of every machine made here, in the product's layout.
#[must_use]
pub const fn tcb(product: Product) -> [u8; 8] {
    match product {
        Product::Turin => [1, 2, 3, 30, 0, 0, 0, 90],
        Product::Milan | Product::Genoa => [10, 3, 0, 0, 0, 0, 30, 90],
    }
}

/// The chip of every machine made here.
#[must_use]
pub fn chip_id(product: Product) -> [u8; 64] {
    let mut id = [0; 64];
    let len = if product == Product::Turin { 8 } else { 64 };
    id[..len].fill(0xc5);
    id
}

impl Machine {
    /// A machine of that family whose reports are signed by such a key, certified from `window`'s first second to its last.
    #[must_use]
    pub fn new(product: Product, signing_key: SigningKey, window: Window) -> Self {
        let (ark_key, ask_key, vek_key) = (Key::rsa(), Key::rsa(), Key::p384());
        let ark = format!("ARK-{}", product.as_str());
        let (ask, vek) = match signing_key {
            SigningKey::Vcek => (format!("SEV-{}", product.as_str()), "SEV-VCEK"),
            SigningKey::Vlek => (format!("SEV-VLEK-{}", product.as_str()), "SEV-VLEK"),
        };
        let named =
            |subject: &str, issuer: &str, key| Certificate::new(subject, issuer, key, window);
        let mut machine = Self {
            product,
            signing_key,
            ark: named(&ark, &ark, &ark_key).authority(None),
            ask: named(&ask, &ark, &ask_key).authority(Some(0)),
            vek: named(vek, &ask, &vek_key),
            ark_key,
            ask_key,
            vek_key,
        };
        machine.vek.extensions = machine.vek_extensions();
        machine
    }

    /// What AMD writes about chip and TCB.
    fn vek_extensions(&self) -> Vec<(String, bool, Vec<u8>)> {
        let t = tcb(self.product);
        let parts = match self.product {
            Product::Turin => {
                vec![("3.1", t[1]), ("3.2", t[2]), ("3.3", t[3]), ("3.8", t[7]), ("3.9", t[0])]
            }
            Product::Milan | Product::Genoa => {
                vec![("3.1", t[0]), ("3.2", t[1]), ("3.3", t[6]), ("3.8", t[7])]
            }
        };
        let mut out = parts
            .into_iter()
            .map(|(arc, n)| (format!("{AMD}.{arc}"), false, integer(&[n])))
            .collect::<Vec<_>>();
        out.push(match self.signing_key {
            SigningKey::Vcek => {
                let len = if self.product == Product::Turin { 8 } else { 64 };
                (format!("{AMD}.4"), false, chip_id(self.product)[..len].to_vec())
            }
            SigningKey::Vlek => (format!("{AMD}.5"), false, element(22, b"cloud.example")),
        });
        out
    }

    /// ARK, ASK and signing key, DER. RSA-PSS is salted: a root signed twice is two roots, so pin what is sent.
    #[must_use]
    pub fn certificates(&self) -> [Vec<u8>; 3] {
        [
            self.ark.signed_by(&self.ark_key),
            self.ask.signed_by(&self.ark_key),
            self.vek.signed_by(&self.ask_key),
        ]
    }

    /// A report of version 3 (5 on Turin), complete but for its signature.
    #[must_use]
    pub fn report(&self) -> Vec<u8> {
        let mut r = vec![0; at::END];
        let mut put = |at: usize, bytes: &[u8]| r[at..at + bytes.len()].copy_from_slice(bytes);
        let (version, cpuid) = match self.product {
            Product::Milan => (3, [0x19, 0x01, 1]),
            Product::Genoa => (3, [0x19, 0x11, 1]),
            Product::Turin => (5, [0x1a, 0x02, 1]),
        };
        put(at::VERSION, &[version]);
        // ABI 1.55, SMT allowed, the bit that must be one.
        put(at::POLICY, &(0x3_0000_u64 | 55 | 1 << 8).to_le_bytes());
        put(at::SIGNATURE_ALGO, &[1]);
        put(at::PLATFORM_INFO, &[0b10_0101]);
        put(at::KEY_INFO, &[if self.signing_key == SigningKey::Vcek { 0 } else { 1 << 2 }]);
        put(at::REPORT_DATA, &[0xd5; 64]);
        put(at::MEASUREMENT, &[0x3e; 48]);
        put(at::HOST_DATA, &[0x40; 32]);
        put(at::CPUID, &cpuid);
        put(at::CHIP_ID, &chip_id(self.product));
        for tcb_at in [at::CURRENT_TCB, at::REPORTED_TCB, at::COMMITTED_TCB, at::LAUNCH_TCB] {
            put(tcb_at, &tcb(self.product));
        }
        r
    }

    /// Signs whatever stands in a report.
    ///
    /// # Panics
    /// If it is shorter than a report.
    pub fn sign(&self, report: &mut [u8]) {
        let fixed = self.vek_key.sign_p384_fixed(&report[..at::SIGNATURE]);
        for (part, to) in [(&fixed[..48], at::SIGNATURE), (&fixed[48..], at::SIGNATURE + 72)] {
            let little = part.iter().rev().copied().collect::<Vec<_>>();
            report[to..to + 48].copy_from_slice(&little);
        }
    }

    /// Evidence around a report.
    #[must_use]
    pub fn evidence(&self, report: Vec<u8>) -> HardwareEvidence {
        let endorsements = self.certificates().to_vec();
        HardwareEvidence { kind: Kind::Snp, report, endorsements }
    }
}

/// SHA-256 of the root that came along: what pins it.
#[must_use]
pub fn root_of(evidence: &HardwareEvidence) -> RootDigest {
    RootDigest::new(sha256(&evidence.endorsements[0]))
}

/// A window around `now`.
#[must_use]
pub fn around(now: Time) -> Window {
    Window { not_before: now.plus_secs(-86_400), not_after: now.plus_secs(86_400) }
}
