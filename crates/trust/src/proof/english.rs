//! Proofs as sentences, for people.

use evidence::Time;

/// Enough of a digest to recognise it.
fn short(digest: &str) -> String {
    digest.get(..12).map_or(digest.to_owned(), |h| format!("{h}…"))
}

fn when(unix: &str) -> String {
    match unix.parse().map(Time::from_unix) {
        Ok(Time::MAX) | Err(_) => String::new(),
        Ok(time) => format!(", until {time}"),
    }
}

fn names(scope: &str) -> String {
    if scope == "*" { "anything".to_owned() } else { scope.replace(',', ", ") }
}

/// The sentence of a term; terms nobody knows are shown as they are.
pub(super) fn of(parts: &[&str]) -> String {
    match parts {
        ["policy-takes-hardware", kind, ""] => {
            format!("the policy takes {kind} machines")
        }
        ["policy-takes-hardware", kind, profile] => {
            format!("the policy takes {kind} machines under {profile}")
        }
        ["policy-role", role, kind] => format!("the policy lets {role} run on {kind}"),
        ["policy-role-in", role, kind, place] => {
            format!("the policy lets {role} run on {kind} in {place}")
        }
        ["policy-trusts", program, role] => {
            format!("the policy trusts program {} as {role}", short(program))
        }
        ["policy-takes-release", product, from, role] => {
            format!("the policy trusts {product} as {role}, from version {from} on")
        }
        ["policy-takes-build", source, role] => {
            format!("the policy trusts what is built from {source} as {role}")
        }
        ["policy-lets", key, topic, scope, _, until] => format!(
            "the policy lets key {} speak about {topic} of {}{}",
            short(key),
            names(scope),
            when(until)
        ),
        ["policy-place", place, countries, need, level, ..] => format!(
            "the policy takes a machine to be in {place} when {need} independent issuers say at level {level} or more that it stands in {}",
            countries.replace(',', " or ")
        ),
        ["policy-place-region", place, region] => {
            format!("the policy takes region {region} to be in {place}")
        }
        ["says", _, key, until, rest @ ..] => {
            format!("key {} says: {}{}", short(key), said(rest), when(until))
        }
        _ => derived(parts),
    }
}

fn derived(parts: &[&str]) -> String {
    match parts {
        ["evidence-shows-machine", kind, image, machine] => format!(
            "authentic evidence shows a {kind} machine ({}) that launched {}",
            short(machine),
            short(image)
        ),
        ["evidence-shows-region", machine, region] => {
            format!("that evidence shows machine {} in region {region}", short(machine))
        }
        ["evidence-binds-monitor", key] => {
            format!("that evidence covers the monitor's key {}", short(key))
        }
        ["monitor-states", key, program, isolation, leaf] => format!(
            "the monitor with key {} states that program {} ({isolation} isolation) holds the key {}",
            short(key),
            short(program),
            short(leaf)
        ),
        ["machine-genuine", kind, machine] => {
            format!("machine {} is a {kind} machine as the policy wants it", short(machine))
        }
        ["monitor-trusted", key] => {
            format!("the monitor with key {} may speak for programs on it", short(key))
        }
        ["key-speaks-for-program", leaf, program] => {
            format!("the key {} speaks for program {}", short(leaf), short(program))
        }
        ["may", key, topic, scope, depth, until, _] => {
            let on = if *depth == "0" { "" } else { ", and pass that on" };
            format!(
                "key {} may speak about {topic} of {}{on}{}",
                short(key),
                names(scope),
                when(until)
            )
        }
        ["trusted", program, role, until] => {
            format!("program {} is trusted as {role}{}", short(program), when(until))
        }
        ["stands", machine, place, until] => {
            format!("machine {} stands in {place}{}", short(machine), when(until))
        }
        ["key-speaks-for-role", leaf, role, until] => {
            format!("the key {} speaks for {role}{}", short(leaf), when(until))
        }
        other => other.join(" "),
    }
}

fn said(parts: &[&str]) -> String {
    match parts {
        ["program", role, program] => format!("program {} is trusted as {role}", short(program)),
        ["release", product, version, program] => {
            format!("program {} is {product} version {version}", short(program))
        }
        ["build", source, revision, program] => {
            format!("program {} was built from {source} at {}", short(program), short(revision))
        }
        ["upgrade", role, from, to] => {
            format!("as {role}, program {} takes the place of {}", short(to), short(from))
        }
        ["place", machine, country, basis, level, _] => format!(
            "machine {} stands in {country}, known by {basis}, level {level}",
            short(machine)
        ),
        ["delegate", to, topic, scope, _] => {
            format!("key {} may speak about {topic} of {}", short(to), names(scope))
        }
        ["speaks", key] => format!("key {} speaks for me", short(key)),
        other => other.join(" "),
    }
}
