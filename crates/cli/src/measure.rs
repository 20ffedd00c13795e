//! `casemate measure`: what a program measures, without adding it.

use std::process::ExitCode;

use anyhow::Result;
use monitor::program::manifest::Entry;
use monitor::program::{Config, image};
use serde_json::json;

use crate::domain::Domain;
use crate::output::{Failure, Format, json};

/// Print what a program measures.
#[derive(clap::Args)]
pub struct MeasureArgs {
    /// A program of this domain; or a command after `--`
    name: Option<String>,
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
