//! `casemate image disk`: what a machine is handed: its domain, its peers' addresses, its programs with every file they consist of.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use channel::admission::Bundle;
use monitor::machine::CONTENTS;
use monitor::machine::archive::Writer;
use monitor::program::config::Source;
use monitor::program::{Store, image};

use super::build::Scratch;
use crate::domain::{Domain, replace};
use crate::machine::{ORDERS, Ordered, Orders};
use crate::output::Failure;

/// This machine, as QEMU's user networking shows it to the machine inside.
const HOST: &str = "10.0.2.2";

/// Make the disk that hands a domain's programs to a machine.
#[derive(clap::Args)]
#[command(
    after_help = "Nothing on it is trusted by anybody: programs are measured, the bundle is signed by the owners.\nExample: casemate image disk --out node/disk --program client"
)]
pub struct DiskArgs {
    /// The file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Programs of this domain the machine runs; NAME=ROLE where one asks for another role than its name
    #[arg(long = "program", value_name = "NAME", required = true)]
    programs: Vec<String>,
    /// Where the machine reaches the authority [default: where it is here, on 10.0.2.2]
    #[arg(long, value_name = "HOST:PORT")]
    authority: Option<String>,
    /// Where the machine reaches a peer's port, ROLE:PORT=HOST:PORT [default: where it is here, on 10.0.2.2]
    #[arg(long = "peer", value_name = "PEER")]
    peers: Vec<String>,
    /// The machine's address and bits
    #[arg(long, value_name = "ADDRESS/BITS", default_value = "10.0.2.15/24")]
    address: String,
    /// Where it reaches everything else
    #[arg(long, value_name = "ADDRESS", default_value = HOST)]
    gateway: std::net::Ipv4Addr,
}

/// An address of this machine as the machine inside reaches it.
fn outside(address: &str) -> String {
    match address.rsplit_once(':') {
        Some(("127.0.0.1" | "0.0.0.0" | "localhost" | "[::1]", port)) => format!("{HOST}:{port}"),
        _ => address.to_owned(),
    }
}

/// Writes it.
pub fn run(args: &DiskArgs) -> Result<ExitCode> {
    let domain = Domain::find()?;
    let bundle = Bundle::decode(&domain.bundle()?)?;
    let authority = args.authority.clone().unwrap_or_else(|| outside(&bundle.authority));
    let bundle = Bundle { authority, ..bundle };
    let known = fs::read(domain.run_dir().join("peers.json")).unwrap_or_default();
    let known = serde_json::from_slice::<BTreeMap<String, String>>(&known).unwrap_or_default();
    let mut peers = known.into_iter().map(|(k, v)| (k, outside(&v))).collect::<BTreeMap<_, _>>();
    for peer in &args.peers {
        let Some((role, address)) =
            peer.split_once('=').filter(|(r, a)| r.contains(':') && a.contains(':'))
        else {
            bail!(Failure::Usage(format!("--peer {peer:?}: expected ROLE:PORT=HOST:PORT")));
        };
        peers.insert(role.to_owned(), address.to_owned());
    }
    let programs = args.programs.iter().map(|p| {
        let (name, role) = p.split_once('=').unwrap_or((p, p));
        Ordered { name: name.to_owned(), role: role.to_owned() }
    });
    let orders = Orders {
        format: 1,
        address: Some(args.address.clone()),
        gateway: Some(args.gateway),
        programs: programs.collect(),
    };
    orders.network()?;
    let mut archive = Writer::new(Vec::new());
    archive.file(ORDERS, &serde_json::to_vec_pretty(&orders)?, false)?;
    archive.file("bundle.cbor", &bundle.encode(), false)?;
    archive.file("peers.json", &serde_json::to_vec_pretty(&peers)?, false)?;
    archive.directory("programs")?;
    let scratch = Scratch::new()?;
    for program in &orders.programs {
        add(&domain, program, scratch.path(), &mut archive)?;
    }
    let bytes = archive.finish()?;
    replace(&args.out, &bytes)?;
    println!("{}: {} bytes, for domain {}", args.out.display(), bytes.len(), domain.genesis.domain);
    Ok(ExitCode::SUCCESS)
}

/// A program with its files; there it measures what it measures here.
fn add(
    domain: &Domain,
    program: &Ordered,
    scratch: &std::path::Path,
    archive: &mut Writer<Vec<u8>>,
) -> Result<()> {
    let mut config = domain.config(&program.name)?.1;
    let dir = scratch.join(&program.name);
    fs::create_dir(&dir).with_context(|| dir.display().to_string())?;
    let image = Store::new(dir).load(&config, None)?;
    config.source = Source::Directory(image.root.to_string_lossy().into_owned());
    let there = image::measure(&config)?.measurement();
    if there != image.measurement {
        bail!(
            "{}: measures {} here and would measure {there} there; report this",
            program.name,
            image.measurement
        );
    }
    let name = &program.name;
    archive.directory(&format!("programs/{name}"))?;
    config.source = Source::Directory(format!("{CONTENTS}/programs/{name}/root"));
    let text = config.to_json()?;
    archive.file(&format!("programs/{name}/config.json"), text.as_bytes(), false)?;
    archive.tree(&format!("programs/{name}/root"), &image.root)?;
    println!("{name}: sha384:{there}");
    Ok(())
}
