//! Resolving against small roots made here and against the host's own programs.

use super::*;

fn config(program: &str) -> Config {
    Config::new(vec![program.to_owned()])
}

#[test]
fn a_shell_comes_with_its_loader_and_library_and_nothing_else_of_the_host() {
    let plan = resolve(&config("/bin/sh")).unwrap();
    let has = |part: &str| {
        plan.entries.iter().any(|(p, e)| p.contains(part) && matches!(e, Planned::File(_)))
    };
    assert!(has("ld-linux") && has("libc.so"));
    assert!(
        !plan.entries.contains_key("/etc/shadow")
            && !plan.entries.contains_key("/etc/ld.so.preload")
    );
    assert!(plan.entries["/etc/passwd"] != Planned::File("/etc/passwd".into()));
}

#[test]
fn a_script_comes_with_its_interpreters() {
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("s");
    fs::write(&script, "#!/usr/bin/env bash\necho\n").unwrap();
    let plan = resolve(&config(script.to_str().unwrap())).unwrap();
    assert!(
        plan.entries.contains_key("/usr/bin/env") && plan.entries.contains_key("/usr/bin/bash")
    );
}

#[test]
fn an_interpreter_of_itself_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("s");
    fs::write(&script, format!("#!{}\n", script.display())).unwrap();
    assert!(matches!(resolve(&config(script.to_str().unwrap())), Err(ResolveError::Loop(_))));
}

#[test]
fn links_that_go_round_are_refused() {
    let dir = tempfile::tempdir_in("/var/tmp").unwrap();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    std::os::unix::fs::symlink(&a, &b).unwrap();
    std::os::unix::fs::symlink(&b, &a).unwrap();
    assert!(matches!(resolve(&config(a.to_str().unwrap())), Err(ResolveError::Loop(_))));
}

#[test]
fn what_is_missing_is_named() {
    assert!(
        matches!(resolve(&config("no-such-program")), Err(ResolveError::NotFound(n)) if n == "no-such-program")
    );
    assert!(matches!(resolve(&config("/no/such")), Err(ResolveError::Unreadable { .. })));
    let dir = tempfile::tempdir().unwrap();
    let text = dir.path().join("text");
    fs::write(&text, "neither script nor ELF").unwrap();
    assert!(matches!(resolve(&config(text.to_str().unwrap())), Err(ResolveError::Elf { .. })));
}

#[test]
fn links_out_of_a_directory_root_stay_inside_it() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("bin")).unwrap();
    std::os::unix::fs::symlink("../../../../etc/shadow", dir.path().join("bin/steal")).unwrap();
    fs::copy("/bin/true", dir.path().join("bin/true")).unwrap();
    let mut c = config("/bin/true");
    c.source = Source::Directory(dir.path().to_str().unwrap().to_owned());
    let plan = resolve(&c).unwrap();
    assert_eq!(plan.entries["/bin/steal"], Planned::Link("../../../../etc/shadow".into()));
    assert!(
        plan.entries.values().all(|e| !matches!(e, Planned::File(p) if !p.starts_with(dir.path())))
    );
}

#[test]
fn a_pipe_in_a_tree_is_refused() {
    let dir = tempfile::tempdir_in("/var/tmp").unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, dir.path().join("pipe"), rustix::fs::Mode::RUSR).unwrap();
    let mut c = config("/bin/true");
    c.trees.push(dir.path().to_str().unwrap().to_owned());
    assert!(matches!(resolve(&c), Err(ResolveError::Special(_))));
}

#[test]
fn what_a_programs_own_mounts_would_hide_is_moved_or_refused() {
    let dir = tempfile::tempdir_in("/tmp").unwrap();
    let program = dir.path().join("program");
    fs::copy("/bin/true", &program).unwrap();
    let mut c = config(program.to_str().unwrap());
    let plan = resolve(&c).unwrap();
    assert_eq!(plan.executable, "/app/program");
    assert_eq!(plan.entries["/app/program"], Planned::File(program.canonicalize().unwrap()));
    c.trees.push(dir.path().to_str().unwrap().to_owned());
    assert!(matches!(resolve(&c), Err(ResolveError::Hidden(_))));
}
