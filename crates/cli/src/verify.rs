//! `casemate verify`: one file of hardware evidence, or a case folder, judged offline. Authentic and acceptable are two answers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::ValueEnum;
use evidence::appraise::{HardwareProfile, Knobs, Machines, Verdict, appraise};
use evidence::bytes::sha256;
use evidence::snp::{self, PINNED_ROOTS};
use evidence::{Authentic, Check, Detail, HardwareEvidence, HardwareFacts, Kind, RootDigest, Time};
use serde_json::{Value, json};

use crate::clock::now;
use crate::output::{Failure, exit_code, json as print_json};

/// Profile used without `--policy`: it judges what the evidence says and admits nothing.
const FORENSIC: &str = "forensic-2026-11";
const PRODUCTION: &str = "snp-2026-11";

/// Verify a file of hardware evidence, offline.
#[derive(clap::Args)]
#[command(
    after_help = "Kinds: AMD SEV-SNP reports. Certificates come in a case folder's case.json, or by --endorsement.\nExample: casemate verify report.bin --endorsement ark.pem --endorsement ask.pem --endorsement vcek.der --at 2026-06-01T00:00:00Z"
)]
pub struct VerifyArgs {
    /// One evidence file, or a folder with a case.json
    path: PathBuf,
    /// The time to verify for; without it the case's own, else now
    #[arg(long, value_name = "RFC3339")]
    at: Option<String>,
    /// What the relying party had asked for: REPORT_DATA, or its beginning padded with zeros
    #[arg(long, value_name = "HEX")]
    nonce: Option<String>,
    /// A trust anchor besides the pinned ones (certificate, PEM or DER)
    #[arg(long, value_name = "FILE")]
    root: Vec<PathBuf>,
    /// A certificate that belongs to the evidence (PEM or DER)
    #[arg(long, value_name = "FILE")]
    endorsement: Vec<PathBuf>,
    /// A shipped profile: forensic-2026-11 or snp-2026-11
    #[arg(long, value_name = "PROFILE", default_value = FORENSIC)]
    policy: String,
    /// How to print
    #[arg(long, value_enum, default_value = "table")]
    format: VerifyFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum VerifyFormat {
    Table,
    Json,
    Ear,
}

/// What there is to verify.
struct Case {
    evidence: HardwareEvidence,
    at: Time,
    vtpm: bool,
}

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

fn judge(args: &VerifyArgs) -> Result<ExitCode> {
    if args.format == VerifyFormat::Ear {
        bail!(Failure::Usage("--format ear: not yet".to_owned()));
    }
    let case = load(args)?;
    let mut roots = PINNED_ROOTS.to_vec();
    for file in &args.root {
        roots.push(RootDigest::new(sha256(&certificate(file)?)));
    }
    let nonce =
        args.nonce.as_deref().map(|n| hex::decode(n).ok().filter(|b| (32..=64).contains(&b.len())));
    let nonce = nonce
        .map(|n| n.ok_or_else(|| Failure::Usage("--nonce: 32 to 64 bytes in hex".to_owned())))
        .transpose()?;
    let knobs = match args.policy.as_str() {
        FORENSIC => snp::Knobs::forensic(),
        PRODUCTION => snp::Knobs::production_2026_11(),
        other => bail!(Failure::Usage(format!(
            "no profile {other:?} is shipped; there are {FORENSIC} and {PRODUCTION}"
        ))),
    };
    let digest = hex::encode(sha256(format!("{knobs:?}").as_bytes()));
    let verified = snp::verify(&case.evidence, &roots, case.at);
    let mut report = Report {
        profile: args.policy.clone(),
        digest,
        checks: Vec::new(),
        facts: None,
        failure: None,
        missing: false,
    };
    match verified {
        Ok(facts) => report.appraised(&facts, knobs, nonce.as_deref(), case.vtpm),
        Err(refusal) => {
            report.missing = matches!(refusal, snp::SnpRefusal::Missing(_));
            report.checks.push(Check::failed("authentic", refusal.to_string()));
            report.failure = Some(refusal.to_string());
        }
    }
    report.print(args.format);
    Ok(ExitCode::from(report.status()))
}

/// What was found.
struct Report {
    profile: String,
    digest: String,
    checks: Vec<Check>,
    facts: Option<HardwareFacts>,
    failure: Option<String>,
    missing: bool,
}

impl Report {
    fn appraised(
        &mut self,
        verified: &Authentic<HardwareFacts>,
        knobs: snp::Knobs,
        nonce: Option<&[u8]>,
        vtpm: bool,
    ) {
        let facts = verified.facts();
        let profile = HardwareProfile {
            id: self.profile.clone(),
            kind: Kind::Snp,
            roots: vec![facts.root],
            machines: Machines::AnyGenuine,
            // Verifying a file asks what it says, not whether this image is wanted; a domain's policy asks that.
            images: vec![facts.measurement],
            isolation: Vec::new(),
            host: Vec::new(),
            knobs: Knobs::Snp(knobs),
        };
        let verdict: Verdict = appraise(verified, None, &profile);
        self.checks = verified.checks().to_vec();
        self.checks.extend(
            verdict.checks().iter().filter(|c| !matches!(c.name, "image" | "root")).cloned(),
        );
        if let Some(wanted) = nonce {
            let mut padded = wanted.to_vec();
            padded.resize(64, 0);
            let same =
                evidence::controls::holds("verify_nonce", padded == facts.report_data.as_bytes());
            let detail = format!("REPORT_DATA is {}", facts.report_data);
            self.checks.push(if same {
                Check::passed("nonce", detail)
            } else {
                Check::failed("nonce", detail)
            });
        }
        if vtpm {
            self.checks.push(Check::skipped(
                "vtpm",
                "the vTPM quote beside this report is not verified by this version",
            ));
        }
        self.failure = self
            .checks
            .iter()
            .find(|c| c.outcome == evidence::Outcome::Failed)
            .map(|c| format!("{}: {}", c.name, c.detail));
        self.facts = Some(facts.clone());
    }

