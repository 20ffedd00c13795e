//! What happens to an object once enough owners have signed it: a policy comes into force, other owners sign from then on, the authority is
//! endorsed, a revocation closes connections, a role secret gets its value.

use anyhow::{Result, bail};
use channel::admission::{Bundle, client};
use trust::SignerChange;
use trust::pending::{Pending, Subject};
use trust::signing::Signed;

use crate::clock::now;
use crate::domain::{Domain, replace};
use crate::output::Failure;
use crate::sign::{self, Stand, With};
use crate::{audit, secret, up};

/// Shows an object, signs it with what is at hand, and says how it stands; whoever else must sign finds it waiting.
pub fn signed(domain: &Domain, new: Pending, subject: &Subject, with: &With) -> Result<Stand> {
    if domain.signs_alone() {
        return sign::sign(domain, new, subject, with);
    }
    let pending = sign::wait(domain, new, subject)?;
    sign::show(domain, &pending, subject)?;
    sign::sign(domain, pending, subject, with)
}

/// The same, and delivers it if that was the last signature; what was done. Without, it waits, and who is missing was told.
pub fn submit(domain: &Domain, subject: &Subject, with: &With) -> Result<Option<String>> {
    match signed(domain, Pending::new(subject), subject, with)? {
        Stand::Complete(signed) => deliver(domain, subject, &signed).map(Some),
        Stand::Waits(_) => {
            let (pending, subject) = sign::find(domain, &subject.name())?;
            sign::tell(domain, &pending, &subject);
            sign::instruct(domain, &pending, &subject);
            Ok(None)
        }
    }
}

/// Delivers; what was done. It waits on where it cannot be delivered now.
pub fn deliver(domain: &Domain, subject: &Subject, signed: &Signed) -> Result<String> {
    let done = match subject {
        Subject::Policy(_) => policy(domain, subject, signed)?,
        Subject::Signers(change) => signers(domain, change, signed)?,
        Subject::Endorsement(_) => {
            if domain.monitor().is_ok() {
                up::endorse(domain, signed)?;
                "the authority is endorsed: it admits programs".to_owned()
            } else {
                replace(&domain.dir.join("endorsement.cbor"), &signed.encode())?;
                "the authority is endorsed, once it runs: `casemate up`".to_owned()
            }
        }
        Subject::Revocation(r) => {
            revocation(domain, signed)?;
            format!("revoked, number {}: its connections close", r.epoch)
        }
        Subject::Secret(s) => {
            let number = secret::hand_in(domain, s, signed)?;
            let how = if s.value.is_some() { "set" } else { "taken back" };
            format!("secret {} is {how}, number {number}", s.name)
        }
    };
    sign::forget(domain, subject);
    Ok(done)
}

fn policy(domain: &Domain, subject: &Subject, signed: &Signed) -> Result<String> {
    let version = domain.keep_policy(signed)?;
    // It is signed, whatever the authority says to it.
    sign::forget(domain, subject);
    let in_force = domain.put_in_force().map_err(|e| {
        Failure::Refused(format!(
            "policy version {version} is signed and kept, and the authority did not take it: {e}"
        ))
    })?;
    Ok(if in_force {
        format!("policy version {version} is signed and is in force: the authority has it")
    } else {
        format!("policy version {version} is signed and comes into force when the authority starts")
    })
}

/// Other owners sign from here on. Only while nothing runs: a running authority would go on taking what the old ones sign, and what it took after
/// the border nobody would take again.
fn signers(domain: &Domain, change: &SignerChange, signed: &Signed) -> Result<String> {
    if domain.monitor().is_ok() {
        bail!(Failure::Missing(format!(
            "enough owners signed the change; it counts once nothing runs: `casemate stop`, then `casemate policy sign signers-{}`",
            change.number
        )));
    }
    // ATTACK: what the old owners signed since the change was proposed would be nobody's word.
    let policy = domain.in_force()?.map(|p| (p.policy().version, p.digest()));
    let (epoch, secrets) = audit::newest(domain)?;
    if policy != change.policy || epoch != change.epoch || secrets != change.secrets {
        bail!(Failure::Refused(format!(
            "a policy, revocation or role secret came after this change was proposed; `casemate policy withdraw signers-{}` and propose it anew, it would make them nobody's word",
            change.number
        )));
    }
    let mut genesis = domain.genesis.clone();
    genesis.follow(signed.clone()).map_err(|e| Failure::Refused(e.to_string()))?;
    replace(&domain.dir.join("genesis.cbor"), &genesis.encode_chain())?;
    let now = genesis.signers_now();
    Ok(format!(
        "{} of {} owners sign from now on, {} revoke; the domain root stays, and `casemate up` asks them to endorse the authority",
        now.need(),
        now.keys().len(),
        now.revoke()
    ))
}

fn revocation(domain: &Domain, signed: &Signed) -> Result<()> {
    let bundle = Bundle::decode(&domain.bundle()?)?;
    let trust = client::trust_of(&bundle, domain.genesis.root(), now())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let sent = client::revoke(&bundle.authority, &trust, signed, now);
    runtime.block_on(sent).map_err(|e| Failure::Refused(e.to_string()).into())
}
