//! TPM 2.0 quotes with the key, the values and the event log that came along, and event logs alone, judged.

use anyhow::{Result, bail};
use evidence::tcg::{self, Bank};
use evidence::tpm::{
    AttestationKey, Facts, KeyKind, Knobs, PINNED_ROOTS, Pcrs, Public, TpmRefusal, Vouched,
    appraise, appraise_log, explained, parse_public, parse_signature, quoted, verify,
};
use evidence::x509::Certificate;
use evidence::{Authentic, Check, Outcome};
use serde_json::{Map, Value, json};

use super::attestation_pb;
use super::input::Input;
use super::report::{Profile, Report};
use crate::output::Failure;

const TEE: &str = "tpm";
const TITLE: &str = "TPM 2.0 quote";
const LOG: &str = "TCG event log";

/// True if a file can only be a quote.
pub(super) fn detect(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xff, 0x54, 0x43, 0x47, 0x80, 0x18])
}

/// True if a file can only be an event log of the crypto-agile format.
pub(super) fn detect_log(bytes: &[u8]) -> bool {
    bytes.get(32..).is_some_and(|b| b.starts_with(b"Spec ID Event03\0"))
}

/// Verifies and appraises.
pub(super) fn judge(input: &Input) -> Result<Report> {
    let (profile, knobs) = input.knobs::<Knobs>()?;
    if input.file().is_some() {
        bail!(Failure::Usage(
                "a quote alone proves nothing: put it as quote.msg into a folder with quote.sig, pcrs.json, ak_cert.der and a case.json that says {\"tee\": \"tpm\"}".to_owned()
        ));
    }
    let banks = ["sha1", "sha256", "sha384"].map(|b| format!("quote-{b}"));
    let names = std::iter::once("quote".to_owned()).chain(banks);
    let names = names.filter(|n| input.has(&format!("{n}.msg"))).collect::<Vec<_>>();
    if names.is_empty() {
        bail!(Failure::Usage("no quote.msg, nor quote-sha256.msg, in this folder".to_owned()));
    }
    let refused = |why: &TpmRefusal| Report::refused(TEE, TITLE, profile.clone(), why, false);
    let key = match key(input)? {
        Ok(key) => key,
        Err(why) => return Ok(refused(&why)),
    };
    let mut quotes = Vec::new();
    for name in &names {
        let message = input.read(&format!("{name}.msg"))?;
        let signature = input.read(&format!("{name}.sig"))?;
        let signature = parse_signature(&signature, key.kind());
        match signature.and_then(|s| verify(&message, &s, &key, input.at)) {
            Ok(verified) => quotes.push(verified),
            Err(why) => return Ok(refused(&why)),
        }
    }
    report(input, profile, &knobs, &quotes)
}

/// The attestation key: certified, or trusted by whoever asks.
fn key(input: &Input) -> Result<Result<AttestationKey, TpmRefusal>> {
    let public = match public(input)? {
        None => None,
        Some(Ok(public)) => Some(public),
        Some(Err(why)) => return Ok(Err(why)),
    };
    let certificate = if input.has("ak_cert.der") {
        Some(input.read("ak_cert.der")?)
    } else {
        input.endorsements.first().cloned()
    };
    if let Some(certificate) = certificate {
        let mut others = Vec::new();
        let names = input.member("intermediates").as_array().into_iter().flatten();
        for name in names.filter_map(Value::as_str) {
            others.extend(input.certificates(name)?);
        }
        others.extend(input.anchors()?);
        others.extend(input.endorsements.iter().cloned());
        let others = others.iter().filter_map(|c| Certificate::parse(c).ok()).collect::<Vec<_>>();
        let roots = input.trusted(&PINNED_ROOTS)?;
        let (public, at) = (public.as_ref(), input.at);
        return Ok(AttestationKey::certified(&certificate, &others, &roots, public, at));
    }
    Ok(input.roots.first().map_or(Err(TpmRefusal::NoKey), |key| AttestationKey::trusted(key)))
}

fn public(input: &Input) -> Result<Option<Result<Public, TpmRefusal>>> {
    let has = input.has("ak_pub.tpmt");
    Ok(if has { Some(parse_public(&input.read("ak_pub.tpmt")?)) } else { None })
}

