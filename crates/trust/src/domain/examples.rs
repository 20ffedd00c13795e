//! Examples beside a policy, `casemate.test.toml`: who must get in, who must not, and what whoever got in may do. They are read like the
//! domain file: every mistake with its place, and nothing that is not understood is passed over.

use evidence::statement::HostOs;
use evidence::{Isolation, Kind, MachineId, Measurement};
use toml::de::{DeTable, DeValue};

use super::LEN_MAX;
use super::mistake::{DomainFileError, Found, Wrong};
use super::read::{At, Item, Table, list, one_of, text, word};
use crate::permission::Permissions;
use crate::policy::{Outsider, Policy};
use crate::revocation::Revocations;
use crate::suppose::{Outcome, Supposed, suppose, vouchers};

/// Examples in one file.
pub const EXAMPLES_MAX: usize = 10_000;

const FIELDS: [&str; 14] = [
    "name",
    "program",
    "measurement",
    "on",
    "in",
    "ask",
    "image",
    "machine",
    "isolation",
    "host",
    "expect",
    "because",
    "may",
    "may-not",
];
/// The rules an example can be refused by.
const RULES: [&str; 9] = [
    "hardware kind",
    "program",
    "program.on",
    "program.in",
    "role",
    "image",
    "machine",
    "isolation",
    "host",
];

/// One example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// What it shows, in words.
    pub name: String,
    /// Where it stands.
    pub line: usize,
    who: Who,
    kind: Kind,
    place: Option<String>,
    ask: Option<String>,
    image: Option<Measurement>,
    machine: Option<MachineId>,
    isolation: Option<Isolation>,
    host: Option<HostOs>,
    expect: Expect,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Who {
    /// What the policy trusts for this role.
    Role(String),
    Measured(Measurement),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Expect {
    Admitted { may: Vec<May>, may_not: Vec<May> },
    Refused { because: Option<String> },
}

/// Something a program may do, as examples spell it: `connect cache`, `listen 6379`, `read db-password`, `serve anonymous`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum May {
    Connect(String),
    Listen(u16),
    Read(String),
    Serve(Outsider),
}

impl May {
    fn parse(text: &str) -> Option<Self> {
        let (verb, what) = text.split_once(' ')?;
        Some(match verb {
            "connect" => Self::Connect(what.to_owned()),
            "listen" => Self::Listen(what.parse().ok()?),
            "read" => Self::Read(what.to_owned()),
            "serve" => Self::Serve(Outsider::parse(what)?),
            _ => return None,
        })
    }

    fn words(&self) -> String {
        match self {
            Self::Connect(r) => format!("connect {r}"),
            Self::Listen(p) => format!("listen {p}"),
            Self::Read(s) => format!("read {s}"),
            Self::Serve(o) => format!("serve {}", o.as_str()),
        }
    }
}

/// How an example went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// As it should.
    pub holds: bool,
    /// What was found, and for an example that fails what was expected.
    pub found: String,
}

/// Reads a file of examples.
///
/// # Errors
/// [`DomainFileError`] with every mistake.
pub fn parse(text: &str) -> Result<Vec<Example>, DomainFileError> {
    let mut found = Found::new(if text.len() > LEN_MAX { "" } else { text });
    if text.len() > LEN_MAX {
        found.error(&(0..0), "", Wrong::TooLong(text.len()));
        return Err(found.refuse());
    }
    let (tree, wrong) = DeTable::parse_recoverable(text);
    wrong.iter().for_each(|e| found.syntax(e));
    if !wrong.is_empty() {
        return Err(found.refuse());
    }
    let file = Table::root(tree.get_ref());
    file.only(&["test"], "field", &mut found);
    let mut all = Vec::new();
    let why = "each example begins with [[test]]";
    if let Some(item) = file.needed(("test", why), &mut found) {
        match item.get_ref() {
            DeValue::Array(items) if items.len() <= EXAMPLES_MAX => {
                for item in items.iter() {
                    all.extend(
                        Table::element("test", item, &mut found)
                            .and_then(|t| example(&t, &mut found)),
                    );
                }
            }
            _ => {
                let wrong = Wrong::Value {
                    expected: "at most 10000 examples, each [[test]]",
                    got: "something else".to_owned(),
                };
                found.error(&item.span(), "test", wrong);
            }
        }
    }
    found.finish()?;
    Ok(all)
}

