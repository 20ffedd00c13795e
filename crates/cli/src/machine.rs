//! The first process of a machine image: mounts, modules, network, then the monitor of one domain and its programs.
//!
//! It takes from the disk what the host gave: genesis, bundle, peers' addresses, programs. None of it is trusted: the domain's root
//! goes into PCR 15 before the monitor takes a request, the bundle is signed by that domain's owners, programs are measured.

use std::fs;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use channel::admission::Bundle;
use evidence::tpm::machine::{self as vouched, Report};
use monitor::launcher::Launch;
use monitor::machine::{self, CONTENTS, Network, TPM};
use monitor::program::Config;
use monitor::program::config::Stdio;
use monitor::supervisor::{Settings, Supervisor};
use platform::keyholder::Hardware;
use serde::{Deserialize, Serialize};
use trust::Genesis;

use crate::domain::own_measurement;

/// The file on the disk that says what to do.
pub const ORDERS: &str = "machine.json";
/// What a machine says last that did all it was told to: every program was admitted.
pub const DONE: &str = "done: every program was admitted";
/// What lines of the boot log begin with on the console.
pub const LOG_PREFIX: &str = "boot-log ";
/// The subcommand by which the first process goes on in its new root.
const AGAIN: &str = "__machine";
const RUN: &str = "/run/casemate";
const BOOT_LOG: &str = "/sys/kernel/security/tpm0/binary_bios_measurements";
/// Characters of the log in one line of the console.
const LOG_LINE: usize = 120;

/// What a machine is to do; the host's word.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Orders {
    /// 1.
    pub format: u64,
    /// `address/bits`; without, the machine has no network.
    pub address: Option<String>,
    /// Where everything else is reached.
    pub gateway: Option<Ipv4Addr>,
    /// Programs by name, each with the role it asks for.
    pub programs: Vec<Ordered>,
}

/// A program to start.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ordered {
    /// Its directory on the disk.
    pub name: String,
    /// The role to ask for.
    pub role: String,
}

impl Orders {
    /// Its network.
    pub fn network(&self) -> Result<Option<Network>> {
        let Some(address) = &self.address else { return Ok(None) };
        let parts = address.split_once('/').and_then(|(a, b)| {
            Some((a.parse().ok()?, b.parse().ok().filter(|b| (1..=32).contains(b))?))
        });
        let (address, bits) = parts
            .with_context(|| format!("{address:?}: expected an address and bits, 10.0.2.15/24"))?;
        Ok(Some(Network { address, bits, gateway: self.gateway }))
    }
}

/// True in the first process of a machine image, as the kernel starts it.
pub fn is_first_process() -> bool {
    let mut args = std::env::args_os();
    let started = args.next().is_some_and(|a| a == "/init");
    std::process::id() == 1 && started && args.next().is_none_or(|a| a != AGAIN)
}

/// Takes the machine over. It does not return.
pub fn first() -> ! {
    let why = match machine::become_root() {
        Ok(()) => Command::new("/init").arg(AGAIN).exec().to_string(),
        Err(e) => e.to_string(),
    };
    eprintln!("casemate: {why}");
    machine::power_off()
}

/// The machine's life; it ends with its programs.
pub fn run() -> Result<ExitCode> {
    if std::process::id() != 1 {
        bail!("this starts a machine image, and is not for use inside a running system");
    }
    let prepared = machine::mounts().and_then(|()| machine::open_console());
    if let Err(e) = prepared.map_err(anyhow::Error::from).and_then(|()| serve()) {
        eprintln!("casemate: {e:#}");
    }
    let _ = io::stdout().flush();
    machine::power_off()
}

