//! The scenes in which things work.

use std::fs;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use monitor::launcher::Launch;
use monitor::program::config::{Peer, Stdio};
use monitor::program::{Config, image};
use monitor::supervisor::{Request, Response};

use super::{Stage, voices};
use crate::clock::now;
use crate::domain::Domain;
use crate::{audit as auditing, explain, programs, up};

pub(super) const PORT: u16 = 8000;

/// The path of this executable, for programs that are part of the tour.
fn own_path() -> Result<String> {
    Ok(fs::read_link("/proc/self/exe")?.to_string_lossy().into_owned())
}

/// A program that is a part of the tour.
pub(super) fn part(arguments: &[&str]) -> Result<Config> {
    let mut args = vec![own_path()?, "__tour-program".to_owned()];
    args.extend(arguments.iter().map(|a| (*a).to_owned()));
    let mut config = Config::new(args);
    config.stdio = Stdio::Plain;
    Ok(config)
}

/// The server: an unmodified program of this machine where there is one.
fn server() -> Result<Config> {
    let mut config = if Path::new("/usr/bin/python3").exists() {
        let words = [
            "/usr/bin/python3",
            "-m",
            "http.server",
            "8000",
            "--bind",
            "127.0.0.1",
            "--directory",
            "/etc",
        ];
        let mut config = Config::new(words.map(str::to_owned).to_vec());
        config.stdio = Stdio::Plain;
        config
    } else {
        part(&["serve", "8000"])?
    };
    config.listen = vec![PORT];
    Ok(config)
}

/// A client that reaches the server by its name.
pub(super) fn client(arguments: &[&str]) -> Result<Config> {
    let mut config = part(arguments)?;
    config.connect = vec![Peer { role: "server".to_owned(), port: PORT }];
    Ok(config)
}

/// A program with a state directory.
fn keeper() -> Result<Config> {
    let mut config = part(&["seal", "the keeper's secret"])?;
    config.state = true;
    Ok(config)
}

/// Adds a program to the policy without signing yet.
fn add(domain: &Domain, name: &str, config: &Config) -> Result<(usize, String)> {
    let manifest = image::measure(config)?;
    domain.add(name, config, &manifest.measurement(), &[])?;
    Ok((manifest.entries.len(), manifest.measurement().to_string()))
}

/// The domain of the tour.
pub(super) fn domain(dir: &Path) -> Result<Domain> {
    Domain::create(dir, "tour.example", None, now())
}

pub(super) fn measure(stage: &mut Stage) -> Result<Vec<String>> {
    let domain = &stage.domain;
    let mut seen = Vec::new();
    let config = server()?;
    let (files, measurement) = add(domain, "server", &config)?;
    seen.push(format!("server: {}", config.args.join(" ")));
    seen.push(format!(
        "  {files} files, arguments, environment, ports: sha384:{}…",
        measurement.get(..32).unwrap_or_default()
    ));
    let (files, measurement) = add(domain, "client", &client(&["fetch", "server:8000"])?)?;
    seen.push(format!(
        "client: this executable, {files} files: sha384:{}…",
        measurement.get(..32).unwrap_or_default()
    ));
    add(domain, "holder", &client(&["hold", "server:8000"])?)?;
    add(domain, "keeper", &keeper()?)?;
    let mut victim = client(&["leak"])?;
    victim.self_tls = true;
    add(domain, "victim", &victim)?;
    voices::name_maker(domain)?;
    let again = image::measure(&server()?)?.measurement();
    let first = domain.config("server")?.1;
    ensure!(image::measure(&first)?.measurement() == again, "measured twice, two results");
    seen.push("measured again: the same".to_owned());
    Ok(seen)
}

pub(super) fn up(stage: &mut Stage) -> Result<Vec<String>> {
    let begin = Instant::now();
    let up::Started::Up(supervisor) = up::start(&stage.domain, &Default::default())? else {
        anyhow::bail!("the development key did not endorse the authority");
    };
    stage.supervisor = Some(supervisor);
    let all = programs::list(&stage.domain)?;
    let authority = all.first().context("no authority")?;
    Ok(vec![
        format!(
            "keyholder, launcher, authority and its proxy run; the authority measures sha384:{}…",
            authority.measurement.to_string().get(..24).unwrap_or_default()
        ),
        format!(
            "its CA key was made inside and is endorsed for 30 days; both answered after {} ms",
            begin.elapsed().as_millis()
        ),
    ])
}

pub(super) fn admit(stage: &mut Stage) -> Result<Vec<String>> {
    let started = programs::start(&stage.domain, "server", &programs::RunArgs::default())?;
    let program = programs::admission(&stage.domain, "server")?;
    ensure!(program.admission.starts_with("admitted"), "{}", program.admission);
    Ok(vec![
        format!("pid {} in namespaces of its own, limited by {}", started.pid, started.limits),
        program.admission,
    ])
}

pub(super) fn proof(stage: &mut Stage) -> Result<Vec<String>> {
    let record = explain::newest(&stage.domain, "server")?;
    let report = checker::recheck(&record);
    ensure!(report.holds(), "{report:?}");
    let mut seen = explain::english(&record);
    ensure!(!seen.is_empty(), "the proof cannot be read");
    seen.push(
        "a checker that shares no code with the authority's engine followed every step".to_owned(),
    );
    Ok(seen)
}

