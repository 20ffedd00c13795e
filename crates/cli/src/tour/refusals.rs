//! The scenes in which somebody cheats.

use std::fs;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use channel::admission::client::{self, AdmissionError, Attester};
use channel::admission::{Bundle, LogSeen};
use evidence::statement::Anchor;
use evidence::{
    Binder, DomainRoot, HardwareEvidence, Kind, Measurement, MonitorBinding, Nonce, StatementKey,
    Time,
};
use monitor::program::{Config, image};
use platform::seal::Sealer;
use platform::software::Machine;
use platform::{PlatformError, Secret, StoreId};

use super::Stage;
use super::attacker::Loot;
use super::scenes::{collect, spawn, spawn_as, state};
use crate::clock::now;
use crate::domain::Domain;
use crate::{explain, programs, revoke};

/// A refusal, shortened to its first sentence's worth for the reader.
pub(super) fn short(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let words = line.split(' ').map(|w| {
        if w.len() > 40 { format!("{}…", w.get(..12).unwrap_or(w)) } else { w.to_owned() }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Runs a program that must not be admitted, whatever role it asks for; why it was not.
pub(super) fn refused(
    domain: &Domain,
    name: &str,
    role: Option<&str>,
    config: &Config,
) -> Result<String> {
    let output = spawn_as(domain, name, role, config, None)?;
    let program = programs::admission(domain, name)?;
    domain
        .monitor()?
        .ask(&monitor::supervisor::Request::Signal { name: name.to_owned(), signal: 9 }, &[])?;
    drop(output);
    programs::wait(domain, name)?;
    match program.admission.strip_prefix("refused: ") {
        Some(why) => Ok(why.to_owned()),
        None => bail!("{name} was not refused: {}", program.admission),
    }
}

pub(super) fn flipped_bit(stage: &mut Stage) -> Result<Vec<String>> {
    let domain = &stage.domain;
    let script = domain.dir.join("greeter");
    fs::write(&script, "#!/bin/sh\necho hello\nsleep 5\n")?;
    let config = Config::new(vec![script.to_string_lossy().into_owned()]);
    let before = image::measure(&config)?.measurement();
    let mut bytes = fs::read(&script)?;
    // `hello` becomes `hullo` by one bit.
    let at = bytes.windows(5).position(|w| w == b"hello").context("no hello")?;
    bytes.get_mut(at.saturating_add(1)).map(|b| *b ^= 0x10).context("no hello")?;
    fs::write(&script, bytes)?;
    let after = image::measure(&config)?.measurement();
    ensure!(before != after, "the same measurement");
    let refusal = match spawn(domain, "greeter", &config, Some(before)) {
        Err(e) => e.to_string(),
        Ok(_) => bail!("a changed program was started as the one that was added"),
    };
    Ok(vec![format!("the launcher: {}", short(&refusal))])
}

pub(super) fn unknown_program(stage: &mut Stage) -> Result<Vec<String>> {
    let config = Config::new(vec!["/bin/sleep".to_owned(), "5".to_owned()]);
    let why = refused(&stage.domain, "stranger", None, &config)?;
    ensure!(why.contains("a measurement the policy trusts"), "{why}");
    Ok(vec![format!("the authority: {}", short(&why))])
}

pub(super) fn other_role(stage: &mut Stage) -> Result<Vec<String>> {
    let domain = &stage.domain;
    let why = refused(domain, "client", Some("server"), &domain.config("client")?.1)?;
    ensure!(why.starts_with("role: expected client, got server"), "{why}");
    Ok(vec![format!("client asks the authority to be server: {}", short(&why))])
}

/// An attester that answers with what it was given: recorded, forged or foreign.
struct Given {
    key: StatementKey,
    hardware: Box<dyn Fn(Nonce) -> HardwareEvidence + Send + Sync>,
    statement: Vec<u8>,
}

impl Attester for Given {
    fn statement_key(&self) -> StatementKey {
        self.key
    }

    fn hardware_evidence(&self, nonce: Nonce) -> Result<HardwareEvidence, PlatformError> {
        Ok((self.hardware)(nonce))
    }

    fn state(&self, _: &Binder) -> Result<Vec<u8>, PlatformError> {
        Ok(self.statement.clone())
    }
}

/// An admission at the real authority with whatever `given` shows; the error it ends with.
fn attempt(domain: &Domain, given: &Given, clock: fn() -> Time) -> Result<AdmissionError> {
    let bundle = Bundle::decode(&domain.bundle()?)?;
    let root = domain.genesis.root();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let trust = client::trust_of(&bundle, root, now())?;
        let key = channel::keys::LeafKey::generate().context("key")?;
        let pending =
            match client::begin(&bundle.authority, &trust, given, key.spki(), None, false, clock)
                .await
            {
                Ok(pending) => pending,
                Err(e) => return Ok(e),
            };
        let signature = key.sign(&pending.to_be_signed()).context("signature")?;
        match pending.finish(signature, &mut LogSeen::default()).await {
            Err(e) => Ok(e),
            Ok((admission, _)) => bail!("admitted as {}", admission.role),
        }
    })
}

fn authority_said(error: AdmissionError) -> Result<String> {
    match error {
        AdmissionError::Refused(why) => Ok(why.join("; ")),
        other => bail!("not refused by the authority: {other}"),
    }
}

pub(super) fn replayed(stage: &mut Stage) -> Result<Vec<String>> {
    // Whoever audits has every statement and report that was ever recorded; so may a thief of the audit key.
    let record = explain::newest(&stage.domain, "client")?;
    let hardware = record.hardware.clone();
    let given = Given {
        key: record.statement_key,
        hardware: Box::new(move |_| hardware.clone()),
        statement: record.statement,
    };
    let why = authority_said(attempt(&stage.domain, &given, now)?)?;
    ensure!(why.contains("bound to something else"), "{why}");
    Ok(vec![format!("the client's recorded evidence on a new connection: {}", short(&why))])
}

/// Runs the leaking victim and gives its loot to an attacker process.
fn attack(domain: &Domain, peer: Option<String>, role: &str, reflect: bool) -> Result<String> {
    let config = domain.config("victim")?.1;
    let (status, text) = collect(domain, "victim", &config, None)?;
    let [key, certificate, statement] = text.split_whitespace().collect::<Vec<_>>()[..] else {
        let said = fs::read_to_string(domain.run_dir().join("victim.log")).unwrap_or_default();
        bail!("the victim leaked nothing (status {status}): {said}")
    };
    let loot = Loot {
        key: key.to_owned(),
        certificate: certificate.to_owned(),
        statement: statement.to_owned(),
        bundle: hex::encode(domain.bundle()?),
        root: domain.genesis.root().to_string(),
        port: peer.is_some().then_some(super::scenes::PORT),
        peer,
        role: role.to_owned(),
        reflect,
    };
    let mut attacker = Command::new("/proc/self/exe")
        .args(["__tour-program", "attack"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    attacker.stdin.take().context("stdin")?.write_all(&serde_json::to_vec(&loot)?)?;
    let output = attacker.wait_with_output()?;
    ensure!(output.status.success(), "the attacker failed");
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn address(domain: &Domain, name: &str) -> Result<String> {
    programs::list(domain)?
        .into_iter()
        .find(|p| p.name == name)
        .and_then(|p| p.address)
        .context("no address")
}

pub(super) fn relayed(stage: &mut Stage) -> Result<Vec<String>> {
    let domain = &stage.domain;
    let fallen = attack(domain, None, "victim", false)?;
    ensure!(fallen.starts_with("taken for spiffe://tour.example/victim"), "{fallen}");
    let held = attack(domain, Some(address(domain, "server")?), "server", false)?;
    ensure!(held.starts_with("refused"), "{held}");
    Ok(vec![
        format!("credential mode falls, as it must: the thief was {fallen}"),
        format!("bound mode holds, with a genuine statement of the victim relayed: {held}"),
    ])
}

pub(super) fn reflected(stage: &mut Stage) -> Result<Vec<String>> {
    let domain = &stage.domain;
    let held = attack(domain, Some(address(domain, "server")?), "server", true)?;
    ensure!(held.starts_with("refused"), "{held}");
    Ok(vec![format!("the server's statement sent back to it: {held}")])
}

pub(super) fn other_domain(stage: &mut Stage) -> Result<Vec<String>> {
    let domain = &stage.domain;
    // The same genuine machine, launched for another domain, vouching for a key of the attacker's.
    let machine = Arc::new(Machine::load(&domain.dir.join("machine"))?);
    let seed = Secret::new([9; 32]);
    let (key, ours, theirs) =
        (platform::software::public(&seed), domain.genesis.root(), DomainRoot::new([0xee; 32]));
    let monitor = crate::domain::own_measurement()?;
    let hardware = move |nonce| {
        let binding = MonitorBinding { domain: ours, statement_key: key, nonce };
        machine.report(monitor, binding.fill64(), *theirs.as_bytes())
    };
    let given = Given { key, hardware: Box::new(hardware), statement: Vec::new() };
    let why = authority_said(attempt(domain, &given, now)?)?;
    ensure!(why.contains("HOST_DATA"), "{why}");
    Ok(vec![format!("the authority: {}", short(&why))])
}

pub(super) fn production(stage: &mut Stage) -> Result<Vec<String>> {
    let domain = &stage.domain;
    let image = Measurement::new([0x11; 48]);
    // The file an owner would write for machines of AMD, with the profile and root that are shipped.
    let text = domain.text()?;
    let (head, rest) = text.split_once("[hardware.software]").context("no hardware section")?;
    let (_, programs) = rest.split_once("\n[program.").context("no program")?;
    let hardware = format!(
        "[hardware.snp]\nprofile = \"snp-2026-11\"\nimage = [\"sha384:{image}\"]\nmachines = \"any-genuine\"\n"
    );
    let programs = programs.replace("on = [\"software\"]", "on = [\"snp\"]");
    fs::write(
        domain.dir.join(crate::domain::FILE),
        format!("{head}{hardware}\n[program.{programs}"),
    )?;
    let version = domain.sign()?;
    ensure!(domain.put_in_force()?, "no authority took the policy");
    let why = refused(domain, "client", None, &domain.config("client")?.1)?;
    ensure!(why.starts_with("hardware kind: expected snp, got software"), "{why}");
    ensure!(why.lines().count() == 1, "more than one reason: {why}");
    Ok(vec![
        format!(
            "the owners' policy {version} takes SEV-SNP machines alone; signed, logged and in force at once"
        ),
        format!("the authority, to the client it admitted before: {}", short(&why)),
    ])
}

pub(super) fn wrong_clock(stage: &mut Stage) -> Result<Vec<String>> {
    let fast = || now().plus_secs(1800);
    let given = Given {
        key: StatementKey::new([1; 32]),
        hardware: Box::new(|_| HardwareEvidence {
            kind: Kind::Software,
            report: Vec::new(),
            endorsements: Vec::new(),
        }),
        statement: Vec::new(),
    };
    let error = attempt(&stage.domain, &given, fast)?;
    let text = error.to_string();
    ensure!(matches!(error, AdmissionError::Clock { .. }), "{text}");
    Ok(vec![format!("a program whose host set the clock half an hour ahead: {}", short(&text))])
}

/// The keeper as its keyholder sees it, under a domain.
fn open_as(
    domain: &Domain,
    root: DomainRoot,
    blob: &[u8],
) -> Result<Result<u64, platform::OpenRefusal>> {
    let machine = Machine::load(&domain.dir.join("machine"))?;
    let program = image::measure(&domain.config("keeper")?.1)?.measurement();
    let sealer =
        Sealer { root: machine.sealing_root(), domain: root, program, anchor: Anchor::Unprotected };
    let store = StoreId::new("tour").context("store")?;
    Ok(sealer.open(&store, 1, blob).map(|o| o.version))
}

pub(super) fn other_domain_seal(stage: &mut Stage) -> Result<Vec<String>> {
    let domain = &stage.domain;
    let blob = fs::read(state(domain).join("secret.sealed"))?;
    ensure!(
        open_as(domain, domain.genesis.root(), &blob)?.is_ok(),
        "not opened under its own domain"
    );
    match open_as(domain, DomainRoot::new([0xee; 32]), &blob)? {
        Err(refusal @ platform::OpenRefusal::WrongDomain { .. }) => {
            Ok(vec![format!("the platform: {}", short(&refusal.to_string()))])
        }
        other => bail!("{other:?}"),
    }
}

pub(super) fn restored_disk(stage: &mut Stage) -> Result<Vec<String>> {
    let domain = &stage.domain;
    let (path, config) = (state(domain).join("secret.sealed"), domain.config("keeper")?.1);
    let yesterday = fs::read(&path)?;
    let (_, newest) = collect(domain, "keeper", &config, None)?;
    fs::write(&path, &yesterday)?;
    let (_, restored) = collect(domain, "keeper", &config, None)?;
    ensure!(newest == restored, "it was noticed: {newest:?}, {restored:?}");
    let anchor = "its sealed state is `unprotected`: an anchor outside the disk (a TPM, a peer, a witness) would notice";
    Ok(vec![format!(
        "after the restore the program reads {:?} again and cannot know; {anchor}",
        restored.trim()
    )])
}

pub(super) fn revoked(stage: &mut Stage) -> Result<Vec<String>> {
    let domain = &stage.domain;
    let config = domain.config("holder")?.1;
    let mut output = spawn(domain, "holder", &config, None)?;
    let mut open = [0; 5];
    output.read_exact(&mut open)?;
    let admitted = programs::admission(domain, "holder")?;
    ensure!(admitted.admission.starts_with("admitted"), "{}", admitted.admission);
    // Until the channel carries data both ways it may still be in its handshake.
    std::thread::sleep(std::time::Duration::from_millis(150));
    ensure!(admitted.status.is_none(), "the holder ended by itself");
    let server = domain
        .in_force()?
        .context("policy")?
        .policy()
        .programs
        .iter()
        .find(|p| p.role.as_str() == "server")
        .context("server")?
        .measurements
        .clone();
    let begin = Instant::now();
    let epoch = revoke::revoke(domain, &server)?;
    let mut rest = String::new();
    output.read_to_string(&mut rest)?;
    let took = begin.elapsed();
    programs::wait(domain, "holder")?;
    ensure!(rest.contains("closed"), "{rest:?}");
    ensure!(took.as_millis() < 3000, "it took {} ms", took.as_millis());
    let again = Instant::now();
    let config = domain.config("client")?.1;
    let (status, _) = collect(domain, "client", &config, None)?;
    ensure!(status != 0, "the client still reaches the revoked server");
    Ok(vec![
        format!(
            "the server's measurement was revoked (epoch {epoch}); the holder's live connection closed {} ms after",
            took.as_millis()
        ),
        format!("a new connection to it fails ({} ms)", again.elapsed().as_millis()),
    ])
}
