//! `casemate run`, `ps`, `logs`, `stop`: programs of a running monitor.

use std::fs;
use std::io::Write;
use std::os::fd::AsFd;
use std::process::ExitCode;

use anyhow::{Result, bail};
use evidence::Measurement;
use monitor::launcher::Launch;
use monitor::program::Config;
use monitor::program::config::Stdio;
use monitor::supervisor::{Client, Program, Request, Response};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::domain::Domain;
use crate::output::{Failure, Format, json};

/// Start programs that were added.
#[derive(clap::Args, Default)]
#[command(
    after_help = "Example: casemate run cache\n         casemate run --attach cli   # with this terminal's streams, ends with the program's status"
)]
pub struct RunArgs {
    /// Names
    #[arg(required = true)]
    names: Vec<String>,
    /// Connect this terminal to the program (its grant must be `--stdio plain`) and end with its exit status
    #[arg(long)]
    attach: bool,
    /// The value of a variable that was added with `--open`, for this start
    #[arg(long, value_name = "NAME=VALUE")]
    open: Vec<String>,
    /// The role to ask for, where the policy trusts the program in several [default: its name]
    #[arg(long, value_name = "ROLE")]
    role: Option<String>,
}

/// List programs.
#[derive(clap::Args)]
pub struct PsArgs {
    /// How to print
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

/// Show what a program wrote.
#[derive(clap::Args)]
pub struct LogsArgs {
    /// Its name
    name: String,
}

/// Stop programs.
#[derive(clap::Args)]
pub struct StopArgs {
    /// Names; none stops everything
    names: Vec<String>,
}

/// What the policy expects a program to measure, where it expects one thing.
fn expected(domain: &Domain, name: &str) -> Option<Measurement> {
    let policy = domain.in_force().ok()??;
    let program = policy.policy().programs.iter().find(|p| p.role.as_str() == name)?;
    match program.measurements.as_slice() {
        [one] => Some(*one),
        _ => None,
    }
}

/// The configuration with these values of variables that were declared open; no other may change from start to start.
fn opened(name: &str, mut config: Config, values: &[String]) -> Result<Config> {
    for value in values {
        let variable = value.split_once('=').map(|(n, _)| n).unwrap_or_default();
        if !config.open.iter().any(|o| o == variable) {
            bail!(Failure::Usage(format!(
                "--open {value:?}: {name} has no variable {variable:?} that was added with --open NAME=VALUE; other values are measured"
            )));
        }
        config.env.retain(|e| e.split_once('=').is_none_or(|(n, _)| n != variable));
        config.env.push(value.clone());
    }
    Ok(config)
}

/// Starts one program.
pub fn start(domain: &Domain, name: &str, args: &RunArgs) -> Result<Program> {
    let config = opened(name, domain.config(name)?.1, &args.open)?;
    let role = args.role.as_deref().unwrap_or(name);
    let launch = Launch {
        name: name.to_owned(),
        config: config.to_json()?.into_bytes(),
        expected: expected(domain, name),
    };
    let request = Request::Run { launch, proxy: Some(domain.bundle_for(Some(role))?) };
    let null = fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    let response = match config.stdio {
        Stdio::None => domain.monitor()?.ask(&request, &[null.as_fd(), null.as_fd(), null.as_fd()]),
        Stdio::Plain if args.attach => domain.monitor()?.ask(
            &request,
            &[std::io::stdin().as_fd(), std::io::stdout().as_fd(), std::io::stderr().as_fd()],
        ),
        Stdio::Plain => {
            let log = fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(domain.run_dir().join(format!("{name}.log")))?;
            domain.monitor()?.ask(&request, &[null.as_fd(), log.as_fd(), log.as_fd()])
        }
    };
    match response.map_err(|e| Failure::Refused(e.to_string()))? {
        Response::Programs(p) => p
            .into_iter()
            .next()
            .ok_or_else(|| Failure::Refused("the monitor started nothing".to_owned()).into()),
        _ => bail!("unexpected answer of the monitor"),
    }
}

/// Waits until it is admitted, refused or over.
pub fn admission(domain: &Domain, name: &str) -> Result<Program> {
    match domain.monitor()?.ask(&Request::Admission(name.to_owned()), &[])? {
        Response::Programs(p) => {
            p.into_iter().next().ok_or_else(|| anyhow::anyhow!("no such program"))
        }
        _ => bail!("unexpected answer of the monitor"),
    }
}

/// Waits for its end.
pub fn wait(domain: &Domain, name: &str) -> Result<i32> {
    match domain.monitor()?.ask(&Request::Wait(name.to_owned()), &[])? {
        Response::Status(status) => Ok(status),
        _ => bail!("unexpected answer of the monitor"),
    }
}

/// `run`.
pub fn run(args: &RunArgs) -> Result<ExitCode> {
    let domain = Domain::find()?;
    if args.attach {
        let [name] = args.names.as_slice() else {
            bail!(Failure::Usage("--attach takes one name".to_owned()))
        };
        if domain.config(name)?.1.stdio != Stdio::Plain {
            bail!(Failure::Usage(format!(
                "{name} has no grant for its streams; add it with `--stdio plain`"
            )));
        }
        forward_signals(&domain, name)?;
        start(&domain, name, args)?;
        let status = wait(&domain, name)?;
        return Ok(ExitCode::from(u8::try_from(status).unwrap_or(255)));
    }
    let mut refused = false;
    for name in &args.names {
        start(&domain, name, args)?;
        let program = admission(&domain, name)?;
        println!("{name}: {}", program.admission);
        refused |= program.admission.starts_with("refused");
    }
    Ok(ExitCode::from(u8::from(refused)))
}

/// What this command is told by signals, the program is told: Ctrl-C ends it, and its own status is what this command ends with.
fn forward_signals(domain: &Domain, name: &str) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _inside = runtime.enter();
    for kind in
        [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup(), SignalKind::quit()]
    {
        let (mut told, run, name) = (signal(kind)?, domain.run_dir(), name.to_owned());
        runtime.spawn(async move {
            while told.recv().await.is_some() {
                let request = Request::Signal { name: name.clone(), signal: kind.as_raw_value() };
                if let Ok(monitor) = Client::connect(&run) {
                    let _ = monitor.ask(&request, &[]);
                }
            }
        });
    }
    std::thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
    Ok(())
}