fn measured(field: &'static str) -> impl Fn(Item<'_, '_>, &mut Found<'_>) -> Option<Measurement> {
    move |item, found| {
        let parse = |t: &str| Measurement::from_hex(t.strip_prefix("sha384:")?);
        word(field, "sha384: and 96 lower-case hex digits", item, found, parse)
    }
}

fn example(table: &Table<'_, '_>, found: &mut Found<'_>) -> Option<Example> {
    table.only(&FIELDS, "field", found);
    let plain = |key: &'static str, found: &mut Found<'_>| {
        table.item(key).and_then(|i| text(&table.field(key), "a text", i, found))
    };
    let name = table.needed(("name", "say in words what it shows"), found);
    let name = name.and_then(|i| text("test.name", "a text", i, found));
    let who = match (table.item("program"), table.item("measurement")) {
        (Some(i), None) => text("test.program", "a role", i, found).map(|t| Who::Role(t.value)),
        (None, Some(i)) => measured("test.measurement")(i, found).map(Who::Measured),
        _ => {
            let why = "say who: `program = \"ROLE\"` for what the policy trusts, or `measurement = \"sha384:…\"`, one of them";
            found.error(&table.at, "test", Wrong::Missing { name: "program", why });
            None
        }
    };
    let kinds = Kind::ALL.map(Kind::as_str);
    let kind = table.needed(("on", "say on which kind of hardware"), found);
    let kind =
        kind.and_then(|i| one_of(("test.on", "kind of hardware"), &kinds, i, found, Kind::parse));
    let image = table.item("image").and_then(|i| measured("test.image")(i, found));
    let machine = table.item("machine").and_then(|i| {
        word("test.machine", "a machine's id in hex", i, found, |t| {
            MachineId::new(&hex::decode(t).ok()?)
        })
    });
    let known = Isolation::ALL.map(Isolation::as_str);
    let isolation = table
        .item("isolation")
        .and_then(|i| one_of(("test.isolation", "isolation"), &known, i, found, Isolation::parse));
    let hosts = ["measured", "mutable"];
    let host = table
        .item("host")
        .and_then(|i| one_of(("test.host", "state of the host"), &hosts, i, found, HostOs::parse));
    let (place, ask) = (plain("in", found).map(|t| t.value), plain("ask", found).map(|t| t.value));
    let expect = expect(table, found);
    let name: At<String> = name?;
    let (line, _) = found.place(name.at.start);
    let (who, kind, expect) = (who?, kind?, expect?);
    Some(Example {
        name: name.value,
        line,
        who,
        kind,
        place,
        ask,
        image,
        machine,
        isolation,
        host,
        expect,
    })
}

fn expect(table: &Table<'_, '_>, found: &mut Found<'_>) -> Option<Expect> {
    let words = ["admitted", "refused"];
    let item = table
        .needed(("expect", "write `expect = \"admitted\"` or `expect = \"refused\"`"), found)?;
    let admitted = one_of(("test.expect", "outcome"), &words, item, found, |t| {
        words.iter().position(|w| *w == t)
    })? == 0;
    let mut may = |key: &'static str| {
        let field = table.field(key);
        let expected = "`connect ROLE`, `listen PORT`, `read SECRET` or `serve anonymous`";
        let item = table.item(key)?;
        let all = list(&field, "a list of texts", item, found, |i, found| {
            word(&field, expected, i, found, May::parse)
        });
        Some((item.span(), all.into_iter().map(|a| a.value).collect::<Vec<_>>()))
    };
    let (yes, no) = (may("may"), may("may-not"));
    let because = table.item("because");
    if admitted {
        if let Some(item) = because {
            let why = "is why somebody is refused, and this one is expected to be admitted";
            found.error(&item.span(), "test.because", Wrong::Impossible { why });
        }
        let values = |m: Option<(_, Vec<May>)>| m.map(|(_, v)| v).unwrap_or_default();
        return Some(Expect::Admitted { may: values(yes), may_not: values(no) });
    }
    for (at, _) in [yes, no].into_iter().flatten() {
        let why = "is what somebody may do who is admitted, and this one is expected to be refused";
        found.error(&at, "test.may", Wrong::Impossible { why });
    }
    let because = match because {
        Some(item) => {
            let known = |t: &str| RULES.contains(&t).then(|| t.to_owned());
            Some(one_of(("test.because", "rule"), &RULES, item, found, known)?)
        }
        None => None,
    };
    Some(Expect::Refused { because })
}

