//! What a profile states about a TPM's quote, and the judgement, with that of the values and the event log that came along. Every knob is
//! stated; what is left open is reported as not applicable.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use super::key::Vouched;
use super::layout::{PCRS, Pcrs};
use super::verify::Facts;
use crate::authentic::Check;
use crate::knob::{is_hex, judge, listed, stated, words};
use crate::profile::{Profile, Section, Stated, Taken};
use crate::tcg::{self, Bank};

/// What a quote must be like.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Knobs {
    /// Keys nobody but the relying party vouches for.
    pub bare_keys: Taken,
    /// Keys of which nothing shows that they are restricted and their TPM's own.
    pub unshown_attributes: Taken,
    /// Banks that may be quoted.
    pub banks: Stated<Vec<String>>,
    /// PCRs that must be quoted.
    pub quoted: Stated<Vec<u32>>,
    /// Values of PCRs by index, hex; of whichever bank they are long enough for.
    pub values: Stated<BTreeMap<String, Vec<String>>>,
    /// firmwareVersion, 16 hex digits.
    pub firmware_versions: Stated<Vec<String>>,
    /// A clock that has gone back.
    pub unsafe_clocks: Taken,
    /// Shortest extraData.
    pub nonce_bytes_minimum: Stated<u32>,
}

impl Knobs {
    /// Those of a shipped profile.
    #[must_use]
    pub fn shipped(profile: &str) -> Option<&'static Self> {
        static ALL: LazyLock<Vec<(&'static str, Knobs)>> = LazyLock::new(Profile::shipped_sections);
        ALL.iter().find(|(name, _)| *name == profile).map(|(_, knobs)| knobs)
    }
}

impl Section for Knobs {
    const KIND: &'static str = "tpm";

    fn possible(&self) -> Result<(), (String, &'static str)> {
        let known = ["sha1", "sha256", "sha384"];
        if self.banks.value().into_iter().flatten().any(|b| !known.contains(&b.as_str())) {
            return Err(("banks".to_owned(), "a bank is none of sha1, sha256, sha384"));
        }
        if self.quoted.value().into_iter().flatten().any(|n| *n >= PCRS) {
            return Err(("quoted".to_owned(), "there are PCRs 0 to 23"));
        }
        for (index, values) in self.values.value().into_iter().flatten() {
            let number = index.parse::<u32>().ok().filter(|n| *n < PCRS && n.to_string() == *index);
            if number.is_none() || !is_hex(&Stated::Value(values.clone()), &[20, 32, 48]) {
                let why = "is no index from 0 to 23 with values of 20, 32 or 48 bytes in hex";
                return Err((format!("values.{index}"), why));
            }
        }
        if !is_hex(&self.firmware_versions, &[8]) {
            return Err(("firmware-versions".to_owned(), "a version is not 16 hex digits"));
        }
        if self.nonce_bytes_minimum.value().is_some_and(|n| *n > 64) {
            return Err(("nonce-bytes-minimum".to_owned(), "extraData holds at most 64 bytes"));
        }
        Ok(())
    }

    fn words(&self) -> Vec<String> {
        let one = |(n, v): (&String, &Vec<String>)| format!("{n} {}", v.join(" or "));
        let values = |o: &BTreeMap<_, _>| o.iter().map(one).collect::<Vec<_>>().join(", ");
        vec![
            format!("keys only the asker vouches for: {}", self.bare_keys.as_str()),
            format!("keys whose attributes nothing shows: {}", self.unshown_attributes.as_str()),
            format!("banks: {}", words(&self.banks)),
            format!("PCRs that must be quoted: {}", words(&self.quoted)),
            format!("values of PCRs: {}", self.values.words(values)),
            format!("firmwareVersion: {}", words(&self.firmware_versions)),
            format!("clocks that went back: {}", self.unsafe_clocks.as_str()),
            format!(
                "extraData, bytes at least: {}",
                self.nonce_bytes_minimum.words(u32::to_string)
            ),
        ]
    }
}

/// Judges a quote with the values that came beside it; every knob gives a check.
#[must_use]
pub fn appraise(facts: &Facts, pcrs: &Pcrs, knobs: &Knobs) -> Vec<Check> {
    let q = &facts.quote;
    let certified = !matches!(facts.vouched, Vouched::RelyingParty);
    let banks = q.selections.iter().map(|s| s.bank.as_str().to_owned()).collect::<Vec<_>>();
    let quoted = |n: &u32| q.selections.iter().any(|s| s.pcrs.contains(n));
    let firmware = format!("{:016x}", q.firmware_version);
    let len = q.extra_data.len();
    let mut checks = vec![
        pcr_digest(facts, pcrs),
        judge(
            "tpm_key_vouched",
            knobs.bare_keys == Taken::Taken || certified,
            if certified { "vouched for" } else { "nobody but the asker vouches for the key" },
            "have it certified, or bound by evidence of its machine",
        ),
        judge(
            "tpm_key_attributes",
            knobs.unshown_attributes == Taken::Taken || facts.attributes == Some(true),
            match facts.attributes {
                Some(_) => "restricted, signing, its TPM's own",
                None => {
                    "nothing here shows the key's attributes; whoever vouches for it must know them"
                }
            },
            "pass the key's public area (TPMT_PUBLIC)",
        ),
        stated("tpm_banks", &knobs.banks, banks.join(", "), "quote another bank", |taken| {
            banks.iter().all(|b| taken.contains(b))
        }),
        stated(
            "tpm_quoted",
            &knobs.quoted,
            selection(facts),
            "quote every PCR the profile relies on",
            |wanted| wanted.iter().all(quoted),
        ),
        listed("tpm_firmware", &knobs.firmware_versions, Some(&firmware), &firmware),
        judge(
            "tpm_clock",
            knobs.unsafe_clocks == Taken::Taken || q.safe,
            format!("clock {} ms, reset {}, restart {}", q.clock, q.reset_count, q.restart_count),
            "its clock may have gone back; shut the machine down in order",
        ),
        stated(
            "tpm_nonce",
            &knobs.nonce_bytes_minimum,
            format!("extraData of {len} bytes"),
            "ask for a quote over a longer random nonce",
            |least| u32::try_from(len).unwrap_or(u32::MAX) >= *least,
        ),
    ];
    match knobs.values.value() {
        None => {
            checks.push(Check::not_applicable("tpm_values", "the profile leaves every PCR open"))
        }
        Some(wanted) => {
            for (index, values) in wanted {
                let number = index.parse::<u32>().unwrap_or(PCRS);
                let of = |s: &super::layout::Selection| {
                    let listed = s.pcrs.contains(&number).then(|| pcrs.get(&s.bank)?.get(&number));
                    listed.flatten().map(hex::encode)
                };
                let seen = q.selections.iter().filter_map(of).collect::<Vec<_>>();
                // Of every bank that values are listed for, what is quoted must be one of them.
                let spoken = |s: &&String| values.iter().any(|v| v.len() == s.len());
                let mut judged = seen.iter().filter(spoken).peekable();
                let good = judged.peek().is_some() && judged.all(|s| values.contains(s));
                let detail = format!(
                    "PCR {index} is {}",
                    if seen.is_empty() { "not quoted".to_owned() } else { seen.join(" and ") }
                );
                checks.push(judge("tpm_values", good, detail, "it booted something else"));
            }
        }
    }
    checks
}

