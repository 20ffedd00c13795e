//! `casemate doctor`: what this machine offers for programs' isolation, and what it lacks.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use serde_json::json;

use crate::domain::Domain;
use crate::output::{Format, json};

/// Say what this machine offers and lacks.
#[derive(clap::Args)]
pub struct DoctorArgs {
    /// How to print
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

struct Finding {
    name: &'static str,
    present: bool,
    needed: bool,
    advice: &'static str,
}

fn findings() -> Vec<Finding> {
    let exists = |p: &str| Path::new(p).exists();
    let number =
        |p: &str| std::fs::read_to_string(p).ok().and_then(|t| t.trim().parse::<u64>().ok());
    let finding = |name, present, needed, advice| Finding { name, present, needed, advice };
    let userns = number("/proc/sys/user/max_user_namespaces").is_some_and(|n| n > 0)
        && number("/proc/sys/kernel/unprivileged_userns_clone").is_none_or(|n| n == 1);
    vec![
        finding(
            "user namespaces",
            userns,
            true,
            "sysctl user.max_user_namespaces=10000 (and kernel.unprivileged_userns_clone=1 where it exists)",
        ),
        finding(
            "seccomp",
            exists("/proc/sys/kernel/seccomp/actions_avail"),
            true,
            "a kernel with CONFIG_SECCOMP_FILTER",
        ),
        finding("pid namespaces", exists("/proc/self/ns/pid"), true, "a kernel with CONFIG_PID_NS"),
        finding(
            "network namespaces",
            exists("/proc/self/ns/net"),
            true,
            "a kernel with CONFIG_NET_NS",
        ),
        finding(
            "memory and process groups (v1 or v2)",
            exists("/sys/fs/cgroup/pids") || exists("/sys/fs/cgroup/cgroup.controllers"),
            false,
            "without them limits are per process, and statements say `rlimit`",
        ),
        finding(
            "SEV-SNP guest device",
            exists("/dev/sev-guest"),
            false,
            "run inside an SEV-SNP machine; this version verifies its evidence but does not make it",
        ),
        finding(
            "TPM",
            exists("/dev/tpmrm0"),
            false,
            "without one sealed state is `unprotected` against a restored disk",
        ),
    ]
}

/// Says it.
pub fn run(args: &DoctorArgs) -> Result<ExitCode> {
    let all = findings();
    let missing = all.iter().any(|f| f.needed && !f.present);
    let machine = machine();
    if args.format == Format::Json {
        let rows = all.iter().map(|f| json!({"name": f.name, "present": f.present, "needed": f.needed, "advice": f.advice}));
        let machine = machine
            .iter()
            .map(|id| json!({"name": "machine id", "present": true, "needed": false, "id": id}));
        json(&rows.chain(machine).collect());
    } else {
        for f in &all {
            let mark = if f.present {
                "yes"
            } else if f.needed {
                "NO"
            } else {
                "no"
            };
            println!(
                "{mark:>3}  {}{}",
                f.name,
                if f.present { String::new() } else { format!(": {}", f.advice) }
            );
        }
    }
    if args.format == Format::Table {
        machine.iter().for_each(|id| println!("     machine id {id}"));
    }
    Ok(ExitCode::from(if missing { 3 } else { 0 }))
}

/// The id of this domain's software machine, as claims about where it stands name it.
fn machine() -> Option<String> {
    let dir = Domain::find().ok()?.dir.join("machine");
    Some(hex::encode(platform::software::Machine::load(&dir).ok()?.id()))
}
