//! The `casemate` command: one file per subcommand. Hidden subcommands are this program's own processes.

mod add;
mod ask;
mod audit;
mod claim;
mod clock;
mod collateral;
mod connect;
mod deliver;
mod doctor;
mod domain;
mod explain;
mod image;
mod machine;
mod measure;
mod new;
mod output;
mod owners;
mod policy;
mod programs;
mod revoke;
mod secret;
mod sign;
mod tour;
mod up;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Confidential computing: programs proved, isolated, and talking only to programs that have earned it.
#[derive(Parser)]
#[command(
    name = "casemate",
    version,
    propagate_version = true,
    after_help = "Exit status: 0 done or accepted, 1 refused, 2 wrong usage or unusable input, 3 something is missing that can be supplied."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show on this machine, with real processes, what casemate promises, and every way of cheating refused
    Tour(tour::TourArgs),
    /// Make a domain on a software machine, signed by a development key or by several owners
    New(new::NewArgs),
    /// Start this domain's monitor and authority
    Up(up::UpArgs),
    /// Measure a program and write it into the policy
    Add(add::AddArgs),
    /// Start programs that were added
    Run(programs::RunArgs),
    /// List programs
    Ps(programs::PsArgs),
    /// Show what a program with the grant `--stdio plain` has written
    Logs(programs::LogsArgs),
    /// Bring an attested channel to a program's port to this machine
    Connect(connect::ConnectArgs),
    /// Stop programs; without names, everything
    Stop(programs::StopArgs),
    /// Say why a program was let in or refused, or what would be decided about one
    Explain(explain::ExplainArgs),
    /// Print what a program measures
    Measure(measure::MeasureArgs),
    /// Check, test, show, compare and sign the policy
    Policy(policy::PolicyArgs),
    /// Say, show, hand in and list claims of those the policy lets speak
    Claim(claim::ClaimArgs),
    /// Set, list and take back values that programs get when they are admitted
    Secret(secret::SecretArgs),
    /// Revoke a program: its connections close within a second
    Revoke(revoke::RevokeArgs),
    /// Re-check the log and every decision in it, offline
    Audit(audit::AuditArgs),
    /// Build a machine image whose measurements are known before it boots, hand it programs, boot it here
    Image(image::ImageArgs),
    /// Say what this machine offers and lacks
    Doctor(doctor::DoctorArgs),
    /// Verify a file of hardware evidence
    Verify(verify::VerifyArgs),
    #[command(name = "__machine", hide = true)]
    Machine,
    /// Keep and show what vendors signed about their machines
    Collateral(collateral::CollateralArgs),
    #[command(name = "__keyholder", hide = true)]
    Keyholder,
    #[command(name = "__launcher", hide = true)]
    Launcher,
    #[command(name = "__proxy", hide = true)]
    Proxy,
    #[command(name = "__supervisor", hide = true)]
    Supervisor(up::SupervisorArgs),
    #[command(name = "__authority", hide = true)]
    Authority,
    #[command(name = "__tour-program", hide = true)]
    TourProgram(tour::inside::ProgramArgs),
}

fn main() -> ExitCode {
    if machine::is_first_process() {
        machine::first();
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            let _ = e.print();
            return ExitCode::from(if e.use_stderr() { 2 } else { 0 });
        }
    };
    let ran = match cli.command {
        Command::Tour(args) => tour::run(&args),
        Command::New(args) => new::run(&args),
        Command::Up(args) => up::run(&args),
        Command::Add(args) => add::run(&args),
        Command::Run(args) => programs::run(&args),
        Command::Ps(args) => programs::ps(&args),
        Command::Logs(args) => programs::logs(&args),
        Command::Connect(args) => connect::run(&args),
        Command::Stop(args) => programs::stop(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Measure(args) => measure::run(&args),
        Command::Policy(args) => policy::run(&args),
        Command::Claim(args) => claim::run(&args),
        Command::Secret(args) => secret::run(&args),
        Command::Revoke(args) => revoke::run(&args),
        Command::Audit(args) => audit::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Verify(args) => return verify::run(&args),
        Command::Image(args) => image::run(&args),
        Command::Machine => machine::run(),
        Command::Collateral(args) => collateral::run(&args),
        Command::Keyholder => {
            monitor::keyholder::run().map(|()| ExitCode::SUCCESS).map_err(Into::into)
        }
        Command::Launcher => {
            monitor::launcher::run().map(|()| ExitCode::SUCCESS).map_err(Into::into)
        }
        Command::Proxy => monitor::proxy::run().map(|()| ExitCode::SUCCESS).map_err(Into::into),
        Command::Supervisor(args) => up::supervise(&args),
        Command::Authority => up::authority(),
        Command::TourProgram(args) => tour::inside::run(&args),
    };
    ran.unwrap_or_else(|e| {
        eprintln!("casemate: {e:#}");
        ExitCode::from(output::exit_code(&e))
    })
}
