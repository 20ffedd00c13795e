//! `casemate measure PATH --for KIND`: what hardware will measure of an image, before it boots.
//!
//! What decides the digest and is not said is asked for by its flag, never guessed.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::ValueEnum;
use evidence::predict::ovmf::Ovmf;
use evidence::predict::sgx::SigStruct;
use evidence::predict::snp::{self, Kernel, Machine, Vmm};
use evidence::predict::tdx::{self, Order};
use evidence::predict::tpm::{self, Boot};
use evidence::predict::{FIRMWARE_LEN_MAX, eif};
use serde_json::{Map, Value, json};

use crate::output::{Failure, Format, json};

/// Kinds of hardware whose measurements are predicted.
#[derive(Clone, Copy, ValueEnum)]
pub enum For {
    /// AMD SEV-SNP: MEASUREMENT of a machine with this OVMF firmware
    Snp,
    /// Intel TDX: MRTD of a trust domain with this firmware
    Tdx,
    /// AWS Nitro: PCR0, PCR1, PCR2 and PCR8 of this enclave image
    Nitro,
    /// Intel SGX: MRENCLAVE and MRSIGNER of this SIGSTRUCT
    Sgx,
    /// TPM 2.0: PCRs of a kernel that this OVMF firmware boots directly, and the measurement of such a machine
    Tpm,
}

/// When a host measures the contents of pages.
#[derive(Clone, Copy, ValueEnum)]
pub enum PageOrder {
    /// Each page as soon as it is added (Google Compute Engine)
    Page,
    /// A section's pages once all of them are added (QEMU)
    Section,
}

/// What decides a digest besides the image.
#[derive(clap::Args)]
pub struct Inputs {
    /// Who starts the machine
    #[arg(long, value_parser = Vmm::ALL.map(Vmm::as_str), help_heading = "For SEV-SNP")]
    vmm: Option<String>,
    /// How many processors it has
    #[arg(long, value_name = "N", help_heading = "For SEV-SNP")]
    vcpus: Option<u32>,
    /// Which processors, as QEMU calls them (`EPYC-Milan-v2`), or CPUID_Fn00000001_EAX (`0x00a00f11`)
    #[arg(long, value_name = "MODEL", help_heading = "For SEV-SNP")]
    vcpu_type: Option<String>,
    /// SEV_FEATURES of its processors, `0x1` for SNP alone
    #[arg(long, value_name = "HEX", help_heading = "For SEV-SNP")]
    guest_features: Option<String>,
    /// A kernel that is booted directly
    #[arg(long, value_name = "FILE", help_heading = "For SEV-SNP and TPM")]
    kernel: Option<PathBuf>,
    /// Its initial RAM disk; without, none
    #[arg(long, value_name = "FILE", requires = "kernel", help_heading = "For SEV-SNP and TPM")]
    initrd: Option<PathBuf>,
    /// Its command line; without, an empty one
    #[arg(long, value_name = "TEXT", requires = "kernel", help_heading = "For SEV-SNP and TPM")]
    append: Option<String>,
    /// How much memory the machine has, in MiB
    #[arg(long, value_name = "MIB", help_heading = "For TPM")]
    memory: Option<u32>,
    /// The event log of a boot of this firmware with as much memory: what the firmware says of its own first volume is taken from it
    #[arg(long, value_name = "FILE", help_heading = "For TPM")]
    boot_log: Option<PathBuf>,
    /// When the host measures the contents of pages
    #[arg(long, value_enum, help_heading = "For TDX")]
    page_order: Option<PageOrder>,
}

/// A kernel or RAM disk is never longer.
const BOOT_LEN_MAX: u64 = 2 << 30;

