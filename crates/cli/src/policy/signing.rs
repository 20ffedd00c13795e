//! `casemate policy sign`, `status`, `withdraw`, `import`: from the domain file to a policy that k of n owners put in force.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use serde_json::json;
use trust::pending::Subject;
use trust::signing::{SIGNED_MAX, Signed, fingerprint};
use trust::{Policy, SignerChange};

use super::{show, test};
use crate::domain::{Domain, FILE, told};
use crate::output::{Failure, Format, json};
use crate::owners::{self, Names};
use crate::sign::{self, With};
use crate::{audit, deliver, up};

pub fn run(
    domain: &Domain,
    pending: Option<&str>,
    with: &With,
    untested: bool,
) -> Result<ExitCode> {
    if let Some(what) = pending {
        return waiting(domain, what, with, untested);
    }
    // Who signs comes first: a policy is signed by those who sign now.
    if let Some(change) = signers(domain)? {
        println!(
            "`sign` of {FILE} states other signers; that is proposed first, the policy after it is in force"
        );
        return end(deliver::submit(domain, &Subject::Signers(Box::new(change)), with)?);
    }
    domain.file()?.warnings().iter().for_each(|w| eprintln!("{}", told(FILE, w)));
    let changes = show::differences(domain)?;
    let Some(next) = domain.next_policy()? else {
        show::print(&changes, "the domain file says what the policy in force says", Format::Table);
        let version = domain.in_force()?.map_or(0, |p| p.policy().version);
        if domain.signs_alone() {
            let when = if domain.put_in_force()? {
                "is in force: the authority has it"
            } else {
                "comes into force when the authority starts"
            };
            println!("policy version {version} is signed and {when}");
        }
        return Ok(ExitCode::SUCCESS);
    };
    tested(domain, &next, untested)?;
    if domain.signs_alone() {
        show::print(&changes, "this is the first version", Format::Table);
    }
    end(deliver::submit(domain, &Subject::Policy(Box::new(next)), with)?)
}

fn end(done: Option<String>) -> Result<ExitCode> {
    Ok(match done {
        Some(done) => {
            println!("{done}");
            ExitCode::SUCCESS
        }
        // Signatures are what is missing.
        None => ExitCode::from(3),
    })
}

/// A policy whose examples fail is signed by nobody who has not been told.
fn tested(domain: &Domain, policy: &Policy, untested: bool) -> Result<()> {
    match test::failing(domain, policy)? {
        Some(failing) if !failing.is_empty() => {
            failing.iter().for_each(|f| println!("{f}"));
            if !untested {
                bail!(Failure::Refused(format!(
                    "{} example(s) fail; mend the policy or the examples, or sign it as it is with --untested",
                    failing.len()
                )));
            }
            println!("signed although {} example(s) fail, as asked", failing.len());
        }
        _ => {}
    }
    Ok(())
}

/// What waits, here or in a file that came by mail.
fn waiting(domain: &Domain, what: &str, with: &With, untested: bool) -> Result<ExitCode> {
    let (pending, subject) = sign::find(domain, what)?;
    sign::show(domain, &pending, &subject)?;
    match &subject {
        Subject::Policy(policy) => tested(domain, policy, untested)?,
        Subject::Endorsement(e) => up::appraise_again(domain, e, pending.evidence.as_deref())?,
        _ => {}
    }
    let pending = sign::wait(domain, pending, &subject)?;
    match sign::sign(domain, pending, &subject, with)? {
        sign::Stand::Complete(signed) => {
            println!("{}", deliver::deliver(domain, &subject, &signed)?);
            Ok(ExitCode::SUCCESS)
        }
        sign::Stand::Waits(file) => {
            let (pending, subject) = sign::read(domain, &file)?;
            sign::tell(domain, &pending, &subject);
            sign::instruct(domain, &pending, &subject);
            Ok(ExitCode::from(3))
        }
    }
}

/// The change of signers that the domain file states, if it does.
fn signers(domain: &Domain) -> Result<Option<SignerChange>> {
    let stated = owners::stated(domain, domain.file()?.sign())?;
    if stated == *domain.genesis.signers_now() {
        return Ok(None);
    }
    let (number, previous) = domain.genesis.next_change();
    let policy = domain.in_force()?.map(|p| (p.policy().version, p.digest()));
    let (epoch, secrets) = audit::newest(domain)?;
    let root = domain.genesis.root();
    Ok(Some(SignerChange {
        domain: root,
        number,
        previous,
        signers: stated,
        policy,
        epoch,
        secrets,
    }))
}