/// Every program.
pub fn list(domain: &Domain) -> Result<Vec<Program>> {
    match domain.monitor()?.ask(&Request::List, &[])? {
        Response::Programs(all) => Ok(all),
        _ => bail!("unexpected answer of the monitor"),
    }
}

/// `ps`.
pub fn ps(args: &PsArgs) -> Result<ExitCode> {
    let all = list(&Domain::find()?)?;
    if args.format == Format::Json {
        let rows = all.iter().map(|p| {
            json!({"name": p.name, "measurement": p.measurement.to_string(), "pid": p.pid, "limits": p.limits,
                "status": p.status, "admission": p.admission, "address": p.address})
        });
        json(&rows.collect());
        return Ok(ExitCode::SUCCESS);
    }
    println!("{:<20} {:>8}  {:<10} {:<14} ADMISSION", "NAME", "PID", "LIMITS", "MEASUREMENT");
    for p in all {
        let state = p
            .status
            .map_or(p.admission.clone(), |s| format!("ended with status {s} ({})", p.admission));
        let short = p.measurement.to_string().chars().take(12).collect::<String>();
        println!("{:<20} {:>8}  {:<10} {short}… {state}", p.name, p.pid, p.limits);
    }
    Ok(ExitCode::SUCCESS)
}

/// `logs`.
pub fn logs(args: &LogsArgs) -> Result<ExitCode> {
    let domain = Domain::find()?;
    if args.name != crate::up::AUTHORITY && domain.config(&args.name)?.1.stdio == Stdio::None {
        bail!(Failure::Usage(format!(
            "{} has no grant to write to this host; add it with `--stdio plain`",
            args.name
        )));
    }
    let text = fs::read(domain.run_dir().join(format!("{}.log", args.name))).unwrap_or_default();
    std::io::stdout().write_all(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// `stop`.
pub fn stop(args: &StopArgs) -> Result<ExitCode> {
    let domain = Domain::find()?;
    if args.names.is_empty() {
        domain.monitor()?.ask(&Request::Shutdown, &[])?;
        println!("stopped");
        return Ok(ExitCode::SUCCESS);
    }
    for name in &args.names {
        domain.monitor()?.ask(&Request::Signal { name: name.clone(), signal: 15 }, &[])?;
        let status = wait(&domain, name)?;
        println!("{name} ended with status {status}");
    }
    Ok(ExitCode::SUCCESS)
}
