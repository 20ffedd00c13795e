//! What was found, for people and as JSON: authentic and acceptable are two answers, and both name the policy they were given under.

use evidence::bytes::sha256;
use evidence::controls::holds;
use evidence::{Check, Outcome};
use serde_json::{Value, json};

use super::FORENSIC;

/// A profile as it was applied: every knob in words.
#[derive(Clone)]
pub(super) struct Profile {
    /// Its name.
    pub(super) id: String,
    /// What it states, one line a knob.
    pub(super) words: Vec<String>,
}

impl Profile {
    /// SHA-256 over its name and its words, a line each.
    pub(super) fn digest(&self) -> String {
        let text = format!("casemate profile 1\n{}\n{}\n", self.id, self.words.join("\n"));
        hex::encode(sha256(text.as_bytes()))
    }
}

/// What was found about one piece of evidence.
pub(super) struct Report {
    /// Kind, as in `--format json`.
    pub(super) tee: &'static str,
    /// What it is, in words.
    pub(super) title: &'static str,
    /// The profile it was judged under.
    pub(super) profile: Profile,
    /// None if it cannot be said: something is missing.
    pub(super) authentic: Option<bool>,
    /// Every check, in order.
    pub(super) checks: Vec<Check>,
    /// Hex.
    pub(super) measurement: Option<String>,
    /// Hex of the caller-bound field.
    pub(super) report_data: Option<String>,
    /// Whether a debugger could look inside; none where the kind does not say.
    pub(super) debug: Option<bool>,
    /// Facts for people: name and value.
    pub(super) facts: Vec<(&'static str, String)>,
    /// Every field, for programs.
    pub(super) fields: Value,
}

impl Report {
    /// Evidence that was refused before it was authentic.
    pub(super) fn refused(
        tee: &'static str,
        title: &'static str,
        profile: Profile,
        refusal: &dyn std::error::Error,
        missing: bool,
    ) -> Self {
        Self {
            tee,
            title,
            profile,
            authentic: (!missing).then_some(false),
            checks: vec![Check::failed("authentic", refusal.to_string())],
            measurement: None,
            report_data: None,
            debug: None,
            facts: Vec::new(),
            fields: Value::Null,
        }
    }

    /// Compares what the relying party had asked for with the caller-bound field, over its whole length.
    pub(super) fn check_nonce(&mut self, field: &str, wanted: &[u8], seen: &[u8]) {
        let detail = format!("{field} is {}, asked for {}", hex::encode(seen), hex::encode(wanted));
        self.checks.push(if holds("verify_nonce", wanted == seen) {
            Check::passed("nonce", detail)
        } else {
            Check::failed("nonce", detail)
        });
    }

    /// The same where the relying party may not have said: a profile that admits something demands that it does.
    pub(super) fn ask_nonce(&mut self, field: &str, wanted: Option<&[u8]>, seen: &[u8]) {
        match wanted {
            Some(wanted) => self.check_nonce(field, wanted, seen),
            None if holds("verify_nonce_asked", self.profile.id == FORENSIC) => {}
            None => self.checks.push(Check::failed(
                "nonce",
                format!("this profile takes evidence only for what was asked for; pass the {field} with --nonce"),
            )),
        }
    }

    /// The first check that did not hold.
    pub(super) fn failure(&self) -> Option<String> {
        let failed = self.checks.iter().find(|c| c.outcome == Outcome::Failed)?;
        Some(match failed.name {
            "authentic" => failed.detail.clone(),
            name => format!("{name}: {}", failed.detail),
        })
    }

    /// 0 accepted, 1 refused, 3 something is missing that can be supplied.
    pub(super) fn status(&self) -> u8 {
        match self.authentic {
            None => 3,
            Some(_) => u8::from(self.failure().is_some()),
        }
    }

    /// The table.
    pub(super) fn print(&self) {
        println!("{}, judged under profile {}", self.title, self.profile.id);
        if self.profile.id == FORENSIC {
            println!("(this profile says what the evidence is; it admits nothing)");
        }
        let failure = self.failure();
        let (authentic, verdict) = match (self.authentic, &failure) {
            (None, _) => ("cannot be said yet", "INVALID until what is missing is supplied"),
            (Some(true), None) => ("yes", "valid"),
            (Some(true), Some(_)) => ("yes", "INVALID"),
            (Some(false), _) => ("NO", "INVALID"),
        };
        println!("authentic: {authentic}\nverdict:   {verdict}");
        if let Some(why) = failure {
            println!("because:   {why}");
        }
        let width = self.facts.iter().map(|(n, _)| n.len()).max().unwrap_or(0);
        for (name, value) in &self.facts {
            println!("{name:width$}  {value}");
        }
        for c in &self.checks {
            println!("  {:<14} {:<20} {}", c.outcome.as_str(), c.name, c.detail);
        }
    }

    /// The JSON of `docs/formats/verify-json.md`.
    pub(super) fn json(&self) -> Value {
        let checks = self
            .checks
            .iter()
            .map(|c| json!({"name": c.name, "result": c.outcome.as_str(), "detail": c.detail}));
        let failure = self.failure();
        json!({
            "tee": self.tee,
            "policy": {"id": self.profile.id, "digest": self.profile.digest()},
            "authentic": self.authentic,
            "verdict": if failure.is_none() { "valid" } else { "invalid" },
            "reason": failure,
            "measurement": self.measurement,
            "report_data": self.report_data,
            "debug": self.debug,
            "checks": checks.collect::<Vec<_>>(),
            "fields": self.fields,
        })
    }
}

#[cfg(test)]
mod tests;
