//! The sections of a domain file, each by itself.

use std::collections::BTreeMap;

use evidence::appraise::Machines;
use evidence::statement::HostOs;
use evidence::{Isolation, Kind, MachineId, Measurement, Profile, RootDigest};
use toml::de::DeValue;

use super::mistake::{Found, Wrong};
use super::reach::compare;
use super::read::{At, Item, Table, distinct, list, name, number, one_of, text, unknown, word};
use super::{Draft, Section, Sign, Spans, issuers};
use crate::names::{DomainName, RoleName};
use crate::permission::is_name;
use crate::policy::{Hardware, Outsider, Program};
use crate::signing::SIGNERS_MAX;

const MEASUREMENT: &str = "sha384: and 96 lower-case hex digits";
const ROLE: &str = "a role: lower-case letters, digits, . - _";
const TEXTS: &str = "a list of texts";
/// CHIP_ID of a report (AMD 56860).
const CHIP_ID_LEN: usize = 64;

/// Format, domain and signers.
pub(super) fn head(file: &Table<'_, '_>, found: &mut Found<'_>) -> Option<(DomainName, Sign)> {
    if let Some(item) = file.needed(("format", "write `format = 1`"), found) {
        let format = number::<u64>("format", "1", item, found);
        if let Some(At { value, at }) = format.filter(|f| f.value != 1) {
            found.error(&at, "format", Wrong::Value { expected: "1", got: value.to_string() });
        }
    }
    let domain = file.needed(("domain", "the domain's name, as its genesis has it"), found);
    let expected = "a SPIFFE trust domain: lower-case letters, digits, . - _";
    let domain = domain.and_then(|item| {
        let t = text("domain", expected, item, found)?;
        name("domain", expected, &t, found, DomainName::new)
    });
    let sign =
        file.needed(("sign", "say who signs: `sign = { need = 2, by = [\"ana.pub\", …] }`"), found);
    let sign = sign.and_then(|_| signers(&file.table("sign", found)?, found));
    Some((domain?, sign?))
}

fn signers(table: &Table<'_, '_>, found: &mut Found<'_>) -> Option<Sign> {
    table.only(&["need", "by", "revoke"], "field", found);
    let expected = "a number of signers";
    let need = table.needed(("need", "how many of them must sign"), found);
    let need = need.and_then(|i| number::<usize>("sign.need", expected, i, found));
    let by = table.needed(("by", "files with the owners' SSH public keys"), found);
    let by = by.map(|i| {
        list("sign.by", TEXTS, i, found, |i, found| text("sign.by", "a file name", i, found))
    });
    let revoke = match table.item("revoke") {
        Some(i) => Some(number::<usize>("sign.revoke", expected, i, found)?),
        None => None,
    };
    let (need, by) = (need?, by?);
    distinct("sign.by", &by, |f| f.value.clone(), |f| f.value.clone(), found);
    let names = by.iter().map(|f| (f.value.value.clone(), f.at.clone()));
    compare("sign.by", names.collect(), found);
    let n = by.len();
    if need.value > n || need.value.saturating_mul(2) <= n || n > SIGNERS_MAX {
        let expected = "more than half of the keys in `by` and at most all, of at most 32";
        let got = format!("{} of {n}", need.value);
        found.error(&need.at, "sign.need", Wrong::Value { expected, got });
    }
    if let Some(few) = revoke.as_ref().filter(|r| r.value == 0 || r.value > need.value) {
        let expected = "at least 1 and at most `need`: revoking is never harder than signing";
        let wrong = Wrong::Value { expected, got: few.value.to_string() };
        found.error(&few.at, "sign.revoke", wrong);
    }
    let (line, _) = found.place(table.at.start);
    let by = by.into_iter().map(|f| f.value.value).collect();
    Some(Sign { need: need.value, revoke: revoke.map(|r| r.value), by, line })
}

