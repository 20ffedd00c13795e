//! `casemate tour`: what the project promises, seen with real processes on this machine, and every way of cheating
//! refused with a reason. Nothing is simulated but the silicon. Each scene returns what was seen; none prints a constant.

pub mod attacker;
pub mod inside;
mod refusals;
mod scenes;
mod voices;

use std::io::IsTerminal;
use std::process::{Child, ExitCode};
use std::time::Instant;

use anyhow::Result;
use monitor::supervisor::Request;
use serde_json::json;

use crate::domain::Domain;
use crate::output::{Format, json};

/// Show on this machine what casemate promises.
#[derive(clap::Args)]
#[command(
    after_help = "The tour makes a development domain in a temporary directory and removes it. Exit status 1: a step did not happen as told."
)]
pub struct TourArgs {
    /// How to print
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

/// What a domain promises of its programs; a scene shows one of them or none.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Guarantee {
    Origin,
    Unmodified,
    Isolated,
    Trusted,
    Channel,
}

impl Guarantee {
    const ALL: [Self; 5] =
        [Self::Origin, Self::Unmodified, Self::Isolated, Self::Trusted, Self::Channel];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Origin => "a statement by the attested key came from exactly that program",
            Self::Unmodified => "the program is unmodified, no other software touches its memory",
            Self::Isolated => "it is isolated",
            Self::Trusted => "it is trusted under the policy for its purpose",
            Self::Channel => "a channel authenticated by its key is confidential and has integrity",
        }
    }
}

/// One scene and what was seen in it.
struct Scene {
    title: &'static str,
    shows: Option<Guarantee>,
    seen: Result<Vec<String>>,
    ms: u128,
}

/// The tour's stage: removed when it ends, however it ends.
struct Stage {
    dir: std::path::PathBuf,
    domain: Domain,
    supervisor: Option<Child>,
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Ok(monitor) = self.domain.monitor() {
            let _ = monitor.ask(&Request::Shutdown, &[]);
        }
        if let Some(mut child) = self.supervisor.take() {
            let _ = child.wait();
        }
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// Runs it.
pub fn run(args: &TourArgs) -> Result<ExitCode> {
    let begin = Instant::now();
    let people = args.format == Format::Table;
    let dir = std::env::temp_dir().join(format!("casemate-tour-{}", std::process::id()));
    let mut stage = Stage { domain: scenes::domain(&dir)?, dir, supervisor: None };
    if people {
        println!(
            "casemate tour: real processes on this machine; only the silicon is played, by the software platform,"
        );
        println!(
            "which protects from nobody who owns the machine and says so in everything it signs.\n"
        );
    }
    let mut scenes = Vec::new();
    type Play = fn(&mut Stage) -> Result<Vec<String>>;
    use Guarantee::{Channel, Isolated, Origin, Trusted, Unmodified};
    let program: [(&'static str, Play, Option<Guarantee>); 22] = [
        ("Two programs are measured: every byte that can run", scenes::measure, Some(Unmodified)),
        (
            "Monitor and authority start; the owner appraises the authority and signs for its key",
            scenes::up,
            None,
        ),
        ("The server is launched, isolated and admitted", scenes::admit, Some(Origin)),
        ("Why it got in", scenes::proof, Some(Trusted)),
        (
            "Unmodified programs talk over attested TLS, bound to the connection",
            scenes::traffic,
            Some(Channel),
        ),
        ("What a program tries to reach", scenes::isolation, Some(Isolated)),
        ("A sealed secret survives a restart of its program", scenes::sealing, None),
        ("Refused: one flipped bit", refusals::flipped_bit, Some(Unmodified)),
        ("Refused: a program the policy does not know", refusals::unknown_program, Some(Trusted)),
        (
            "Refused: a role that the policy gives to another program",
            refusals::other_role,
            Some(Trusted),
        ),
        (
            "A maker whose word counts lets its release in, and nobody else does",
            voices::released,
            Some(Trusted),
        ),
        ("Refused: replayed evidence", refusals::replayed, Some(Origin)),
        ("Relayed evidence: a thief with a live leaked key", refusals::relayed, Some(Channel)),
        ("Refused: the peer's own statement, reflected", refusals::reflected, Some(Channel)),
        ("Refused: another domain's genuine monitor", refusals::other_domain, Some(Origin)),
        ("Refused: a wrong clock", refusals::wrong_clock, None),
        (
            "Refused: a blob sealed here, opened under another domain",
            refusals::other_domain_seal,
            None,
        ),
        ("Not detected, and said so: a whole disk restored", refusals::restored_disk, None),
        ("Revoked: a live connection closes", refusals::revoked, Some(Channel)),
        (
            "Refused: software evidence under a production policy for SEV-SNP",
            refusals::production,
            Some(Trusted),
        ),
        (
            "Everything is written down and re-checked by an independent checker",
            scenes::audit,
            None,
        ),
        ("The end: nothing is left behind", scenes::end, None),
    ];
    for (title, play, shows) in program {
        let start = Instant::now();
        let seen = play(&mut stage);
        let scene = Scene { title, shows, seen, ms: start.elapsed().as_millis() };
        if people {
            print(&scene);
        }
        scenes.push(scene);
    }
    drop(stage);
    let good = scenes.iter().all(|s| s.seen.is_ok());
    let total = begin.elapsed();
    if people {
        guarantees(&scenes);
        println!(
            "\n{} scenes in {:.1} s: {}",
            scenes.len(),
            total.as_secs_f64(),
            if good { "all as told" } else { "NOT all as told" }
        );
    } else {
        let rows = scenes.iter().map(|s| {
            let (seen, why) = match &s.seen {
                Ok(lines) => (lines.clone(), None),
                Err(e) => (Vec::new(), Some(format!("{e:#}"))),
            };
            json!({"scene": s.title, "as_told": s.seen.is_ok(), "seen": seen, "failure": why, "ms": s.ms})
        });
        json(
            &json!({"scenes": rows.collect::<Vec<_>>(), "as_told": good, "ms": total.as_millis()}),
        );
    }
    Ok(ExitCode::from(u8::from(!good)))
}

fn print(scene: &Scene) {
    let terminal = std::io::stdout().is_terminal();
    let (bold, plain) = if terminal { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
    println!("{bold}{}{plain}  [{} ms]", scene.title, scene.ms);
    match &scene.seen {
        Ok(lines) => lines.iter().for_each(|l| println!("   {l}")),
        Err(e) => println!("   NOT AS TOLD: {e:#}"),
    }
}

/// The five guarantees, each with the scenes that showed it.
fn guarantees(scenes: &[Scene]) {
    println!("\nThe five guarantees, on a platform that is only software here:");
    for guarantee in Guarantee::ALL {
        let shown = scenes.iter().enumerate().filter(|(_, s)| s.shows == Some(guarantee));
        let held = shown.clone().all(|(_, s)| s.seen.is_ok()) && shown.clone().next().is_some();
        let first = shown.clone().find_map(|(_, s)| s.seen.as_ref().ok()?.first());
        let numbers = shown.map(|(n, _)| (n + 1).to_string()).collect::<Vec<_>>();
        let seen = if held { "seen" } else { "NOT seen" };
        println!("   {}: {seen} (scenes {})", guarantee.as_str(), numbers.join(", "));
        if let Some(line) = first {
            println!("      {line}");
        }
    }
}
