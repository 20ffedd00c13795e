//! `casemate explain --what-if`: a program that is not there, under the policy in force or the domain file. Nothing is granted by it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::ValueEnum;
use evidence::statement::HostOs;
use evidence::{Isolation, Kind, MachineId, Measurement, snp};
use serde_json::json;
use trust::Policy;
use trust::permission::Permissions;
use trust::suppose::{Outcome, Supposed, suppose};

use crate::audit;
use crate::domain::Domain;
use crate::output::{Failure, Format, json};

/// Evidence files are never longer.
const EVIDENCE_MAX: u64 = 1 << 20;

/// Kinds of hardware that policies name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum On {
    Software,
    Snp,
    Tpm,
}

/// What is supposed.
#[derive(clap::Args)]
pub struct Facts {
    /// What it measures, sha384:…; without, what its program measures or the policy trusts for the role
    #[arg(long, value_name = "sha384:…")]
    measurement: Option<String>,
    /// On which kind of hardware; without, the first that the role may run on
    #[arg(long, value_enum)]
    on: Option<On>,
    /// In which place, counted as proved
    #[arg(long = "in", value_name = "PLACE")]
    place: Option<String>,
    /// The role it asks for, where it is trusted for several
    #[arg(long, value_name = "ROLE")]
    ask: Option<String>,
    /// The machine image or monitor, sha384:…; without, one the policy takes
    #[arg(long, value_name = "sha384:…")]
    image: Option<String>,
    /// The machine's id in hex; without, one the policy takes
    #[arg(long, value_name = "HEX")]
    machine: Option<String>,
    /// Its isolation, as evidence spells it
    #[arg(long)]
    isolation: Option<String>,
    /// The operating system around it: measured or mutable
    #[arg(long)]
    host: Option<String>,
    /// Take kind, image and machine from a SEV-SNP report (as bytes; its signature is not asked for here, `casemate verify` does)
    #[arg(long, value_name = "REPORT", conflicts_with_all = ["on", "image", "machine"])]
    evidence: Option<PathBuf>,
    /// Under the domain file, not the policy in force
    #[arg(long)]
    file: bool,
}

impl Facts {
    /// True if anything is supposed.
    pub fn any(&self) -> bool {
        let texts = [&self.measurement, &self.place, &self.ask, &self.image, &self.machine];
        texts.iter().any(|t| t.is_some())
            || self.isolation.is_some()
            || self.host.is_some()
            || self.on.is_some()
            || self.evidence.is_some()
            || self.file
    }
}

fn measurement(flag: &str, text: &str) -> Result<Measurement> {
    let read = text.strip_prefix("sha384:").and_then(Measurement::from_hex);
    read.ok_or_else(|| {
        Failure::Usage(format!(
            "--{flag}: expected sha384: and 96 lower-case hex digits, got {text:?}"
        ))
        .into()
    })
}

