//! The `casemate` command.
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let ran = match args.next().as_deref() {
        Some("__keyholder") => monitor::keyholder::run().map_err(|e| e.to_string()),
        Some("__launcher") => monitor::launcher::run().map_err(|e| e.to_string()),
        Some("__try") => try_it(args.collect()),
        _ => Err("not yet".to_owned()),
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("casemate: {e}");
            ExitCode::from(2)
        }
    }
}

fn try_it(args: Vec<String>) -> Result<(), String> {
    use std::os::fd::AsFd;
    let dir = std::env::temp_dir().join(format!("try-{}", std::process::id()));
    let machine = dir.join("machine");
    platform::software::Machine::create(&machine, evidence::Time::from_unix(1_800_000_000))
        .map_err(|e| e.to_string())?;
    let settings = monitor::supervisor::Settings {
        run: dir.join("run"),
        state: dir.join("state"),
        machine,
        domain: evidence::DomainRoot::new([1; 32]),
        monitor: evidence::Measurement::new([2; 48]),
    };
    let s = monitor::supervisor::Supervisor::start(settings).map_err(|e| e.to_string())?;
    let w = std::sync::Arc::clone(&s);
    std::thread::spawn(move || w.watch());
    let mut config = monitor::program::Config::new(args);
    config.stdio = monitor::program::config::Stdio::Plain;
    let mut expected = None;
    let mut code = 0;
    for i in 0..3 {
        let t = std::time::Instant::now();
        let launch = monitor::launcher::Launch {
            name: "x".into(),
            config: config.to_json().map_err(|e| e.to_string())?.into_bytes(),
            expected,
        };
        let dup =
            |f: std::os::fd::BorrowedFd<'_>| f.try_clone_to_owned().map_err(|e| e.to_string());
        let stdio = [
            dup(std::io::stdin().as_fd())?,
            dup(std::io::stdout().as_fd())?,
            dup(std::io::stderr().as_fd())?,
        ];
        let p = s.run(launch, stdio, None)?;
        let started = t.elapsed();
        expected = Some(p.measurement);
        code = s.wait("x", |p| p.status).unwrap_or(99);
        eprintln!(
            "run {i}: started {started:?} ended {:?} status {code} {} {}",
            t.elapsed(),
            p.limits,
            p.measurement
        );
    }
    s.shutdown();
    let _ = std::fs::remove_dir_all(&dir);
    std::process::exit(code)
}
