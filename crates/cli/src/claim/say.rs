//! The verbs of `casemate claim`: what each says, from the command line to signed bytes.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use evidence::{ContentDigest, DomainRoot, IssuerKey, MachineId, Measurement, Time, Window};
use trust::claim::says::{DEPTH_MAX, LEVEL_MAX, is_plain_text};
use trust::claim::{Basis, Country, Says, Scope, Source, Standing, Topic};
use trust::signing::{self, SigningKey};
use trust::{AuthenticClaim, Claim, RoleName};

use crate::clock::now;
use crate::domain::Domain;
use crate::output::Failure;

/// Who says it, to whom, for how long, and where it goes.
#[derive(Args)]
pub struct Options {
    /// The private key to sign with, OpenSSH Ed25519 (`ssh-keygen -t ed25519`)
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The domain's root in hex; without, the domain of this directory
    #[arg(long, value_name = "HEX", conflicts_with = "anybody")]
    domain: Option<String>,
    /// Say it to whoever takes this key's word: for releases, builds, places and what is taken back
    #[arg(long)]
    anybody: bool,
    /// First second it holds; without, now
    #[arg(long, value_name = "RFC3339")]
    from: Option<String>,
    /// How many days it holds
    #[arg(long, value_name = "N", default_value_t = 30)]
    days: u32,
    /// Where to write it; without, a name of its own in this directory
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Hand it to the authority of this directory's domain as well
    #[arg(long)]
    pub send: bool,
}

/// What can be said.
#[derive(Subcommand)]
pub enum Say {
    /// This measurement is trusted as this role
    Program {
        /// The role
        role: String,
        /// `sha384:…`, as `casemate measure` prints it
        measurement: String,
        #[command(flatten)]
        options: Options,
    },
    /// This measurement is this version of a product
    Release {
        /// The product
        product: String,
        /// Its version: one number that only grows
        #[arg(value_name = "VERSION")]
        number: u64,
        /// `sha384:…`
        measurement: String,
        #[command(flatten)]
        options: Options,
    },
    /// This measurement was built from this source
    Build {
        /// A URI, `git+https://example.com/api`
        source: String,
        /// The commit
        revision: String,
        /// `sha384:…`
        measurement: String,
        #[command(flatten)]
        options: Options,
    },
    /// As this role, a measurement takes the place of another
    Upgrade {
        /// The role
        role: String,
        /// `sha384:…` that is trusted so far
        from_measurement: String,
        /// `sha384:…` that is trusted from now on
        to_measurement: String,
        #[command(flatten)]
        options: Options,
    },
    /// This machine stands there
    Place {
        /// Its exact id in hex
        #[arg(long, value_name = "HEX")]
        machine: String,
        /// Two capital letters
        #[arg(long)]
        country: String,
        /// A finer place, for people
        #[arg(long)]
        site: String,
        /// Who operates the machine
        #[arg(long)]
        operator: String,
        /// How this is known
        #[arg(long, value_parser = Basis::ALL.map(Basis::as_str))]
        basis: String,
        /// How surely, 1 to 3
        #[arg(long, value_parser = clap::value_parser!(u64).range(1..=3))]
        level: u64,
        /// When it was seen; without, now
        #[arg(long, value_name = "RFC3339")]
        observed: Option<String>,
        #[command(flatten)]
        options: Options,
    },
    /// Another key may speak about a topic too
    Delegate {
        /// Its public key: a `.pub` file of ssh-keygen
        to: PathBuf,
        /// The topic
        #[arg(long, value_parser = Topic::ALL.map(Topic::as_str))]
        topic: String,
        /// For which names, or `any`
        #[arg(long, value_delimiter = ',', required = true)]
        names: Vec<String>,
        /// How often it may pass that on
        #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=8))]
        depth: u64,
        #[command(flatten)]
        options: Options,
    },
    /// Another key speaks for this one
    Speaks {
        /// Its public key: a `.pub` file of ssh-keygen
        public: PathBuf,
        #[command(flatten)]
        options: Options,
    },
    /// Take back a claim of this key
    Withdraw {
        /// The claim: its file, or its digest in hex
        claim: String,
        #[command(flatten)]
        options: Options,
    },
    /// This measurement is not trusted as this role any more
    Distrust {
        /// The role
        role: String,
        /// `sha384:…`
        measurement: String,
        #[command(flatten)]
        options: Options,
    },
}

const _: () = assert!(DEPTH_MAX == 8 && LEVEL_MAX == 3, "the ranges above");

fn usage(what: &str, expected: &str, got: &str) -> Failure {
    Failure::Usage(format!("{what}: expected {expected}, got {got:?}"))
}

fn role(what: &str, text: &str) -> Result<RoleName> {
    let expected = "lower-case letters, digits, . - _";
    RoleName::new(text).ok_or_else(|| usage(what, expected, text).into())
}