fn word<T>(
    flag: &str,
    text: Option<&String>,
    expected: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>> {
    text.map(|t| {
        read(t).ok_or_else(|| {
            Failure::Usage(format!("--{flag}: expected {expected}, got {t:?}")).into()
        })
    })
    .transpose()
}

/// What a role measures: its program here, or the first that the policy trusts.
fn measured(domain: &Domain, policy: &Policy, role: &str) -> Result<Measurement> {
    if let Ok((_, config)) = domain.config(role) {
        let manifest = monitor::program::image::measure(&config);
        return Ok(manifest.map_err(|e| Failure::Usage(e.to_string()))?.measurement());
    }
    let program = policy.programs.iter().find(|p| p.role.as_str() == role);
    program.and_then(|p| p.measurements.first()).copied().ok_or_else(|| {
        Failure::Usage(format!(
            "no program {role:?}; name one of the policy, or say --measurement sha384:…"
        ))
        .into()
    })
}

fn supposed(
    domain: &Domain,
    policy: &Policy,
    name: Option<&str>,
    facts: &Facts,
) -> Result<Supposed> {
    let measurement = match (&facts.measurement, name) {
        (Some(text), _) => measurement("measurement", text)?,
        (None, Some(role)) => measured(domain, policy, role)?,
        (None, None) => {
            return Err(Failure::Usage(
                "suppose which program: a role, or --measurement sha384:…".to_owned(),
            )
            .into());
        }
    };
    let program = policy.programs.iter().find(|p| Some(p.role.as_str()) == name);
    let on = facts.on.map(|on| match on {
        On::Software => Kind::Software,
        On::Snp => Kind::Snp,
        On::Tpm => Kind::Tpm,
    });
    let shown = facts.evidence.as_ref().map(|path| report(domain, path)).transpose()?;
    let kind =
        on.or(shown.as_ref().map(|_| Kind::Snp)).or(program.and_then(|p| p.on.first().copied()));
    let kind = kind.ok_or_else(|| {
        Failure::Usage(
            "say on which kind of hardware: --on software, --on snp, --on tpm".to_owned(),
        )
    })?;
    let hosts = "measured or mutable";
    let id = |t: &str| MachineId::new(&hex::decode(t).ok()?);
    let image = facts.image.as_ref().map(|t| self::measurement("image", t)).transpose()?;
    let machine = word("machine", facts.machine.as_ref(), "an id in hex, not all zero", id)?;
    Ok(Supposed {
        measurement,
        kind,
        place: facts.place.clone(),
        ask: facts.ask.clone(),
        image: image.or(shown.as_ref().map(|(image, _)| *image)),
        machine: machine.or(shown.and_then(|(_, machine)| machine)),
        isolation: word(
            "isolation",
            facts.isolation.as_ref(),
            "machine-exclusive, machine-shared-kernel, process, wasm or software",
            Isolation::parse,
        )?,
        host: word("host", facts.host.as_ref(), hosts, HostOs::parse)?,
        vouched: None,
    })
}

/// What a report says of its machine, unverified: it is only supposed.
fn report(domain: &Domain, path: &Path) -> Result<(Measurement, Option<MachineId>)> {
    let name = path.display();
    let len = std::fs::metadata(path).map_err(|e| Failure::Usage(format!("{name}: {e}")))?.len();
    if len > EVIDENCE_MAX {
        return Err(Failure::Usage(format!("{name}: {len} bytes, too long for a report")).into());
    }
    let bytes = std::fs::read(path).with_context(|| name.to_string())?;
    let report = snp::parse(&bytes).map_err(|e| Failure::Usage(format!("{name}: {e}")))?;
    if report.host_data != *domain.genesis.root().as_bytes() {
        println!(
            "note: HOST_DATA of {name} is not this domain's root: whatever is decided below, a monitor started so is refused"
        );
    }
    println!(
        "note: what {name} says is supposed; `casemate verify {name}` asks whether it is authentic"
    );
    Ok((Measurement::new(report.measurement), MachineId::new(&report.chip_id)))
}

pub fn run(domain: &Domain, name: Option<&str>, facts: &Facts, format: Format) -> Result<ExitCode> {
    let (policy, under) = if facts.file {
        (domain.compile(1, None)?, "the domain file".to_owned())
    } else {
        let force = domain
            .in_force()?
            .context("no policy is signed yet; say --file for the domain file")?;
        (force.policy().clone(), format!("policy version {}", force.policy().version))
    };
    let permissions = Permissions::compile(&policy).map_err(|e| Failure::Usage(e.to_string()))?;
    let supposed = supposed(domain, &policy, name, facts)?;
    let outcome = suppose(&policy, &permissions, &audit::revocations(domain)?, &supposed);
    if format == Format::Json {
        json(&as_json(&outcome, &under));
    } else {
        let place = supposed.place.as_deref().map(|p| format!(" in {p}")).unwrap_or_default();
        println!("sha384:{} on {}{place}, under {under}:", supposed.measurement, supposed.kind);
        tell(&outcome);
    }
    Ok(ExitCode::from(u8::from(!matches!(outcome, Outcome::Admitted(_)))))
}

/// What would be decided now about a program of the domain, where it was refused before.
pub fn now(domain: &Domain, name: &str) -> Result<()> {
    let force = domain.in_force()?.context("no policy is signed")?;
    let policy = force.policy();
    let supposed = Supposed {
        measurement: measured(domain, policy, name)?,
        kind: Kind::Software,
        place: None,
        ask: None,
        image: None,
        machine: None,
        isolation: None,
        host: None,
        vouched: None,
    };
    tell(&suppose(policy, force.permissions(), &audit::revocations(domain)?, &supposed));
    Ok(())
}

fn tell(outcome: &Outcome) {
    match outcome {
        Outcome::Admitted(a) => {
            println!("  it would be admitted as {}", a.role);
            let list = |items: Vec<String>| {
                if items.is_empty() { "nothing".to_owned() } else { items.join(", ") }
            };
            println!("  connect: {}", list(a.connect.iter().map(ToString::to_string).collect()));
            println!("  listen: {}", list(a.listen.iter().map(ToString::to_string).collect()));
            println!("  secrets: {}", list(a.secrets.clone()));
            println!(
                "  clients besides programs: {}",
                list(a.outsiders.iter().map(|o| o.as_str().to_owned()).collect())
            );
        }
        Outcome::Refused { nearest, missing } => {
            match nearest {
                Some(role) => {
                    println!("  it would be refused; nearest is the role {role}, which lacks:")
                }
                None => println!("  it would be refused:"),
            }
            for m in missing {
                println!("  {}: expected {}, got {}", m.rule, m.expected, m.got);
                println!("    to change that: {}", m.change);
            }
        }
    }
}

fn as_json(outcome: &Outcome, under: &str) -> serde_json::Value {
    match outcome {
        Outcome::Admitted(a) => json!({"admitted": true, "under": under, "role": a.role.as_str(),
            "connect": a.connect.iter().map(|r| r.as_str()).collect::<Vec<_>>(), "listen": a.listen, "secrets": a.secrets,
            "clients": a.outsiders.iter().map(|o| o.as_str()).collect::<Vec<_>>()}),
        Outcome::Refused { nearest, missing } => {
            let rows = missing.iter().map(|m| json!({"rule": m.rule, "expected": m.expected, "got": m.got, "change": m.change}));
            json!({"admitted": false, "under": under, "nearest": nearest.as_ref().map(|r| r.as_str()), "missing": rows.collect::<Vec<_>>()})
        }
    }
}
