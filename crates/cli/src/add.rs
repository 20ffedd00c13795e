//! `casemate add`: measures a program and writes it into the policy.

use std::process::ExitCode;

use anyhow::{Result, bail};
use monitor::program::config::{Peer, Stdio};
use monitor::program::{Config, image};
use trust::RoleName;

use crate::domain::Domain;
use crate::output::Failure;

/// Measure a program and write it into the policy.
#[derive(clap::Args)]
#[command(
    after_help = "Example: casemate add cache --listen 6379 -- redis-server --save \"\"\n         casemate add cli --to cache --stdio plain -- redis-cli -h cache ping"
)]
pub struct AddArgs {
    /// The program's role
    name: String,
    /// A role it may connect to; it finds it under that name
    #[arg(long = "to", visible_alias = "connect", value_name = "ROLE")]
    to: Vec<String>,
    /// A port on which it takes connections from roles that may connect to it
    #[arg(long, value_name = "PORT")]
    listen: Vec<u16>,
    /// Who besides programs may connect to its ports: anybody, unknown (see `casemate connect`)
    #[arg(long, value_name = "WHO", value_parser = ["anonymous"])]
    clients: Vec<String>,
    /// A role secret it is given (see `casemate secret`)
    #[arg(long, value_name = "NAME")]
    secret: Vec<String>,
    /// A place it may run in, as [place] of the domain file names it, or `anywhere`; must be said where there are places
    #[arg(long = "in", value_name = "PLACE")]
    places: Vec<String>,
    /// A directory it needs besides what it is linked with, measured whole
    #[arg(long, value_name = "DIR")]
    with: Vec<String>,
    /// An environment variable, measured
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// A variable that may differ from start to start: its name is measured, its value is the host's word
    #[arg(long, value_name = "NAME=VALUE")]
    open: Vec<String>,
    /// Where its standard streams go: nowhere, or to this host in clear
    #[arg(long, default_value = "none", value_parser = ["none", "plain"])]
    stdio: String,
    /// Give it a directory /state that outlives it (seal what you write there)
    #[arg(long)]
    state: bool,
    /// Let it terminate TLS itself (statements of kind channel/program)
    #[arg(long)]
    self_tls: bool,
    /// Program and arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// Adds it.
pub fn run(args: &AddArgs) -> Result<ExitCode> {
    let domain = Domain::find()?;
    if RoleName::new(&args.name).is_none() || args.name == crate::up::AUTHORITY {
        bail!(Failure::Usage(format!(
            "{:?} is no role: lower-case letters, digits, . - _",
            args.name
        )));
    }
    if !args.clients.is_empty() && args.listen.is_empty() {
        bail!(Failure::Usage("--clients needs a port to connect to; say --listen PORT".to_owned()));
    }
    if args.places.is_empty() && domain.file()?.names_places() {
        bail!(Failure::Usage(
            "this domain names places; say --in PLACE for each it may run in, or --in anywhere"
                .to_owned()
        ));
    }
    let mut config = Config::new(args.command.clone());
    config.listen = args.listen.clone();
    config.trees = args.with.clone();
    // What is stated here takes the place of what every program gets; stated twice, it is refused below.
    let stated = |e: &String| args.env.iter().any(|a| a.split('=').next() == e.split('=').next());
    config.env.retain(|e| !stated(e));
    config.env.extend(args.env.iter().cloned());
    for variable in &args.open {
        let (name, _) = variable
            .split_once('=')
            .ok_or_else(|| Failure::Usage(format!("--open {variable:?}: expected NAME=VALUE")))?;
        config.open.push(name.to_owned());
        config.env.push(variable.clone());
    }
    config.stdio = Stdio::parse(&args.stdio).unwrap_or(Stdio::None);
    config.state = args.state;
    config.self_tls = args.self_tls;
    for role in &args.to {
        let (_, peer) = domain.config(role)?;
        if peer.listen.is_empty() {
            bail!(Failure::Usage(format!(
                "{role} listens on no port; add it again with --listen PORT"
            )));
        }
        config
            .connect
            .extend(peer.listen.iter().map(|port| Peer { role: role.clone(), port: *port }));
    }
    let config =
        Config::parse(config.to_json()?.as_bytes()).map_err(|e| Failure::Usage(e.to_string()))?;
    let manifest = image::measure(&config).map_err(|e| Failure::Usage(e.to_string()))?;
    let measurement = manifest.measurement();
    domain.add(
        &args.name,
        &config,
        &measurement,
        &[("clients", &args.clients), ("secrets", &args.secret), ("in", &args.places)],
    )?;
    println!("{} measures sha384:{measurement}", args.name);
    println!(
        "  {} files, {} arguments, {} environment variables",
        manifest.entries.len(),
        manifest.args.len(),
        manifest.env.len()
    );
    if !domain.signs_alone() {
        println!("It stands in casemate.toml; `casemate policy sign` proposes it to the owners.");
        return Ok(ExitCode::SUCCESS);
    }
    // The development key signs at once; what the examples say to it is told and holds nothing up.
    for failed in crate::policy::failing(&domain)? {
        eprintln!("example fails: {failed}");
    }
    let version = domain.sign()?;
    println!("policy version {version} is signed with the development key");
    if domain.put_in_force()? {
        println!("It is in force: the authority has it.");
    }
    Ok(ExitCode::SUCCESS)
}