fn measured(text: &str) -> Result<Measurement> {
    let read = text.strip_prefix("sha384:").and_then(Measurement::from_hex);
    let expected = "sha384: and 96 lower-case hex digits, as `casemate measure` prints it";
    read.ok_or_else(|| usage("measurement", expected, text).into())
}

fn time(what: &str, text: Option<&String>) -> Result<Time> {
    text.map_or(Ok(now()), |t| {
        Time::parse_rfc3339(t)
            .ok_or_else(|| usage(what, "a time like 2027-01-01T00:00:00Z", t).into())
    })
}

fn words(what: &str, text: &str) -> Result<String> {
    let expected = "1 to 128 bytes without control or invisible characters";
    Some(text.to_owned())
        .filter(|t| is_plain_text(t))
        .ok_or_else(|| usage(what, expected, text).into())
}

fn public(path: &Path) -> Result<IssuerKey> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    signing::issuer_key(&text)
        .map_err(|e| Failure::Usage(format!("{}: {e}", path.display())).into())
}

impl Say {
    fn says(&self) -> Result<(Says, &Options)> {
        Ok(match self {
            Self::Program { role: r, measurement, options } => {
                let says =
                    Says::Program { role: role("role", r)?, measurement: measured(measurement)? };
                (says, options)
            }
            Self::Distrust { role: r, measurement, options } => {
                let says =
                    Says::Distrust { role: role("role", r)?, measurement: measured(measurement)? };
                (says, options)
            }
            Self::Release { product, number, measurement, options } => {
                let (product, measurement) = (role("product", product)?, measured(measurement)?);
                (Says::Release { product, version: *number, measurement }, options)
            }
            Self::Build { source, revision, measurement, options } => {
                let expected = "a URI without query and fragment";
                let from = Source::new(source).ok_or_else(|| usage("source", expected, source))?;
                let revision = revision.clone();
                (
                    Says::Build { source: from, revision, measurement: measured(measurement)? },
                    options,
                )
            }
            Self::Upgrade { role: r, from_measurement, to_measurement, options } => {
                let (from, to) = (measured(from_measurement)?, measured(to_measurement)?);
                (Says::Upgrade { role: role("role", r)?, from, to }, options)
            }
            Self::Place { options, .. } => (self.place()?, options),
            Self::Delegate { to, topic, names, depth, options } => {
                let topic = Topic::parse(topic).context("a topic clap let through")?;
                let scope = if names == &["any"] { Some(Scope::Any) } else { Scope::of(names) };
                let expected = "names, each once, or `any` alone";
                let scope = scope.ok_or_else(|| usage("names", expected, &names.join(",")))?;
                (Says::Delegate { to: public(to)?, topic, scope, depth: *depth }, options)
            }
            Self::Speaks { public: file, options } => {
                (Says::Speaks { key: public(file)? }, options)
            }
            Self::Withdraw { claim, options } => {
                let digest = ContentDigest::from_hex(claim)
                    .map_or_else(|| super::read(Path::new(claim)).map(|c| c.digest()), Ok)?;
                (Says::Withdraw { claim: digest }, options)
            }
        })
    }

    fn place(&self) -> Result<Says> {
        let Self::Place { machine, country, site, operator, basis, level, observed, .. } = self
        else {
            anyhow::bail!("not a place");
        };
        let id = hex::decode(machine).ok().and_then(|b| MachineId::new(&b));
        let expected = "1 to 64 bytes in hex, not all zero";
        let country_code = Country::new(country);
        Ok(Says::Place(Standing {
            machine: id.ok_or_else(|| usage("machine", expected, machine))?,
            country: country_code
                .ok_or_else(|| usage("country", "two capital letters", country))?,
            site: words("site", site)?,
            operator: words("operator", operator)?,
            basis: Basis::parse(basis).context("a basis clap let through")?,
            level: *level,
            observed: time("observed", observed.as_ref())?,
        }))
    }

    /// Signs it.
    pub fn make(&self) -> Result<(AuthenticClaim, &Options)> {
        let (says, options) = self.says()?;
        let domain = match &options.domain {
            _ if options.anybody => None,
            Some(hex) => Some(
                DomainRoot::from_hex(hex)
                    .ok_or_else(|| usage("domain", "64 lower-case hex digits", hex))?,
            ),
            None => Some(Domain::find()?.genesis.root()),
        };
        let from = time("from", options.from.as_ref())?;
        let secs = i64::from(options.days).saturating_mul(86_400);
        let window = Window { not_before: from, not_after: from.plus_secs(secs) };
        let pem = std::fs::read_to_string(&options.key)
            .with_context(|| options.key.display().to_string())?;
        let key = SigningKey::from_openssh(&pem)
            .map_err(|e| Failure::Usage(format!("{}: {e}", options.key.display())))?;
        let claim = Claim { domain, issuer: key.issuer(), window, says };
        let signed = claim.sign(&key).map_err(|e| Failure::Usage(e.to_string()))?;
        Ok((signed, options))
    }
}
