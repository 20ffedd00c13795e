//! Samples, medians and the lines that are printed.

use std::time::{Duration, Instant};

/// What it ran on.
pub fn machine() {
    let read = |p: &str| std::fs::read_to_string(p).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|l| l.strip_prefix("model name")).unwrap_or("?");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!("{cores} cores, {}; kernel {}", model.trim_start_matches([' ', '\t', ':']), read("/proc/sys/kernel/osrelease").trim());
}

/// Time of `what`, once.
pub fn time<T>(what: impl FnOnce() -> T) -> Duration {
    let begin = Instant::now();
    std::hint::black_box(what());
    begin.elapsed()
}

/// CPU time of this process so far, all threads.
pub fn cpu() -> Duration {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(t.tv_sec as u64, t.tv_nsec as u32)
}

/// Samples of one candidate.
#[derive(Default)]
pub struct Samples(Vec<Duration>);

impl Samples {
    pub fn add(&mut self, d: Duration) {
        self.0.push(d);
    }

    /// The value below which `part` of a hundred samples lie.
    pub fn percentile(&self, part: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        sorted.get((sorted.len() * part / 100).min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
    }

    pub fn median(&self) -> Duration {
        self.percentile(50)
    }
}

/// A ratio with its verdict.
pub fn ratio(what: &str, got: f64, promise: &str, kept: bool) {
    println!("{what}: {got:.2} (promise {promise}: {})", if kept { "kept" } else { "MISSED" });
}
