//! A machine image on QEMU with a TPM: what it measures is known before it boots, its programs are admitted, another image's are not.

use std::fs;
use std::path::Path;

use crate::stage::Stage;

const FIRMWARE: &str = "/usr/share/OVMF/OVMF_CODE_4M.fd";
const SERVER: &str = "import http.server
class Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'hello from outside\\n')
http.server.HTTPServer(('127.0.0.1', 8000), Hello).serve_forever()";
const CLIENT: &str = "exec 3<>/dev/tcp/server/8000; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; \
while read -r line <&3; do echo \"got $line\"; done";

/// What is missing here, if something is.
fn lacks() -> Option<&'static str> {
    let kernel = fs::read_dir("/boot").into_iter().flatten().flatten();
    let cloud = |n: String| n.starts_with("vmlinuz-") && n.ends_with("-cloud-amd64");
    let kernel = kernel.map(|e| e.file_name().to_string_lossy().into_owned()).any(cloud);
    let files = ["/usr/bin/swtpm", "/usr/bin/qemu-system-x86_64", FIRMWARE, "/usr/bin/python3"];
    let missing = files.into_iter().find(|f| !Path::new(f).exists());
    missing.or((!kernel).then_some("a kernel of linux-image-cloud-amd64"))
}

/// The word behind `name` on a line that begins with it.
fn word(text: &str, name: &str) -> String {
    let line = text.lines().find_map(|l| l.strip_prefix(name)).unwrap_or_else(|| panic!("{text}"));
    line.trim().to_owned()
}

fn predicted(stage: &Stage, node: &str) -> String {
    let file = |name: &str| format!("{node}/{name}");
    let cmdline = fs::read_to_string(stage.path().join(file("cmdline"))).unwrap();
    let (kernel, initrd) = (file("vmlinuz"), file("initrd"));
    let said = stage.good(
        ".",
        &[
            "measure",
            FIRMWARE,
            "--for",
            "tpm",
            "--memory",
            "512",
            "--boot-log",
            "node/boot-log.bin",
            "--kernel",
            &kernel,
            "--initrd",
            &initrd,
            "--append",
            &cmdline,
        ],
    );
    word(&said, "measurement")
}

#[test]
fn a_machine_boots_to_what_was_predicted_and_its_program_talks_to_one_outside() {
    if let Some(what) = lacks() {
        println!("skipped: {what} is not installed, no machine image boots");
        return;
    }
    let stage = Stage::own();
    stage.good(".", &["image", "build", "--out", "node"]);
    stage.good(".", &["image", "build", "--out", "again"]);
    for name in ["vmlinuz", "initrd", "cmdline", "image.json"] {
        let read = |dir: &str| fs::read(stage.path().join(dir).join(name)).unwrap();
        assert!(read("node") == read("again"), "{name} differs from build to build");
    }
    // Once without a disk: what the firmware says of itself.
    stage.good(".", &["image", "boot", "node"]);
    let measurement = predicted(&stage, "node");
    // A log counts for the firmware it is of, and a build that fails leaves nothing behind.
    let other = FIRMWARE.replace("_4M.fd", "_4M.secboot.fd");
    let kernel = ["--kernel", "node/vmlinuz", "--initrd", "node/initrd", "--append", ""];
    let log =
        ["measure", &other, "--for", "tpm", "--memory", "512", "--boot-log", "node/boot-log.bin"];
    let output = stage.run(".", &[&log[..], &kernel].concat());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("volume this firmware lacks"), "{said}");
    let output = stage.run(".", &["image", "build", "--out", "none", "--modules", "/nonexistent"]);
    assert_eq!(output.status.code(), Some(3));
    let left = |e: std::io::Result<fs::DirEntry>| e.unwrap().file_name().into_string().unwrap();
    let left = fs::read_dir(stage.path()).unwrap().map(left).collect::<Vec<_>>();
    assert!(!left.iter().any(|n| n.starts_with("casemate-image") || n == "none"), "{left:?}");
    stage.good(".", &["new", "shop"]);
    stage.good(
        "shop",
        &["add", "server", "--listen", "8000", "--", "/usr/bin/python3", "-c", SERVER],
    );
    let client = ["add", "client", "--to", "server", "--stdio", "plain", "--", "/bin/bash", "-c"];
    stage.good("shop", &[&client[..], &[CLIENT]].concat());
    stage.good("shop", &["up"]);
    stage.good("shop", &["run", "server"]);
    stage.good("shop", &["image", "disk", "--out", "../node/disk", "--program", "client"]);
    // The machine is what was predicted; nobody has said yet that it is trusted.
    let boot = ["image", "boot", "node", "--disk", "node/disk"];
    let refused = |args: &[&str]| {
        let output = stage.run(".", args);
        assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let said = refused(&boot);
    assert_eq!(word(&said, "measurement"), measurement);
    let key = word(&said, "attestation key");
    assert!(said.contains("program client: refused") && said.contains("is not named"), "{said}");
    // The owner says so.
    let file = stage.path().join("shop/casemate.toml");
    let text = fs::read_to_string(&file).unwrap();
    let (before, own) = text.split_once("[program.client]").unwrap();
    let own = own.replacen("on = [\"software\"]", "on = [\"tpm\"]", 1);
    let hardware = format!(
        "[hardware.tpm]\nprofile = \"tpm-machine-2026-11\"\nroot = [\"{key}\"]\nimage = [\"{measurement}\"]\nmachines = \"any-genuine\"\n"
    );
    fs::write(&file, format!("{before}[program.client]{own}\n{hardware}")).unwrap();
    stage.good("shop", &["policy", "sign"]);
    let said = stage.good(".", &boot);
    assert!(said.contains("program client: admitted: as client"), "{said}");
    assert!(said.contains("got hello from outside"), "{said}");
    let why = stage.good("shop", &["explain", "client"]);
    assert!(why.contains("a tpm machine") && why.contains("(process isolation)"), "{why}");
    assert!(stage.good("shop", &["audit", "verify"]).contains("everything holds"));
    // Another command line is another machine, on the same TPM and with the same disk.
    let other = "console=ttyS0 quiet panic=-1";
    stage.good(".", &["image", "build", "--out", "other", "--append", other]);
    assert_ne!(predicted(&stage, "other"), measurement);
    let said = refused(&["image", "boot", "other", "--disk", "node/disk", "--tpm", "node/tpm"]);
    assert_eq!(word(&said, "attestation key"), key);
    assert_eq!(word(&said, "measurement"), predicted(&stage, "other"));
    assert!(said.contains("program client: refused") && !said.contains("got hello"), "{said}");
}
