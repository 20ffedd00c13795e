//! `casemate claim`: make, show, hand in and list claims of those a policy lets speak. `docs/rules.md` says what follows from them.
//!
//! Making one believes nothing and needs no authority: whoever signs may be elsewhere and offline. What counts is decided at
//! every admission, under the policy then in force.

mod say;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use channel::admission::{Bundle, client};
use clap::Subcommand;
use evidence::IssuerKey;
use serde_json::{Value, json};
use trust::AuthenticClaim;
use trust::policy::Issuer;

use crate::clock::now;
use crate::domain::Domain;
use crate::output::{Failure, Format, json};

/// Say, show, hand in and list claims.
#[derive(clap::Args)]
#[command(
    after_help = "Example: an auditor says where a machine stands, and the owners' authority is told\n  \
casemate claim place --machine 0a0b… --country DE --site 'Frankfurt, hall 3' --operator 'Host GmbH' \\\n    \
--basis auditor-visit --level 2 --key audit --domain 4f… --out hall3.claim\n  \
casemate claim show hall3.claim\n  casemate claim send hall3.claim\n\
Whose claims count, and for what, the domain file says under [issuer.NAME]."
)]
pub struct ClaimArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    #[command(flatten)]
    Say(Box<say::Say>),
    /// Show claims, and whether their issuers signed them
    Show {
        /// Files
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// How to print
        #[arg(long, value_enum, default_value = "table")]
        format: Format,
    },
    /// Hand claims to the authority of the domain in this directory
    Send {
        /// Files
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// List the claims the authority knows, and who is behind them
    Ls {
        /// How to print
        #[arg(long, value_enum, default_value = "table")]
        format: Format,
    },
}

/// Runs it.
pub fn run(args: &ClaimArgs) -> Result<ExitCode> {
    match &args.command {
        Command::Say(say) => {
            let (claim, options) = say.make()?;
            let path = options.out.clone().unwrap_or_else(|| {
                let digest = claim.digest().to_string();
                let short = digest.get(..12).unwrap_or(&digest);
                PathBuf::from(format!("{}-{short}.claim", claim.claim().says.verb()))
            });
            fs::write(&path, claim.bytes()).with_context(|| path.display().to_string())?;
            println!("{}\nsigned, in {}", claim.claim(), path.display());
            if options.send {
                send(&Domain::find()?, std::slice::from_ref(&path))?;
            }
        }
        Command::Show { files, format } => return show(files, *format),
        Command::Send { files } => send(&Domain::find()?, files)?,
        Command::Ls { format } => list(&Domain::find()?, *format)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The claim in a file. A file that is none is unusable input; one that its issuer did not sign is refused.
fn read(path: &Path) -> Result<AuthenticClaim> {
    let max = u64::try_from(trust::claim::LEN_MAX).unwrap_or(u64::MAX);
    let file = fs::File::open(path).with_context(|| path.display().to_string())?;
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut std::io::Read::take(file, max.saturating_add(1)), &mut bytes)
        .with_context(|| path.display().to_string())?;
    AuthenticClaim::verify(&bytes).map_err(|e| {
        let said = format!("{}: {e}", path.display());
        use evidence::cose::CoseError;
        match e {
            trust::claim::ClaimError::Cose(CoseError::Signature) => Failure::Refused(said).into(),
            _ => Failure::Usage(said).into(),
        }
    })
}

fn show(files: &[PathBuf], format: Format) -> Result<ExitCode> {
    let mut worst = 0;
    let mut rows = Vec::new();
    for path in files {
        match read(path) {
            Ok(claim) if format == Format::Json => {
                let mut row = as_json(&claim);
                if let Some(row) = row.as_object_mut() {
                    row.insert("file".into(), json!(path.display().to_string()));
                }
                rows.push(row);
            }
            Ok(claim) => {
                println!("{}: claim {}\n  {}", path.display(), claim.digest(), claim.claim());
            }
            Err(e) => {
                eprintln!("casemate: {e:#}");
                worst = worst.max(crate::output::exit_code(&e));
            }
        }
    }
    if format == Format::Json {
        json(&Value::Array(rows));
    }
    Ok(ExitCode::from(worst))
}

fn as_json(claim: &AuthenticClaim) -> Value {
    let c = claim.claim();
    json!({"digest": claim.digest().to_string(), "issuer": c.issuer.to_string(), "verb": c.says.verb(),
        "says": c.says.to_string(), "domain": c.domain.map(|d| d.to_string()),
        "not_before": c.window.not_before.to_string(), "not_after": c.window.not_after.to_string()})
}

/// Hands a claim to the authority; what it answers.
pub fn hand_in(domain: &Domain, claim: &AuthenticClaim) -> Result<String> {
    let bundle = Bundle::decode(&domain.bundle()?)?;
    let trust = client::trust_of(&bundle, domain.genesis.root(), now())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let put = client::put_claim(&bundle.authority, &trust, claim.bytes(), now);
    Ok(runtime.block_on(put)?)
}

fn send(domain: &Domain, files: &[PathBuf]) -> Result<()> {
    let claims = files.iter().map(|f| read(f)).collect::<Result<Vec<_>>>()?;
    for (path, claim) in files.iter().zip(&claims) {
        let said = hand_in(domain, claim).map_err(|e| {
            anyhow::Error::from(Failure::Refused(format!("{}: {e:#}", path.display())))
        })?;
        let known = if said == "known" { ", which it knew" } else { "" };
        println!("{}: the authority has claim {}{known}", path.display(), claim.digest());
    }
    Ok(())
}

fn list(domain: &Domain, format: Format) -> Result<()> {
    let Some(policy) = domain.in_force()? else {
        bail!(Failure::Usage("no signed policy; sign one with `casemate policy sign`".into()))
    };
    let bundle = Bundle::decode(&domain.bundle()?)?;
    let trust = client::trust_of(&bundle, domain.genesis.root(), now())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let claims = runtime.block_on(client::claims(&bundle.authority, &trust, now))?;
    let issuers = &policy.policy().issuers;
    if format == Format::Json {
        let row = |c| {
            let mut row = as_json(c);
            let named = issuer(issuers, c.claim().issuer).map(|i| i.name.to_string());
            if let Some(row) = row.as_object_mut() {
                row.insert("named".into(), json!(named));
            }
            row
        };
        json(&claims.iter().map(row).collect());
        return Ok(());
    }
    let now = now();
    for claim in &claims {
        let c = claim.claim();
        let (digest, key) = (claim.digest().to_string(), c.issuer.to_string());
        let short = |t: &str| t.get(..12).unwrap_or(t).to_owned();
        let who = issuer(issuers, c.issuer).map_or_else(
            || format!("key {}…", short(&key)),
            |i| format!("{} ({})", i.name, i.holder),
        );
        let when = match () {
            () if now < c.window.not_before => format!("from {}", c.window.not_before),
            () if now > c.window.not_after => format!("ended {}", c.window.not_after),
            () => format!("until {}", c.window.not_after),
        };
        println!("{}…  {who}: {}, {when}", short(&digest), c.says);
    }
    if claims.is_empty() {
        println!("the authority knows no claims; hand some in with `casemate claim send FILE`");
    }
    Ok(())
}

fn issuer(issuers: &[Issuer], key: IssuerKey) -> Option<&Issuer> {
    issuers.iter().find(|i| i.key == key)
}