pub fn status(domain: &Domain, format: Format) -> Result<ExitCode> {
    let (signers, names) = (domain.genesis.signers_now(), Names::of(domain));
    let in_force = domain.in_force()?;
    let (waits, unread) = sign::listed(domain)?;
    if format == Format::Json {
        let say = |keys: &[String]| {
            json!(
                keys.iter()
                    .map(|k| json!({"name": names.say(k), "key": k, "fingerprint": fingerprint(k)}))
                    .collect::<Vec<_>>()
            )
        };
        let rows = waits.iter().map(|(pending, subject)| {
            let progress = pending.progress(&domain.genesis, subject);
            json!({"name": subject.name(), "kind": pending.namespace.as_str(), "signed": say(&progress.signed), "missing": say(&progress.missing), "lacking": progress.lacking})
        });
        json(
            &json!({"domain": domain.genesis.domain.as_str(), "root": domain.genesis.root().to_string(),
            "need": signers.need(), "revoke": signers.revoke(), "signers": say(signers.keys()),
            "version": in_force.as_ref().map(|p| p.policy().version), "pending": rows.collect::<Vec<_>>()}),
        );
        return Ok(ExitCode::SUCCESS);
    }
    println!("domain {}, root sha256:{}", domain.genesis.domain, domain.genesis.root());
    println!(
        "{} of {} owners sign, {} revoke:",
        signers.need(),
        signers.keys().len(),
        signers.revoke()
    );
    signers.keys().iter().for_each(|k| println!("  {}", names.say(k)));
    let newest = in_force.as_ref().map_or(0, |p| p.policy().version);
    match in_force {
        Some(p) => {
            println!("policy version {} is signed, digest {}", p.policy().version, p.digest())
        }
        None => println!("no policy is signed yet"),
    }
    if waits.is_empty() && unread.is_empty() {
        println!("nothing waits for signatures");
    }
    for (pending, subject) in &waits {
        sign::tell(domain, pending, subject);
        if let Subject::Policy(p) = subject
            && p.version <= newest
        {
            println!(
                "  version {} is in force or behind: this one comes into force no more; `casemate policy withdraw {}`",
                p.version,
                subject.name()
            );
        }
    }
    for (name, why) in &unread {
        println!("{name}: {why}; `casemate policy withdraw {name}`");
    }
    Ok(ExitCode::SUCCESS)
}

pub fn withdraw(domain: &Domain, name: &str) -> Result<ExitCode> {
    let signed = match sign::find(domain, name) {
        Ok((pending, subject)) => {
            let signed = pending.progress(&domain.genesis, &subject).signed.len();
            sign::forget(domain, &subject);
            signed
        }
        // What nobody can read can still be taken away.
        Err(e) if !sign::forget_named(domain, name) => return Err(e),
        Err(_) => 0,
    };
    println!("{name} waits here no longer");
    if signed > 0 {
        println!(
            "{signed} owner(s) signed it: whoever kept a copy can still complete it, and two policies of one number are evidence against who signed both"
        );
    }
    Ok(ExitCode::SUCCESS)
}

pub fn import(domain: &Domain, files: &[PathBuf]) -> Result<ExitCode> {
    let mut newest = 0;
    for file in files {
        newest = domain.keep_policy(&signed(file)?)?;
        println!("policy version {newest} is taken");
    }
    if newest > 0 && domain.put_in_force()? {
        println!("It is in force: the authority has it.");
    }
    Ok(ExitCode::SUCCESS)
}

fn signed(file: &Path) -> Result<Signed> {
    let name = file.display();
    let len = std::fs::metadata(file).map_err(|e| Failure::Usage(format!("{name}: {e}")))?.len();
    if usize::try_from(len).map_or(true, |l| l > SIGNED_MAX) {
        bail!(Failure::Usage(format!("{name}: {len} bytes, at most {SIGNED_MAX} are read")));
    }
    let bytes = std::fs::read(file).with_context(|| name.to_string())?;
    Signed::decode(&bytes).map_err(|e| Failure::Usage(format!("{name}: {e}")).into())
}
