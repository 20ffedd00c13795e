//! What many worlds came to: how many said yes, how often each rule was used, how deep proofs went.

use std::collections::BTreeMap;

use trust::proof::{Proof, Rule};

use crate::agree::{self, Answer};
use crate::worlds::{Dice, World};

/// Counts over worlds.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub worlds: u64,
    pub accepted: u64,
    /// Steps by rule, in accepted worlds.
    pub rules: BTreeMap<&'static str, u64>,
    /// Accepted worlds by the depth of their proof.
    pub depths: BTreeMap<usize, u64>,
    /// Mutated proofs, all refused.
    pub mutants: u64,
}

/// The longest way from the conclusion down to a leaf.
fn depth(proof: &Proof) -> usize {
    let mut depths = Vec::<usize>::new();
    for step in &proof.0 {
        let below = step.premises.iter().map(|p| depths[*p]).max();
        depths.push(below.map_or(0, |d| d + 1));
    }
    depths.last().copied().unwrap_or_default()
}

impl Tally {
    /// Asks all three about the worlds of seeds from `from` on, and the checker about `mutants` changes of each proof.
    ///
    /// # Errors
    /// The seed of the first world in which they disagree, and how.
    pub fn of(from: u64, count: u64, mutants: u64) -> Result<Self, String> {
        let mut tally = Self::default();
        for seed in from..from + count {
            let world = World::of(seed);
            let answer = agree::ask(&world).map_err(|e| format!("seed {seed}: {e}"))?;
            tally.worlds += 1;
            let Answer::Yes(record, proof) = answer else { continue };
            tally.accepted += 1;
            for step in &proof.0 {
                *tally.rules.entry(step.rule.as_str()).or_default() += 1;
            }
            *tally.depths.entry(depth(&proof)).or_default() += 1;
            let mut dice = Dice::new(seed ^ 0x5eed);
            for _ in 0..mutants {
                let Some(bad) = agree::mutated(&proof, &mut dice) else { continue };
                if !agree::refuses(&record, &bad) {
                    return Err(format!("seed {seed}: the checker takes {:#?}", bad.english()));
                }
                tally.mutants += 1;
            }
        }
        Ok(tally)
    }

    /// Adds another's counts.
    pub fn add(&mut self, other: &Self) {
        self.worlds += other.worlds;
        self.accepted += other.accepted;
        self.mutants += other.mutants;
        other.rules.iter().for_each(|(r, n)| *self.rules.entry(r).or_default() += n);
        other.depths.iter().for_each(|(d, n)| *self.depths.entry(*d).or_default() += n);
    }
}

impl core::fmt::Display for Tally {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let share = self.accepted * 100 / self.worlds.max(1);
        writeln!(f, "worlds {}, accepted {} ({share} %)", self.worlds, self.accepted)?;
        writeln!(f, "mutated proofs {}, all refused", self.mutants)?;
        for rule in Rule::ALL.map(Rule::as_str) {
            writeln!(f, "{rule:>8} {}", self.rules.get(rule).copied().unwrap_or_default())?;
        }
        for (depth, n) in &self.depths {
            writeln!(f, "depth {depth:>2} {n}")?;
        }
        Ok(())
    }
}