/// Runs a program with its output collected; exit status and output.
pub(super) fn collect(
    domain: &Domain,
    name: &str,
    config: &Config,
    expected: Option<evidence::Measurement>,
) -> Result<(i32, String)> {
    let mut output = spawn(domain, name, config, expected)?;
    let mut text = String::new();
    output.read_to_string(&mut text)?;
    Ok((programs::wait(domain, name)?, text))
}

/// Starts a program whose standard output comes through a pipe.
pub(super) fn spawn(
    domain: &Domain,
    name: &str,
    config: &Config,
    expected: Option<evidence::Measurement>,
) -> Result<fs::File> {
    spawn_as(domain, name, None, config, expected)
}

/// The same, asking for a role.
pub(super) fn spawn_as(
    domain: &Domain,
    name: &str,
    role: Option<&str>,
    config: &Config,
    expected: Option<evidence::Measurement>,
) -> Result<fs::File> {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let null = fs::File::open("/dev/null")?;
    let errors = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(domain.run_dir().join(format!("{name}.log")))?;
    let launch = Launch { name: name.to_owned(), config: config.to_json()?.into_bytes(), expected };
    let request = Request::Run { launch, proxy: Some(domain.bundle_for(role)?) };
    let response =
        domain.monitor()?.ask(&request, &[null.as_fd(), write.as_fd(), errors.as_fd()])?;
    ensure!(matches!(response, Response::Programs(_)), "not started");
    drop(write);
    Ok(fs::File::from(read))
}

pub(super) fn traffic(stage: &mut Stage) -> Result<Vec<String>> {
    let domain = &stage.domain;
    let config = domain.config("client")?.1;
    let begin = Instant::now();
    let (status, text) = collect(domain, "client", &config, None)?;
    ensure!(status == 0 && text.contains("200 OK"), "status {status}, {text:?}");
    let title = text.lines().find(|l| l.contains("<title>")).unwrap_or_default().trim();
    Ok(vec![
        format!(
            "client, admitted as {}, read {} bytes from http://server:8000/ in {} ms, launch and admission included",
            domain.config("client").map(|_| "client")?,
            text.len(),
            begin.elapsed().as_millis()
        ),
        format!(
            "it saw {title:?}; on the wire: TLS 1.3, both sides' platforms signed this very connection"
        ),
    ])
}

pub(super) fn isolation(stage: &mut Stage) -> Result<Vec<String>> {
    let domain = &stage.domain;
    let secret = domain.dir.join("keys/development");
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
    let port = listener.local_addr()?.port().to_string();
    fs::metadata(&secret)?;
    let config = part(&["probe", &secret.to_string_lossy(), &port])?;
    let (status, text) = collect(domain, "probe", &config, None)?;
    ensure!(status == 0, "status {status}");
    let tries = text.lines().filter_map(|l| l.split_once('\t')).collect::<Vec<_>>();
    ensure!(tries.len() == 7, "{text:?}");
    if let Some((what, _)) = tries.iter().find(|(_, end)| *end != "not reached") {
        bail!("it reached {what}");
    }
    Ok(tries.into_iter().map(|(what, end)| format!("{what}: {end}")).collect())
}

pub(super) fn sealing(stage: &mut Stage) -> Result<Vec<String>> {
    let domain = &stage.domain;
    let config = domain.config("keeper")?.1;
    let (first, sealed) = collect(domain, "keeper", &config, None)?;
    let blob = fs::read(state(domain).join("secret.sealed"))?;
    ensure!(first == 0 && sealed.starts_with("sealed"), "{sealed:?}");
    ensure!(
        !String::from_utf8_lossy(&blob).contains("secret 1"),
        "the secret stands on the disk in clear"
    );
    let (second, opened) = collect(domain, "keeper", &config, None)?;
    ensure!(second == 0 && opened.trim() == "opened the keeper's secret 1", "{opened:?}");
    Ok(vec![
        format!("first run: {} bytes on the disk, the secret not among them", blob.len()),
        format!("second run, the same program: {}", opened.trim()),
    ])
}

/// The keeper's state directory on the host.
pub(super) fn state(domain: &Domain) -> std::path::PathBuf {
    domain.dir.join("state/keeper")
}

pub(super) fn audit(stage: &mut Stage) -> Result<Vec<String>> {
    let (entries, reports) = auditing::recheck(&stage.domain, &auditing::log_dir(&stage.domain))?;
    ensure!(!reports.is_empty() && reports.iter().all(|(_, r)| r.holds()), "{reports:?}");
    Ok(vec![format!(
        "{entries} log entries under a signed checkpoint; {} decisions: evidence, proof and permission re-checked without authority or monitor",
        reports.len()
    )])
}

pub(super) fn end(stage: &mut Stage) -> Result<Vec<String>> {
    let running = programs::list(&stage.domain)?
        .into_iter()
        .filter(|p| p.status.is_none())
        .collect::<Vec<_>>();
    stage.domain.monitor()?.ask(&Request::Shutdown, &[])?;
    if let Some(mut child) = stage.supervisor.take() {
        child.wait()?;
    }
    let begin = Instant::now();
    let alive =
        || running.iter().filter(|p| Path::new(&format!("/proc/{}", p.pid)).exists()).count();
    while alive() > 0 && begin.elapsed() < Duration::from_secs(2) {
        std::thread::sleep(Duration::from_millis(5));
    }
    ensure!(alive() == 0, "{} programs live on", alive());
    fs::remove_dir_all(&stage.dir)?;
    ensure!(!stage.dir.exists(), "{} is still there", stage.dir.display());
    Ok(vec![format!("{} running programs ended, {} removed", running.len(), stage.dir.display())])
}
