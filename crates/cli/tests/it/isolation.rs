//! Escape attempts from inside a program, and from the same user outside, as root and as an ordinary user.

use crate::stage::Stage;

/// Runs a shell script as an isolated program; its status and what it wrote.
fn inside(stage: &Stage, name: &str, script: &str) -> (i32, String) {
    stage.good("shop", &["add", name, "--stdio", "plain", "--", "/usr/bin/python3", "-c", script]);
    stage.good("shop", &["stop"]);
    stage.good("shop", &["up"]);
    let output = stage.run("shop", &["run", "--attach", name]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    (output.status.code().unwrap(), text)
}

fn stages() -> Vec<Stage> {
    if !std::path::Path::new("/usr/bin/python3").exists() {
        println!("skipped: /usr/bin/python3 is not installed");
        return Vec::new();
    }
    let all = std::iter::once(Stage::own()).chain(Stage::ordinary()).collect::<Vec<_>>();
    for stage in &all {
        stage.good(".", &["new", "shop"]);
        stage.good("shop", &["up"]);
    }
    all
}

/// Each line tries one way out and says `held` or what it reached.
const ESCAPES: &str = r#"
import ctypes, os, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
def tried(name, act):
    try:
        r = act()
        print(name, 'held' if r in (-1, None, False) else 'REACHED %r' % (r,))
    except (OSError, ImportError, PermissionError) as e:
        print(name, 'held')
call = lambda *a: libc.syscall(*a)
tried('host password hashes', lambda: open('/etc/shadow').read())
tried('host root home', lambda: os.listdir('/root'))
tried('host sysfs', lambda: os.listdir('/sys'))
tried('kernel memory', lambda: open('/proc/kcore', 'rb').read(1) or False)
tried('kernel settings', lambda: open('/proc/sys/kernel/core_pattern', 'w').write('x'))
tried('other processes', lambda: [p for p in os.listdir('/proc') if p.isdigit() and int(p) > 2] or None)
tried('trace init', lambda: call(101, 16, 1, 0, 0))
tried('read init memory', lambda: call(310, 1, 0, 0, 0, 0, 0))
tried('raw socket', lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1))
tried('packet socket', lambda: socket.socket(17, socket.SOCK_RAW))
tried('netlink socket', lambda: socket.socket(16, socket.SOCK_RAW))
tried('vsock', lambda: socket.socket(40, socket.SOCK_STREAM))
tried('load a module', lambda: call(175, 0, 0, b''))
tried('mount', lambda: libc.mount(b'none', b'/tmp', b'tmpfs', 0, b''))
tried('unmount', lambda: libc.umount2(b'/proc', 2))
tried('new user namespace', lambda: libc.unshare(0x10000000))
tried('new namespace by clone', lambda: call(56, 0x10000000 | 17, 0, 0, 0, 0))
tried('clone3', lambda: call(435, 0, 0))
tried('enter a namespace', lambda: libc.setns(0, 0))
tried('device node', lambda: os.mknod('/tmp/sda', 0o60600, os.makedev(8, 0)))
tried('change root', lambda: os.chroot('/tmp'))
tried('keyring', lambda: call(248, b'user', b'x', b'y', 1, -3))
tried('bpf', lambda: call(321, 0, 0, 0))
tried('performance events', lambda: call(298, 0, 0, 0, 0, 0))
tried('io_uring', lambda: call(425, 1, 0))
tried('userfaultfd', lambda: call(323, 0))
tried('another process descriptor', lambda: call(438, 3, 0, 0))
tried('become root', lambda: os.setuid(0))
tried('write the root', lambda: open('/usr/x', 'w'))
tried('write /etc', lambda: open('/etc/passwd', 'a'))
def execute_written(place):
    path = place + '/copy'
    import shutil
    shutil.copy('/usr/bin/python3', path)
    os.chmod(path, 0o755)
    return os.spawnv(os.P_WAIT, path, [path, '-c', 'pass']) == 0
tried('execute a written file in /tmp', lambda: execute_written('/tmp'))
tried('execute a written file in /dev/shm', lambda: execute_written('/dev/shm'))
tried('a library of the host', lambda: ctypes.CDLL('libcups.so.2'))
tried('type into the terminal', lambda: __import__('fcntl').ioctl(0, 0x5412, b'x'))
s = open('/proc/self/status').read()
print('no capabilities', 'held' if 'CapEff:\t0000000000000000' in s and 'CapBnd:\t0000000000000000' in s else 'REACHED ' + s)
print('no new privileges', 'held' if 'NoNewPrivs:\t1' in s and 'Seccomp:\t2' in s else 'REACHED')
print('descriptors', 'held' if set(os.listdir('/proc/self/fd')) <= {'0', '1', '2', '3'} else 'REACHED')
import resource
print('core files', 'held' if resource.getrlimit(resource.RLIMIT_CORE) == (0, 0) else 'REACHED')
l = socket.create_server(('127.0.0.1', 1234)); socket.create_connection(('127.0.0.1', 1234))
print('own loopback works')
"#;

