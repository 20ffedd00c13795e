//! A domain in one process, for tests and benchmarks: owners, a software machine, monitors without isolation, and an
//! authority behind a real socket. Never shipped; what a monitor isolates and measures is tested elsewhere.
#![forbid(unsafe_code)]
#![allow(missing_docs, reason = "read by this project's own tests")]
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::path::Path;
use std::sync::Arc;

use channel::admission::client::{self, AdmissionError, Attester, Connected, Pending};
use channel::admission::{Bundle, LogSeen};
use channel::credential::{Ca, spki_digest};
use channel::keys::LeafKey;
use channel::{DomainTrust, StatementSource, admission::Admission};
use evidence::appraise::Machines;
use evidence::statement::{self, Anchor, HostOs, LimitsBy, ProgramState, Purpose, Statement};
use evidence::{
    Binder, BinderKind, HardwareEvidence, Isolation, Kind, Measurement, MonitorBinding, Nonce,
    Side, StatementKey, Time, Window,
};
use ledger::note::Signer;
use platform::software::{self, Machine};
use platform::{Info, PlatformError, Secret};
use services::authority::{AuditSecret, Core, Keys, Ledgered, Limits, SecretsPair, Speaker, serve};
use trust::genesis::Genesis;
use trust::policy::{Hardware, Policy, PolicyInForce, Program};
use trust::signing::{Namespace, Signed, Signers, SigningKey};
use trust::{AuthorityEndorsement, DomainName, EndorsedAuthority, RoleName};

/// The time in every test.
pub const NOW: Time = Time::from_unix(1_800_000_000);
/// What the software machine measures: the monitor.
pub const MONITOR: Measurement = Measurement::new([7; 48]);
/// The owners' audit key.
pub const AUDIT: [u8; 32] = [6; 32];
/// The authority's own program.
pub const AUTHORITY: Measurement = Measurement::new([1; 48]);

/// A clock that stands at [`NOW`].
pub fn clock() -> Time {
    NOW
}

/// Owners, their policy, their machine.
pub struct Town {
    pub genesis: Genesis,
    pub owner: SigningKey,
    pub machine: Arc<Machine>,
    pub policy: Policy,
    pub ca: Ca,
    pub trust: Arc<DomainTrust>,
    pub limits: Limits,
}

/// A role of the policy whose measurement is `n` repeated, and whom it may connect to.
pub fn program(role: &str, n: u8, connect: &[&str]) -> Program {
    Program {
        role: RoleName::new(role).unwrap(),
        measurements: vec![Measurement::new([n; 48])],
        on: vec![Kind::Software],
        places: Vec::new(),
        listen: vec![80],
        connect: connect.iter().map(|r| RoleName::new(r).unwrap()).collect(),
        secrets: Vec::new(),
        outsiders: Vec::new(),
        releases: Vec::new(),
        builds: Vec::new(),
    }
}

impl Town {
    /// A domain whose machine lives in `dir`, with those programs.
    pub fn new(dir: &Path, programs: Vec<Program>) -> Self {
        Self::at(dir, programs, NOW)
    }

    /// The same, founded at another time.
    pub fn at(dir: &Path, programs: Vec<Program>, now: Time) -> Self {
        let owner = SigningKey::from_seed([9; 32]).unwrap();
        let signers = Signers::new(1, &[owner.public_openssh().unwrap()]).unwrap();
        let domain = DomainName::new("town").unwrap();
        let genesis = Genesis::new(domain.clone(), signers, [9; 32]);
        let machine = Arc::new(Machine::create(&dir.join("machine"), now).unwrap());
        let hardware = Hardware {
            kind: Kind::Software,
            profile: String::new(),
            roots: vec![machine.root()],
            machines: Machines::AnyGenuine,
            images: vec![MONITOR],
            isolation: vec![Isolation::Software],
            host: vec![HostOs::Mutable],
        };
        let root = genesis.root();
        let hardware = vec![hardware];
        let policy = Policy {
            domain,
            root,
            version: 1,
            previous: None,
            hardware,
            programs,
            issuers: Vec::new(),
            places: Vec::new(),
        };
        let window =
            Window { not_before: now.plus_secs(-3600), not_after: now.plus_secs(30 * 86_400) };
        let (ca, _) = Ca::create("town", window).unwrap();
        let endorsement = AuthorityEndorsement {
            domain: root,
            ca: spki_digest(ca.certificate()).unwrap(),
            log: log_signer().verifier().to_text(),
            measurement: AUTHORITY,
            audit: AuditSecret::new(AUDIT).public().unwrap(),
            secrets: secrets_pair().public().unwrap(),
            window,
        };
        let signed = sign(&owner, Namespace::Endorsement, endorsement.encode());
        let authority = EndorsedAuthority::verify(&signed, &genesis, now).unwrap();
        let trust = Arc::new(DomainTrust::new(authority, ca.certificate()).unwrap());
        let limits =
            Limits { monitor_lease_secs: 3600, credential_secs: 600, exportable_secs: 600 };
        Self { genesis, owner, machine, policy, ca, trust, limits }
    }

