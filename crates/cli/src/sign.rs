//! What waits for owners' signatures: proposed, shown, signed, carried between owners as a file, and delivered once k have signed.
//!
//! Nothing is signed that was not shown, and what is shown comes from the bytes to be signed. Keys that we do not read ourselves (encrypted
//! ones, an agent's, a token's) sign through `ssh-keygen`, which asks for its passphrase itself.

use std::fs;
use std::io::{IsTerminal, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use evidence::ContentDigest;
use platform::Secret;
use trust::pending::{Pending, Subject};
use trust::signing::{SIGNED_MAX, Signed, SigningKey};

use crate::domain::{Domain, replace};
use crate::output::Failure;
use crate::owners::Names;

/// How an owner signs.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct With {
    /// Sign with this SSH key: a private key file (a passphrase is asked for), or a public one whose private part an ssh-agent holds
    #[arg(long = "key", value_name = "FILE")]
    pub keys: Vec<PathBuf>,
    /// Take a signature that `ssh-keygen -Y sign` made
    #[arg(long = "import", value_name = "FILE.sig")]
    pub imports: Vec<PathBuf>,
    /// Do not ask before signing
    #[arg(long)]
    pub yes: bool,
}

/// How it stands with an object.
pub enum Stand {
    /// Enough have signed.
    Complete(Signed),
    /// More must.
    Waits(PathBuf),
}

/// Where an object waits.
fn path(domain: &Domain, name: &str, ending: &str) -> PathBuf {
    domain.dir.join("pending").join(format!("{name}.{ending}"))
}

/// Everything that waits here, by name; and what is no pending object of this domain, or is signed by who no longer signs.
#[expect(clippy::type_complexity, reason = "two lists of pairs")]
pub fn listed(domain: &Domain) -> Result<(Vec<(Pending, Subject)>, Vec<(String, String)>)> {
    let (mut found, mut unread) = (Vec::new(), Vec::new());
    let mut files = Vec::new();
    for entry in fs::read_dir(domain.dir.join("pending")).into_iter().flatten() {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "pending") {
            files.push(path);
        }
    }
    files.sort();
    for file in files {
        match read(domain, &file) {
            Ok(one) => found.push(one),
            Err(e) => {
                let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                unread.push((name, format!("{e:#}")));
            }
        }
    }
    Ok((found, unread))
}

/// Everything that waits here and can be signed.
pub fn all(domain: &Domain) -> Result<Vec<(Pending, Subject)>> {
    listed(domain).map(|(found, _)| found)
}

/// Reads a pending object, of this domain or not at all.
pub fn read(domain: &Domain, path: &Path) -> Result<(Pending, Subject)> {
    let name = path.display();
    let len = fs::metadata(path).map_err(|e| Failure::Usage(format!("{name}: {e}")))?.len();
    if usize::try_from(len).map_or(true, |l| l > SIGNED_MAX) {
        bail!(Failure::Usage(format!("{name}: {len} bytes, at most {SIGNED_MAX} are read")));
    }
    let bytes = fs::read(path).with_context(|| name.to_string())?;
    let read = Pending::decode(&bytes, &domain.genesis);
    read.map_err(|e| Failure::Refused(format!("{name}: {e}")).into())
}

/// A pending object by its file or its name.
pub fn find(domain: &Domain, what: &str) -> Result<(Pending, Subject)> {
    let named = path(domain, what, "pending");
    let plain = !what.contains('/') && named.is_file();
    read(domain, if plain { &named } else { Path::new(what) })
}

/// What a signer must know, before anything is signed.
pub fn show(domain: &Domain, pending: &Pending, subject: &Subject) -> Result<()> {
    let names = Names::of(domain);
    let in_force = domain.in_force()?;
    let words = subject.words(&domain.genesis, in_force.as_ref(), |k| names.say(k));
    let words = words.map_err(|e| Failure::Refused(e.to_string()))?;
    words.iter().for_each(|line| println!("{line}"));
    println!("digest {}", ContentDigest::of(&pending.payload));
    Ok(())
}

/// Puts an object where it waits, with the signatures it has there already. Another one of that name that somebody signed is never replaced.
pub fn wait(domain: &Domain, mut pending: Pending, subject: &Subject) -> Result<Pending> {
    let file = path(domain, &subject.name(), "pending");
    if file.is_file() {
        let known = match read(domain, &file) {
            Ok((known, _)) => known,
            // Signed by who no longer signs, or no object at all: it is worth nothing, and holds nothing up.
            Err(_) => Pending::new(subject),
        };
        if known.payload == pending.payload {
            pending.merge(&known, &domain.genesis)?;
        } else if !known.signatures.is_empty() {
            bail!(Failure::Refused(format!(
                "{} waits already, is another one, and is signed by {}; sign that one, or take it back with `casemate policy withdraw {}`. Two that are signed under one number are evidence against their signers",
                file.display(),
                known.signatures.len(),
                subject.name()
            )));
        }
    }
    keep(domain, &pending, subject)?;
    Ok(pending)
}

