//! `casemate measure`: what a program measures, without adding it; and with `--for`, what hardware will measure of an image.

mod predicted;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use monitor::program::manifest::Entry;
use monitor::program::{Config, image};
use serde_json::json;

use crate::domain::Domain;
use crate::output::{Failure, Format, json};

/// Print what a program measures, or what hardware will measure of an image.
#[derive(clap::Args)]
#[command(
    after_help = "Examples: casemate measure -- /usr/bin/redis-server --save \"\"\n          casemate measure OVMF.fd --for snp --vmm qemu --vcpus 4 --vcpu-type EPYC-Milan --guest-features 0x1 --kernel vmlinuz --initrd initrd.img --append 'console=ttyS0'\n          casemate measure OVMF.fd --for tdx --page-order section\n          casemate measure app.eif --for nitro\n          casemate measure enclave.sigstruct --for sgx\n\
A prediction is no evidence: it says what a genuine report of that very machine will say."
)]
pub struct MeasureArgs {
    /// A program of this domain, or a command after `--`; with --for, an image
    name: Option<String>,
    /// Predict what this kind of hardware will measure
    #[arg(long = "for", value_enum, value_name = "KIND", requires = "name")]
    kind: Option<predicted::For>,
    #[command(flatten)]
    inputs: predicted::Inputs,
    /// List every file with its digest
    #[arg(long)]
    files: bool,
    /// How to print
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    /// Program and arguments
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// Measures.
pub fn run(args: &MeasureArgs) -> Result<ExitCode> {
    if let (Some(kind), Some(path)) = (args.kind, &args.name) {
        return predicted::run(&PathBuf::from(path), kind, &args.inputs, args.format);
    }
    let config = match (&args.name, args.command.is_empty()) {
        (Some(name), true) => Domain::find()?.config(name)?.1,
        (None, false) => Config::new(args.command.clone()),
        _ => {
            return Err(Failure::Usage(
                "give the name of an added program, or `-- COMMAND`".to_owned(),
            )
            .into());
        }
    };
    let manifest = image::measure(&config).map_err(|e| Failure::Usage(e.to_string()))?;
    let files = manifest.entries.iter().map(|(path, entry)| match entry {
        Entry::Directory => (path.clone(), "directory".to_owned()),
        Entry::Link(to) => (path.clone(), format!("link to {to}")),
        Entry::File { digest, .. } => (path.clone(), format!("sha384:{digest}")),
    });
    if args.format == Format::Json {
        let files = args.files.then(|| files.collect::<std::collections::BTreeMap<_, _>>());
        json(
            &json!({"measurement": manifest.measurement().to_string(), "entries": manifest.entries.len(), "files": files}),
        );
    } else {
        println!("sha384:{}", manifest.measurement());
        if args.files {
            files.for_each(|(path, what)| println!("{path}  {what}"));
        }
    }
    Ok(ExitCode::SUCCESS)
}
