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
use ciborium::Value;
use evidence::cbor;
use evidence::layered::verify_monitor;
use evidence::statement::{self, Expected, Purpose};
use evidence::{Kind, MonitorBinding, Nonce, ProgramClaim, Window, software};
use monitor::launcher::Launch;
use monitor::program::Config;
use monitor::supervisor::{self, Request, Response, Supervisor};
use services::authority::{Bootstrap, Limits};
use trust::signing::{SIGNED_MAX, Signed};
use trust::{AuthorityEndorsement, EndorsedAuthority, Pending, Subject};

use crate::clock::now;
use crate::domain::{Domain, own_measurement, replace};
use crate::output::Failure;
use crate::{deliver, sign};

/// Name of the first program.
pub const AUTHORITY: &str = "casemate-authority";
const PORT: u16 = 8443;
/// `up` gives up after this.
const READY_MAX: Duration = Duration::from_secs(10);
/// A development endorsement.
const ENDORSED_SECS: i64 = 30 * 86_400;
/// One by several owners: short-lived, and long enough for their mail.
const ENDORSED_BY_OWNERS_SECS: i64 = 7 * 86_400;
/// Less than this left, and owners are asked for a new one at the next start.
const ENDORSED_LEFT_SECS: i64 = 86_400;
/// The owners' newest endorsement, for the next start.
const ENDORSEMENT: &str = "endorsement.cbor";

/// Start this domain's monitor and authority in the background.
#[derive(clap::Args)]
#[command(
    after_help = "Example: casemate up && casemate add web --listen 8000 -- /usr/bin/python3 -m http.server 8000 --bind 127.0.0.1"
)]
pub struct UpArgs {
    /// Stay in the foreground until stopped, for service managers
    #[arg(long)]
    foreground: bool,
    #[command(flatten)]
    with: sign::With,
}

