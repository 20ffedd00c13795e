//! `casemate up`: monitor and authority of a domain.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use channel::admission::Bundle;
use channel::credential::spki_digest;
use evidence::layered::verify_monitor;
use evidence::statement::{self, Expected, Purpose};
use evidence::{MonitorBinding, Nonce, ProgramClaim, Window, software};
use monitor::launcher::Launch;
use monitor::program::Config;
use monitor::supervisor::{self, Request, Response, Supervisor};
use services::authority::{Bootstrap, Limits};
use trust::AuthorityEndorsement;
use trust::signing::{Namespace, Signed};

use crate::clock::now;
use crate::domain::{Domain, replace};
use crate::output::Failure;

/// Name of the first program.
pub const AUTHORITY: &str = "casemate-authority";
const PORT: u16 = 8443;
/// `up` gives up after this.
const READY_MAX: Duration = Duration::from_secs(10);
/// A development endorsement.
const ENDORSED_SECS: i64 = 30 * 86_400;

/// Start this domain's monitor and authority in the background.
#[derive(clap::Args)]
#[command(
    after_help = "Example: casemate up && casemate add web --listen 8000 -- /usr/bin/python3 -m http.server 8000 --bind 127.0.0.1"
)]
pub struct UpArgs {
    /// Stay in the foreground until stopped, for service managers
    #[arg(long)]
    foreground: bool,
}

/// The supervisor process.
#[derive(clap::Args)]
pub struct SupervisorArgs {
    dir: PathBuf,
}

/// Starts both and returns when both answer.
pub fn run(args: &UpArgs) -> Result<ExitCode> {
    let domain = Domain::find()?;
    let begin = Instant::now();
    let mut child = start(&domain)?;
    println!(
        "monitor and authority of {} are up ({} ms)",
        domain.genesis.domain,
        begin.elapsed().as_millis()
    );
    println!(
        "Isolation here is `software`: for development, it protects from nobody who owns this machine."
    );
    if args.foreground {
        let status = child.wait()?;
        return Ok(ExitCode::from(if status.success() { 0 } else { 2 }));
    }
    Ok(ExitCode::SUCCESS)
}

