//! `casemate image`: a small machine image with the monitor as its first process, and what goes with it.

mod boot;
mod build;
mod disk;

use std::process::ExitCode;

use anyhow::Result;

/// Build a machine image whose measurements are known before it boots, hand it programs, boot it here.
#[derive(clap::Args)]
#[command(
    after_help = "Example: casemate image build --out node      # kernel, RAM disk, command line: byte for byte the same each time\n         casemate image boot node                 # once without a disk: its boot log shows what the firmware says of itself\n         casemate measure /usr/share/OVMF/OVMF_CODE_4M.fd --for tpm --memory 512 --boot-log node/boot-log.bin --kernel node/vmlinuz --initrd node/initrd --append \"$(cat node/cmdline)\"\n         casemate image disk --out node/disk --program client\n         casemate image boot node --disk node/disk"
)]
pub struct ImageArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Build the image: kernel, RAM disk with this executable as first process, command line
    Build(build::BuildArgs),
    /// Make the disk that hands a domain's programs to a machine
    Disk(disk::DiskArgs),
    /// Boot an image here, with QEMU and a TPM emulator
    Boot(boot::BootArgs),
}

/// Runs it.
pub fn run(args: &ImageArgs) -> Result<ExitCode> {
    match &args.command {
        Command::Build(args) => build::run(args),
        Command::Disk(args) => disk::run(args),
        Command::Boot(args) => boot::run(args),
    }
}