    /// The policy as its owners put it in force.
    pub fn in_force(&self) -> PolicyInForce {
        let signed = sign(&self.owner, Namespace::Policy, self.policy.encode());
        PolicyInForce::verify(&signed, &self.genesis, None).unwrap()
    }

    /// A monitor on the town's machine that speaks for the program measured as `n` repeated.
    pub fn monitor(&self, n: u8) -> Monitor {
        self.monitor_for(Measurement::new([n; 48]))
    }

    fn monitor_for(&self, measurement: Measurement) -> Monitor {
        Monitor::of(&self.machine, &self.trust, measurement)
    }

    /// The state of an authority whose log and records live in `dir`.
    pub fn core(self, dir: &Path) -> Core {
        let policy = self.in_force();
        let signer = log_signer();
        let audit = self.trust.authority().endorsement().audit;
        let log = Ledgered::open(dir, signer, audit).unwrap();
        let keys = Keys { ca: self.ca, secrets: secrets_pair() };
        Core::new(self.trust, keys, policy, log, self.limits)
    }

    /// Starts an authority in this runtime; its address, and what clients need.
    pub async fn serve(self, dir: &Path, clock: fn() -> Time) -> Served {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (trust, machine) = (Arc::clone(&self.trust), Arc::clone(&self.machine));
        let speaker = self.monitor_for(AUTHORITY);
        let owner = SigningKey::from_seed([9; 32]).unwrap();
        let genesis = self.genesis.clone();
        let core = self.core(dir);
        let state = dir.to_owned();
        let info = speaker.info();
        tokio::spawn(async move {
            serve(core, Box::new(speaker), info, listener, state, clock).await.unwrap();
        });
        Served { address, trust, machine, owner, genesis, clock }
    }
}

/// The authority's key for role secrets.
pub fn secrets_pair() -> SecretsPair {
    SecretsPair::new([6; 32])
}

/// The key of the authority's log.
pub fn log_signer() -> Signer {
    Signer::new("town/log", Secret::new([5; 32])).unwrap()
}

/// Signs an object as the owner.
pub fn sign(owner: &SigningKey, namespace: Namespace, payload: Vec<u8>) -> Signed {
    let signatures = vec![owner.sign(namespace, &payload).unwrap()];
    Signed { payload, signatures }
}

/// A monitor without isolation: it says of a program what it is told to say.
#[derive(Clone)]
pub struct Monitor {
    machine: Arc<Machine>,
    seed: Arc<Secret<[u8; 32]>>,
    domain: evidence::DomainRoot,
    pub program: ProgramState,
}

impl Monitor {
    fn of(machine: &Arc<Machine>, trust: &DomainTrust, measurement: Measurement) -> Self {
        let program = ProgramState {
            measurement,
            isolation: Isolation::Software,
            host: HostOs::Mutable,
            limits: LimitsBy::Rlimit,
            anchor: Anchor::Unprotected,
            open: Vec::new(),
        };
        let (machine, seed) = (Arc::clone(machine), Arc::new(Secret::new([4; 32])));
        Self { machine, seed, domain: trust.root(), program }
    }

    pub fn info(&self) -> Info {
        let statement_key = self.statement_key();
        Info { domain: self.domain, statement_key, program: self.program.clone() }
    }

