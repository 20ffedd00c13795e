//! The supervisor: stays in the host's namespaces, starts the others, answers the command line.
//!
//! It holds no key and enters no namespace. What it passes on between launcher and proxy are descriptors whose
//! meaning was fixed by launcher and keyholder: it cannot make a program speak for another. When it ends, all end.

pub mod control;
mod directory;
mod spawn;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use evidence::{DomainRoot, Measurement, StatementKey};
use platform::keyholder::{self, Hardware, Reply};
use platform::{PlatformError, message};
use thiserror::Error;

use crate::launcher::{self, Event, Launch, Order};
pub use control::{Client, ControlError, Program, Request, Response};
pub use directory::Directory;

/// Where a domain's monitor keeps what it needs while it runs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Directory for sockets and logs; only its owner can enter.
    pub run: PathBuf,
    /// Directory of programs' state.
    pub state: PathBuf,
    /// The machine underneath.
    pub hardware: Hardware,
    /// The domain.
    pub domain: DomainRoot,
    /// Measurement of this executable.
    pub monitor: Measurement,
}

/// Why a supervisor cannot start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SupervisorError {
    /// The system refused.
    #[error("{what}: {source}")]
    System {
        /// Doing what.
        what: String,
        /// What it said.
        source: io::Error,
    },
    /// One of the processes did not start.
    #[error("{0} did not start; run `casemate doctor`, which says what is missing here")]
    NotStarted(&'static str),
    /// A socket of ours.
    #[error(transparent)]
    Platform(#[from] PlatformError),
}

/// What one program is, as the supervisor knows it.
#[derive(Clone, Debug)]
struct Entry {
    measurement: Measurement,
    pid: i32,
    limits: String,
    status: Option<i32>,
    admission: String,
    address: Option<String>,
}

#[derive(Default)]
struct State {
    programs: BTreeMap<String, Entry>,
    proxies: BTreeMap<String, Proxy>,
    launching: Option<(Event, Vec<OwnedFd>)>,
    /// Ends that came before the program's start was entered: a program can be that quick.
    early: BTreeMap<String, i32>,
    stopping: bool,
    /// The command line asked for the end and is owed an answer.
    asked: bool,
}

struct Proxy {
    process: Child,
    control: Arc<OwnedFd>,
}

/// A running supervisor.
pub struct Supervisor {
    settings: Settings,
    launcher: OwnedFd,
    state: Mutex<State>,
    changed: Condvar,
    /// One launch at a time: the launcher answers in order.
    launches: Mutex<()>,
    children: Mutex<Vec<Child>>,
    directory: Directory,
    /// Key of this monitor's statements.
    pub statement_key: StatementKey,
}

impl Supervisor {
    /// Starts keyholder and launcher and begins to listen.
    ///
    /// # Errors
    /// [`SupervisorError`].
    pub fn start(settings: Settings) -> Result<Arc<Self>, SupervisorError> {
        let system = |what: &Path| {
            let what = what.display().to_string();
            move |source| SupervisorError::System { what, source }
        };
        for dir in [&settings.run, &settings.state] {
            fs::DirBuilder::new().mode(0o700).recursive(true).create(dir).map_err(system(dir))?;
        }
        let (keyholder_process, keyholder, statement_key) = spawn::keyholder(&settings)?;
        let kind = settings.hardware.kind();
        let start = launcher::Start { state: text(&settings.state), kind };
        let (launcher_process, launcher) = spawn::launcher(&start, &keyholder)?;
        drop(keyholder);
        let directory = Directory::new(settings.run.join("peers.json"));
        Ok(Arc::new(Self {
            settings,
            launcher,
            state: Mutex::default(),
            changed: Condvar::new(),
            launches: Mutex::default(),
            children: Mutex::new(vec![keyholder_process, launcher_process]),
            directory,
            statement_key,
        }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the launcher's events until it ends. Run on a thread of its own.
    pub fn watch(self: &Arc<Self>) {
        while let Ok(Some((item, fds))) = message::receive(&self.launcher) {
            let Ok(event) = Event::decode(item) else { break };
            let mut state = self.lock();
            if let Event::Exited { name, status } = &event {
                match state.programs.get_mut(name) {
                    Some(entry) if entry.status.is_none() => entry.status = Some(*status),
                    _ => drop(state.early.insert(name.clone(), *status)),
                }
                let proxy = state.proxies.remove(name);
                drop(state);
                if let Some(proxy) = proxy {
                    end(proxy.process);
                }
            } else {
                state.launching = Some((event, fds));
            }
            self.changed.notify_all();
        }
        self.lock().stopping = true;
        self.changed.notify_all();
    }

    /// True if the command line asked for the end: whoever answers it ends the process.
    #[must_use]
    pub fn is_asked_to_end(&self) -> bool {
        self.lock().asked
    }

    /// Starts a program and its proxy.
    ///
    /// # Errors
    /// What the launcher or the proxy said, for a person to read.
    pub fn run(
        self: &Arc<Self>,
        launch: Launch,
        stdio: [OwnedFd; 3],
        proxy: Option<&[u8]>,
    ) -> Result<Program, String> {
        let _one = self.launches.lock().unwrap_or_else(PoisonError::into_inner);
        let name = launch.name.clone();
        let fds = stdio.iter().map(AsFd::as_fd).collect::<Vec<_>>();
        {
            let mut state = self.lock();
            state.launching = None;
            state.early.remove(&name);
        }
        message::send(&self.launcher, &Order::Launch(launch).encode(), &fds)
            .map_err(|e| e.to_string())?;
        drop(stdio);
        let mut state = self.lock();
        let (launched, fds) = loop {
            match state.launching.take() {
                Some((Event::Launched(l), fds)) => break (l, fds),
                Some((Event::Failed(why), _)) => return Err(why),
                _ if state.stopping => return Err("the monitor is stopping".to_owned()),
                _ => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        };
        let entry = Entry {
            measurement: launched.measurement,
            pid: launched.pid,
            limits: launched.limits.clone(),
            status: state.early.remove(&name),
            admission: match proxy {
                Some(bundle) if !bundle.is_empty() && launched.self_tls => "its own (self-tls)",
                Some(bundle) if !bundle.is_empty() => "starting",
                _ => "none",
            }
            .to_owned(),
            address: None,
        };
        let program = entry.describe(&name);
        state.programs.insert(name.clone(), entry);
        drop(state);
        if let Some(config) = proxy {
            self.start_proxy(&name, config, &launched, fds)?;
            let mut state = self.lock();
            if state.programs.get(&name).is_some_and(|e| e.status.is_some()) {
                let over = state.proxies.remove(&name);
                drop(state);
                over.into_iter().for_each(|p| end(p.process));
            }
        }
        self.changed.notify_all();
        Ok(program)
    }

    fn start_proxy(
        self: &Arc<Self>,
        name: &str,
        config: &[u8],
        launched: &launcher::Launched,
        fds: Vec<OwnedFd>,
    ) -> Result<(), String> {
        let (process, control) = spawn::proxy(config, launched, self.directory.path(), fds)
            .map_err(|e| e.to_string())?;
        let control = Arc::new(control);
        self.lock()
            .proxies
            .insert(name.to_owned(), Proxy { process, control: Arc::clone(&control) });
        let (this, name) = (Arc::clone(self), name.to_owned());
        std::thread::spawn(move || {
            while let Ok(Some((item, _))) = message::receive(control.as_fd()) {
                this.hear_proxy(&name, item);
            }
        });
        Ok(())
    }

    fn hear_proxy(&self, name: &str, item: ciborium::Value) {
        let Some(status) = crate::proxy::Status::decode(item) else { return };
        let mut state = self.lock();
        if let Some(entry) = state.programs.get_mut(name) {
            match status {
                crate::proxy::Status::Listening { port, address } => {
                    self.directory.set(name, port, &address);
                    entry.address.get_or_insert(address);
                }
                crate::proxy::Status::Admitted(what) => {
                    entry.admission = format!("admitted: {what}")
                }
                crate::proxy::Status::Refused(why) => entry.admission = format!("refused: {why}"),
            }
        }
        self.changed.notify_all();
    }

    /// Sends every proxy a message (a new authority endorsement, say).
    pub fn tell_proxies(&self, item: &ciborium::Value) {
        let controls =
            self.lock().proxies.values().map(|p| Arc::clone(&p.control)).collect::<Vec<_>>();
        for control in controls {
            let _ = message::send(control.as_fd(), item, &[]);
        }
    }

    /// Every program that was started.
    #[must_use]
    pub fn list(&self) -> Vec<Program> {
        self.lock().programs.iter().map(|(n, e)| e.describe(n)).collect()
    }

    /// Waits until `until` says of a program what is wanted, or the monitor stops.
    pub fn wait<T>(&self, name: &str, until: impl Fn(&Program) -> Option<T>) -> Option<T> {
        let mut state = self.lock();
        loop {
            let found = until(&state.programs.get(name)?.describe(name));
            if found.is_some() || state.stopping {
                return found;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Sends a program a signal.
    pub fn signal(&self, name: &str, signal: i32) {
        let order = Order::Signal { name: name.to_owned(), signal };
        let _ = message::send(&self.launcher, &order.encode(), &[]);
    }

    /// Ends everything: programs first, then proxies, launcher and keyholder; leaves no file behind but logs.
    pub fn shutdown(&self) {
        let names = {
            let mut state = self.lock();
            state.stopping = true;
            state.asked = true;
            state
                .programs
                .iter()
                .filter(|(_, e)| e.status.is_none())
                .map(|(n, _)| n.clone())
                .collect::<Vec<_>>()
        };
        for name in &names {
            self.signal(name, libc::SIGTERM);
        }
        let patience = std::time::Duration::from_millis(500);
        let begin = std::time::Instant::now();
        let mut state = self.lock();
        while begin.elapsed() < patience && state.programs.values().any(|e| e.status.is_none()) {
            let left = patience.saturating_sub(begin.elapsed());
            state =
                self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        let proxies = std::mem::take(&mut state.proxies);
        drop(state);
        for name in &names {
            self.signal(name, libc::SIGKILL);
        }
        proxies.into_values().for_each(|p| end(p.process));
        let children =
            std::mem::take(&mut *self.children.lock().unwrap_or_else(PoisonError::into_inner));
        let _ = rustix::net::shutdown(&self.launcher, rustix::net::Shutdown::Both);
        for mut child in children.into_iter().rev() {
            // The launcher ends when its socket closes and takes its groups along; the keyholder ends with it.
            let begin = std::time::Instant::now();
            while begin.elapsed() < patience && matches!(child.try_wait(), Ok(None)) {
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
            end(child);
        }
        for name in ["control.sock", "peers.json"] {
            let _ = fs::remove_file(self.settings.run.join(name));
        }
        self.changed.notify_all();
    }
}

impl Entry {
    fn describe(&self, name: &str) -> Program {
        Program {
            name: name.to_owned(),
            measurement: self.measurement,
            pid: self.pid,
            limits: self.limits.clone(),
            status: self.status,
            admission: self.admission.clone(),
            address: self.address.clone(),
        }
    }
}

fn end(mut process: Child) {
    let _ = process.kill();
    let _ = process.wait();
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// The keyholder's answer to its start message.
fn statement_key(reply: ciborium::Value) -> Option<StatementKey> {
    match keyholder::Reply::decode(reply) {
        Ok(Reply::Bytes(b)) => StatementKey::from_slice(&b),
        _ => None,
    }
}