    fn authentic(&self) -> Option<bool> {
        if self.missing { None } else { Some(self.facts.is_some()) }
    }

    fn status(&self) -> u8 {
        if self.missing { 3 } else { u8::from(self.failure.is_some()) }
    }

    fn print(&self, format: VerifyFormat) {
        if format == VerifyFormat::Json {
            print_json(&self.json());
            return;
        }
        let facts = self.facts.as_ref();
        println!("AMD SEV-SNP attestation report, judged under profile {}", self.profile);
        if self.profile == FORENSIC {
            println!("(this profile says what the evidence is; it admits nothing)");
        }
        println!(
            "authentic: {}",
            match self.authentic() {
                None => "cannot be said yet",
                Some(true) => "yes",
                Some(false) => "NO",
            }
        );
        println!("verdict:   {}", if self.failure.is_none() { "valid" } else { "INVALID" });
        if let Some(why) = &self.failure {
            println!("because:   {why}");
        }
        if let Some(f) = facts {
            println!(
                "measured:  {}\nREPORT_DATA: {}\nHOST_DATA: {}\ndebug:     {}",
                f.measurement,
                f.report_data,
                hex::encode(f.host_data),
                f.debug
            );
            println!(
                "machine:   {}",
                f.machine
                    .as_ref()
                    .map_or_else(|| "not named (masked)".to_owned(), ToString::to_string)
            );
        }
        for c in &self.checks {
            println!("  {:<14} {:<20} {}", c.outcome.as_str(), c.name, c.detail);
        }
    }

