//! Engine, model and checker, asked the same: whether the program is let in, until when, and whether the proof holds.

use checker::{DecisionRecord, Part, recheck};
use evidence::Time;
use owners::NOW;
use trust::proof::{Proof, Step};
use trust::revocation::{Revocation, Revoked};
use trust::signing::Namespace;
use trust::{Claims, Decision, Grant, Revocations};

use crate::saturate::Model;
use crate::worlds::{Dice, World, asking};

/// The engine's answer.
pub fn engine(world: &World) -> Option<Grant> {
    let mut claims = Claims::new();
    for claim in &world.claims {
        claims.add(claim.clone()).unwrap();
    }
    let mut revocations = Revocations::default();
    let taken = &world.taken;
    let revoked = (taken.claims.iter().map(|d| Revoked::Claim(*d)))
        .chain(taken.issuers.iter().map(|k| Revoked::Issuer(*k)))
        .chain(taken.measurements.iter().map(|m| Revoked::Measurement(*m)));
    for (n, revoked) in revoked.enumerate() {
        let epoch = u64::try_from(n + 1).unwrap();
        let payload = Revocation { domain: world.policy.root, epoch, revoked }.encode();
        let signed = owners::sign(Namespace::Revocation, payload);
        revocations.add(signed, &owners::genesis()).unwrap();
    }
    match owners::ask_with(&[&world.policy], Some("web"), &claims, &revocations) {
        Decision::Granted(grant) => Some(*grant),
        Decision::Refused(_) => None,
    }
}

/// The model's answer: the last second, as far as claims and policy say.
pub fn model(world: &World) -> Option<Time> {
    let Model { .. } =
        Model { policy: &world.policy, claims: &world.claims, taken: &world.taken, now: NOW };
    let model =
        Model { policy: &world.policy, claims: &world.claims, taken: &world.taken, now: NOW };
    model.may_be("web", asking(), &owners::machine_id())
}

/// What comes of asking all three about a world.
#[derive(Debug)]
pub enum Answer {
    /// All say no.
    No,
    /// All say yes.
    Yes(Box<DecisionRecord>, Proof),
}

/// The answer, if all three give one.
///
/// # Errors
/// Who disagrees with whom.
pub fn ask(world: &World) -> Result<Answer, String> {
    let (engine, model) = (engine(world), model(world));
    let grant = match (engine, model) {
        (None, None) => return Ok(Answer::No),
        (Some(grant), Some(until)) => {
            // The evidence of every world ends 600 seconds from now.
            let expected = until.min(NOW.plus_secs(600));
            if grant.not_after != expected {
                return Err(format!("engine until {}, model until {expected}", grant.not_after));
            }
            grant
        }
        (engine, model) => {
            return Err(format!("engine {:?}, model {model:?}", engine.map(|g| g.not_after)));
        }
    };
    let proof = grant.proof.clone();
    let record = owners::record_of(&world.policy, grant);
    match recheck(&record) {
        report if report.holds() => Ok(Answer::Yes(Box::new(record), proof)),
        report => Err(format!("checker: {report:?}")),
    }
}

/// A proof with one thing changed; none where the change would change nothing.
pub fn mutated(proof: &Proof, dice: &mut Dice) -> Option<Proof> {
    let mut steps = proof.0.clone();
    let pick =
        |dice: &mut Dice, n: usize| usize::try_from(dice.below(u64::try_from(n).unwrap())).unwrap();
    let at = pick(dice, steps.len());
    let said = |steps: &[Step], n: usize| steps[n].conclusion.clone();
    match dice.below(6) {
        0 => {
            let word = pick(dice, steps[at].conclusion.0.len());
            steps[at].conclusion.0[word].push('0');
        }
        1 => {
            let (word, other) = (pick(dice, steps[at].conclusion.0.len()), pick(dice, steps.len()));
            let from = said(&steps, other).0;
            let new = from[pick(dice, from.len())].clone();
            if steps[at].conclusion.0[word] == new {
                return None;
            }
            steps[at].conclusion.0[word] = new;
        }
        2 => {
            let count = steps[at].premises.len();
            if count == 0 {
                return None;
            }
            let which = pick(dice, count);
            steps[at].premises.remove(which);
        }
        3 => {
            let count = steps[at].premises.len();
            if count == 0 {
                return None;
            }
            let (which, other) = (pick(dice, count), pick(dice, steps.len()));
            let old = steps[at].premises[which];
            if said(&steps, old) == said(&steps, other) {
                return None;
            }
            steps[at].premises[which] = other;
        }
        4 => {
            let rule = steps[pick(dice, steps.len())].rule;
            if rule == steps[at].rule {
                return None;
            }
            steps[at].rule = rule;
        }
        _ => {
            let last = steps.len() - 1;
            steps.swap(at, last);
            if at == last {
                return None;
            }
        }
    }
    Some(Proof(steps))
}

/// True if the checker refuses a record's proof.
pub fn refuses(record: &DecisionRecord, proof: &Proof) -> bool {
    let bad = DecisionRecord { proof: proof.encode(), ..record.clone() };
    matches!(recheck(&bad).proof, Part::Failed(_))
}