/// Hardware, places and programs.
pub(super) fn draft(file: &Table<'_, '_>, found: &mut Found<'_>) -> Draft {
    let mut hardware = Vec::new();
    if let Some(table) = file.table("hardware", found) {
        table.only(&Kind::ALL.map(Kind::as_str), "kind of hardware", found);
        let sections = [software as fn(&Table<'_, '_>, &mut Found<'_>) -> Section, snp, tpm];
        for (key, read) in ["software", "snp", "tpm"].into_iter().zip(sections) {
            if let Some(section) = table.table(key, found) {
                hardware.push((section.at.clone(), read(&section, found)));
            }
        }
    }
    let (mut places, mut described) = (BTreeMap::new(), Vec::new());
    if let Some(table) = file.table("place", found) {
        for (key, place) in table.tables(found) {
            described.extend(issuers::place(&key, &place, found));
            places.insert(key.value, key.at);
        }
    }
    let mut programs = Vec::new();
    if let Some(table) = file.table("program", found) {
        for (key, section) in table.tables(found) {
            programs.extend(program(&key, &section, found));
        }
    }
    let issuers = issuers::issuers(file, found);
    Draft { hardware, places, described, issuers, programs }
}

fn measurement(field: &str, item: Item<'_, '_>, found: &mut Found<'_>) -> Option<Measurement> {
    word(field, MEASUREMENT, item, found, |t| Measurement::from_hex(t.strip_prefix("sha384:")?))
}

/// A list whose emptiness would let nothing through.
fn filled<T: PartialEq + Ord + Clone>(
    table: &Table<'_, '_>,
    (key, why): (&'static str, &'static str),
    found: &mut Found<'_>,
    read: impl FnMut(Item<'_, '_>, &mut Found<'_>) -> Option<T>,
    say: impl Fn(&T) -> String,
) -> Vec<At<T>> {
    let Some(item) = table.needed((key, why), found) else { return Vec::new() };
    let field = table.field(key);
    let all = list(&field, TEXTS, item, found, read);
    distinct(&field, &all, Clone::clone, say, found);
    if matches!(item.get_ref(), DeValue::Array(a) if a.is_empty()) {
        let why = match key {
            "measurement" | "on" => "is empty, so the program can never be admitted",
            _ => "is empty, so nothing on this hardware can ever be admitted",
        };
        found.error(&item.span(), &field, Wrong::Impossible { why });
    }
    all
}

fn values<T>(all: Vec<At<T>>) -> Vec<T> {
    all.into_iter().map(|a| a.value).collect()
}

/// `root`: digests of what a chain of evidence may end in.
fn roots(table: &Table<'_, '_>, why: &'static str, found: &mut Found<'_>) -> Vec<RootDigest> {
    let field = table.field("root");
    let root = |item: Item<'_, '_>, found: &mut Found<'_>| {
        let expected = "sha256: and 64 lower-case hex digits";
        let parse = |t: &str| RootDigest::from_hex(t.strip_prefix("sha256:")?);
        word(&field, expected, item, found, parse)
    };
    values(filled(table, ("root", why), found, root, ToString::to_string))
}

fn software(table: &Table<'_, '_>, found: &mut Found<'_>) -> Section {
    table.only(&["root", "image", "machines", "isolation", "host"], "field", found);
    let roots = roots(table, "whose machines these are", found);
    let images = values(images(table, found));
    let machines = machines(table, None, found);
    let known = Isolation::ALL.map(Isolation::as_str);
    let isolation = |item: Item<'_, '_>, found: &mut Found<'_>| {
        let field = ("hardware.software.isolation", "isolation");
        let spelled = one_of(field, &known, item, found, |t| known.iter().position(|k| *k == t))?;
        Some(spelled)
    };
    let isolation =
        filled(table, ("isolation", "which isolation is taken"), found, isolation, |i| {
            known.get(*i).copied().unwrap_or_default().to_owned()
        });
    let isolation =
        isolation.iter().filter_map(|i| Isolation::ALL.get(i.value).copied()).collect::<Vec<_>>();
    if !isolation.is_empty() && !isolation.contains(&Isolation::Software) {
        let why = "leaves out `software`, and the software platform isolates in no other way";
        impossible(table, "isolation", why, found);
    }
    let known = ["measured", "mutable"];
    let host = |item: Item<'_, '_>, found: &mut Found<'_>| {
        let field = ("hardware.software.host", "state of the host");
        one_of(field, &known, item, found, |t| HostOs::parse(t).map(|_| t.to_owned()))
    };
    let host = filled(
        table,
        ("host", "which states of the operating system around are taken"),
        found,
        host,
        Clone::clone,
    );
    let host = host.iter().filter_map(|h| HostOs::parse(&h.value)).collect::<Vec<_>>();
    if !host.is_empty() && !host.contains(&HostOs::Mutable) {
        let why = "leaves out `mutable`, and nobody measures the host of a software platform";
        impossible(table, "host", why, found);
    }
    let (kind, profile) = (Kind::Software, String::new());
    let hardware = Hardware { kind, profile, roots, machines, images, isolation, host };
    Section { hardware, file: None }
}

