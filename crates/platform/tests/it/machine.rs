//! The software machine's files: missing, damaged, or there already.

use std::fs;

use evidence::Time;
use platform::software::{Machine, MachineError};

const NOW: Time = Time::from_unix(1_800_000_000);

#[test]
fn a_missing_or_damaged_file_of_a_machine_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("machine");
    Machine::create(&home, NOW).unwrap();
    for name in ["root.key", "machine.key", "sealing.root", "machine.id"] {
        let path = home.join(name);
        let good = fs::read(&path).unwrap();
        for len in [0, 31, 33] {
            let mut bad = good.clone();
            bad.resize(len, 0);
            fs::write(&path, bad).unwrap();
            let Err(MachineError::Damaged { path: named, expected: 32, got }) =
                Machine::load(&home)
            else {
                panic!("{name} of {len} bytes")
            };
            assert_eq!((named, got), (path.clone(), len));
        }
        fs::remove_file(&path).unwrap();
        let Err(MachineError::File { path: named, .. }) = Machine::load(&home) else { panic!() };
        assert_eq!(named, path);
        fs::write(&path, good).unwrap();
    }
    assert!(Machine::load(&home).is_ok());
}

#[test]
fn a_machine_lies_where_its_owner_alone_can_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("machine");
    Machine::create(&home, NOW).unwrap();
    let mode = |p: &std::path::Path| fs::metadata(p).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&home), 0o700);
    for name in ["root.key", "machine.key", "sealing.root"] {
        assert_eq!(mode(&home.join(name)), 0o600, "{name}");
    }
    assert!(matches!(Machine::create(&home, NOW), Err(MachineError::File { .. })));
}
