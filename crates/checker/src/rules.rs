//! The rules of `docs/rules.md`, each as one match: premises, then what follows. A premise that is missing, or one too many,
//! is no match. Times are compared as numbers, scopes as sets of names, everything else byte for byte.

use std::collections::BTreeSet;

use evidence::controls::holds;

use crate::Facts;
use crate::record::Policy;

/// What rules ask besides their premises.
pub(crate) struct World<'a> {
    pub(crate) facts: &'a Facts,
    pub(crate) policy: &'a Policy,
    /// When the decision was made, Unix seconds.
    pub(crate) at: i64,
}

/// What the policy says: a leaf that stands in it word for word.
pub(crate) fn stated(says: &[&str], w: &World<'_>) -> bool {
    let programs = || w.policy.programs.iter();
    match says {
        ["policy-takes-hardware", kind, profile] => {
            let fits = w.facts.profiles.iter().any(|p| p == profile);
            w.policy.hardware.iter().any(|h| h.kind == *kind && h.profile == *profile)
                && holds("recheck_profile", fits)
        }
        ["policy-trusts", program, role] => {
            programs().any(|p| p.role == *role && p.measurements.iter().any(|m| m == program))
        }
        ["policy-role", role, kind] => programs()
            .any(|p| p.role == *role && p.places.is_empty() && p.on.iter().any(|k| k == kind)),
        ["policy-role-in", role, kind, place] => programs().any(|p| {
            p.role == *role && p.on.iter().any(|k| k == kind) && p.places.iter().any(|q| q == place)
        }),
        ["policy-takes-release", product, from, role] => programs().any(|p| {
            p.role == *role
                && p.releases.iter().any(|(q, v)| q == product && v.to_string() == *from)
        }),
        ["policy-takes-build", source, role] => {
            programs().any(|p| p.role == *role && p.builds.iter().any(|s| s == source))
        }
        ["policy-lets", key, topic, scope, depth, until] => w.policy.issuers.iter().any(|i| {
            i.key == *key
                && i.depth.to_string() == *depth
                && i.until.to_string() == *until
                && i.may.iter().any(|(t, s)| t == topic && s == scope)
        }),
        [leaf @ ("policy-place" | "policy-place-region"), place, rest @ ..] => {
            w.policy.places.iter().any(|p| {
                p.name == *place
                    && p.leaf.first().map(String::as_str) == Some(*leaf)
                    && p.leaf.iter().skip(1).map(String::as_str).eq(rest.iter().copied())
            })
        }
        _ => false,
    }
}

/// What the evidence shows.
pub(crate) fn shown(says: &[&str], facts: &Facts) -> bool {
    match says {
        ["evidence-shows-machine", kind, image, machine] => {
            facts.kind == *kind && facts.image == *image && facts.machine == *machine
        }
        ["evidence-shows-region", machine, region] => {
            facts.machine == *machine && facts.region.as_deref() == Some(region)
        }
        ["evidence-binds-monitor", key] => facts.statement_key == *key,
        ["monitor-states", key, program, isolation, leaf] => {
            facts.statement_key == *key
                && facts.program == *program
                && facts.isolation == *isolation
                && facts.leaf == *leaf
        }
        _ => false,
    }
}

/// True if `says` follows by `rule` from `premises`.
pub(crate) fn follows(rule: &str, premises: &[&[&str]], says: &[&str], w: &World<'_>) -> bool {
    match rule {
        "R1" | "R2" | "R3" => of_machines(rule, premises, says, w),
        "R4" | "R15" => of_roles(rule, premises, says),
        "R6" | "R7" | "R8" => of_speakers(rule, premises, says),
        "R5" | "R9" | "R10" | "R11" | "R12" => of_programs(rule, premises, says),
        "R13" | "R14" => of_places(rule, premises, says, w),
        _ => false,
    }
}

fn of_machines(rule: &str, premises: &[&[&str]], says: &[&str], w: &World<'_>) -> bool {
    match (rule, premises, says) {
        // R1: the policy takes this hardware, its image and its machine, and evidence shows one.
        (
            "R1",
            [["policy-takes-hardware", k1, profile], ["evidence-shows-machine", k2, image, m1]],
            ["machine-genuine", k3, m2],
        ) => {
            k1 == k2
                && k2 == k3
                && m1 == m2
                && w.policy.hardware.iter().any(|h| {
                    h.kind == *k1
                        && h.profile == *profile
                        && h.images.iter().any(|i| i == image)
                        && h.machines.as_ref().is_none_or(|m| m.iter().any(|m| m == m1))
                })
        }
        // R2: a genuine machine's evidence covers the monitor's key.
        (
            "R2",
            [["machine-genuine", _, _], ["evidence-binds-monitor", k1]],
            ["monitor-trusted", k2],
        ) => k1 == k2,
        // R3: what a trusted monitor states of a program's key, under isolation and a host the policy takes.
        (
            "R3",
            [["monitor-trusted", k1], ["monitor-states", k2, p1, isolation, l1]],
            ["key-speaks-for-program", l2, p2],
        ) => {
            k1 == k2
                && p1 == p2
                && l1 == l2
                && w.policy.hardware.iter().any(|h| {
                    h.kind == w.facts.kind
                        && h.isolation.iter().any(|i| i == isolation)
                        && h.host.contains(&w.facts.host)
                })
        }
        _ => false,
    }
}