/// The quoted PCRs in words.
fn selection(facts: &Facts) -> String {
    let one = |s: &super::layout::Selection| {
        let list = s.pcrs.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
        format!("{}: {list}", s.bank.as_str())
    };
    facts.quote.selections.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// Whether the quote's digest is of the values beside it: selections in their order, PCRs by index.
fn pcr_digest(facts: &Facts, pcrs: &Pcrs) -> Check {
    const NAME: &str = "tpm_pcr_digest";
    let (mut all, mut count) = (Vec::new(), 0_usize);
    for s in &facts.quote.selections {
        for n in &s.pcrs {
            let Some(value) = pcrs.get(&s.bank).and_then(|b| b.get(n)) else {
                let bank = s.bank.as_str();
                return Check::failed(
                    NAME,
                    format!(
                        "the value of PCR {n} of {bank} did not come along; pass every quoted value"
                    ),
                );
            };
            all.extend(value);
            count = count.saturating_add(1);
        }
    }
    if count == 0 {
        return judge(NAME, false, "no PCR is quoted", "an empty quote says nothing; quote some");
    }
    let digest = facts.hash().and_then(|h| h.hash(&all)).unwrap_or_default();
    judge(
        NAME,
        digest == facts.quote.pcr_digest,
        format!("digest of {count} PCRs"),
        "the values beside the quote are not the quoted ones",
    )
}

/// Of the values that came along those the quote covers: the others are nobody's word, however well a log explains them.
#[must_use]
pub fn quoted(facts: &Facts, pcrs: &Pcrs) -> Pcrs {
    let mut covered = Pcrs::new();
    for s in &facts.quote.selections {
        let of = pcrs.get(&s.bank).into_iter().flatten().filter(|(n, _)| s.pcrs.contains(n));
        let of = of.map(|(n, v)| (*n, v.clone())).collect::<BTreeMap<_, _>>();
        if !of.is_empty() {
            covered.insert(s.bank, of);
        }
    }
    covered
}

/// Whether a log leads to registers that somebody vouches for (of a quote: [`quoted`]), bank by bank. A log that explains none of them
/// tells nothing of this machine and is refused too.
#[must_use]
pub fn appraise_log(log: &tcg::Log<'_>, pcrs: &Pcrs) -> Vec<Check> {
    const NAME: &str = "tpm_event_log";
    let honest = log.events.iter().position(tcg::Event::contradicts_itself);
    let mut checks = vec![judge(
        "tpm_event_data",
        honest.is_none(),
        honest.map_or_else(
            || "no event contradicts its own digest".to_owned(),
            |n| format!("event {n} is not what its digest says"),
        ),
        "the log's descriptions were changed",
    )];
    let mut explains = false;
    for (bank, values) in pcrs.iter().filter(|(b, _)| log.banks.contains(b)) {
        let Ok(replayed) = log.replay(*bank) else { continue };
        let differs = replayed.iter().find(|(n, v)| values.get(n).is_some_and(|seen| seen != *v));
        let told = explained(log, *bank, values);
        explains |= !told.is_empty();
        let list = told.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
        let detail = match differs {
            Some((n, _)) => format!("replay of PCR {n} of {} is not its value", bank.as_str()),
            None => format!("{}: PCRs {list} are as the log says", bank.as_str()),
        };
        checks.push(judge(
            NAME,
            differs.is_none(),
            detail,
            "the log is of another boot, or was changed",
        ));
    }
    if !pcrs.is_empty() {
        checks.push(judge(
            "tpm_log_explains",
            explains,
            if explains { "the log explains registers" } else { "the log explains no register" },
            "pass the log of this boot, and quote a bank and PCRs it extends",
        ));
    }
    checks
}

/// The registers of a log a bank's values agree with.
#[must_use]
pub fn explained(log: &tcg::Log<'_>, bank: Bank, values: &BTreeMap<u32, Vec<u8>>) -> Vec<u32> {
    let replayed = log.replay(bank).unwrap_or_default();
    replayed.into_iter().filter(|(n, v)| values.get(n) == Some(v)).map(|(n, _)| n).collect()
}