/// Values of PCRs: `pcrs.json` and `--pcrs` (index to hex; the length names the bank), or a go-tpm-tools attestation.
pub(super) fn pcrs(input: &Input) -> Result<Pcrs> {
    if let Some(bytes) = &input.pcrs {
        return json_pcrs(bytes);
    }
    if input.has("pcrs.json") {
        return json_pcrs(&input.read("pcrs.json")?);
    }
    if input.has("attestation.pb") {
        let bad = || Failure::Usage("attestation.pb: no Attestation of go-tpm-tools".to_owned());
        return Ok(attestation_pb::pcrs(&input.read("attestation.pb")?).ok_or_else(bad)?);
    }
    Ok(Pcrs::new())
}

fn json_pcrs(bytes: &[u8]) -> Result<Pcrs> {
    let bad = || Failure::Usage("values of PCRs: a JSON object of index to hex".to_owned());
    let read: Map<String, Value> = serde_json::from_slice(bytes).map_err(|_| bad())?;
    let mut all = Pcrs::new();
    for (index, value) in read {
        let index = index.parse::<u32>().map_err(|_| bad())?;
        let value = value.as_str().and_then(|t| hex::decode(t).ok()).ok_or_else(bad)?;
        let banks = [Bank::Sha1, Bank::Sha256, Bank::Sha384];
        let bank = banks.into_iter().find(|b| b.digest_len() == value.len()).ok_or_else(bad)?;
        all.entry(bank).or_default().insert(index, value);
    }
    Ok(all)
}

fn report(
    input: &Input,
    profile: Profile,
    knobs: &Knobs,
    quotes: &[Authentic<Facts>],
) -> Result<Report> {
    let values = pcrs(input)?;
    let mut covered = Pcrs::new();
    for (bank, of) in quotes.iter().flat_map(|q| quoted(q.facts(), &values)) {
        covered.entry(bank).or_default().extend(of);
    }
    let log_bytes = match &input.event_log {
        Some(log) => Some(log.clone()),
        None if input.has("eventlog.bin") => Some(input.read("eventlog.bin")?),
        None => None,
    };
    let mut checks = Vec::new();
    for quote in quotes {
        checks.extend(quote.checks().to_vec());
        checks.extend(appraise(quote.facts(), &values, knobs));
    }
    let log = log_bytes.as_deref().map(tcg::read);
    match &log {
        Some(Ok(log)) => checks.extend(log_checks(log, &covered)),
        Some(Err(why)) => checks.push(Check::failed("tpm_event_log", why.to_string())),
        None => {}
    }
    let log = log.and_then(Result::ok);
    // Of several quotes the one of SHA-256 names what booted; every one answers the same question.
    let is_256 =
        |q: &&Authentic<Facts>| q.facts().quote.selections.iter().any(|s| s.bank == Bank::Sha256);
    let Some(main) = quotes.iter().find(is_256).or(quotes.first()) else {
        bail!(Failure::Usage("no quote".to_owned()))
    };
    let q = &main.facts().quote;
    let mut fields = Map::new();
    fields.insert("nonce".to_owned(), json!(hex::encode(&q.extra_data)));
    if let [_] = quotes {
        let bank = q.selections.first().map(|s| s.bank.as_str());
        fields.insert("pcr_bank".to_owned(), json!(bank));
        fields.insert("pcr_digest".to_owned(), json!(hex::encode(&q.pcr_digest)));
    } else {
        fields.insert("banks".to_owned(), banks(quotes, &covered, log.as_ref()));
    }
    if let Some(Ok(public)) = public(input)? {
        let kind = match public.kind {
            KeyKind::Rsa => {
                format!("RSA-{}", public.key.len().saturating_sub(14).saturating_mul(8))
            }
            KeyKind::P256 => "ECC P-256".to_owned(),
            KeyKind::P384 => "ECC P-384".to_owned(),
        };
        let ak = format!("ak_pub.tpmt (TPMT_PUBLIC, {kind}, restricted signing)");
        fields.insert("ak".to_owned(), json!(ak));
        let certified = matches!(main.facts().vouched, Vouched::Certificate { .. });
        fields.insert("ak_cert_matches_ak".to_owned(), json!(certified));
        if let Vouched::Certificate { issuer, subject, window, .. } = &main.facts().vouched {
            fields.insert("ak_cert".to_owned(), json!({"subject": subject, "issuer": issuer,
                "not_before": window.not_before.to_string(), "not_after": window.not_after.to_string()}));
        }
    }
    let mut facts = shown(main.facts());
    if let Some(log) = &log {
        fields.insert("event_log".to_owned(), said(log));
        // Values that are not the quoted ones are nobody's word, and so is what a log says of them.
        if checks.iter().all(|c| c.outcome != Outcome::Failed) {
            facts.extend(booted(log, &covered));
        }
    }
    let mut report = Report {
        tee: TEE,
        title: TITLE,
        profile,
        authentic: Some(true),
        checks,
        measurement: Some(hex::encode(&q.pcr_digest)),
        report_data: Some(hex::encode(&q.extra_data)),
        debug: Some(false),
        facts,
        fields: Value::Object(fields),
    };
    for quote in quotes {
        report.ask_nonce("extraData", input.nonce.as_deref(), &quote.facts().quote.extra_data);
    }
    Ok(report)
}