/// R4 and R15: a program trusted as a role, on a kind and in a place the role may be, speaks for it as long as both last.
fn of_roles(rule: &str, premises: &[&[&str]], says: &[&str]) -> bool {
    match (rule, premises, says) {
        (
            "R4",
            [
                ["key-speaks-for-program", l1, p1],
                ["trusted", p2, r1, until],
                ["machine-genuine", k1, _],
                ["policy-role", r2, k2],
            ],
            ["key-speaks-for-role", l2, r3, last],
        ) => l1 == l2 && p1 == p2 && r1 == r2 && r2 == r3 && k1 == k2 && until == last,
        (
            "R15",
            [
                ["key-speaks-for-program", l1, p1],
                ["trusted", p2, r1, until],
                ["machine-genuine", k1, m1],
                ["policy-role-in", r2, k2, place1],
                ["stands", m2, place2, stands_until],
            ],
            ["key-speaks-for-role", l2, r3, last],
        ) => {
            (l1, p1, k1, m1, place1) == (l2, p2, k2, m2, place2)
                && r1 == r2
                && r2 == r3
                && is_least(last, &[until, stands_until])
        }
        _ => false,
    }
}

fn of_speakers(rule: &str, premises: &[&[&str]], says: &[&str]) -> bool {
    match (rule, premises, says) {
        // R6: whom the policy names, for what it says; the voice is its own.
        ("R6", [["policy-lets", k1, t1, s1, d1, u1]], ["may", k2, t2, s2, d2, u2, root]) => {
            (k1, t1, s1, d1, u1) == (k2, t2, s2, d2, u2) && root == k1
        }
        // R7: passed on: within what the giver has, in scope, depth and time; the voice stays the giver's.
        (
            "R7",
            [["may", k1, t1, s1, d1, u1, root1], ["says", _, k2, u2, "delegate", to, t2, s2, d2]],
            ["may", key, t3, s3, d3, u3, root2],
        ) => {
            let depth = match (d1.parse::<u64>(), d2.parse::<u64>()) {
                (Ok(d1), Ok(d2)) if d1 > 0 => Some(d1.saturating_sub(1).min(d2).to_string()),
                _ => None,
            };
            k1 == k2
                && key == to
                && t1 == t2
                && t2 == t3
                && root1 == root2
                && depth.as_deref() == Some(d3)
                && is_least(u3, &[u1, u2])
                && both(s1, s2).as_deref() == Some(s3)
        }
        // R8: a key that speaks for one that may speak.
        (
            "R8",
            [["may", k1, t1, s1, d1, u1, root1], ["says", _, k2, u2, "speaks", to]],
            ["may", key, t2, s2, d2, u3, root2],
        ) => {
            k1 == k2
                && key == to
                && (t1, s1, d1, root1) == (t2, s2, d2, root2)
                && is_least(u3, &[u1, u2])
        }
        _ => false,
    }
}

fn of_programs(rule: &str, premises: &[&[&str]], says: &[&str]) -> bool {
    let ["trusted", program, role, last] = says else { return false };
    match (rule, premises) {
        // R5: what the policy lists, for as long as the policy holds.
        ("R5", [["policy-trusts", p, r]]) => p == program && r == role && *last == FOREVER,
        // R9: somebody who may speak about the role trusts it.
        ("R9", [["may", k1, "program", scope, _, u1, _], ["says", _, k2, u2, "program", r, p]]) => {
            k1 == k2
                && r == role
                && p == program
                && within(role, scope)
                && is_least(last, &[u1, u2])
        }
        // R10: it is a release of a product the policy takes, and new enough.
        (
            "R10",
            [
                ["policy-takes-release", product1, from, r],
                ["may", k1, "release", scope, _, u1, _],
                ["says", _, k2, u2, "release", product2, version, p],
            ],
        ) => {
            let enough = match (version.parse::<u64>(), from.parse::<u64>()) {
                (Ok(version), Ok(from)) => version >= from,
                _ => false,
            };
            k1 == k2
                && product1 == product2
                && r == role
                && p == program
                && enough
                && within(product1, scope)
                && is_least(last, &[u1, u2])
        }
        // R11: it was built from a source the policy takes.
        (
            "R11",
            [
                ["policy-takes-build", source1, r],
                ["may", k1, "build", scope, _, u1, _],
                ["says", _, k2, u2, "build", source2, _, p],
            ],
        ) => {
            k1 == k2
                && source1 == source2
                && r == role
                && p == program
                && within(source1, scope)
                && is_least(last, &[u1, u2])
        }
        // R12: it takes the place of one that is trusted.
        (
            "R12",
            [
                ["trusted", before1, r1, u0],
                ["may", k1, "upgrade", scope, _, u1, _],
                ["says", _, k2, u2, "upgrade", r2, before2, p],
            ],
        ) => {
            k1 == k2
                && before1 == before2
                && r1 == role
                && r2 == role
                && p == program
                && within(role, scope)
                && is_least(last, &[u0, u1, u2])
        }
        _ => false,
    }
}

