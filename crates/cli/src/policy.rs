//! `casemate policy …`: what the domain file says, what the owners signed, and how one becomes the other.

mod check;
mod show;
mod signing;
mod test;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;

use crate::domain::Domain;
use crate::output::Format;
use crate::sign::With;

/// Check, test, show, compare and sign the policy.
#[derive(clap::Args)]
#[command(
    after_help = "A change, from the file to force:\n  casemate policy check                     what is wrong in casemate.toml, and where\n  casemate policy test                      the examples in casemate.test.toml\n  casemate policy diff                      what would change, and whether it widens\n  casemate policy sign --key ~/.ssh/id_ed25519\n  casemate policy status                    who has signed, who is missing"
)]
pub struct PolicyArgs {
    #[command(subcommand)]
    command: Policy,
}

#[derive(Subcommand)]
enum Policy {
    /// Say everything that is wrong with the domain file, with line and column
    #[command(
        after_help = "Exit status 2 if there is an error; warnings are things without effect yet.\nExample: casemate policy check --format json"
    )]
    Check {
        /// How to print
        #[arg(long, value_enum, default_value = "table")]
        format: Format,
    },
    /// Try the examples beside the policy: who must get in, who must not
    #[command(after_help = test::HELP)]
    Test {
        /// A file of examples; without, casemate.test.toml beside the domain file
        #[arg(long, value_name = "FILE")]
        examples: Option<PathBuf>,
        /// Try them on the policy in force alone; without, on the domain file and on the policy in force
        #[arg(long, conflicts_with = "file")]
        in_force: bool,
        /// Try them on the domain file alone
        #[arg(long)]
        file: bool,
        /// How to print
        #[arg(long, value_enum, default_value = "table")]
        format: Format,
    },
    /// Print a policy with its permissions as Cedar, or a shipped profile with every knob in words
    #[command(
        after_help = "Examples: casemate policy show\n          casemate policy show 3\n          casemate policy show 3 --from /mnt/owners/policy\n          casemate policy show snp-2026-11"
    )]
    Show {
        /// A version, or a shipped profile; without, the policy in force
        what: Option<String>,
        /// A folder of this domain's signed policies, if not its own
        #[arg(long, value_name = "DIR")]
        from: Option<PathBuf>,
        /// How to print
        #[arg(long, value_enum, default_value = "table")]
        format: Format,
    },
    /// Say what one policy says and another does not, and whether it widens or narrows
    #[command(
        after_help = "Examples: casemate policy diff            from the policy in force to the domain file\n          casemate policy diff 3          from version 3 to the one in force\n          casemate policy diff 3 4        from version 3 to version 4\n          casemate policy diff 3 4 --from /mnt/owners/policy"
    )]
    Diff {
        /// The older version
        old: Option<u64>,
        /// The newer version
        new: Option<u64>,
        /// A folder of this domain's signed policies, if not its own
        #[arg(long, value_name = "DIR")]
        from: Option<PathBuf>,
        /// How to print
        #[arg(long, value_enum, default_value = "table")]
        format: Format,
    },
    /// Ask questions, answered for everything anybody could run or say, with a counterexample where there is one
    Ask(crate::ask::AskArgs),
    /// Propose what the domain file says, or sign what waits; in force once enough owners have signed
    #[command(
        after_help = "What is shown comes from the bytes to be signed. Examples:\n  casemate policy sign                                     development: signs with the one key\n  casemate policy sign --key ~/.ssh/id_ed25519             proposes, and signs as one of several owners\n  casemate policy sign policy-3.pending --key bo           the next owner, with the file that came by mail\n  casemate policy sign policy-3 --import policy-3.payload.sig\n  casemate policy sign --key ana.pub                       with the key that an ssh-agent holds (a PKCS#11 token: ssh-add -s LIB)"
    )]
    Sign {
        /// What waits: a file, or a name that `casemate policy status` lists; without, what the domain file says
        pending: Option<String>,
        #[command(flatten)]
        with: With,
        /// Sign although examples fail
        #[arg(long)]
        untested: bool,
    },
    /// Say who signs, what waits for signatures, who has signed and who is missing
    Status {
        /// How to print
        #[arg(long, value_enum, default_value = "table")]
        format: Format,
    },
    /// Take back what waits; signatures others have made of it stay good
    Withdraw {
        /// Its name, as `casemate policy status` lists it
        pending: String,
    },
    /// Take a policy that enough owners signed elsewhere; two of one number are kept as evidence
    Import {
        /// Signed policies, oldest first
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

/// Examples that fail under what the domain file says now; none where there are no examples.
pub fn failing(domain: &Domain) -> Result<Vec<String>> {
    Ok(test::failing(domain, &domain.compile(1, None)?)?.unwrap_or_default())
}

/// Runs it.
pub fn run(args: &PolicyArgs) -> Result<ExitCode> {
    if let Policy::Show { what: Some(name), from: None, format } = &args.command
        && name.parse::<u64>().is_err()
    {
        return show::profile(name, *format);
    }
    let domain = match &args.command {
        // A file that does not read makes no difference to finding its domain.
        Policy::Check { format } => return check::run(*format),
        _ => Domain::find()?,
    };
    match &args.command {
        Policy::Check { .. } => Ok(ExitCode::SUCCESS),
        Policy::Ask(args) => crate::ask::run(args, &domain),
        Policy::Test { examples, in_force, file, format } => {
            test::run(&domain, examples.as_deref(), (!in_force, !file), *format)
        }
        Policy::Show { what, from, format } => {
            show::policy(&domain, what.as_deref(), from.as_deref(), *format)
        }
        Policy::Diff { old, new, from, format } => {
            show::difference(&domain, (*old, *new), from.as_deref(), *format)
        }
        Policy::Sign { pending, with, untested } => {
            signing::run(&domain, pending.as_deref(), with, *untested)
        }
        Policy::Status { format } => signing::status(&domain, *format),
        Policy::Withdraw { pending } => signing::withdraw(&domain, pending),
        Policy::Import { files } => signing::import(&domain, files),
    }
}