/// How a start ended.
pub enum Started {
    /// Both answer.
    Up(Child),
    /// The authority runs and waits for this endorsement of its owners.
    Waits(Child, Box<Subject>),
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
    let mut child = match start(&domain, &args.with)? {
        Started::Up(child) => child,
        Started::Waits(mut child, subject) => {
            println!(
                "The monitor and the authority run; programs get in once the owners endorse the authority."
            );
            let (pending, _) = sign::find(&domain, &subject.name())?;
            sign::tell(&domain, &pending, &subject);
            sign::instruct(&domain, &pending, &subject);
            if args.foreground {
                let status = child.wait()?;
                return Ok(ExitCode::from(if status.success() { 0 } else { 2 }));
            }
            return Ok(ExitCode::from(3));
        }
    };
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

/// Starts supervisor and authority of a domain; the authority endorsed by the development key, or by whoever signs here.
pub fn start(domain: &Domain, with: &sign::With) -> Result<Started> {
    if domain.monitor().is_ok() {
        bail!(Failure::Usage(
            "a monitor runs for this domain already; `casemate stop` ends it".to_owned()
        ));
    }
    domain.trust_own_monitor()?;
    if domain.signs_alone() {
        domain.sign()?;
    }
    signed_for_this(domain)?;
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
    Ok(match start_authority(domain, with)? {
        None => Started::Up(child),
        Some(subject) => Started::Waits(child, Box::new(subject)),
    })
}

/// The policy must trust this executable as monitor before anything starts.
fn signed_for_this(domain: &Domain) -> Result<()> {
    let own = own_measurement()?;
    let policy = domain.in_force()?;
    let software = |p: &trust::PolicyInForce| {
        p.policy().hardware.iter().any(|h| h.kind == Kind::Software && h.images.contains(&own))
    };
    match policy {
        None => bail!(Failure::Missing(
            "no policy is signed yet; `casemate policy sign` proposes what the domain file says, and `casemate policy status` says who is missing".to_owned()
        )),
        Some(p) if !software(&p) => bail!(Failure::Missing(format!(
            "policy version {} does not trust this executable (sha384:{own}) as monitor of a software machine, which is what `up` starts; name it under `image` of [hardware.software] (where that section is there, it stands there now) and run `casemate policy sign`",
            p.policy().version
        ))),
        Some(_) => Ok(()),
    }
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

/// 1. what it reads, 2. the program, 3. its evidence, appraised, 4. the owners' endorsement, 5. it answers. What it waits for, if it does.
fn start_authority(domain: &Domain, with: &sign::With) -> Result<Option<Subject>> {
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
    let secs = if domain.signs_alone() { ENDORSED_SECS } else { ENDORSED_BY_OWNERS_SECS };
    let endorsement = AuthorityEndorsement {
        domain: domain.genesis.root(),
        ca: spki_digest(&shown.ca)?,
        log: shown.log.clone(),
        measurement: program.measurement,
        audit: domain.audit_secret_or_new()?.public()?,
        secrets: shown.secrets,
        window: Window { not_before: now().plus_secs(-3600), not_after: now().plus_secs(secs) },
    };
    let signed = match endorsed_before(domain, &endorsement) {
        Some(signed) => signed,
        None => {
            let subject = Subject::Endorsement(Box::new(waiting(domain, endorsement)?));
            let evidence = Some(evidence(nonce, &shown));
            let pending = Pending { evidence, ..Pending::new(&subject) };
            match deliver::signed(domain, pending, &subject, with)? {
                sign::Stand::Complete(signed) => signed,
                sign::Stand::Waits(_) => return Ok(Some(subject)),
            }
        }
    };
    // 5
    endorse(domain, &signed)?;
    Ok(None)
}

/// The same authority at another time.
fn same_authority(a: &AuthorityEndorsement, b: &AuthorityEndorsement) -> bool {
    AuthorityEndorsement { window: a.window, ..b.clone() } == *a
}

/// The owners' endorsement of this authority that is still good for a while: its keys are sealed and outlive a restart.
fn endorsed_before(domain: &Domain, new: &AuthorityEndorsement) -> Option<Signed> {
    let bytes = fs::read(domain.dir.join(ENDORSEMENT)).ok()?;
    let signed = Signed::decode(&bytes).ok()?;
    let later = now().plus_secs(ENDORSED_LEFT_SECS);
    let known = EndorsedAuthority::verify(&signed, &domain.genesis, later).ok()?;
    same_authority(known.endorsement(), new).then_some(signed)
}

/// What waits for signatures already, if it endorses the same authority: nobody signs twice because of a restart.
fn waiting(domain: &Domain, new: AuthorityEndorsement) -> Result<AuthorityEndorsement> {
    let later = now().plus_secs(ENDORSED_LEFT_SECS);
    for (_, subject) in sign::all(domain)? {
        if let Subject::Endorsement(known) = &subject {
            if same_authority(known, &new) && known.window.contains(later) {
                return Ok((**known).clone());
            }
            // Of an authority that is no more, or too old.
            sign::forget(domain, &subject);
        }
    }
    Ok(new)
}

/// Hands the owners' endorsement to the authority, and says to programs where it is.
pub fn endorse(domain: &Domain, signed: &Signed) -> Result<()> {
    replace(&domain.dir.join(ENDORSEMENT), &signed.encode())?;
    let state = domain.dir.join("state").join(AUTHORITY);
    let shown = fs::read(state.join("bootstrap.cbor")).context("the authority shows no keys")?;
    let shown = Bootstrap::decode(&shown)?;
    replace(&state.join("endorsement.cbor"), &signed.encode())?;
    let address = wait(domain, || {
        let listed = domain.monitor().ok()?.ask(&Request::List, &[]).ok()?;
        let Response::Programs(all) = listed else { return None };
        all.into_iter().find(|p| p.name == AUTHORITY)?.address
    })?;
    let bundle = Bundle {
        genesis: domain.genesis.encode_chain(),
        endorsement: signed.encode(),
        ca: shown.ca,
        authority: address,
        role: None,
    };
    replace(&domain.run_dir().join("bundle.cbor"), &bundle.encode())?;
    replace(&domain.run_dir().join("log.vkey"), shown.log.as_bytes())
}

/// What travels with an endorsement that waits: the owners' nonce, and what the authority showed over it.
fn evidence(nonce: Nonce, shown: &Bootstrap) -> Vec<u8> {
    let (nonce, shown) = (nonce.as_bytes().to_vec(), shown.encode());
    cbor::encode(&Value::Array(vec![Value::Bytes(nonce), Value::Bytes(shown)]))
}

/// Appraises what came with an endorsement, as its proposer did: genuine evidence that this very program made exactly these keys.
pub fn appraise_again(
    domain: &Domain,
    endorsement: &AuthorityEndorsement,
    evidence: Option<&[u8]>,
) -> Result<()> {
    let refused = |why: &str| {
        Failure::Refused(format!(
            "the authority's evidence: {why}; have `casemate up` propose the endorsement anew"
        ))
    };
    let evidence = evidence.ok_or_else(|| refused("there is none with this endorsement"))?;
    let parts = cbor::decode(evidence, SIGNED_MAX).ok().and_then(|v| v.into_array().ok());
    let parts = parts.and_then(|p| <[Value; 2]>::try_from(p).ok());
    let Some([Value::Bytes(nonce), Value::Bytes(shown)]) = parts else {
        bail!(refused("it is not of its form"));
    };
    let nonce = Nonce::from_slice(&nonce).ok_or_else(|| refused("its nonce is not of its form"))?;
    let shown = Bootstrap::decode(&shown).map_err(|e| refused(&e.to_string()))?;
    appraise(domain, &shown, nonce, endorsement.measurement)
        .map_err(|e| refused(&format!("{e:#}")))?;
    let same = spki_digest(&shown.ca)? == endorsement.ca
        && shown.log == endorsement.log
        && shown.secrets == endorsement.secrets;
    if !same {
        bail!(refused("it shows other keys than are to be endorsed"));
    }
    println!(
        "appraised here: genuine evidence that the program of that measurement made exactly these keys, on hardware the policy takes"
    );
    Ok(())
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