    fn sign(&self, binder: &Binder) -> Vec<u8> {
        let mut binder = binder.clone();
        let own = if binder.side == Side::Client { &mut binder.client } else { &mut binder.server };
        own.domain = Some(self.domain);
        let statement = Statement {
            purpose: Purpose::Binder(binder.kind),
            domain: self.domain,
            program: self.program.clone(),
            binder: binder.digest(),
        };
        let signature = software::sign(&self.seed, statement::LABEL, &statement.encode());
        statement::assemble(&statement, signature)
    }
}

impl Attester for Monitor {
    fn statement_key(&self) -> StatementKey {
        software::public(&self.seed)
    }

    fn hardware_evidence(&self, nonce: Nonce) -> Result<HardwareEvidence, PlatformError> {
        let (domain, statement_key) = (self.domain, self.statement_key());
        let binding = MonitorBinding { domain, statement_key, nonce };
        Ok(self.machine.report(MONITOR, binding.fill64(), *domain.as_bytes()))
    }

    fn state(&self, binder: &Binder) -> Result<Vec<u8>, PlatformError> {
        Ok(self.sign(binder))
    }
}

impl Speaker for Monitor {
    fn state(&mut self, binder: &Binder) -> Result<Vec<u8>, PlatformError> {
        Ok(self.sign(binder))
    }
}

impl StatementSource for Monitor {
    fn kind(&self) -> BinderKind {
        BinderKind::ChannelMonitor
    }

    async fn state(&self, binder: &Binder) -> Result<Vec<u8>, PlatformError> {
        Ok(self.sign(binder))
    }
}

/// A running authority.
pub struct Served {
    pub address: String,
    pub trust: Arc<DomainTrust>,
    pub machine: Arc<Machine>,
    pub owner: SigningKey,
    pub genesis: Genesis,
    clock: fn() -> Time,
}

impl Served {
    /// An authority that somebody else serves.
    pub fn elsewhere(
        address: String,
        trust: Arc<DomainTrust>,
        machine: Arc<Machine>,
        owner: SigningKey,
        genesis: Genesis,
    ) -> Self {
        Self { address, trust, machine, owner, genesis, clock }
    }

    /// A monitor on its machine, as [`Town::monitor`] makes one before the authority is served.
    pub fn monitor(&self, n: u8) -> Monitor {
        Monitor::of(&self.machine, &self.trust, Measurement::new([n; 48]))
    }

    pub fn bundle(&self) -> Bundle {
        let endorsement = self.trust.authority().endorsement().encode();
        Bundle {
            genesis: self.genesis.encode(),
            endorsement: sign(&self.owner, Namespace::Endorsement, endorsement).encode(),
            ca: self.trust.ca().to_vec(),
            authority: self.address.clone(),
            role: None,
        }
    }

    /// The first half of an admission with a fresh key.
    ///
    /// # Errors
    /// [`AdmissionError`].
    pub async fn begin(
        &self,
        monitor: &impl Attester,
        exportable: bool,
    ) -> Result<(Pending, LeafKey), AdmissionError> {
        let key = LeafKey::generate().unwrap();
        let pending = client::begin(
            &self.address,
            &self.trust,
            monitor,
            key.spki(),
            None,
            exportable,
            self.clock,
        )
        .await?;
        Ok((pending, key))
    }

    /// A whole admission.
    ///
    /// # Errors
    /// [`AdmissionError`].
    pub async fn admit(
        &self,
        monitor: &impl Attester,
        exportable: bool,
    ) -> Result<(Admission, Connected, LeafKey), AdmissionError> {
        self.admit_after(monitor, exportable, &mut LogSeen::default()).await
    }

    /// A whole admission of a client that has seen the log before.
    ///
    /// # Errors
    /// [`AdmissionError`].
    pub async fn admit_after(
        &self,
        monitor: &impl Attester,
        exportable: bool,
        seen: &mut LogSeen,
    ) -> Result<(Admission, Connected, LeafKey), AdmissionError> {
        let (pending, key) = self.begin(monitor, exportable).await?;
        let signature = key.sign(&pending.to_be_signed()).unwrap();
        let (admission, connected) = pending.finish(signature, seen).await?;
        Ok((admission, connected, key))
    }
}