/// Starts supervisor and authority of a domain; the authority endorsed by the development key.
pub fn start(domain: &Domain) -> Result<Child> {
    if domain.monitor().is_ok() {
        bail!(Failure::Usage(
            "a monitor runs for this domain already; `casemate stop` ends it".to_owned()
        ));
    }
    domain.trust_own_monitor()?;
    domain.sign()?;
    let run = domain.run_dir();
    fs::DirBuilder::new().mode(0o700).recursive(true).create(&run)?;
    let log = fs::OpenOptions::new().create(true).append(true).open(run.join("monitor.log"))?;
    let child = Command::new("/proc/self/exe")
        .arg("__supervisor")
        .arg(&domain.dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .process_group(0)
        .spawn()
        .context("starting the supervisor")?;
    let begin = Instant::now();
    while domain.monitor().is_err() {
        if begin.elapsed() > READY_MAX {
            let said = fs::read_to_string(run.join("monitor.log")).unwrap_or_default();
            bail!(Failure::Missing(format!(
                "the monitor did not start: {}; `casemate doctor` says what is missing",
                said.lines().last().unwrap_or("it said nothing")
            )));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    start_authority(domain)?;
    Ok(child)
}

/// The authority's configuration: this executable, with its state and its own TLS.
fn authority_config() -> Result<Config> {
    let exe = fs::read_link("/proc/self/exe")?.to_string_lossy().into_owned();
    let mut config = Config::new(vec![exe, "__authority".to_owned()]);
    config.listen = vec![PORT];
    config.self_tls = true;
    config.state = true;
    config.stdio = monitor::program::config::Stdio::Plain;
    Ok(config)
}

/// 1. what it reads, 2. the program, 3. its evidence, appraised, 4. the owners' endorsement, 5. it answers.
fn start_authority(domain: &Domain) -> Result<()> {
    // 1
    let state = domain.dir.join("state").join(AUTHORITY);
    fs::create_dir_all(&state)?;
    let nonce = platform::fresh_nonce()?;
    for old in ["bootstrap.cbor", "endorsement.cbor"] {
        let _ = fs::remove_file(state.join(old));
    }
    fs::copy(domain.dir.join("genesis.cbor"), state.join("genesis.cbor"))?;
    for entry in fs::read_dir(domain.dir.join("policy"))?.flatten() {
        fs::copy(entry.path(), state.join(entry.file_name()))?;
    }
    fs::write(state.join("owner-nonce"), nonce.as_bytes())?;
    // 2
    let config = authority_config()?;
    let log = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(domain.run_dir().join(format!("{AUTHORITY}.log")))?;
    let null = fs::File::open("/dev/null")?;
    let launch = Launch {
        name: AUTHORITY.to_owned(),
        config: config.to_json()?.into_bytes(),
        expected: None,
    };
    let request = Request::Run { launch, proxy: Some(Vec::new()) };
    let program =
        match domain.monitor()?.ask(&request, &[null.as_fd(), log.as_fd(), log.as_fd()])? {
            Response::Programs(p) => p.into_iter().next().context("no program")?,
            _ => bail!("the monitor did not start the authority"),
        };
    // 3
    let shown = wait(domain, || {
        fs::read(state.join("bootstrap.cbor")).ok().and_then(|b| Bootstrap::decode(&b).ok())
    })?;
    appraise(domain, &shown, nonce, program.measurement)?;
    // 4
    let endorsement = AuthorityEndorsement {
        domain: domain.genesis.root(),
        ca: spki_digest(&shown.ca)?,
        log: shown.log.clone(),
        measurement: program.measurement,
        audit: domain.audit_secret_or_new()?.public()?,
        secrets: shown.secrets,
        window: Window {
            not_before: now().plus_secs(-3600),
            not_after: now().plus_secs(ENDORSED_SECS),
        },
    };
    let payload = endorsement.encode();
    let signatures = vec![domain.key()?.sign(Namespace::Endorsement, &payload)?];
    let signed = Signed { payload, signatures }.encode();
    replace(&state.join("endorsement.cbor"), &signed)?;
    // 5
    let address = wait(domain, || {
        let listed = domain.monitor().ok()?.ask(&Request::List, &[]).ok()?;
        let Response::Programs(all) = listed else { return None };
        all.into_iter().find(|p| p.name == AUTHORITY)?.address
    })?;
    let bundle = Bundle {
        genesis: domain.genesis.encode(),
        endorsement: signed,
        ca: shown.ca,
        authority: address,
        role: None,
    };
    replace(&domain.run_dir().join("bundle.cbor"), &bundle.encode())?;
    replace(&domain.run_dir().join("log.vkey"), shown.log.as_bytes())
}

/// What an owner checks before endorsing: genuine evidence over a fresh nonce that this very program made these keys.
fn appraise(
    domain: &Domain,
    shown: &Bootstrap,
    nonce: Nonce,
    measurement: evidence::Measurement,
) -> Result<()> {
    let policy = domain.in_force()?.context("no policy in force")?;
    let roots = policy.policy().hardware.iter().flat_map(|h| h.roots.clone()).collect::<Vec<_>>();
    let hardware = software::verify(&shown.hardware, &roots, now())?;
    let root = domain.genesis.root();
    let binding = MonitorBinding { domain: root, statement_key: shown.statement_key, nonce };
    verify_monitor(&hardware, &binding)?;
    let said = Bootstrap::said(&shown.ca, &shown.log, &shown.secrets);
    let claim = ProgramClaim { domain: root, nonce, said };
    let expected =
        Expected { purpose: Purpose::ProgramClaim, domain: root, binder: claim.digest() };
    let statement = statement::verify(&shown.claim, &shown.statement_key, &expected)?;
    if statement.program.measurement != measurement {
        bail!(Failure::Refused(format!(
            "the authority measures {}, expected {measurement}",
            statement.program.measurement
        )));
    }
    Ok(())
}

fn wait<T>(domain: &Domain, found: impl Fn() -> Option<T>) -> Result<T> {
    let begin = Instant::now();
    loop {
        if let Some(t) = found() {
            return Ok(t);
        }
        if begin.elapsed() > READY_MAX {
            let log = domain.run_dir().join(format!("{AUTHORITY}.log"));
            let said = fs::read_to_string(&log).unwrap_or_default();
            bail!(Failure::Missing(format!(
                "the authority did not start: {}",
                said.lines().last().unwrap_or("it said nothing")
            )));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The supervisor process.
pub fn supervise(args: &SupervisorArgs) -> Result<ExitCode> {
    monitor::harden::harden_detached()?;
    let domain = Domain::open(&args.dir)?;
    let settings = domain.settings()?;
    fs::DirBuilder::new().mode(0o700).recursive(true).create(&settings.run)?;
    let run = settings.run.clone();
    let supervisor = Supervisor::start(settings)?;
    let watcher = Arc::clone(&supervisor);
    let listener = supervisor::control::listen(Path::new(&run))?;
    std::thread::spawn(move || {
        watcher.watch();
        // The launcher is gone: nothing can run. A stop that was asked for answers first and ends us itself.
        if !watcher.is_asked_to_end() {
            std::process::exit(1);
        }
    });
    supervisor::control::serve(&supervisor, &listener);
    Ok(ExitCode::SUCCESS)
}

/// The authority, inside its root.
pub fn authority() -> Result<ExitCode> {
    let limits = Limits { monitor_lease_secs: 3600, credential_secs: 3600, exportable_secs: 600 };
    services::authority::run(PORT, limits, now)?;
    Ok(ExitCode::SUCCESS)
}