/// Reads a file of at most so many bytes.
fn read(path: &Path, max: u64) -> Result<Vec<u8>> {
    let name = || path.display().to_string();
    let file = std::fs::File::open(path).with_context(name)?;
    if file.metadata().with_context(name)?.len() > max {
        return Err(Failure::Usage(format!("{}: at most {max} bytes expected", name())).into());
    }
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut std::io::Read::take(file, max), &mut bytes)
        .with_context(name)?;
    Ok(bytes)
}

/// An input that must be said.
fn said<'a, T>(value: Option<&'a T>, flag: &str, what: &str) -> Result<&'a T> {
    value.ok_or_else(|| {
        let text = format!("the measurement depends on {what}; say it with {flag}");
        Failure::Usage(text).into()
    })
}

fn hex(text: &str, flag: &str) -> Result<u64> {
    let digits = text.strip_prefix("0x").and_then(|d| u64::from_str_radix(d, 16).ok());
    digits.ok_or_else(|| {
        Failure::Usage(format!("{flag}: expected 0x and hex digits, got {text:?}")).into()
    })
}

/// Which processors.
fn signature(text: &str) -> Result<u32> {
    if text.starts_with("0x") {
        let wide = hex(text, "--vcpu-type")?;
        return u32::try_from(wide)
            .map_err(|_| Failure::Usage("--vcpu-type: expected 32 bits".to_owned()).into());
    }
    snp::qemu_signature(text).ok_or_else(|| {
        Failure::Usage(format!(
            "--vcpu-type: {text:?} is no processor that is known; there are EPYC, EPYC-Rome, EPYC-Milan, EPYC-Genoa and EPYC-Turin with their versions, or give CPUID_Fn00000001_EAX as 0x…"
        ))
        .into()
    })
}

impl Inputs {
    fn machine(&self) -> Result<Machine> {
        let vmm = said(self.vmm.as_ref(), "--vmm", "who starts the machine")?;
        let vmm = Vmm::parse(vmm).context("a hypervisor clap let through")?;
        // Other hypervisors write the same into every processor.
        let signature = match (&self.vcpu_type, vmm) {
            (Some(text), _) => signature(text)?,
            (None, Vmm::Qemu) => {
                return Err(Failure::Usage(
                    "the measurement depends on the processors; say which with --vcpu-type"
                        .to_owned(),
                )
                .into());
            }
            (None, Vmm::Gce | Vmm::Ec2) => 0,
        };
        let features = said(
            self.guest_features.as_ref(),
            "--guest-features",
            "SEV_FEATURES, which the host sets",
        )?;
        let kernel = match &self.kernel {
            None => None,
            Some(kernel) => {
                let kernel = read(kernel, BOOT_LEN_MAX)?;
                let initrd = self.initrd.as_ref().map(|p| read(p, BOOT_LEN_MAX)).transpose()?;
                let append = self.append.as_deref().unwrap_or_default();
                Some(Kernel::of(&kernel, &initrd.unwrap_or_default(), append))
            }
        };
        let vcpus = *said(self.vcpus.as_ref(), "--vcpus", "the number of processors")?;
        let features = hex(features, "--guest-features")?;
        Ok(Machine { vmm, vcpus, signature, features, kernel })
    }
}

const PCRS: [(u32, &str); 8] = [
    (0, "pcr0"),
    (2, "pcr2"),
    (3, "pcr3"),
    (4, "pcr4"),
    (5, "pcr5"),
    (6, "pcr6"),
    (7, "pcr7"),
    (9, "pcr9"),
];