impl Example {
    /// Tries it, as if nothing were revoked.
    #[must_use]
    pub fn run(&self, policy: &Policy, permissions: &Permissions) -> Tried {
        let (measurement, vouched) = match &self.who {
            Who::Measured(m) => (*m, None),
            Who::Role(role) => {
                let program = policy.programs.iter().find(|p| p.role.as_str() == role);
                let vouched = program.filter(|p| vouchers(policy, p).next().is_some());
                match (program.and_then(|p| p.measurements.first()), vouched) {
                    (Some(m), _) => (*m, None),
                    // One that somebody vouches for is any.
                    (None, Some(p)) => (Measurement::new([0xff; 48]), Some(p.role.clone())),
                    (None, None) => {
                        let found = format!(
                            "{role} is no program of the policy; name one, or a measurement"
                        );
                        return Tried { holds: false, found };
                    }
                }
            }
        };
        let supposed = Supposed {
            measurement,
            kind: self.kind,
            place: self.place.clone(),
            ask: self.ask.clone(),
            image: self.image,
            machine: self.machine.clone(),
            isolation: self.isolation,
            host: self.host,
            vouched,
        };
        self.judge(&suppose(policy, permissions, &Revocations::default(), &supposed))
    }

    fn judge(&self, outcome: &Outcome) -> Tried {
        let tried = |holds, found| Tried { holds, found };
        match (&self.expect, outcome) {
            (Expect::Refused { because }, Outcome::Refused { missing, .. }) => {
                let rules = missing.iter().map(|m| m.rule).collect::<Vec<_>>().join(", ");
                match because.as_deref().filter(|b| missing.iter().all(|m| m.rule != *b)) {
                    Some(other) => tried(false, format!("refused by {rules}, expected by {other}")),
                    None => tried(true, format!("refused by {rules}")),
                }
            }
            (Expect::Refused { .. }, Outcome::Admitted(a)) => {
                tried(false, format!("admitted as {}, expected refused", a.role))
            }
            (Expect::Admitted { .. }, Outcome::Refused { missing, .. }) => {
                let why = missing.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
                tried(false, format!("refused, expected admitted: {why}"))
            }
            (Expect::Admitted { may, may_not }, Outcome::Admitted(a)) => {
                let granted = |m: &May| match m {
                    May::Connect(r) => a.connect.iter().any(|c| c.as_str() == r),
                    May::Listen(p) => a.listen.contains(p),
                    May::Read(s) => a.secrets.contains(s),
                    May::Serve(o) => a.outsiders.contains(o),
                };
                let lacks =
                    may.iter().filter(|m| !granted(m)).map(|m| format!("may not {}", m.words()));
                let wrong =
                    may_not.iter().filter(|m| granted(m)).map(|m| format!("may {}", m.words()));
                let wrong = lacks.chain(wrong).collect::<Vec<_>>();
                if wrong.is_empty() {
                    return tried(true, format!("admitted as {}", a.role));
                }
                tried(false, format!("admitted as {}, and {}", a.role, wrong.join(", ")))
            }
        }
    }
}
