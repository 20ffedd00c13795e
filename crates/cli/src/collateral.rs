//! `casemate collateral`: what vendors signed about their machines, kept for verification without a network. Nothing is kept that does
//! not verify under the pinned roots. So far: AMD's certificates and revocation lists.

pub mod store;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use evidence::Time;
use evidence::snp::{About, Endorsement};
use serde_json::json;

use self::store::{Store, StoreError, read_bounded};
use crate::clock::now;
use crate::output::{Failure, Format, json as print_json};
use crate::verify::input::certificates;

/// Files looked at in one import.
const FILES_MAX: usize = 4096;
/// Folders within folders.
const DEPTH_MAX: usize = 8;

/// Keep and show what vendors signed about their machines.
#[derive(Args)]
pub struct CollateralArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show what a store holds, and how old it is
    Show(ShowArgs),
    /// Keep what is authentic in files and folders (AMD certificates, DER or PEM, and revocation lists, DER)
    Import(ImportArgs),
}

#[derive(Args)]
struct ShowArgs {
    /// The folder of the store
    #[arg(long, value_name = "DIR")]
    store: PathBuf,
    /// How to print
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

#[derive(Args)]
struct ImportArgs {
    /// Files and folders
    #[arg(required = true)]
    path: Vec<PathBuf>,
    /// The folder of the store; made if it is not there
    #[arg(long, value_name = "DIR")]
    store: PathBuf,
}

/// Runs it.
pub fn run(args: &CollateralArgs) -> Result<ExitCode> {
    match &args.command {
        Command::Show(args) => show(args),
        Command::Import(args) => import(args),
    }
}

/// A store, or why it is refused.
pub fn open(dir: &Path) -> Result<Store> {
    Store::open(dir).map_err(failure)
}

fn failure(e: StoreError) -> anyhow::Error {
    match e {
        StoreError::Io { .. } => Failure::Usage(e.to_string()).into(),
        _ => Failure::Refused(e.to_string()).into(),
    }
}

/// What an object is, in words.
pub fn words(object: &Endorsement) -> String {
    let product = object.product.as_str();
    match &object.about {
        About::Ark => format!("AMD {product} ARK"),
        About::Ask => format!("AMD {product} ASK"),
        About::Asvk => format!("AMD {product} ASVK"),
        About::Vcek { hwid, tcb } => {
            format!("AMD {product} VCEK of chip {}, {tcb}", hex::encode(hwid))
        }
        About::Vlek { csp_id, tcb } => {
            let csp = csp_id.as_deref().unwrap_or("a provider not named");
            // The name is a certificate's text: quoted, it cannot pretend to be ours.
            format!("AMD {product} VLEK of {csp:?}, {tcb}")
        }
        About::RevocationList => format!("AMD {product} revocation list"),
    }
}

/// Whole days since it was issued.
pub fn age_days(object: &Endorsement, at: Time) -> i64 {
    at.unix().saturating_sub(object.window.not_before.unix()).div_euclid(86_400)
}

fn show(args: &ShowArgs) -> Result<ExitCode> {
    let store = open(&args.store)?;
    let at = now();
    if args.format == Format::Json {
        let entries = store.entries.iter().map(|e| {
            let w = e.object.window;
            json!({
                "sha256": e.digest, "vendor": "AMD", "what": words(&e.object),
                "product": e.object.product.as_str(), "issued": w.not_before.to_string(),
                "until": w.not_after.to_string(), "in_force": w.contains(at),
                "age_days": age_days(&e.object, at),
            })
        });
        print_json(&json!({"version": 1, "entries": entries.collect::<Vec<_>>()}));
        return Ok(ExitCode::SUCCESS);
    }
    for e in &store.entries {
        let w = e.object.window;
        let state = if w.contains(at) { "in force" } else { "NOT in force" };
        println!("{}\n  sha256 {}", words(&e.object), e.digest);
        let age = age_days(&e.object, at);
        println!("  issued {} ({age} days ago), until {}: {state}", w.not_before, w.not_after);
    }
    println!("{} objects", store.entries.len());
    Ok(ExitCode::SUCCESS)
}

fn import(args: &ImportArgs) -> Result<ExitCode> {
    let mut files = Vec::new();
    for path in &args.path {
        walk(path, 0, &mut files)?;
    }
    let (mut objects, mut origin, mut refused) = (Vec::new(), Vec::new(), 0_usize);
    for file in files {
        match read_bounded(&file).map_err(failure).and_then(|bytes| certificates(&bytes)) {
            Ok(found) => {
                for der in found {
                    origin.push((hex::encode(evidence::bytes::sha256(&der)), file.clone()));
                    objects.push(der);
                }
            }
            Err(e) => {
                refused = refused.saturating_add(1);
                println!("refused {}: {e}", file.display());
            }
        }
    }
    let mut store = open(&args.store)?;
    let imported = store.import(objects).map_err(failure)?;
    for (digest, why) in &imported.refused {
        for (_, file) in origin.iter().filter(|(d, _)| d == digest) {
            refused = refused.saturating_add(1);
            println!("refused {}: {why}", file.display());
        }
    }
    println!("{} kept, {refused} refused, {} in the store", imported.kept, store.entries.len());
    Ok(ExitCode::from(u8::from(refused > 0)))
}

/// Every ordinary file below; links are not followed.
fn walk(path: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<()> {
    let usage = |e: std::io::Error| Failure::Usage(format!("{}: {e}", path.display()));
    let kind = std::fs::symlink_metadata(path).map_err(usage)?;
    if files.len() >= FILES_MAX || depth > DEPTH_MAX {
        let limits = format!("expected at most {FILES_MAX} files, {DEPTH_MAX} folders deep");
        bail!(Failure::Usage(format!("{}: {limits}; import parts of it", path.display())));
    }
    if kind.is_file() {
        files.push(path.to_owned());
    } else if kind.is_dir() {
        for entry in std::fs::read_dir(path).map_err(usage)? {
            walk(&entry.map_err(usage)?.path(), depth.saturating_add(1), files)?;
        }
    } else {
        bail!(Failure::Usage(format!("{}: expected a file or a folder", path.display())));
    }
    Ok(())
}
