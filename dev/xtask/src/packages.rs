//! Debian packages that tests use: installed when run as root, named otherwise.

use std::path::Path;
use std::process::Command;

/// Package, a file that shows it is there, why a test needs it.
const PACKAGES: [(&str, &str, &str); 10] = [
    ("redis-server", "/usr/bin/redis-server", "the tutorial protects an unmodified server"),
    ("redis-tools", "/usr/bin/redis-cli", "the tutorial reaches it with an unmodified client"),
    (
        "openssh-client",
        "/usr/bin/ssh-keygen",
        "owners' signatures are checked against OpenSSH's own",
    ),
    (
        "openssh-tests",
        "/usr/lib/openssh/regress/misc/sk-dummy/sk-dummy.so",
        "an owner signs with a FIDO token, played by OpenSSH's own",
    ),
    ("softhsm2", "/usr/bin/softhsm2-util", "an owner signs with a key in a PKCS#11 token"),
    ("swtpm", "/usr/bin/swtpm", "a TPM 2.0 vouches for a machine"),
    ("qemu-system-x86", "/usr/bin/qemu-system-x86_64", "the machine image boots"),
    ("ovmf", "/usr/share/OVMF/OVMF_CODE_4M.fd", "its firmware measures the boot"),
    ("linux-image-cloud-amd64", "/boot/vmlinuz-*-cloud-amd64", "its kernel"),
    ("openssl", "/usr/bin/openssl", "programs' identities are used with another TLS library"),
];

/// True if there is such a file; a star stands for any part of its name.
fn is_there(file: &str) -> bool {
    let Some((begin, end)) = file.split_once('*') else { return Path::new(file).exists() };
    let Some((dir, begin)) = begin.rsplit_once('/') else { return false };
    let all = std::fs::read_dir(dir).into_iter().flatten().flatten();
    all.map(|e| e.file_name().to_string_lossy().into_owned())
        .any(|name| name.starts_with(begin) && name.ends_with(end))
}

/// Makes sure every package is there.
pub(crate) fn ensure(install: bool) -> Result<(), String> {
    let missing = PACKAGES.iter().filter(|(_, file, _)| !is_there(file)).collect::<Vec<_>>();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.iter().map(|(name, ..)| *name).collect::<Vec<_>>();
    missing.iter().for_each(|(name, _, why)| println!("  {name}: {why}"));
    let root = Command::new("id").arg("-u").output().is_ok_and(|o| o.stdout == b"0\n");
    if !install || !root {
        return Err(format!("missing packages; as root: apt-get install {}", names.join(" ")));
    }
    let apt = |args: &[&str]| {
        Command::new("apt-get")
            .args(args)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .status()
            .is_ok_and(|s| s.success())
    };
    let mut command = vec!["install", "-y", "-q", "--no-install-recommends"];
    command.extend(&names);
    if apt(&command) || (apt(&["update", "-q"]) && apt(&command)) {
        // Debian starts the server it installs; the tests start their own.
        let _ = Command::new("service").args(["redis-server", "stop"]).status();
        return Ok(());
    }
    Err(format!("apt-get could not install {}", names.join(" ")))
}