fn impossible(table: &Table<'_, '_>, key: &str, why: &'static str, found: &mut Found<'_>) {
    let at = table.item(key).map_or_else(|| table.at.clone(), |i| i.span());
    found.error(&at, &table.field(key), Wrong::Impossible { why });
}

fn images(table: &Table<'_, '_>, found: &mut Found<'_>) -> Vec<At<Measurement>> {
    let field = table.field("image");
    let read = |i: Item<'_, '_>, found: &mut Found<'_>| measurement(&field, i, found);
    filled(
        table,
        ("image", "which booted images or monitors are trusted"),
        found,
        read,
        ToString::to_string,
    )
}

/// `profile`: a shipped one that states knobs of `S`; the forensic one admits nothing.
fn profile<S: evidence::profile::Section>(
    table: &Table<'_, '_>,
    found: &mut Found<'_>,
) -> Option<String> {
    let why = "a shipped, dated profile: `casemate policy show` lists them";
    let item = table.needed(("profile", why), found)?;
    let known = Profile::shipped_sections::<S>();
    let known = known
        .iter()
        .map(|(n, _)| *n)
        .filter(|n| *n != evidence::profile::FORENSIC)
        .collect::<Vec<_>>();
    let field = table.field("profile");
    let spelled = |t: &str| known.contains(&t).then(|| t.to_owned());
    one_of((&field, "profile"), &known, item, found, spelled)
}

/// A file that the domain file names, and the place where it does.
type File = (String, (usize, usize));

/// `image`: measurements, or the file that lists them with its place.
fn booted(table: &Table<'_, '_>, found: &mut Found<'_>) -> (Vec<Measurement>, Option<File>) {
    let file = table.item("image").filter(|i| i.get_ref().is_str());
    let file = file.and_then(|i| {
        Some((text(&table.field("image"), "", i, found)?.value, found.place(i.span().start)))
    });
    let images = if file.is_some() { Vec::new() } else { values(images(table, found)) };
    (images, file)
}

fn tpm(table: &Table<'_, '_>, found: &mut Found<'_>) -> Section {
    table.only(&["profile", "root", "image", "machines"], "field", found);
    let profile = profile::<evidence::tpm::Knobs>(table, found);
    let why = "which attestation keys, or authorities that certify them, are trusted";
    let roots = roots(table, why, found);
    let (images, file) = booted(table, found);
    let hardware = Hardware {
        kind: Kind::Tpm,
        profile: profile.unwrap_or_default(),
        roots,
        machines: machines(table, None, found),
        images,
        // Programs share the machine's one kernel, which is measured, in memory that nothing encrypts.
        isolation: vec![Isolation::Process],
        host: vec![HostOs::Measured],
    };
    Section { hardware, file }
}