/// 1. the boot log, 2. the disk and the network, 3. the domain and the TPM, 4. the monitor, 5. programs, to their end.
fn serve() -> Result<()> {
    // 1
    println!("casemate {}: a machine of its own", env!("CARGO_PKG_VERSION"));
    machine::load_modules()?;
    let log = fs::read(BOOT_LOG)
        .context("the boot log; the machine needs a TPM and firmware that measures")?;
    let text = STANDARD.encode(log);
    for line in text.as_bytes().chunks(LOG_LINE) {
        println!("{LOG_PREFIX}{}", String::from_utf8_lossy(line));
    }
    // 2
    if !machine::read_disk()? {
        println!("no disk, so nothing to run: this boot shows its log and ends");
        println!("{DONE}");
        return Ok(());
    }
    let orders = orders(Path::new(CONTENTS))?;
    machine::network(orders.network()?.as_ref())?;
    // 3
    let bundle = fs::read(Path::new(CONTENTS).join("bundle.cbor")).context("bundle.cbor")?;
    let bundle = Bundle::decode(&bundle)?;
    let domain = Genesis::decode_chain(&bundle.genesis)?;
    println!("domain {} {}", domain.domain, domain.root());
    show(&domain)?;
    // 4
    let run = PathBuf::from(RUN);
    fs::create_dir_all(&run)?;
    if let Ok(peers) = fs::read(Path::new(CONTENTS).join("peers.json")) {
        fs::write(run.join("peers.json"), peers)?;
    }
    let supervisor = Supervisor::start(Settings {
        state: run.join("state"),
        run,
        hardware: Hardware::Tpm(TPM.to_owned()),
        domain: domain.root(),
        monitor: own_measurement()?,
    })?;
    let watcher = Arc::clone(&supervisor);
    std::thread::spawn(move || watcher.watch());
    // 5
    let mut started = Vec::new();
    for program in &orders.programs {
        match start(&supervisor, &bundle, program) {
            Ok(()) => started.push(program.name.as_str()),
            Err(e) => println!("program {}: not started: {e:#}", program.name),
        }
    }
    let mut admitted = started.len() == orders.programs.len();
    for name in &started {
        let settled = supervisor.wait(name, |p| {
            (p.admission != "starting" || p.status.is_some()).then(|| p.admission.clone())
        });
        let settled = settled.unwrap_or_default();
        admitted &= settled.starts_with("admitted");
        println!("program {name}: {settled}");
    }
    for name in &started {
        let status = supervisor.wait(name, |p| p.status).unwrap_or_default();
        println!("program {name}: ended with status {status}");
    }
    supervisor.shutdown();
    if admitted {
        println!("{DONE}");
    }
    Ok(())
}

fn orders(contents: &Path) -> Result<Orders> {
    let bytes = fs::read(contents.join(ORDERS)).context(ORDERS)?;
    let orders = serde_json::from_slice::<Orders>(&bytes).context(ORDERS)?;
    if orders.format != 1 {
        bail!("{ORDERS}: format is {}, expected 1", orders.format);
    }
    Ok(orders)
}

/// What a policy has to name for this machine to be trusted: its key and its measurement.
fn show(domain: &Genesis) -> Result<()> {
    let (mut own, _) = platform::tpm::Machine::open(Path::new(TPM), domain.root())?;
    let report = Report::decode(&own.report([0; 32])?.report)?;
    println!("attestation key sha256:{}", vouched::key_root(own.public()));
    if let Some(measurement) = vouched::measurement(&report.values) {
        println!("measurement sha384:{measurement}");
    }
    Ok(())
}

fn start(supervisor: &Arc<Supervisor>, bundle: &Bundle, program: &Ordered) -> Result<()> {
    let dir = Path::new(CONTENTS).join("programs").join(&program.name);
    let config = fs::read(dir.join("config.json")).context("config.json")?;
    let null = fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    let out = match Config::parse(&config)?.stdio {
        Stdio::Plain => fs::OpenOptions::new().write(true).open("/dev/console")?,
        Stdio::None => null.try_clone()?,
    };
    let stdio = [null.into(), out.try_clone()?.into(), out.into()];
    let bundle = Bundle { role: Some(program.role.clone()), ..bundle.clone() };
    let launch = Launch { name: program.name.clone(), config, expected: None };
    let started = supervisor.run(launch, stdio, Some(&bundle.encode()));
    let started = started.map_err(anyhow::Error::msg)?;
    println!(
        "program {}: sha384:{}, limits by {}",
        program.name, started.measurement, started.limits
    );
    Ok(())
}
