//! `casemate secret`: named values that programs get when they are admitted. What is kept here and sent is ciphertext, signed
//! by the owners, that only the endorsed authority opens.

use std::fs;
use std::io::{IsTerminal, Read};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use channel::admission::{Bundle, client};
use platform::Secret;
use serde_json::json;
use services::authority::role_secrets;
use trust::Subject;
use trust::role_secret::{RoleSecret, VALUE_MAX};
use trust::signing::Signed;

use crate::clock::now;
use crate::domain::{Domain, replace};
use crate::output::{Failure, Format, json};
use crate::{deliver, sign};

/// Set, list and take back role secrets.
#[derive(clap::Args)]
#[command(
    after_help = "Example: casemate add web --secret db-password -- ./web && casemate up && casemate secret set db-password --file password.txt\n\
A program reads it with the SDK, `Program::secret(\"db-password\")`. Programs that run get a new value with their next credential."
)]
pub struct SecretArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Give a secret a value, for every role whose policy names it
    Set {
        /// Its name in `secrets` of the domain file
        name: String,
        /// Read the value from this file, every byte of it; without, from standard input (a line, where that is a terminal)
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// The newest number the authority knows, where this directory has not seen it
        #[arg(long, value_name = "NUMBER")]
        after: Option<u64>,
        #[command(flatten)]
        with: sign::With,
    },
    /// List secrets: who may read each, and whether it has a value
    Ls {
        /// How to print
        #[arg(long, value_enum, default_value = "table")]
        format: Format,
    },
    /// Take a value back: it is released to nobody from then on
    Rm {
        /// Its name
        name: String,
        /// The newest number the authority knows, where this directory has not seen it
        #[arg(long, value_name = "NUMBER")]
        after: Option<u64>,
        #[command(flatten)]
        with: sign::With,
    },
}

/// Runs it.
pub fn run(args: &SecretArgs) -> Result<ExitCode> {
    let domain = Domain::find()?;
    match &args.command {
        Command::Set { name, file, after, with } => {
            readers(&domain, name)?;
            let value = match file {
                Some(path) => {
                    Secret::new(fs::read(path).with_context(|| path.display().to_string())?)
                }
                None => from_input()?,
            };
            return put(&domain, name, Some(&value), *after, with);
        }
        Command::Ls { format } => list(&domain, *format)?,
        Command::Rm { name, after, with } => return put(&domain, name, None, *after, with),
    }
    Ok(ExitCode::SUCCESS)
}

/// Roles that may read it; a secret that none may is a typing mistake.
fn readers(domain: &Domain, name: &str) -> Result<Vec<String>> {
    let policy = domain.in_force()?.context("no signed policy")?;
    let programs = &policy.policy().programs;
    let named = programs.iter().filter(|p| p.secrets.iter().any(|s| s == name));
    let roles = named.map(|p| p.role.to_string()).collect::<Vec<_>>();
    if roles.is_empty() {
        bail!(Failure::Usage(format!(
            "no role of the signed policy may read {name:?}; say `casemate add ROLE --secret {name} …`, or name it in `secrets` of its section and run `casemate policy sign`"
        )));
    }
    Ok(roles)
}

/// What is typed or piped in.
fn from_input() -> Result<Secret<Vec<u8>>> {
    let input = std::io::stdin();
    let max = u64::try_from(VALUE_MAX).unwrap_or(u64::MAX).saturating_add(2);
    let mut value = Secret::new(Vec::new());
    if !input.is_terminal() {
        input.lock().take(max).read_to_end(value.expose_mut())?;
        return Ok(value);
    }
    eprint!("value (not shown): ");
    let quiet = Echo::off();
    let mut line = Secret::new(String::new());
    let read = input.read_line(line.expose_mut());
    drop(quiet);
    eprintln!();
    read?;
    value.expose_mut().extend(line.expose().trim_end_matches(['\n', '\r']).bytes());
    Ok(value)
}

/// A terminal that does not show what is typed, until this is dropped.
struct Echo(Option<rustix::termios::Termios>);

