//! `casemate image build`: nothing but a kernel, this executable with its libraries, and the modules a virtual machine needs.
//!
//! What is written depends on the bytes of those alone: no time, user, order of a directory or path of this machine is in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use evidence::bytes::sha256;
use monitor::machine::archive::Writer;
use monitor::program::{Config, Store};
use serde_json::json;

use crate::domain::replace;
use crate::output::{Failure, Format, json};

/// Modules of a virtual machine, in the order they are loaded: disk and network behind virtio.
const MODULES: [&str; 9] = [
    "drivers/virtio/virtio.ko",
    "drivers/virtio/virtio_ring.ko",
    "drivers/virtio/virtio_pci_legacy_dev.ko",
    "drivers/virtio/virtio_pci_modern_dev.ko",
    "drivers/virtio/virtio_pci.ko",
    "drivers/block/virtio_blk.ko",
    "net/core/failover.ko",
    "drivers/net/net_failover.ko",
    "drivers/net/virtio_net.ko",
];
/// No shell to fall into, no other kernel to start, no memory to read from outside the kernel, no module that nobody signed.
const CMDLINE: &str = "console=ttyS0 quiet panic=-1 lockdown=confidentiality";
const KERNELS: &str = "/boot";

/// Build a machine image.
#[derive(clap::Args)]
#[command(
    after_help = "Needs Debian's linux-image-cloud-amd64, or another kernel with its modules.\nExample: casemate image build --out node"
)]
pub struct BuildArgs {
    /// Where to put `vmlinuz`, `initrd`, `cmdline` and `image.json`
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The kernel [default: the newest /boot/vmlinuz-*-cloud-amd64]
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,
    /// Its modules [default: /lib/modules/VERSION of the kernel's name]
    #[arg(long, value_name = "DIR")]
    modules: Option<PathBuf>,
    /// The kernel's command line
    #[arg(long, value_name = "TEXT", default_value = CMDLINE)]
    append: String,
    /// How to print
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

/// The newest kernel of Debian's for clouds.
fn newest() -> Result<PathBuf> {
    let all = fs::read_dir(KERNELS).into_iter().flatten().flatten().map(|e| e.path());
    let cloud = |p: &PathBuf| {
        let name = p.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        name.starts_with("vmlinuz-") && name.ends_with("-cloud-amd64")
    };
    // 6.1.0-9 is older than 6.1.0-48.
    let version = |p: &PathBuf| {
        let name = p.to_string_lossy().into_owned();
        let parts = name.split(|c: char| !c.is_ascii_digit());
        parts.filter_map(|n| n.parse::<u64>().ok()).collect::<Vec<_>>()
    };
    all.filter(cloud).max_by_key(version).ok_or_else(|| {
        Failure::Missing(format!(
            "no kernel {KERNELS}/vmlinuz-*-cloud-amd64; `apt-get install linux-image-cloud-amd64`, or say one with --kernel and --modules"
        ))
        .into()
    })
}

/// The directory of a kernel's modules.
fn modules_of(kernel: &Path) -> Result<PathBuf> {
    let name = kernel.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let version = name.strip_prefix("vmlinuz-").map(str::to_owned);
    let version = version.ok_or_else(|| {
        Failure::Usage(format!("{}: its name says no version; say --modules DIR", kernel.display()))
    })?;
    Ok(Path::new("/lib/modules").join(version))
}

/// Builds.
pub fn run(args: &BuildArgs) -> Result<ExitCode> {
    let kernel = args.kernel.clone().map_or_else(newest, Ok)?;
    let modules = args.modules.clone().map_or_else(|| modules_of(&kernel), Ok)?;
    if args.append.contains('\0') || args.append.contains('\n') {
        bail!(Failure::Usage("--append: expected one line without NUL".to_owned()));
    }
    let image = fs::read(&kernel).with_context(|| kernel.display().to_string())?;
    let initrd = ram_disk(&modules)?;
    fs::create_dir_all(&args.out).with_context(|| args.out.display().to_string())?;
    let digest = |bytes: &[u8]| hex::encode(sha256(bytes));
    let about = json!({
        "format": 1, "casemate": env!("CARGO_PKG_VERSION"),
        "kernel": {"file": "vmlinuz", "sha256": digest(&image)},
        "initrd": {"file": "initrd", "sha256": digest(&initrd), "bytes": initrd.len()},
        "cmdline": args.append,
    });
    replace(&args.out.join("vmlinuz"), &image)?;
    replace(&args.out.join("initrd"), &initrd)?;
    replace(&args.out.join("cmdline"), args.append.as_bytes())?;
    replace(&args.out.join("image.json"), format!("{about:#}\n").as_bytes())?;
    if args.format == Format::Json {
        json(&about);
        return Ok(ExitCode::SUCCESS);
    }
    let dir = args.out.display();
    println!("kernel   sha256:{}  {}", digest(&image), kernel.display());
    println!("initrd   sha256:{}  {} bytes", digest(&initrd), initrd.len());
    println!("cmdline  {}", args.append);
    println!(
        "\nWritten to {dir}. Its measurements: `casemate measure FIRMWARE --for tpm` (or `--for snp`) `--kernel {dir}/vmlinuz --initrd {dir}/initrd --append \"$(cat {dir}/cmdline)\"`;\nfor a TPM first `casemate image boot {dir}`, whose log shows what the firmware measures of itself."
    );
    Ok(ExitCode::SUCCESS)
}

/// The RAM disk: the root that a program of this executable would have, `/init`, and the modules.
fn ram_disk(modules: &Path) -> Result<Vec<u8>> {
    let own = fs::read_link("/proc/self/exe")?.to_string_lossy().into_owned();
    // Libraries of the system; the executable itself has one place, wherever it lies here.
    let scratch = Scratch::new()?;
    let mut store = Store::new(scratch.path().to_owned());
    let image = store.load(&Config::new(vec![own.clone()]), None)?;
    let inside = image.root.join(image.executable.trim_start_matches('/'));
    let executable = fs::read(&inside).with_context(|| inside.display().to_string())?;
    fs::remove_file(&inside)?;
    prune(&image.root, inside.parent().unwrap_or(&image.root));
    let mut archive = Writer::new(Vec::new());
    archive.tree(".", &image.root)?;
    for dir in ["machine", "modules", "sys"] {
        if !image.root.join(dir).exists() {
            archive.directory(dir)?;
        }
    }
    // A first process without standard streams dies before its first line.
    archive.device("dev/console", 5, 1)?;
    archive.device("dev/null", 1, 3)?;
    archive.file("init", &executable, true)?;
    for (number, name) in MODULES.iter().enumerate() {
        let path = modules.join("kernel").join(name);
        let bytes = fs::read(&path).map_err(|e| {
            Failure::Missing(format!(
                "{}: {e}; the kernel's modules must be installed beside it, uncompressed",
                path.display()
            ))
        })?;
        let file = name.rsplit('/').next().unwrap_or(name);
        archive.file(&format!("modules/{number:02}-{file}"), &bytes, false)?;
    }
    Ok(archive.finish()?)
}

/// Removes directories that held nothing but the executable: where it lies on this machine is nobody's business.
fn prune(root: &Path, mut dir: &Path) {
    while dir != root && fs::remove_dir(dir).is_ok() {
        let Some(above) = dir.parent() else { return };
        dir = above;
    }
}

/// A directory of our own, gone when this is, whatever went wrong meanwhile.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn new() -> Result<Self> {
        let mut name = [0; 8];
        platform::random(&mut name)?;
        let dir = std::env::temp_dir().join(format!("casemate-image-{}", hex::encode(name)));
        use std::os::unix::fs::DirBuilderExt;
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&dir)
            .with_context(|| dir.display().to_string())?;
        Ok(Self(dir))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