fn snp(table: &Table<'_, '_>, found: &mut Found<'_>) -> Section {
    table.only(&["profile", "image", "machines"], "field", found);
    let profile = profile::<evidence::snp::Knobs>(table, found);
    let (images, file) = booted(table, found);
    let hardware = Hardware {
        kind: Kind::Snp,
        profile: profile.unwrap_or_default(),
        roots: evidence::snp::PINNED_ROOTS.to_vec(),
        machines: machines(table, Some(CHIP_ID_LEN), found),
        images,
        // A shipped, dated profile counts as stated: machines of their own, with the operating system measured.
        isolation: vec![Isolation::MachineExclusive, Isolation::MachineSharedKernel],
        host: vec![HostOs::Measured],
    };
    Section { hardware, file }
}

/// `machines`, without default: who leaves it out has not said that any machine will do.
fn machines(table: &Table<'_, '_>, len: Option<usize>, found: &mut Found<'_>) -> Machines {
    let none = Machines::Only(Vec::new());
    let why = "write `machines = \"any-genuine\"`, which leaves diversion open, or a list of ids";
    let Some(item) = table.needed(("machines", why), found) else { return none };
    let field = table.field("machines");
    if item.get_ref().is_str() {
        let expected = "\"any-genuine\" or a list of machine ids in hex";
        let any = word(&field, expected, item, found, |t| (t == "any-genuine").then_some(()));
        return if any.is_some() { Machines::AnyGenuine } else { none };
    }
    let id = |item: Item<'_, '_>, found: &mut Found<'_>| {
        let expected = match len {
            None => "machine ids in hex, not all zero",
            Some(_) => {
                "machine ids of 64 bytes in hex, as `casemate verify` shows chip_id, not all zero"
            }
        };
        let fits = |b: &Vec<u8>| len.is_none_or(|l| b.len() == l);
        let lower = |t: &str| t.bytes().all(|b| !b.is_ascii_uppercase());
        word(&field, expected, item, found, |t| {
            let bytes = hex::decode(t).ok().filter(|_| lower(t)).filter(fits)?;
            MachineId::new(&bytes)
        })
    };
    Machines::Only(values(filled(table, ("machines", why), found, id, ToString::to_string)))
}

const PROGRAM: [&str; 9] =
    ["measurement", "releases", "builds", "on", "in", "listen", "connect", "secrets", "clients"];

fn program(
    key: &At<String>,
    table: &Table<'_, '_>,
    found: &mut Found<'_>,
) -> Option<(Spans, Program)> {
    table.only(&PROGRAM, "field", found);
    let role = name(&table.field(""), ROLE, key, found, RoleName::new);
    let field = table.field("measurement");
    let read = |i: Item<'_, '_>, found: &mut Found<'_>| measurement(&field, i, found);
    let why = "what is trusted for this role; `casemate add` writes it";
    // Whether anything stands in for one that is left out is asked later.
    let measurements = match table.item("measurement") {
        Some(_) => filled(table, ("measurement", why), found, read, ToString::to_string),
        None => Vec::new(),
    };
    let (releases, builds) = issuers::stand_ins(table, found);
    let field = table.field("on");
    let known = Kind::ALL.map(Kind::as_str);
    let kind = |i: Item<'_, '_>, found: &mut Found<'_>| {
        let known_kind = |t: &str| known.iter().position(|k| *k == t);
        one_of((&field, "kind of hardware"), &known, i, found, known_kind)
    };
    let on = filled(table, ("on", "kinds of hardware it may run on"), found, kind, |i| {
        known.get(*i).copied().unwrap_or_default().to_owned()
    });
    let (places, says_where) = whereabouts(table, found);
    let texts = |key: &str, what: &'static str, found: &mut Found<'_>, ok: fn(&str) -> bool| {
        let field = table.field(key);
        let Some(item) = table.item(key) else { return Vec::new() };
        let all = list(&field, TEXTS, item, found, |i, found| {
            let t = text(&field, what, i, found)?;
            name(&field, what, &t, found, |n| ok(n).then(|| n.to_owned()))
        });
        distinct(&field, &all, Clone::clone, Clone::clone, found);
        all
    };
    let connect = texts("connect", ROLE, found, |n| RoleName::new(n).is_some());
    let secret = "a secret's name: at most 64 letters, digits, . - _";
    let secrets = texts("secrets", secret, found, is_name);
    let listen = ports(table, found);
    let outsiders = outsiders(table, found);
    let span = |key: &str| table.item(key).map(|i| i.span());
    let spans = Spans {
        name: key.at.clone(),
        on: on.iter().map(|a| a.at.clone()).collect(),
        places: places.iter().map(|a| a.at.clone()).collect(),
        measurements: measurements.iter().map(|a| a.at.clone()).collect(),
        listen: span("listen"),
        connect: connect.iter().map(|a| a.at.clone()).collect(),
        secrets: secrets.iter().map(|a| a.at.clone()).collect(),
        clients: span("clients"),
        says_where,
        says_measurement: table.item("measurement").is_some(),
    };
    let program = Program {
        role: role?,
        measurements: values(measurements),
        on: on.iter().filter_map(|i| Kind::ALL.get(i.value).copied()).collect(),
        places: values(places),
        listen: values(listen),
        connect: connect.iter().filter_map(|c| RoleName::new(&c.value)).collect(),
        secrets: values(secrets),
        outsiders,
        releases,
        builds,
    };
    Some((spans, program))
}