/// What a quote says, for people.
pub(super) fn shown(facts: &Facts) -> Vec<(&'static str, String)> {
    let q = &facts.quote;
    vec![
        ("pcrDigest", hex::encode(&q.pcr_digest)),
        ("extraData", hex::encode(&q.extra_data)),
        ("firmwareVersion", format!("{:016x}", q.firmware_version)),
        ("clock", format!("{} ms, reset {}, restart {}", q.clock, q.reset_count, q.restart_count)),
    ]
}

/// The checks of a log beside quotes. Values that no quote covers are not asked.
fn log_checks(log: &tcg::Log<'_>, covered: &Pcrs) -> Vec<Check> {
    if covered.is_empty() {
        let why = "no value of a quoted PCR came along; pass them as pcrs.json or --pcrs";
        return vec![Check::failed("tpm_event_log", why)];
    }
    appraise_log(log, covered)
}

fn banks(quotes: &[Authentic<Facts>], values: &Pcrs, log: Option<&tcg::Log<'_>>) -> Value {
    let mut all = Map::new();
    for quote in quotes {
        let q = &quote.facts().quote;
        for selection in &q.selections {
            let of = values.get(&selection.bank);
            let pcrs =
                of.into_iter().flatten().map(|(n, v)| (n.to_string(), json!(hex::encode(v))));
            let mut one = Map::new();
            one.insert("pcrs".to_owned(), Value::Object(pcrs.collect()));
            one.insert("pcr_digest".to_owned(), json!(hex::encode(&q.pcr_digest)));
            if let (Some(log), Some(of)) = (log, of) {
                let numbers = explained(log, selection.bank, of);
                one.insert("event_log_replay_matches".to_owned(), json!(numbers));
            }
            all.insert(selection.bank.as_str().to_owned(), Value::Object(one));
        }
    }
    Value::Object(all)
}

/// Every event with what it says; `bound` where its digest is of that text.
fn said(log: &tcg::Log<'_>) -> Value {
    let one = |(n, e): (usize, &tcg::Event<'_>)| {
        let said = e.said();
        json!({"event": n, "pcr": e.register, "kind": said.kind, "says": said.text, "bound": said.bound})
    };
    Value::Array(log.events.iter().enumerate().map(one).collect())
}

/// Command lines shown: one is usual.
const LINES_MAX: usize = 8;

/// What a log tells of the boot, each as far as its register is vouched for and explained.
fn booted(log: &tcg::Log<'_>, covered: &Pcrs) -> Vec<(&'static str, String)> {
    let banks = [Bank::Sha384, Bank::Sha256].into_iter();
    let told = banks.filter_map(|b| Some((b, explained(log, b, covered.get(&b)?))));
    let told = told.collect::<Vec<_>>();
    let mut facts = Vec::new();
    let mut policy = told.iter().filter(|(_, pcrs)| pcrs.contains(&7));
    if let Some(on) = policy.find_map(|(bank, _)| log.secure_boot(*bank)) {
        facts.push(("secure boot", if on { "on" } else { "off" }.to_owned()));
    }
    let counts = |e: &&tcg::Event<'_>| told.iter().any(|(_, pcrs)| pcrs.contains(&e.register));
    let lines = log.events.iter().filter(counts).filter_map(tcg::Event::command_line);
    facts.extend(lines.take(LINES_MAX).map(|line| ("command line", line)));
    facts
}