impl Inputs {
    fn registers(
        &self,
        firmware: &[u8],
        unusable: impl Fn(evidence::predict::PredictError) -> anyhow::Error,
    ) -> Result<Vec<(&'static str, String)>> {
        let kernel = said(self.kernel.as_ref(), "--kernel", "the kernel that is booted")?;
        let initrd = said(self.initrd.as_ref(), "--initrd", "the RAM disk")?;
        let memory = *said(self.memory.as_ref(), "--memory", "how much memory there is")?;
        let what = "what the firmware measures of itself, which only a boot of it shows";
        let log = said(self.boot_log.as_ref(), "--boot-log", what)?;
        let boot = Boot {
            firmware,
            log: &read(log, u64::try_from(evidence::tcg::LOG_MAX).unwrap_or(u64::MAX))?,
            kernel: &read(kernel, BOOT_LEN_MAX)?,
            initrd: &read(initrd, BOOT_LEN_MAX)?,
            cmdline: self.append.as_deref().unwrap_or_default(),
            memory: u64::from(memory) << 20,
        };
        let registers = tpm::registers(&boot).map_err(&unusable)?;
        let measurement = tpm::measurement(&registers).map_err(&unusable)?;
        let mut all = vec![("measurement", format!("sha384:{measurement}"))];
        let named = PCRS.iter().filter_map(|(n, name)| Some((*name, registers.get(n)?)));
        all.extend(named.map(|(name, value)| (name, format!("sha256:{}", hex::encode(value)))));
        Ok(all)
    }
}

/// Predicts.
pub fn run(path: &Path, kind: For, inputs: &Inputs, format: Format) -> Result<ExitCode> {
    let unusable = |e: evidence::predict::PredictError| {
        anyhow::Error::from(Failure::Usage(format!("{}: {e}", path.display())))
    };
    let firmware = || read(path, u64::try_from(FIRMWARE_LEN_MAX).unwrap_or(u64::MAX));
    let values: Vec<(&str, String)> = match kind {
        For::Tpm => inputs.registers(&firmware()?, unusable)?,
        For::Snp => {
            let machine = inputs.machine()?;
            let bytes = firmware()?;
            let image = Ovmf::parse(&bytes).map_err(unusable)?;
            let digest = snp::launch_digest(&image, &machine).map_err(unusable)?;
            vec![
                ("measurement", format!("sha384:{digest}")),
                ("firmware alone", format!("sha384:{}", snp::firmware_digest(&image))),
            ]
        }
        For::Tdx => {
            let order =
                said(inputs.page_order.as_ref(), "--page-order", "when the host measures pages")?;
            let order = match order {
                PageOrder::Page => Order::PageByPage,
                PageOrder::Section => Order::SectionBySection,
            };
            let bytes = firmware()?;
            let image = Ovmf::parse(&bytes).map_err(unusable)?;
            vec![("mrtd", format!("sha384:{}", tdx::mrtd(&image, order).map_err(unusable)?))]
        }
        For::Nitro => {
            let image = read(path, u64::try_from(eif::LEN_MAX).unwrap_or(u64::MAX))?;
            let pcrs = eif::pcrs(&image).map_err(unusable)?;
            let all =
                [("pcr0", Some(pcrs.pcr0)), ("pcr1", Some(pcrs.pcr1)), ("pcr2", Some(pcrs.pcr2))];
            let all = all.into_iter().chain([("pcr8", pcrs.pcr8)]);
            all.filter_map(|(name, m)| Some((name, format!("sha384:{}", m?)))).collect()
        }
        For::Sgx => {
            let s = SigStruct::verify(&firmware()?).map_err(unusable)?;
            let bytes = |b: &[u8]| hex::encode(b);
            vec![
                ("mrenclave", format!("sha256:{}", bytes(&s.mrenclave))),
                ("mrsigner", format!("sha256:{}", bytes(&s.mrsigner))),
                ("isv_prod_id", s.isv_prod_id.to_string()),
                ("isv_svn", s.isv_svn.to_string()),
                ("attributes", bytes(&s.attributes.0)),
                ("attributes mask", bytes(&s.attributes.1)),
            ]
        }
    };
    if format == Format::Json {
        let all = values.iter().map(|(name, v)| (name.replace(' ', "_"), json!(v)));
        json(&Value::Object(all.collect::<Map<_, _>>()));
    } else {
        values.iter().for_each(|(name, value)| println!("{name:<16} {value}"));
    }
    Ok(ExitCode::SUCCESS)
}