fn of_places(rule: &str, premises: &[&[&str]], says: &[&str], w: &World<'_>) -> bool {
    let ["stands", machine, place, last] = says else { return false };
    match (rule, premises) {
        // R14: the region its evidence shows.
        ("R14", [["policy-place-region", p, r1], ["evidence-shows-region", m, r2]]) => {
            p == place && m == machine && r1 == r2 && *last == FOREVER
        }
        // R13: as many independent issuers as are needed, each fit for the place.
        ("R13", [["policy-place", p, countries, need, level, basis, age], words @ ..]) => {
            let (Ok(need), Ok(level), Ok(age)) =
                (need.parse::<usize>(), level.parse::<u64>(), age.parse::<i64>())
            else {
                return false;
            };
            let wanted = Wanted { countries, level, basis, age };
            let mut voices = BTreeSet::new();
            let mut countries_said = BTreeSet::new();
            let mut ends = Vec::new();
            for word in words.chunks(2) {
                let [may, claim] = word else { return false };
                let Some((holder, country, end)) = wanted.word(may, claim, machine, w) else {
                    return false;
                };
                voices.insert(holder);
                countries_said.insert(country);
                ends.push(end);
            }
            let last = last.parse::<i64>().ok();
            p == place
                && voices.len() >= need
                && need > 0
                && countries_said.len() == 1
                && last == ends.iter().copied().min()
        }
        _ => false,
    }
}

/// What a place asks of one endorsement.
struct Wanted<'a> {
    countries: &'a str,
    level: u64,
    basis: &'a str,
    age: i64,
}

impl Wanted<'_> {
    /// Whose voice it is, the country it names and its last second, if it counts.
    fn word<'w>(
        &self,
        may: &[&str],
        claim: &[&'w str],
        machine: &str,
        w: &World<'w>,
    ) -> Option<(&'w str, &'w str, i64)> {
        let ["may", k1, "place", scope, _, u1, root] = may else { return None };
        let ["says", _, k2, u2, "place", m, country, basis, level, seen] = claim else {
            return None;
        };
        let issuer = w.policy.issuers.iter().find(|i| i.key == *root)?;
        let (level, seen) = (level.parse::<u64>().ok()?, seen.parse::<i64>().ok()?);
        let end = u1.parse::<i64>().ok()?.min(u2.parse().ok()?).min(seen.saturating_add(self.age));
        let counts = k1 == k2
            && *m == machine
            && within(country, scope)
            && within(country, self.countries)
            && within(basis, self.basis)
            && level >= self.level
            && seen <= w.at
            && w.at <= end;
        counts.then_some((issuer.holder.as_str(), *country, end))
    }
}

/// The last second anything can have.
const FOREVER: &str = "253402300799";

/// True if `name` is in a scope as proofs spell it.
fn within(name: &str, scope: &str) -> bool {
    scope == "*" || scope.split(',').any(|n| n == name)
}

/// What two scopes share.
fn both(a: &str, b: &str) -> Option<String> {
    match (a, b) {
        ("*", scope) | (scope, "*") => Some(scope.to_owned()),
        _ => {
            let b = b.split(',').collect::<BTreeSet<_>>();
            let shared = a.split(',').filter(|n| b.contains(n)).collect::<BTreeSet<_>>();
            let shared = shared.into_iter().collect::<Vec<_>>().join(",");
            (!shared.is_empty()).then_some(shared)
        }
    }
}

/// True if `last` is the least of these times.
fn is_least(last: &str, times: &[&str]) -> bool {
    let times = times.iter().map(|t| t.parse::<i64>().ok()).collect::<Option<Vec<_>>>();
    let least = times.and_then(|t| t.into_iter().min());
    least.is_some() && least == last.parse().ok()
}
