//! Policies and everything else that owners sign, in words: complete by construction, because every struct is taken apart field by field.
//! What is said is taken from the bytes to be signed and from nothing else.

use evidence::appraise::Machines;

use crate::endorsement::AuthorityEndorsement;
use crate::policy::{Endorsed, Hardware, Issuer, Place, PlaceBy, Policy, Program};
use crate::revocation::{Revocation, Revoked};
use crate::role_secret::RoleSecret;
use crate::signing::Signers;
use crate::succession::SignerChange;

fn list<T>(items: &[T], say: impl Fn(&T) -> String) -> String {
    if items.is_empty() {
        return "none".to_owned();
    }
    items.iter().map(say).collect::<Vec<_>>().join(", ")
}

/// Everything a policy says.
#[must_use]
pub fn policy(policy: &Policy) -> Vec<String> {
    let Policy { domain, root, version, previous, hardware: kinds, programs, issuers, places } =
        policy;
    let after = previous.map_or_else(|| "nothing before it".to_owned(), |p| p.to_string());
    let mut out = vec![
        format!("policy version {version} of domain {domain}, root {root}"),
        format!("after {after}"),
    ];
    out.extend(kinds.iter().flat_map(hardware));
    out.extend(issuers.iter().map(issuer));
    out.extend(places.iter().map(place));
    out.extend(programs.iter().flat_map(program));
    out
}

/// Everything it says about an issuer.
#[must_use]
pub fn issuer(issuer: &Issuer) -> String {
    let Issuer { name, key, holder, may, depth, until } = issuer;
    let may = list(may, |(topic, scope)| format!("{} of {scope}", topic.as_str()));
    let on = match depth {
        0 => "passes nothing on".to_owned(),
        n => format!("may pass that on {n} deep"),
    };
    format!("issuer {name} ({holder}), key {key}: may speak about {may}, {on}, until {until}")
}

/// What it says it takes to be in a place.
#[must_use]
pub fn place(place: &Place) -> String {
    let Place { name, by } = place;
    match by {
        PlaceBy::AwsVlek(region) => {
            format!("place {name}: AWS region {region}, by the machine's VLEK")
        }
        PlaceBy::Endorsed(Endorsed { countries, need, level, basis, age_secs_max }) => format!(
            "place {name}: {need} independent issuer(s) say {} at level {level} or more, by {}, seen at most {} days ago",
            countries.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or "),
            basis.iter().map(|b| b.as_str()).collect::<Vec<_>>().join(" or "),
            age_secs_max.div_euclid(86_400)
        ),
    }
}

/// Everything it says about a kind of hardware.
#[must_use]
pub fn hardware(hardware: &Hardware) -> Vec<String> {
    let Hardware { kind, profile, roots, machines, images, isolation, host } = hardware;
    let of = format!("hardware {kind}");
    let machines = match machines {
        Machines::AnyGenuine => "any genuine one, diversion is not excluded".to_owned(),
        Machines::Only(ids) => list(ids, ToString::to_string),
    };
    let profile = if profile.is_empty() { "none" } else { profile };
    vec![
        format!("{of}: profile: {profile}"),
        format!("{of}: root: {}", list(roots, ToString::to_string)),
        format!("{of}: machines: {machines}"),
        format!("{of}: image: {}", list(images, ToString::to_string)),
        format!("{of}: isolation: {}", list(isolation, |i| i.as_str().to_owned())),
        format!("{of}: host: {}", list(host, |h| h.as_str().to_owned())),
    ]
}