#[test]
fn nothing_a_program_tries_gets_it_out() {
    for stage in stages() {
        let (status, text) = inside(&stage, "prober", ESCAPES);
        assert_eq!(status, 0, "{text}");
        assert!(text.contains("own loopback works"), "{text}");
        let reached = text.lines().filter(|l| l.contains("REACHED")).collect::<Vec<_>>();
        assert!(reached.is_empty(), "{reached:#?}");
        assert!(text.lines().filter(|l| l.ends_with("held")).count() >= 37, "{text}");
    }
}

#[test]
fn a_fork_bomb_and_a_memory_hog_stay_within_their_limits() {
    let bomb = "import os,sys\nn=0\ntry:\n  while n < 5000:\n    if os.fork() == 0:\n      import time; time.sleep(30)\n    n += 1\nexcept OSError as e:\n  print('stopped at', n)\n  sys.stdout.flush(); os._exit(0)\n";
    let hog = "x=[]\ntry:\n  for i in range(4096):\n    x.append(bytearray(1 << 20))\n  print('REACHED')\nexcept MemoryError:\n  print('stopped')\n";
    for stage in stages() {
        let (status, text) = inside(&stage, "bomb", bomb);
        assert!(status == 0 && text.contains("stopped at"), "{status} {text}");
        let (status, text) = inside(&stage, "hog", hog);
        // A group's limit kills (137), a resource limit refuses.
        assert!(status == 137 || text.contains("stopped"), "{status} {text}");
        assert!(!text.contains("REACHED"), "{text}");
    }
}

#[test]
fn from_outside_the_same_user_cannot_read_our_processes_memory() {
    let Some(stage) = Stage::ordinary() else { return };
    stage.good(".", &["new", "shop"]);
    stage.good("shop", &["add", "sleeper", "--", "/bin/sleep", "60"]);
    stage.good("shop", &["up"]);
    stage.good("shop", &["run", "sleeper"]);
    let uid =
        std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(stage.path().join("shop")).unwrap());
    let mut seen = Vec::new();
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        let status = std::fs::read_to_string(process.path().join("status")).unwrap_or_default();
        if !status.contains(&format!("Uid:\t{uid}\t")) {
            continue;
        }
        for kind in ["__keyholder", "__proxy", "__supervisor"] {
            if line.contains(kind) {
                use std::os::unix::process::CommandExt;
                let memory = process.path().join("mem");
                let read = std::process::Command::new("/bin/sh")
                    .args([
                        "-c",
                        &format!(
                            "dd if={} bs=1 count=1 skip=0 2>&1 || cat {}/environ",
                            memory.display(),
                            process.path().display()
                        ),
                    ])
                    .uid(uid)
                    .gid(uid)
                    .output()
                    .unwrap();
                assert!(
                    !read.status.success(),
                    "{kind}: {}",
                    String::from_utf8_lossy(&read.stdout)
                );
                seen.push(kind);
            }
        }
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen, ["__keyholder", "__proxy", "__supervisor"]);
}

#[test]
fn when_the_supervisor_is_killed_nothing_lives_on() {
    let stage = Stage::own();
    stage.good(".", &["new", "shop"]);
    stage.good("shop", &["add", "sleeper", "--", "/bin/sleep", "60"]);
    stage.good("shop", &["up"]);
    stage.good("shop", &["run", "sleeper"]);
    let exe = stage.path().join("casemate");
    let ours = || {
        std::fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .filter(|p| {
                let line = std::fs::read(p.path().join("cmdline")).unwrap_or_default();
                let of_domain =
                    String::from_utf8_lossy(&line).contains(stage.path().to_str().unwrap());
                of_domain || std::fs::read_link(p.path().join("exe")).is_ok_and(|l| l == exe)
            })
            .map(|p| p.file_name().to_string_lossy().into_owned())
            .collect::<Vec<_>>()
    };
    let all = ours();
    assert!(all.len() >= 4, "{all:?}");
    let supervisor = all.iter().find(|p| {
        std::fs::read(format!("/proc/{p}/cmdline"))
            .is_ok_and(|l| String::from_utf8_lossy(&l).contains("__supervisor"))
    });
    let status =
        std::process::Command::new("kill").args(["-9", supervisor.unwrap()]).status().unwrap();
    assert!(status.success());
    let begin = std::time::Instant::now();
    while !ours().is_empty() && begin.elapsed().as_secs() < 5 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(ours(), Vec::<String>::new());
}
