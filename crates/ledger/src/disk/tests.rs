//! Crashes at every byte, changed and cut files, and proofs from disk.

use super::*;
use platform::Secret;

fn signer(n: u8) -> Signer {
    Signer::new("shop/log", Secret::new([n; 32])).unwrap()
}

fn filled(dir: &Path, n: usize) -> Log {
    let mut log = Log::open(dir, signer(1), |_| {}).unwrap();
    for i in 0..n {
        assert_eq!(log.append(&[format!("entry {i}").as_bytes()]).unwrap(), count(i));
    }
    log
}

#[test]
fn what_was_acknowledged_is_there_after_every_torn_append() {
    let dir = tempfile::tempdir().unwrap();
    drop(filled(dir.path(), 5));
    let good = fs::read(dir.path().join("entries")).unwrap();
    let torn = [&good[..], &[0, 9], b"unfinishe"].concat();
    for len in good.len()..torn.len() {
        fs::write(dir.path().join("entries"), &torn[..len]).unwrap();
        let mut log = Log::open(dir.path(), signer(1), |_| {}).unwrap();
        assert_eq!(log.size(), 5, "{len}");
        assert_eq!(log.append(&[b"next"]).unwrap(), 5);
        fs::write(
            dir.path().join("checkpoint"),
            signer(1).sign(&Checkpoint { size: 5, root: log.tree.root(5).unwrap() }).unwrap(),
        )
        .unwrap();
    }
}

#[test]
fn a_log_cut_anywhere_before_its_checkpoint_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(filled(dir.path(), 4));
    let good = fs::read(dir.path().join("entries")).unwrap();
    for len in 0..good.len() {
        fs::write(dir.path().join("entries"), &good[..len]).unwrap();
        assert!(
            matches!(
                Log::open(dir.path(), signer(1), |_| {}),
                Err(LogError::Shorter { expected: 4, .. })
            ),
            "{len}"
        );
    }
}

#[test]
fn a_changed_entry_or_anothers_checkpoint_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(filled(dir.path(), 4));
    let entries = dir.path().join("entries");
    let mut bytes = fs::read(&entries).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&entries, &bytes).unwrap();
    assert!(matches!(Log::open(dir.path(), signer(1), |_| {}), Err(LogError::Changed)));
    assert!(matches!(audit(dir.path(), &signer(1).verifier()), Err(LogError::Changed)));
    assert!(
        evidence::controls::without("log_root", || audit(dir.path(), &signer(1).verifier()))
            .is_ok()
    );
    assert!(matches!(
        audit(dir.path(), &signer(2).verifier()),
        Err(LogError::Note(NoteError::Signature))
    ));
}

#[test]
fn an_auditor_reads_what_was_appended_and_tiles_hold_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::open(dir.path(), signer(1), |_| {}).unwrap();
    let entries = (0..600_u32).map(u32::to_be_bytes).collect::<Vec<_>>();
    log.append(&entries.iter().map(<[u8; 4]>::as_slice).collect::<Vec<_>>()).unwrap();
    let read = audit(dir.path(), &signer(1).verifier()).unwrap();
    assert_eq!(read, entries.iter().map(|e| e.to_vec()).collect::<Vec<_>>());
    for tile in ["tile/0/000", "tile/0/001", "tile/entries/000", "tile/entries/001"] {
        assert!(dir.path().join(tile).exists(), "{tile}");
    }
    for partial in
        ["0/002.p/88", "1/000.p/2", "entries/002.p/88", "entries/002.p/1", "0/000", "entries/001"]
    {
        assert!(log.tile(partial).is_some(), "{partial}");
    }
    for none in [
        "0/002",
        "0/002.p/89",
        "0/003.p/1",
        "entries/002",
        "entries/002.p/89",
        "2/000.p/1",
        "0/2.p/88",
        "0/000.p/256",
        "0/000.p/0",
        "x/000",
        "0/x000/000",
        "../entries",
        "",
    ] {
        assert!(log.tile(none).is_none(), "{none:?}");
    }
    assert_eq!(
        log.tile("entries/002.p/1").unwrap(),
        [&[0, 4], &512_u32.to_be_bytes()[..]].concat()
    );
    assert_eq!(fs::read(dir.path().join("tile/0/000")).unwrap().len(), 8192);
    let root = log.signer.verifier().verify(log.checkpoint()).unwrap().root;
    assert_eq!(
        tree::root_from_inclusion(tree::leaf(&entries[77]), 77, 600, &log.inclusion(77).unwrap()),
        Some(root)
    );
    assert_eq!((log.inclusion(600), log.consistency(601)), (None, None));
    // Lost tiles come back, and appending one by one makes the same ones.
    fs::remove_dir_all(dir.path().join("tile")).unwrap();
    drop(log);
    let (log, other) =
        (Log::open(dir.path(), signer(1), |_| {}).unwrap(), tempfile::tempdir().unwrap());
    let mut slow = Log::open(other.path(), signer(1), |_| {}).unwrap();
    for entry in &entries {
        slow.append(&[entry.as_slice()]).unwrap();
    }
    for tile in ["tile/0/000", "tile/0/001", "tile/entries/000", "tile/entries/001"] {
        assert_eq!(
            fs::read(dir.path().join(tile)).unwrap(),
            fs::read(other.path().join(tile)).unwrap()
        );
    }
    assert_eq!(log.tile("1/000.p/2"), slow.tile("1/000.p/2"));
    assert_eq!(tile_path("0", 1_234_067, TILE), "tile/0/x001/x234/067");
}

#[test]
fn an_entry_that_is_too_long_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = filled(dir.path(), 1);
    assert!(matches!(log.append(&[&vec![0; ENTRY_MAX + 1]]), Err(LogError::TooLong(65_536))));
    assert_eq!(log.size(), 1);
}