/// A log without a quote: what it says, which nobody vouches for; with `--pcrs`, whether it leads to these registers.
pub(super) fn judge_log(input: &Input) -> Result<Report> {
    let (profile, _) = input.knobs::<Knobs>()?;
    let bytes = input.evidence("eventlog.bin")?;
    let log = tcg::read(&bytes).map_err(|e| Failure::Usage(e.to_string()))?;
    let known = [Bank::Sha256, Bank::Sha384, Bank::Sha1];
    let bank = known.into_iter().find(|b| log.banks.contains(b)).unwrap_or(Bank::Sha1);
    let replayed = log.replay(bank).map_err(|e| Failure::Usage(e.to_string()))?;
    let values = pcrs(input)?;
    let mut checks = appraise_log(&log, &values);
    if values.is_empty() {
        let why = "no quote and no values came along: nobody vouches for this log, pass the machine's PCRs with --pcrs or verify it beside a quote";
        checks.push(Check::skipped("tpm_event_log", why));
    }
    let differs = checks.iter().any(|c| c.outcome == Outcome::Failed);
    let registers = replayed.iter().map(|(n, v)| (n.to_string(), json!(hex::encode(v))));
    let mut shown = replayed.iter().map(|(n, v)| (name(*n), hex::encode(v))).collect::<Vec<_>>();
    if !differs {
        shown.extend(booted(&log, &values));
    }
    Ok(Report {
        tee: "tpm-eventlog",
        title: LOG,
        profile,
        authentic: differs.then_some(false),
        checks,
        measurement: None,
        report_data: None,
        debug: None,
        facts: shown,
        fields: json!({
            "bank": bank.as_str(), "algorithms": log.banks.iter().map(|b| b.as_str()).collect::<Vec<_>>(),
            "events": log.events.len(), "replayed_pcrs": registers.collect::<Map<_, _>>(),
            "event_log": said(&log),
        }),
    })
}

fn name(pcr: u32) -> &'static str {
    const NAMES: [&str; 24] = [
        "PCR 0", "PCR 1", "PCR 2", "PCR 3", "PCR 4", "PCR 5", "PCR 6", "PCR 7", "PCR 8", "PCR 9",
        "PCR 10", "PCR 11", "PCR 12", "PCR 13", "PCR 14", "PCR 15", "PCR 16", "PCR 17", "PCR 18",
        "PCR 19", "PCR 20", "PCR 21", "PCR 22", "PCR 23",
    ];
    usize::try_from(pcr).ok().and_then(|n| NAMES.get(n)).copied().unwrap_or("register")
}

/// Checks of a virtual TPM's quote, and what it answers.
pub(super) type Beside = (Vec<Check>, Vec<u8>);

/// The quote of a virtual TPM whose key other evidence names: what was checked, and what it answers; or why the whole is refused.
pub(super) fn beside(
    input: &Input,
    key: &AttestationKey,
    values: &Pcrs,
) -> Result<Result<Beside, TpmRefusal>> {
    let message = input.read("tpm-quote.msg")?;
    let signature = input.read("tpm-quote.sig")?;
    let signature = parse_signature(&signature, key.kind());
    let verified = match signature.and_then(|s| verify(&message, &s, key, input.at)) {
        Ok(verified) => verified,
        Err(why) => return Ok(Err(why)),
    };
    let mut checks = verified.checks().to_vec();
    match input.knobs::<Knobs>() {
        Ok((_, knobs)) => checks.extend(appraise(verified.facts(), values, &knobs)),
        // What a profile does not state is refused.
        Err(e) => checks.push(Check::failed("vtpm", e.to_string())),
    }
    Ok(Ok((checks, verified.facts().quote.extra_data.clone())))
}

/// True where a virtual TPM's quote came along.
pub(super) fn is_beside(input: &Input) -> bool {
    input.has("tpm-quote.msg") || !input.member("vtpm").is_null()
}
