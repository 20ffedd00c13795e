//! `casemate verify`: one file of hardware evidence, or a case folder, judged offline. Authentic and acceptable are two answers.

mod anchor;
mod android;
mod attestation_pb;
mod azure;
mod batch;
mod cca;
mod ear;
pub(crate) mod input;
mod intel;
mod nitro;
mod nvidia;
mod psa;
mod report;
mod snp;
mod stored;
mod tpm;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::ValueEnum;

use self::input::Input;
use self::report::Report;
use crate::output::{Failure, exit_code, json as print_json};

/// Profile used without `--policy`: it judges what the evidence says and admits nothing.
const FORENSIC: &str = evidence::profile::FORENSIC;

/// Verify a file of hardware evidence, or a folder of many, offline.
#[derive(clap::Args, Clone)]
#[command(
    after_help = "The kind is detected. Certificates come with the evidence, in a case folder's case.json, or by --endorsement.\nExample: casemate verify report.bin --endorsement ark.pem --endorsement ask.pem --endorsement vcek.der --at 2026-06-01T00:00:00Z"
)]
pub struct VerifyArgs {
    /// One evidence file, a folder with a case.json, or a folder of such files and folders, a line each
    path: PathBuf,
    /// The time to verify for; without it the case's own, else now
    #[arg(long, value_name = "RFC3339")]
    at: Option<String>,
    /// What the relying party had asked for: the caller-bound field (REPORT_DATA may be padded with zeros)
    #[arg(long, value_name = "HEX")]
    nonce: Option<String>,
    /// A trust anchor besides the pinned ones (certificate, public key or JWK)
    #[arg(long, value_name = "FILE")]
    root: Vec<PathBuf>,
    /// What belongs to the evidence: certificates (PEM or DER), or a status list as its vendor serves it
    #[arg(long, value_name = "FILE")]
    endorsement: Vec<PathBuf>,
    /// A reference manifest of the device's firmware (NVIDIA RIM, XML)
    #[arg(long, value_name = "FILE")]
    rim: Vec<PathBuf>,
    /// An OCSP response about a certificate of the evidence (DER)
    #[arg(long, value_name = "FILE")]
    ocsp: Vec<PathBuf>,
    /// What Intel publishes for a quote: collateral as JSON, with its signed texts as they are
    #[arg(long, value_name = "FILE")]
    collateral: Option<PathBuf>,
    /// A store of `casemate collateral`: what SNP evidence lacks is taken from there; the network is never asked
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// The event log of the boot behind the evidence (of a TPM, or CCEL)
    #[arg(long, value_name = "FILE")]
    event_log: Option<PathBuf>,
    /// Values of a TPM's registers, JSON: index to hex
    #[arg(long, value_name = "FILE")]
    pcrs: Option<PathBuf>,
    /// A profile: a file, or a shipped one, e.g. forensic-2026-11 or snp-2026-11
    #[arg(long, value_name = "FILE|PROFILE", default_value = FORENSIC)]
    policy: String,
    /// How to print; `ear` is an attestation result's claims-set, not signed
    #[arg(long, value_enum, default_value = "table")]
    format: VerifyFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum VerifyFormat {
    Table,
    Json,
    Ear,
}

/// One kind of evidence: its name, how a bare file of it is known, who judges it.
struct KindOf {
    tee: &'static str,
    detect: fn(&[u8]) -> bool,
    judge: fn(&Input) -> Result<Report>,
}

/// Those with a mark of their own before the one that is known by its length alone.
const KINDS: &[KindOf] = &[
    KindOf { tee: "nitro", detect: nitro::detect_enclave, judge: nitro::judge_enclave },
    KindOf { tee: "nitrotpm", detect: nitro::detect_tpm, judge: nitro::judge_tpm },
    KindOf { tee: "cca", detect: cca::detect, judge: cca::judge },
    KindOf { tee: "psa", detect: psa::detect, judge: psa::judge },
    KindOf { tee: "android-key", detect: android::detect, judge: android::judge },
    KindOf { tee: "tdx", detect: intel::detect_tdx, judge: intel::judge_tdx },
    KindOf { tee: "sgx", detect: intel::detect_sgx, judge: intel::judge_sgx },
    KindOf { tee: "tpm-eventlog", detect: tpm::detect_log, judge: tpm::judge_log },
    KindOf { tee: "tpm", detect: tpm::detect, judge: tpm::judge },
    KindOf { tee: "snp", detect: snp::detect, judge: snp::judge },
    KindOf { tee: "nvidia", detect: nvidia::detect, judge: nvidia::judge },
    KindOf { tee: "nvidia-rim", detect: nvidia::detect_rim, judge: nvidia::judge_rim },
];

/// Verifies and prints; the exit status says how it went.
pub fn run(args: &VerifyArgs) -> ExitCode {
    match judge(args) {
        Ok(code) => code,
        Err(e) => {
            eprintln!("casemate: {e:#}");
            ExitCode::from(exit_code(&e))
        }
    }
}

impl VerifyArgs {
    /// The same for another place.
    fn of(&self, path: &Path) -> Self {
        Self { path: path.to_owned(), ..self.clone() }
    }
}

/// True if a file can only be evidence: its kind is known by its bytes.
fn is_evidence(path: &Path) -> bool {
    let small = std::fs::metadata(path).is_ok_and(|m| m.len() <= input::FILE_MAX);
    small && std::fs::read(path).is_ok_and(|bytes| KINDS.iter().any(|k| (k.detect)(&bytes)))
}

fn judge(args: &VerifyArgs) -> Result<ExitCode> {
    if args.path.is_dir() && !args.path.join("case.json").is_file() {
        return batch::run(args);
    }
    let (report, input) = find(args)?;
    match args.format {
        VerifyFormat::Table => report.print(),
        VerifyFormat::Json => print_json(&report.json()),
        VerifyFormat::Ear => {
            print_json(&ear::result(&report, input.at, input.nonce.as_deref()));
        }
    }
    Ok(ExitCode::from(report.status()))
}

/// Judges one piece of evidence.
fn find(args: &VerifyArgs) -> Result<(Report, Input)> {
    let input = Input::load(args)?;
    let path = args.path.display();
    let kind = match input.file() {
        Some(bytes) => KINDS.iter().find(|k| (k.detect)(bytes)).ok_or_else(|| {
            Failure::Usage(format!("{path}: {} bytes of no kind known here", bytes.len()))
        })?,
        None => KINDS
            .iter()
            .find(|k| k.tee == input.tee)
            .ok_or_else(|| Failure::Usage(format!("{path}: kind {:?}: not yet", input.tee)))?,
    };
    let report = (kind.judge)(&input)?;
    Ok((report, input))
}