/// Everything it says about a program.
#[must_use]
pub fn program(program: &Program) -> Vec<String> {
    let Program {
        role,
        measurements,
        on,
        places,
        listen,
        connect,
        secrets,
        outsiders,
        releases,
        builds,
    } = program;
    let of = format!("program {role}");
    let places = if places.is_empty() { "anywhere".to_owned() } else { list(places, Clone::clone) };
    vec![
        format!("{of}: measurement: {}", list(measurements, |m| format!("sha384:{m}"))),
        format!("{of}: on: {}", list(on, ToString::to_string)),
        format!("{of}: in: {places}"),
        format!("{of}: listen: {}", list(listen, ToString::to_string)),
        format!("{of}: connect: {}", list(connect, ToString::to_string)),
        format!("{of}: secrets: {}", list(secrets, Clone::clone)),
        format!("{of}: clients: {}", list(outsiders, |o| o.as_str().to_owned())),
        format!("{of}: releases: {}", list(releases, |(p, v)| format!("{p} from version {v} on"))),
        format!("{of}: builds: {}", list(builds, ToString::to_string)),
    ]
}

/// Everything an endorsement says.
#[must_use]
pub fn endorsement(endorsement: &AuthorityEndorsement) -> Vec<String> {
    let AuthorityEndorsement { domain, ca, log, measurement, audit, secrets, window } = endorsement;
    vec![
        format!("an authority speaks for domain {domain}"),
        format!("  from {} to {}", window.not_before, window.not_after),
        format!("  its program measures sha384:{measurement}"),
        format!("  its CA key is sha256:{ca}"),
        format!("  its log's key is {}", log.escape_default()),
        format!("  it encrypts its records to {audit}"),
        format!("  role secrets are encrypted to {secrets}"),
    ]
}

/// Everything a revocation says.
#[must_use]
pub fn revocation(revocation: &Revocation) -> Vec<String> {
    let Revocation { domain, epoch, revoked } = revocation;
    let what = match revoked {
        Revoked::Measurement(m) => format!("the program sha384:{m}"),
        Revoked::StatementKey(k) => format!("the monitor with key {k}"),
        Revoked::Machine(m) => format!("the machine {m}"),
        Revoked::Issuer(k) => format!("the issuer with key {k}, with all it said,"),
        Revoked::Claim(d) => format!("the claim {d}"),
    };
    vec![
        format!("{what} is no longer trusted in domain {domain}"),
        format!("  revocation number {epoch}; its connections close, and it never comes back"),
    ]
}

/// Everything about a role secret but its value, which only the authority reads.
#[must_use]
pub fn secret(secret: &RoleSecret) -> Vec<String> {
    let RoleSecret { domain, name, number, value } = secret;
    let how = match value {
        None => "is taken back".to_owned(),
        Some(v) => {
            let bytes = v.ciphertext.len();
            format!(
                "gets the value that stands encrypted here ({bytes} bytes) to the authority's key {}",
                v.to
            )
        }
    };
    vec![format!("role secret {name} of domain {domain} {how}"), format!("  number {number}")]
}

/// Everything a change of signers says; `names` says whose a key is.
#[must_use]
pub fn signers(
    change: &SignerChange,
    old: &Signers,
    names: impl Fn(&str) -> String,
) -> Vec<String> {
    let SignerChange { domain, number, previous, signers, policy, epoch, secrets } = change;
    let mut out = vec![
        format!("the signers of domain {domain} change, change number {number} after {previous}"),
        format!(
            "  {} of {} sign from then on (now {} of {})",
            signers.need(),
            signers.keys().len(),
            old.need(),
            old.keys().len()
        ),
        format!("  {} of them revoke (now {})", signers.revoke(), old.revoke()),
    ];
    let gone = old.keys().iter().filter(|k| !signers.keys().contains(k));
    out.extend(gone.map(|k| format!("  - {} signs no longer", names(k))));
    for key in signers.keys() {
        let new = if old.keys().contains(key) { "  stays" } else { "+ comes" };
        out.push(format!("  {new} {}", names(key)));
    }
    let after = policy.map_or_else(
        || "the first policy on".to_owned(),
        |(v, d)| format!("after policy version {v} ({d})"),
    );
    out.push(format!("  it counts {after}, after revocation {epoch}"));
    out.extend(
        secrets.iter().map(|(name, n)| format!("  and after number {n} of role secret {name}")),
    );
    out
}
