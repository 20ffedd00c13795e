//! The proof checker: every step follows by one of the written rules from earlier steps, from the policy or from the
//! evidence; the last one is the role that was granted. Written to be read in one sitting beside `docs/rules.md`.

use ciborium::Value;
use evidence::cbor::{self, Fields};
use evidence::controls::holds;

use crate::record::{DecisionRecord, Policy};
use crate::rules::World;
use crate::{Facts, claims, rules};

/// A proof of ten thousand steps is no proof of ours.
const STEPS_MAX: usize = 10_000;
const LEN_MAX: usize = 1 << 20;
/// No grant lives longer.
const LIFE_SECS_MAX: i64 = 3600;

struct Step {
    rule: String,
    premises: Vec<usize>,
    says: Vec<String>,
}

/// Nothing if every step follows and the last is the role granted, for as long as it was granted; or why not.
pub(crate) fn check(record: &DecisionRecord, facts: &Facts, policy: &Policy) -> Result<(), String> {
    let steps = read(&record.proof).ok_or("the proof cannot be read")?;
    let leaves = claims::leaves(&record.claims, record.domain, record.at)?;
    let world = World { facts, policy, at: record.at.unix() };
    for (n, step) in steps.iter().enumerate() {
        let earlier = |p: &usize| if *p < n { steps.get(*p) } else { None };
        let premises = step.premises.iter().map(earlier).collect::<Option<Vec<_>>>();
        let premises = premises
            .ok_or_else(|| format!("step {} rests on a later step", n.saturating_add(1)))?;
        let premises = premises.iter().map(|s| words(&s.says)).collect::<Vec<_>>();
        let premises = premises.iter().map(Vec::as_slice).collect::<Vec<_>>();
        let says = words(&step.says);
        let follows = match (step.rule.as_str(), premises.as_slice()) {
            ("policy", []) => rules::stated(&says, &world),
            ("evidence", []) => rules::shown(&says, facts),
            ("claim", []) => leaves.contains(&step.says),
            (rule, premises) => rules::follows(rule, premises, &says, &world),
        };
        if !holds("proof_step", follows) {
            return Err(format!(
                "step {} ({}) does not follow: {}",
                n.saturating_add(1),
                step.rule,
                step.says.join(" ")
            ));
        }
    }
    conclusion(&steps, record, facts)
}

/// The last step is the role that was granted, and what was granted ends with it.
fn conclusion(steps: &[Step], record: &DecisionRecord, facts: &Facts) -> Result<(), String> {
    let last = steps.last().map(|s| words(&s.says)).unwrap_or_default();
    let proved = matches!(last.as_slice(), ["key-speaks-for-role", leaf, role, _]
        if *leaf == facts.leaf && *role == record.role);
    if !holds("proof_conclusion", proved) {
        return Err("the proof ends somewhere else than at the role granted".to_owned());
    }
    let until = last.get(3).and_then(|t| t.parse::<i64>().ok());
    let until = until.ok_or("the proof ends without saying until when")?;
    let latest = until.min(facts.until).min(record.at.unix().saturating_add(LIFE_SECS_MAX));
    let lives = record.at <= record.not_after && record.not_after.unix() <= latest;
    if !holds("recheck_life", lives) {
        return Err("what was granted outlives what it rests on".to_owned());
    }
    Ok(())
}

fn words(says: &[String]) -> Vec<&str> {
    says.iter().map(String::as_str).collect()
}

fn read(proof: &[u8]) -> Option<Vec<Step>> {
    let mut f = Fields::from_value(cbor::decode(proof, LEN_MAX).ok()?).ok()?;
    f.version(2).ok()?;
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
