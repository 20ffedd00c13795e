//! Full admissions per second: new connection, fresh key, hybrid key exchange, the client's checks, a durable log entry;
//! beside plain rustls mutual-TLS handshakes. Clients and server share the cores in both.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use testkit::Town;

use crate::handshake::{now, plain};
use crate::table::ratio;

const CLIENTS: usize = 16;
const FOR: Duration = Duration::from_secs(3);
const ROUNDS: usize = 3;

async fn rate<F: Future<Output = ()> + Send>(once: impl Fn() -> F + Clone + Send + Sync + 'static) -> f64
where
    F: 'static,
{
    let done = Arc::new(AtomicUsize::new(0));
    let begin = Instant::now();
    let tasks = (0..CLIENTS).map(|_| {
        let (once, done) = (once.clone(), Arc::clone(&done));
        tokio::spawn(async move {
            while begin.elapsed() < FOR {
                once().await;
                done.fetch_add(1, Ordering::Relaxed);
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    done.load(Ordering::Relaxed) as f64 / begin.elapsed().as_secs_f64()
}

pub fn run() {
    // On the disk of this folder: an in-memory file system would make the durable entry free.
    let dir = tempfile::tempdir_in(".").unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    runtime.block_on(async {
        let programs = vec![testkit::program("web", 0x11, &["api"]), testkit::program("api", 0x22, &[])];
        let town = Town::at(dir.path(), programs, now());
        let web = Arc::new(town.monitor(0x11));
        let served = Arc::new(town.serve(dir.path(), now).await);
        let plain = Arc::new(plain());
        for _ in 0..ROUNDS {
            let (s, w) = (Arc::clone(&served), Arc::clone(&web));
            ours.push(
                rate(move || {
                    let (s, w) = (Arc::clone(&s), Arc::clone(&w));
                    async move { drop(s.admit(&*w, false).await.unwrap()) }
                })
                .await,
            );
            let p = Arc::clone(&plain);
            theirs.push(
                rate(move || {
                    let p = Arc::clone(&p);
                    async move { p.shake().await }
                })
                .await,
            );
        }
    });
    let median = |v: &mut Vec<f64>| {
        v.sort_by(f64::total_cmp);
        v[v.len() / 2]
    };
    let (ours, theirs) = (median(&mut ours), median(&mut theirs));
    println!("{CLIENTS} clients: {ours:.0} admissions/s, {theirs:.0} plain mutual-TLS handshakes/s");
    ratio("admissions / plain handshakes", ours / theirs, ">= 0.5", ours >= 0.5 * theirs);
}
