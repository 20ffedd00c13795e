//! `casemate image boot`: the image on QEMU with a TPM emulator, for trying it and for the boot log of a firmware.
//!
//! The emulated TPM is this machine's file: what it vouches for is worth what this machine is.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::build::Scratch;
use crate::domain::replace;
use crate::machine::{DONE, LOG_PREFIX};
use crate::output::Failure;

const QEMU: &str = "/usr/bin/qemu-system-x86_64";
const SWTPM: &str = "/usr/bin/swtpm";
/// An emulator that has not opened its socket by then never will.
const START_MAX: Duration = Duration::from_secs(20);

/// Boot an image here, with QEMU and a TPM emulator.
#[derive(clap::Args)]
#[command(
    after_help = "Needs Debian's qemu-system-x86, ovmf and swtpm. The machine ends with its programs; Ctrl-C ends it at once. Status 1: it did not come up, or a program was not admitted.\nExample: casemate image boot node --disk node/disk"
)]
pub struct BootArgs {
    /// A directory that `casemate image build` wrote
    dir: PathBuf,
    /// A disk that `casemate image disk` wrote; without, the machine shows its boot log and ends
    #[arg(long, value_name = "FILE")]
    disk: Option<PathBuf>,
    /// The firmware's code
    #[arg(long, value_name = "FILE", default_value = "/usr/share/OVMF/OVMF_CODE_4M.fd")]
    firmware: PathBuf,
    /// The firmware's variables as it was delivered; they are copied, the machine's own are forgotten when it ends
    #[arg(long, value_name = "FILE", default_value = "/usr/share/OVMF/OVMF_VARS_4M.fd")]
    variables: PathBuf,
    /// How much memory the machine has, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 512)]
    memory: u32,
    /// Where the TPM's seeds are kept: the machine's key is theirs [default: DIR/tpm]
    #[arg(long, value_name = "DIR")]
    tpm: Option<PathBuf>,
    /// Let the processor run the machine instead of emulating it (KVM)
    #[arg(long)]
    kvm: bool,
}

/// A child that does not outlive us.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Boots.
pub fn run(args: &BootArgs) -> Result<ExitCode> {
    let needed: [(&Path, &str); 4] = [
        (Path::new(QEMU), "qemu-system-x86"),
        (Path::new(SWTPM), "swtpm"),
        (&args.firmware, "ovmf"),
        (&args.variables, "ovmf"),
    ];
    if let Some((path, package)) = needed.iter().find(|(path, _)| !path.exists()) {
        bail!(Failure::Missing(format!(
            "{}: not there; `apt-get install {package}`",
            path.display()
        )));
    }
    let cmdline = args.dir.join("cmdline");
    let cmdline = fs::read_to_string(&cmdline).with_context(|| cmdline.display().to_string())?;
    boot(args, &cmdline, Scratch::new()?.path())
}

fn boot(args: &BootArgs, cmdline: &str, scratch: &Path) -> Result<ExitCode> {
    let variables = scratch.join("variables");
    fs::copy(&args.variables, &variables).with_context(|| args.variables.display().to_string())?;
    let tpm = args.tpm.clone().unwrap_or_else(|| args.dir.join("tpm"));
    fs::create_dir_all(&tpm).with_context(|| tpm.display().to_string())?;
    let socket = scratch.join("tpm");
    let _swtpm = emulate(&fs::canonicalize(&tpm)?, &socket)?;
    let machine = qemu(args, cmdline, &variables, &socket).stdout(Stdio::piped()).spawn();
    let mut machine = Ends(machine.context(QEMU)?);
    let console = machine.0.stdout.take().context("no console")?;
    let (mut log, mut done) = (String::new(), false);
    for line in BufReader::new(console).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        // Firmware and kernel write control sequences of terminals before their first line.
        let line = line.trim_end_matches('\r');
        match line.split_once(LOG_PREFIX) {
            Some((_, part)) => log.push_str(part),
            None => {
                done |= line.ends_with(DONE);
                println!("{}", visible(line));
            }
        }
    }
    let status = machine.0.wait()?;
    if !log.is_empty() {
        let bytes = STANDARD.decode(&log).context("the machine's boot log is damaged")?;
        let path = args.dir.join("boot-log.bin");
        replace(&path, &bytes)?;
        println!("boot log written to {}", path.display());
    }
    Ok(if status.success() && done { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// A line without control characters: a machine's console does not write to the terminal of whoever watches it.
fn visible(line: &str) -> String {
    line.chars().filter(|c| !c.is_control()).collect()
}

fn emulate(state: &Path, socket: &Path) -> Result<Ends> {
    let child = Command::new(SWTPM)
        .args(["socket", "--tpm2"])
        .args(["--tpmstate", &format!("dir={}", state.display())])
        .args(["--ctrl", &format!("type=unixio,path={}", socket.display())])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .context(SWTPM)?;
    let child = Ends(child);
    let begin = Instant::now();
    while !socket.exists() {
        if begin.elapsed() > START_MAX {
            bail!("{SWTPM} did not start; is {} in use by another machine?", state.display());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(child)
}

fn qemu(args: &BootArgs, cmdline: &str, variables: &Path, socket: &Path) -> Command {
    // A comma separates options.
    let file = |p: &Path| p.display().to_string().replace(',', ",,");
    let flash = |unit: u32, path: &Path, more: &str| {
        format!("if=pflash,format=raw,unit={unit},file={}{more}", file(path))
    };
    let mut command = Command::new(QEMU);
    command
        .args(["-accel", if args.kvm { "kvm" } else { "tcg" }])
        .args(["-machine", "q35,smm=off", "-cpu", "max", "-m", &args.memory.to_string()])
        .args([
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-no-reboot",
            "-serial",
            "stdio",
        ])
        .args(["-drive", &flash(0, &args.firmware, ",readonly=on")])
        .args(["-drive", &flash(1, variables, "")])
        .args(["-chardev", &format!("socket,id=tpm,path={}", file(socket))])
        .args(["-tpmdev", "emulator,id=tpm,chardev=tpm", "-device", "tpm-crb,tpmdev=tpm"])
        // Without ROMs of its own: what they hold would run, and be measured.
        .args(["-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,romfile="])
        .args(["-kernel", &file(&args.dir.join("vmlinuz"))])
        .args(["-initrd", &file(&args.dir.join("initrd"))])
        .args(["-append", cmdline])
        .stdin(Stdio::null());
    if let Some(disk) = &args.disk {
        let disk = format!("if=virtio,format=raw,readonly=on,file={}", file(disk));
        command.args(["-drive", &disk]);
    }
    command
}
