//! The proof checker: every step follows by one of the written rules from earlier steps, from the policy or from the
//! evidence; the last one is the role that was granted. Written to be read in one sitting beside `docs/rules.md`.

use ciborium::Value;
use evidence::cbor::{self, Fields};
use evidence::controls::holds;

use crate::Facts;
use crate::record::Policy;

/// A proof of ten thousand steps is no proof of ours.
const STEPS_MAX: usize = 10_000;
const LEN_MAX: usize = 1 << 20;

struct Step {
    rule: String,
    premises: Vec<usize>,
    says: Vec<String>,
}

/// True ... or why not.
pub(crate) fn check(
    proof: &[u8],
    facts: &Facts,
    policy: &Policy,
    role: &str,
) -> Result<(), String> {
    let steps = read(proof).ok_or("the proof cannot be read")?;
    for (n, step) in steps.iter().enumerate() {
        let earlier = |p: &usize| if *p < n { steps.get(*p) } else { None };
        let premises = step.premises.iter().map(earlier).collect::<Option<Vec<_>>>();
        let premises = premises
            .ok_or_else(|| format!("step {} rests on a later step", n.saturating_add(1)))?;
        let premises = premises.iter().map(|s| words(&s.says)).collect::<Vec<_>>();
        if !holds("proof_step", follows(&step.rule, &premises, &words(&step.says), facts, policy)) {
            return Err(format!(
                "step {} ({}) does not follow: {}",
                n.saturating_add(1),
                step.rule,
                step.says.join(" ")
            ));
        }
    }
    let last = steps.last().map(|s| words(&s.says)).unwrap_or_default();
    let proved = last == ["key-speaks-for-role", facts.leaf.as_str(), role];
    if holds("proof_conclusion", proved) {
        Ok(())
    } else {
        Err("the proof ends somewhere else than at the role granted".to_owned())
    }
}

/// The rules. A premise that is missing, or one too many, is no match.
fn follows(
    rule: &str,
    premises: &[Vec<&str>],
    says: &[&str],
    facts: &Facts,
    policy: &Policy,
) -> bool {
    let premises = premises.iter().map(Vec::as_slice).collect::<Vec<_>>();
    match (rule, premises.as_slice(), says) {
        ("policy", [], ["policy-takes-hardware", kind, profile]) => {
            let fits = facts.profiles.iter().any(|p| p == profile);
            policy.hardware.iter().any(|h| h.kind == *kind && h.profile == *profile)
                && holds("recheck_profile", fits)
        }
        ("policy", [], ["policy-trusts", program, role, kind]) => policy.programs.iter().any(|p| {
            // Evidence of this version proves no place, so a program with one is trusted nowhere.
            p.role == *role
                && p.places.is_empty()
                && p.measurements.iter().any(|m| m == program)
                && p.on.iter().any(|k| k == kind)
        }),
        ("evidence", [], ["evidence-shows-machine", kind, image, machine]) => {
            facts.kind == *kind && facts.image == *image && facts.machine == *machine
        }
        ("evidence", [], ["evidence-binds-monitor", key]) => facts.statement_key == *key,
        ("evidence", [], ["monitor-states", key, program, isolation, leaf]) => {
            facts.statement_key == *key
                && facts.program == *program
                && facts.isolation == *isolation
                && facts.leaf == *leaf
        }
        // R1: the policy takes this hardware, its image and its machine, and evidence shows one.
        (
            "R1",
            [
                ["policy-takes-hardware", k1, profile],
                ["evidence-shows-machine", k2, image, machine],
            ],
            ["machine-genuine", k3],
        ) => {
            k1 == k2
                && k2 == k3
                && policy.hardware.iter().any(|h| {
                    h.kind == *k1
                        && h.profile == *profile
                        && h.images.iter().any(|i| i == image)
                        && h.machines.as_ref().is_none_or(|m| m.iter().any(|m| m == machine))
                })
        }
        // R2: a genuine machine's evidence covers the monitor's key.
        (
            "R2",
            [["machine-genuine", _], ["evidence-binds-monitor", k1]],
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
                && policy.hardware.iter().any(|h| {
                    h.kind == facts.kind
                        && h.isolation.iter().any(|i| i == isolation)
                        && h.host.contains(&facts.host)
                })
        }
        // R4: the program is trusted for the role on the kind of the genuine machine.
        (
            "R4",
            [
                ["key-speaks-for-program", l1, p1],
                ["policy-trusts", p2, r1, k1],
                ["machine-genuine", k2],
            ],
            ["key-speaks-for-role", l2, r2],
        ) => l1 == l2 && p1 == p2 && r1 == r2 && k1 == k2,
        _ => false,
    }
}

fn words(says: &[String]) -> Vec<&str> {
    says.iter().map(String::as_str).collect()
}

fn read(proof: &[u8]) -> Option<Vec<Step>> {
    let mut f = Fields::from_value(cbor::decode(proof, LEN_MAX).ok()?).ok()?;
    f.version(1).ok()?;
    let steps = f.array(2, "steps").ok()?;
    f.finish().ok()?;
    if steps.len() > STEPS_MAX {
        return None;
    }
    steps.into_iter().map(read_step).collect()
}

fn read_step(value: Value) -> Option<Step> {
    let [rule, premises, says] = <[Value; 3]>::try_from(value.into_array().ok()?).ok()?;
    let number = |v: Value| usize::try_from(v.into_integer().ok()?).ok();
    Some(Step {
        rule: rule.into_text().ok()?,
        premises: premises.into_array().ok()?.into_iter().map(number).collect::<Option<_>>()?,
        says: says
            .into_array()
            .ok()?
            .into_iter()
            .map(|v| v.into_text().ok())
            .collect::<Option<_>>()?,
    })
}
