//! `casemate policy ask`: questions to the policy, answered for everything anybody could run or say, with what would make a
//! "no" real.

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;
use evidence::{IssuerKey, MachineId, Measurement};
use serde_json::json;
use trust::ask::{Answer, Asked, Asking, Attribute, Counterexample, Question, Unseen};
use trust::claim::Country;
use trust::permission::Permissions;
use trust::{Policy, RoleName};

use crate::clock::now;
use crate::domain::Domain;
use crate::output::{Failure, Format, json};

/// Ask the policy.
#[derive(clap::Args)]
#[command(
    after_help = "Examples: casemate policy ask only api read db-password\n          casemate policy ask within DE,FR\n          casemate policy ask no-one\n\
Without a question, every ready one is asked: production, no-one, who may do what, and whose key can make what true.\n\
What is asked is the domain file as it stands, signed or not; --in-force asks the policy in force. Exit status 1: a counterexample was found."
)]
pub struct AskArgs {
    #[command(subcommand)]
    question: Option<Ask>,
    /// Ask the policy in force, not the domain file
    #[arg(long, global = true)]
    in_force: bool,
    /// How to print
    #[arg(long, value_enum, default_value = "table", global = true)]
    format: Format,
}

#[derive(Subcommand)]
enum Ask {
    /// Can only these roles read that secret, connect to that role, or be admitted at all?
    Only {
        /// Roles, with commas; `nobody` for none
        roles: String,
        /// What they do
        #[command(subcommand)]
        may: May,
    },
    /// Is nothing admitted on development evidence or on machines that can be debugged?
    Production,
    /// Is nothing admitted outside these countries?
    Within {
        /// Two capital letters each, with commas
        countries: String,
    },
    /// Can no single person widen what is admitted?
    NoOne,
    /// Whose key can make each attribute true?
    Keys,
}

#[derive(Subcommand)]
enum May {
    /// Read a secret
    Read {
        /// Its name
        secret: String,
    },
    /// Connect to a role
    Connect {
        /// The role
        role: String,
    },
    /// Be admitted
    Exist,
}

fn role(text: &str, policy: &Policy) -> Result<RoleName> {
    let known = policy.programs.iter().find(|p| p.role.as_str() == text).map(|p| p.role.clone());
    let all = policy.programs.iter().map(|p| p.role.as_str()).collect::<Vec<_>>().join(", ");
    known.ok_or_else(|| {
        Failure::Usage(format!("no role {text:?} in the policy; there are {all}")).into()
    })
}

impl Ask {
    /// The question; none for the list of keys.
    fn question(&self, policy: &Policy) -> Result<Option<Question>> {
        Ok(Some(match self {
            Self::Only { roles, may } => {
                let named = roles.split(',').filter(|_| roles != "nobody");
                let roles = named.map(|r| role(r, policy));
                Question::Only {
                    roles: roles.collect::<Result<_>>()?,
                    may: match may {
                        May::Read { secret } => Asked::Read(secret_of(secret, policy)?),
                        May::Connect { role: r } => Asked::Connect(role(r, policy)?),
                        May::Exist => Asked::Exist,
                    },
                }
            }
            Self::Production => Question::Production,
            Self::Within { countries } => Question::Within(
                countries
                    .split(',')
                    .map(|c| {
                        let known = Country::new(c);
                        known.ok_or_else(|| {
                            Failure::Usage(format!("expected two capital letters, got {c:?}"))
                                .into()
                        })
                    })
                    .collect::<Result<_>>()?,
            ),
            Self::NoOne => Question::NoOne,
            Self::Keys => return Ok(None),
        }))
    }
}

/// A secret some role names: a typing mistake would otherwise hold.
fn secret_of(name: &str, policy: &Policy) -> Result<String> {
    let all = policy.programs.iter().flat_map(|p| &p.secrets).collect::<Vec<_>>();
    if all.iter().any(|s| *s == name) {
        return Ok(name.to_owned());
    }
    let all = all.iter().map(|s| s.as_str()).collect::<Vec<_>>().join(", ");
    Err(Failure::Usage(format!("no role names a secret {name:?}; there are {all}")).into())
}