fn keep(domain: &Domain, pending: &Pending, subject: &Subject) -> Result<()> {
    fs::create_dir_all(domain.dir.join("pending"))?;
    replace(&path(domain, &subject.name(), "payload"), &pending.payload)?;
    replace(&path(domain, &subject.name(), "pending"), &pending.encode())
}

/// Takes an object away again.
pub fn forget(domain: &Domain, subject: &Subject) {
    for ending in ["pending", "payload", "payload.sig"] {
        let _ = fs::remove_file(path(domain, &subject.name(), ending));
    }
}

/// Takes a file away that is no object; whether there was one.
pub fn forget_named(domain: &Domain, name: &str) -> bool {
    let plain = !name.contains('/') && !name.is_empty();
    let gone = plain && fs::remove_file(path(domain, name, "pending")).is_ok();
    if gone {
        let _ = fs::remove_file(path(domain, name, "payload"));
    }
    gone
}

/// Signs what was shown, and says how it stands.
pub fn sign(
    domain: &Domain,
    mut pending: Pending,
    subject: &Subject,
    with: &With,
) -> Result<Stand> {
    let names = Names::of(domain);
    for file in &with.imports {
        let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
        let key = pending.add(&text, &domain.genesis);
        let key = key.map_err(|e| Failure::Refused(format!("{}: {e}", file.display())))?;
        println!("signature of {} taken", names.say(&key));
    }
    if !with.keys.is_empty() && !with.yes && std::io::stdin().is_terminal() {
        print!("sign this? [y/N] ");
        std::io::stdout().flush()?;
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer)?;
        if !matches!(answer.trim(), "y" | "yes") {
            bail!(Failure::Refused("not signed".to_owned()));
        }
    }
    for file in &with.keys {
        let pem = signature(&pending, file)?;
        let key = pending.add(&pem, &domain.genesis);
        let key = key.map_err(|_| {
            Failure::Refused(format!(
                "{} is the key of no owner of this domain; `casemate policy status` lists them",
                file.display()
            ))
        })?;
        println!("signed by {}", names.say(&key));
    }
    if with.keys.is_empty() && with.imports.is_empty() && domain.signs_alone() {
        let pem = domain.key()?.sign(pending.namespace, &pending.payload)?;
        pending.add(&pem, &domain.genesis)?;
    }
    if let Some(signed) = pending.complete(&domain.genesis, subject) {
        if !domain.signs_alone() {
            keep(domain, &pending, subject)?;
        }
        return Ok(Stand::Complete(signed));
    }
    keep(domain, &pending, subject)?;
    Ok(Stand::Waits(path(domain, &subject.name(), "pending")))
}

/// Who has signed, who is missing, and what to do.
pub fn tell(domain: &Domain, pending: &Pending, subject: &Subject) {
    let names = Names::of(domain);
    let progress = pending.progress(&domain.genesis, subject);
    let say = |keys: &[String]| {
        let all = keys.iter().map(|k| names.say(k)).collect::<Vec<_>>();
        if all.is_empty() { "nobody".to_owned() } else { all.join(", ") }
    };
    println!("{}: {} more signature(s) needed", subject.name(), progress.lacking);
    println!("  signed by  {}", say(&progress.signed));
    println!("  missing    {}", say(&progress.missing));
}

/// What each missing owner does.
pub fn instruct(domain: &Domain, pending: &Pending, subject: &Subject) {
    let (file, payload) =
        (path(domain, &subject.name(), "pending"), path(domain, &subject.name(), "payload"));
    println!("Each of them: casemate policy sign {} --key KEY", file.display());
    println!(
        "  or without casemate: ssh-keygen -Y sign -f KEY -n {} {}",
        pending.namespace.as_str(),
        payload.display()
    );
    println!(
        "  and then: casemate policy sign {} --import {}.sig",
        subject.name(),
        payload.display()
    );
}

/// A signature with a key file.
fn signature(pending: &Pending, key: &Path) -> Result<String> {
    let name = key.display();
    let text = Secret::new(fs::read_to_string(key).with_context(|| name.to_string())?);
    if text.expose().contains("PRIVATE KEY") {
        let mode = fs::metadata(key)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            bail!(Failure::Refused(format!(
                "{name} can be read by others (mode {mode:o}); `chmod 600 {name}`, and ask yourself who has read it"
            )));
        }
    }
    if let Ok(key) = SigningKey::from_openssh(text.expose()) {
        return Ok(key.sign(pending.namespace, &pending.payload)?);
    }
    // Encrypted, of another kind, or a public key whose private part an agent or a token holds.
    let mut child = Command::new("ssh-keygen")
        .args(["-q", "-Y", "sign", "-n", pending.namespace.as_str(), "-f"])
        .arg(key)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| {
            Failure::Missing(format!("ssh-keygen: {e}; it signs with keys like {name}: install openssh-client, or sign elsewhere and pass the signature with --import"))
        })?;
    let mut input = child.stdin.take().context("no pipe to ssh-keygen")?;
    // A child that ends early says why itself.
    let _ = input.write_all(&pending.payload);
    drop(input);
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!(Failure::Refused(format!("ssh-keygen did not sign with {name}; it says why above")));
    }
    String::from_utf8(output.stdout).context("ssh-keygen's signature is no text")
}