    fn json(&self) -> Value {
        let facts = self.facts.as_ref();
        let checks = self
            .checks
            .iter()
            .map(|c| json!({"name": c.name, "result": c.outcome.as_str(), "detail": c.detail}));
        json!({
            "tee": "snp",
            "policy": {"id": self.profile, "digest": self.digest},
            "authentic": self.authentic(),
            "verdict": if self.failure.is_none() { "valid" } else { "invalid" },
            "reason": self.failure,
            "measurement": facts.map(|f| f.measurement.to_string()),
            "report_data": facts.map(|f| f.report_data.to_string()),
            "debug": facts.map(|f| f.debug),
            "checks": checks.collect::<Vec<_>>(),
            "fields": facts.map(fields),
        })
    }
}

fn fields(facts: &HardwareFacts) -> Value {
    let Detail::Snp(f) = &facts.detail else { return Value::Null };
    let r = &f.report;
    let tcb = |t: &snp::Tcb| {
        let mut out = json!({"bootloader": t.bootloader, "tee": t.tee, "snp": t.snp, "microcode": t.microcode});
        if let (Some(fmc), Some(map)) = (t.fmc, out.as_object_mut()) {
            map.insert("fmc".to_owned(), fmc.into());
        }
        out
    };
    let firmware = |[major, minor, build]: [u8; 3]| format!("{major}.{minor}.{build}");
    json!({
        "version": r.version, "guest_svn": r.guest_svn, "policy": format!("{:#x}", r.policy), "vmpl": r.vmpl,
        "platform_info": format!("{:#x}", r.platform_info), "product": f.product.as_str(),
        "signing_key": format!("{:?}", f.signing_key).to_uppercase(), "csp_id": f.csp_id,
        "host_data": hex::encode(r.host_data), "chip_id": hex::encode(r.chip_id),
        "report_id": hex::encode(r.report_id), "report_id_ma": hex::encode(r.report_id_ma),
        "id_key_digest": hex::encode(r.id_key_digest), "author_key_digest": hex::encode(r.author_key_digest),
        "family_id": hex::encode(r.family_id), "image_id": hex::encode(r.image_id),
        "tcb": {"current_tcb": tcb(&f.current_tcb), "reported_tcb": tcb(&f.reported_tcb), "committed_tcb": tcb(&f.committed_tcb), "launch_tcb": tcb(&f.launch_tcb)},
        "fw": {"current": firmware(r.current_version), "committed": firmware(r.committed_version)}, "cpuid_fms": r.cpuid,
        "launch_mit_vector": r.launch_mit_vector, "current_mit_vector": r.current_mit_vector,
    })
}

/// A certificate file, PEM or DER, as DER.
fn certificate(path: &Path) -> Result<Vec<u8>> {
    use base64::Engine;
    let bytes = fs::read(path).map_err(|e| Failure::Missing(format!("{}: {e}", path.display())))?;
    let Ok(text) = std::str::from_utf8(&bytes) else { return Ok(bytes) };
    let Some(body) =
        text.split("-----BEGIN CERTIFICATE-----").nth(1).and_then(|t| t.split("-----END").next())
    else {
        return Ok(bytes);
    };
    let body = body.split_whitespace().collect::<String>();
    base64::prelude::BASE64_STANDARD
        .decode(body)
        .map_err(|_| Failure::Usage(format!("{}: not PEM of a certificate", path.display())).into())
}

fn time(text: &str) -> Result<Time> {
    Time::parse_rfc3339(text).ok_or_else(|| {
        Failure::Usage(format!("{text:?} is no time of the form 2026-11-24T12:00:00Z")).into()
    })
}

fn load(args: &VerifyArgs) -> Result<Case> {
    let at = args.at.as_deref().map(time).transpose()?;
    // A root given by hand is also the certificate the chain ends in, unless the evidence brought one.
    let given = args.endorsement.iter().chain(&args.root);
    let extra = given.map(|f| certificate(f)).collect::<Result<Vec<_>>>()?;
    if args.path.is_dir() {
        return load_folder(&args.path, at, extra);
    }
    let report = fs::read(&args.path)
        .map_err(|e| Failure::Usage(format!("{}: {e}", args.path.display())))?;
    if report.len() != snp::layout::REPORT_LEN {
        bail!(Failure::Usage(format!(
            "{}: {} bytes are no SEV-SNP report ({}); other kinds: not yet",
            args.path.display(),
            report.len(),
            snp::layout::REPORT_LEN
        )));
    }
    let evidence = HardwareEvidence { kind: Kind::Snp, report, endorsements: extra };
    Ok(Case { evidence, at: at.unwrap_or_else(now), vtpm: false })
}

fn load_folder(dir: &Path, at: Option<Time>, extra: Vec<Vec<u8>>) -> Result<Case> {
    let path = dir.join("case.json");
    let bytes = fs::read(&path).map_err(|e| Failure::Usage(format!("{}: {e}", path.display())))?;
    let case: Value = serde_json::from_slice(&bytes)
        .map_err(|e| Failure::Usage(format!("{}: {e}", path.display())))?;
    let text = |v: &Value| v.as_str().map(str::to_owned);
    let tee = case.get("tee").and_then(&text).unwrap_or_default();
    if tee != "snp" {
        bail!(Failure::Usage(format!("{}: kind {tee:?}: not yet", path.display())));
    }
    let base = base(dir);
    let place =
        |name: String| if name.starts_with("roots/") { base.join(name) } else { dir.join(name) };
    let mut files = case.get("trust_anchor").and_then(&text).into_iter().collect::<Vec<_>>();
    files.extend(
        case.get("intermediates").and_then(Value::as_array).into_iter().flatten().filter_map(&text),
    );
    files.extend(case.get("vek").and_then(|v| v.get("file")).and_then(&text));
    let mut endorsements =
        files.into_iter().map(|f| certificate(&place(f))).collect::<Result<Vec<_>>>()?;
    endorsements.extend(extra);
    let report = fs::read(dir.join("report.bin"))
        .map_err(|e| Failure::Usage(format!("{}/report.bin: {e}", dir.display())))?;
    let stated = case.get("verify_at").and_then(&text).map(|t| time(&t)).transpose()?;
    Ok(Case {
        evidence: HardwareEvidence { kind: Kind::Snp, report, endorsements },
        at: at.or(stated).unwrap_or_else(now),
        vtpm: case.get("vtpm").is_some_and(|v| !v.is_null()),
    })
}

/// Where `roots/` is: stated in the environment, or two folders above a case.
#[expect(
    clippy::disallowed_methods,
    reason = "the command line is told where captured evidence is by the environment"
)]
fn base(dir: &Path) -> PathBuf {
    std::env::var("CASEMATE_EVIDENCE").map_or_else(|_| dir.join("../.."), PathBuf::from)
}