impl Echo {
    fn off() -> Self {
        use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
        let input = std::io::stdin();
        let before = tcgetattr(&input).ok();
        if let Some(mut quiet) = before.clone() {
            quiet.local_modes.remove(LocalModes::ECHO);
            let _ = tcsetattr(&input, OptionalActions::Flush, &quiet);
        }
        Self(before)
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        use rustix::termios::{OptionalActions, tcsetattr};
        if let Some(before) = &self.0 {
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, before);
        }
    }
}

fn path(domain: &Domain, name: &str) -> PathBuf {
    domain.dir.join("secrets").join(format!("{name}.cbor"))
}

/// The newest one signed here.
fn known(domain: &Domain, name: &str) -> Result<Option<RoleSecret>> {
    let path = path(domain, name);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e).with_context(|| path.display().to_string()),
    };
    let secret = Signed::decode(&bytes)
        .map_err(anyhow::Error::from)
        .and_then(|s| Ok(RoleSecret::verify(&s, &domain.genesis)?));
    secret.map(Some).with_context(|| path.display().to_string())
}

/// Encrypts, signs and hands in, once enough owners have signed.
fn put(
    domain: &Domain,
    name: &str,
    value: Option<&Secret<Vec<u8>>>,
    after: Option<u64>,
    with: &sign::With,
) -> Result<ExitCode> {
    let bundle = Bundle::decode(&domain.bundle()?)?;
    let root = domain.genesis.root();
    let trust = client::trust_of(&bundle, root, now())?;
    let before = known(domain, name)?.map_or(0, |s| s.number);
    let number = after.unwrap_or_default().max(before).saturating_add(1);
    let to = trust.authority().endorsement().secrets;
    let value = value.map(|v| role_secrets::seal(to, &root, name, number, v)).transpose();
    let value = value.map_err(|e| Failure::Usage(e.to_string()))?;
    let secret = RoleSecret { domain: root, name: name.to_owned(), number, value };
    match deliver::submit(domain, &Subject::Secret(Box::new(secret)), with)? {
        Some(done) => println!("{done}"),
        None => return Ok(ExitCode::from(3)),
    }
    Ok(ExitCode::SUCCESS)
}

/// Hands in a secret enough owners signed; kept here once the authority has it.
pub fn hand_in(domain: &Domain, secret: &RoleSecret, signed: &Signed) -> Result<u64> {
    let bundle = Bundle::decode(&domain.bundle()?)?;
    let trust = client::trust_of(&bundle, domain.genesis.root(), now())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let put = client::put_secret(&bundle.authority, &trust, signed, now);
    let number = runtime.block_on(put).map_err(|e| Failure::Refused(e.to_string()))?;
    fs::create_dir_all(domain.dir.join("secrets"))?;
    replace(&path(domain, &secret.name), &signed.encode())?;
    Ok(number)
}

fn list(domain: &Domain, format: Format) -> Result<()> {
    let policy = domain.in_force()?.context("no signed policy")?;
    let programs = &policy.policy().programs;
    let mut names = programs.iter().flat_map(|p| p.secrets.clone()).collect::<Vec<_>>();
    names.sort();
    names.dedup();
    let mut rows = Vec::new();
    for name in names {
        let secret = known(domain, &name)?;
        let is_set = secret.as_ref().is_some_and(|s| s.value.is_some());
        let number = secret.map_or(0, |s| s.number);
        rows.push((readers(domain, &name)?, name, number, is_set));
    }
    if format == Format::Json {
        let rows = rows.iter().map(|(readers, name, number, is_set)| {
            json!({"name": name, "readers": readers, "number": number, "set": is_set})
        });
        json(&rows.collect());
        return Ok(());
    }
    for (readers, name, number, is_set) in &rows {
        let state = if *is_set { format!("number {number}") } else { "no value".to_owned() };
        println!("{name:<24}  {state:<12}  read by {}", readers.join(", "));
    }
    if rows.is_empty() {
        println!("no role names a secret; say `casemate add ROLE --secret NAME …`");
    }
    Ok(())
}