/// `in`: places, or in so many words none in particular.
fn whereabouts(table: &Table<'_, '_>, found: &mut Found<'_>) -> (Vec<At<String>>, bool) {
    let field = table.field("in");
    let Some(item) = table.item("in") else { return (Vec::new(), false) };
    if item.get_ref().is_str() {
        let expected = "a list of places, or \"anywhere\"";
        word(&field, expected, item, found, |t| (t == "anywhere").then_some(()));
        return (Vec::new(), true);
    }
    let all = list(&field, TEXTS, item, found, |i, found| {
        Some(text(&field, "places that [place] names", i, found)?.value)
    });
    distinct(&field, &all, Clone::clone, Clone::clone, found);
    if matches!(item.get_ref(), DeValue::Array(a) if a.is_empty()) {
        let why = "is an empty list, which would ask for no place at all; name places, or write `in = \"anywhere\"`";
        found.error(&item.span(), &field, Wrong::Widens { why });
    }
    (all, true)
}

fn ports(table: &Table<'_, '_>, found: &mut Found<'_>) -> Vec<At<u16>> {
    let field = table.field("listen");
    let Some(item) = table.item("listen") else { return Vec::new() };
    let all = list(&field, "a list of ports", item, found, |i, found| {
        let port = number::<u16>(&field, "a port from 1 to 65535", i, found)?;
        if port.value == 0 {
            let wrong = Wrong::Value { expected: "a port from 1 to 65535", got: "0".to_owned() };
            found.error(&port.at, &field, wrong);
        }
        Some(port.value)
    });
    distinct(&field, &all, |p| *p, ToString::to_string, found);
    all
}

/// Who may connect without being a program.
fn outsiders(table: &Table<'_, '_>, found: &mut Found<'_>) -> Vec<Outsider> {
    let field = table.field("clients");
    let Some(item) = table.item("clients") else { return Vec::new() };
    let expected = "\"anonymous\" (roles name whom they connect to themselves, in `connect`)";
    let all = list(&field, TEXTS, item, found, |i, found| {
        let t = text(&field, expected, i, found)?;
        let known = Outsider::parse(&t.value);
        if known.is_none() {
            let near = unknown("client", &t.value, &["anonymous"]);
            let meant = matches!(&near, Wrong::Unknown { near: Some(_), .. });
            let wrong = if meant { near } else { Wrong::Value { expected, got: t.value } };
            found.error(&t.at, &field, wrong);
        }
        known
    });
    distinct(&field, &all, |o| o.as_str(), |o| o.as_str().to_owned(), found);
    values(all)
}