/// Everything that is asked when nothing is.
fn ready(policy: &Policy) -> Vec<Question> {
    let mut all = vec![Question::Production, Question::NoOne];
    let mut secrets = policy.programs.iter().flat_map(|p| p.secrets.clone()).collect::<Vec<_>>();
    secrets.sort();
    secrets.dedup();
    for secret in secrets {
        let readers = policy.programs.iter().filter(|p| p.secrets.contains(&secret));
        let roles = readers.map(|p| p.role.clone()).collect();
        all.push(Question::Only { roles, may: Asked::Read(secret) });
    }
    for program in policy.programs.iter().filter(|p| !p.listen.is_empty()) {
        let peers = policy.programs.iter().filter(|p| p.connect.contains(&program.role));
        let roles = peers.map(|p| p.role.clone()).collect();
        all.push(Question::Only { roles, may: Asked::Connect(program.role.clone()) });
    }
    all
}

/// Asks.
pub fn run(args: &AskArgs, domain: &Domain) -> Result<ExitCode> {
    let policy = if args.in_force {
        let Some(in_force) = domain.in_force()? else {
            return Err(Failure::Usage(
                "no signed policy; sign one with `casemate policy sign`".to_owned(),
            )
            .into());
        };
        in_force.policy().clone()
    } else {
        domain.compile(1, None)?
    };
    let permissions = Permissions::compile(&policy).map_err(|e| Failure::Usage(e.to_string()))?;
    let machine = MachineId::new(&[0xff; 32]);
    let machine = machine.ok_or_else(|| anyhow::anyhow!("an id that is not all zero"))?;
    let unseen = Unseen { program: Measurement::new([0xff; 48]), machine, now: now() };
    let asking = Asking::new(&policy, &permissions, &domain.genesis, &unseen);
    let (questions, keys) = match &args.question {
        None => (ready(&policy), true),
        Some(ask) => {
            let question = ask.question(&policy)?;
            let keys = question.is_none();
            (question.into_iter().collect(), keys)
        }
    };
    let answers = questions.iter().map(|q| (q, asking.ask(q))).collect::<Vec<_>>();
    let keys = if keys { asking.attributes() } else { Vec::new() };
    let any = answers.iter().any(|(_, a)| matches!(a, Answer::Fails(_)));
    if args.format == Format::Json {
        print_json(&policy, &answers, &keys);
    } else {
        answers.iter().for_each(|(q, a)| print(&policy, q, a));
        print_keys(&keys);
    }
    Ok(ExitCode::from(u8::from(any)))
}

fn named(policy: &Policy, key: &IssuerKey) -> String {
    let issuer = policy.issuers.iter().find(|i| i.key == *key);
    issuer.map_or_else(|| key.to_string(), |i| i.name.to_string())
}

fn print(policy: &Policy, question: &Question, answer: &Answer) {
    match answer {
        Answer::Holds(why) => {
            println!("holds     {question}");
            why.iter().for_each(|w| println!("            {w}"));
        }
        Answer::Fails(found) => {
            println!("DOES NOT  {question}");
            for Counterexample { says, claims, .. } in found {
                println!("            {says}");
                for (key, says) in claims {
                    println!("              if {} says: {says}", named(policy, key));
                }
            }
        }
    }
}

fn print_keys(keys: &[Attribute]) {
    if !keys.is_empty() {
        println!("\nwho can make true what lets a program in:");
    }
    for Attribute { of, what, by } in keys {
        println!("  {of}: {what}: {}", by.join("; "));
    }
}

fn print_json(policy: &Policy, answers: &[(&Question, Answer)], keys: &[Attribute]) {
    let found = |c: &Counterexample| {
        let claims = c.claims.iter();
        let claims =
            claims.map(|(k, says)| json!({"issuer": named(policy, k), "says": says.to_string()}));
        json!({"role": c.role.as_ref().map(RoleName::as_str), "says": c.says, "claims": claims.collect::<Vec<_>>()})
    };
    let answers = answers.iter().map(|(q, a)| match a {
        Answer::Holds(why) => json!({"question": q.to_string(), "holds": true, "because": why}),
        Answer::Fails(all) => {
            let all = all.iter().map(found).collect::<Vec<_>>();
            json!({"question": q.to_string(), "holds": false, "counterexamples": all})
        }
    });
    let keys = keys.iter().map(|k| json!({"of": k.of, "what": k.what, "by": k.by}));
    json(&json!({"answers": answers.collect::<Vec<_>>(), "keys": keys.collect::<Vec<_>>()}));
}
