//! An authority's log as its clients see it: it grows, and one that goes back is refused by whoever saw more.

use std::fs;
use std::path::Path;

use channel::admission::client::AdmissionError;
use channel::admission::{LogRefusal, LogSeen};
use evidence::controls::without;
use testkit::{Served, Town, clock, program};

async fn serve(dir: &Path) -> Served {
    Town::new(dir, vec![program("web", 0x11, &[])]).serve(dir, clock).await
}

fn block<T>(act: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(act)
}

/// A log as it was, under another path.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    let all = fs::read_dir(from).unwrap().map(Result::unwrap);
    for entry in all.filter(|e| e.file_name() != "machine") {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn a_client_follows_the_log_from_one_admission_to_the_next() {
    let dir = tempfile::tempdir().unwrap();
    block(async {
        let town = serve(dir.path()).await;
        let (web, mut seen) = (town.monitor(0x11), LogSeen::default());
        for n in 0..5 {
            // Somebody else in between.
            town.admit(&web, false).await.unwrap();
            let (admission, _, _) = town.admit_after(&web, false, &mut seen).await.unwrap();
            assert_eq!((admission.log_index, seen.size()), (n * 2 + 1, n * 2 + 2));
        }
    });
}

#[test]
fn an_authority_whose_disk_was_set_back_is_refused_by_those_who_saw_more() {
    let attack = || {
        let (dir, back) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        block(async {
            let town = serve(dir.path()).await;
            let (web, mut seen) = (town.monitor(0x11), LogSeen::default());
            town.admit_after(&web, false, &mut seen).await.unwrap();
            copy(dir.path(), back.path());
            town.admit(&web, false).await.unwrap();
            town.admit_after(&web, false, &mut seen).await.unwrap();
            let was = seen.size();
            // The log of before, with the key that signs it: it logs what it does, but it is another past.
            let old = serve(back.path()).await;
            let again = old.admit_after(&old.monitor(0x11), false, &mut seen).await;
            (was, again.map(|_| seen.size()))
        })
    };
    let (was, refused) = attack();
    match refused {
        Err(AdmissionError::Log(LogRefusal::Fork { seen, size, .. })) => {
            assert_eq!((seen, size), (was, was - 1));
        }
        other => panic!("{other:?}"),
    }
    let (was, taken) = without("log_fork", attack);
    assert!(taken.unwrap() < was);
}
