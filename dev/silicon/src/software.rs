//! A software machine with a monitor on it, in memory: evidence, monitor and statements of the lowest platform there is.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use evidence::layered::{ProgramFacts, verify_monitor, verify_program};
use evidence::software::chain::root_digest;
use evidence::software::layout::{ENDORSEMENT_LABEL, REPORT_LABEL};
use evidence::software::{self, Endorsement, Report};
use evidence::statement::{self, Anchor, HostOs, LimitsBy, ProgramState, Purpose, Statement};
use evidence::{
    Authentic, Binder, BinderKind, ContentDigest, DomainRoot, End, Exporter, HardwareEvidence,
    HardwareFacts, Isolation, Kind, Measurement, MonitorBinding, Nonce, RootDigest, Session, Side,
    SpkiDigest, StatementKey, Time, Window, cose,
};

/// The key pair of a seed that is `n` repeated.
#[must_use]
pub fn pair(n: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[n; 32]).unwrap()
}

/// Its public half.
#[must_use]
pub fn public(n: u8) -> StatementKey {
    StatementKey::from_slice(pair(n).public_key().as_ref()).unwrap()
}

/// An object of ours signed under a label by the key of that seed.
#[must_use]
pub fn signed(n: u8, label: &str, payload: Vec<u8>) -> Vec<u8> {
    let signature = pair(n).sign(&cose::to_be_signed(label, &payload)).as_ref().to_vec();
    cose::assemble(payload, signature)
}

/// A program as a monitor here describes it, measured as `n` repeated.
#[must_use]
pub fn program(n: u8) -> ProgramState {
    ProgramState {
        measurement: Measurement::new([n; 48]),
        isolation: Isolation::Software,
        host: HostOs::Mutable,
        limits: LimitsBy::Rlimit,
        anchor: Anchor::Unprotected,
        open: Vec::new(),
    }
}

/// Everything a machine and its monitor say. Keys are seeds, a byte repeated.
#[derive(Clone, Debug)]
pub struct Machine {
    pub root: u8,
    pub report_key: u8,
    pub statement_key: u8,
    pub id: [u8; 32],
    /// What it launched: the monitor.
    pub image: Measurement,
    pub domain: DomainRoot,
    pub window: Window,
}

impl Machine {
    /// A machine that serves a domain, endorsed for ten minutes from a minute before `now`.
    #[must_use]
    pub fn new(domain: DomainRoot, now: Time) -> Self {
        let window = Window { not_before: now.plus_secs(-60), not_after: now.plus_secs(600) };
        let image = Measurement::new([7; 48]);
        Self { root: 2, report_key: 4, statement_key: 5, id: [3; 32], image, domain, window }
    }

    /// What a policy pins.
    #[must_use]
    pub fn pin(&self) -> RootDigest {
        root_digest(&public(self.root))
    }

    #[must_use]
    pub fn binding(&self, nonce: Nonce) -> MonitorBinding {
        MonitorBinding { domain: self.domain, statement_key: public(self.statement_key), nonce }
    }

    /// Hardware evidence for the monitor's key.
    #[must_use]
    pub fn evidence(&self, nonce: Nonce) -> HardwareEvidence {
        let report_key = public(self.report_key);
        let endorsement = Endorsement { machine: self.id, report_key, window: self.window };
        let report = Report {
            machine: self.id,
            measurement: self.image,
            report_data: self.binding(nonce).fill64(),
            host_data: *self.domain.as_bytes(),
        };
        HardwareEvidence {
            kind: Kind::Software,
            report: signed(self.report_key, REPORT_LABEL, report.encode()),
            endorsements: vec![
                signed(self.root, ENDORSEMENT_LABEL, endorsement.encode()),
                public(self.root).as_bytes().to_vec(),
            ],
        }
    }

    /// An admission of the key whose digest is `leaf` repeated.
    #[must_use]
    pub fn admission(&self, leaf: u8) -> Binder {
        let end = |n: u8| End {
            domain: Some(self.domain),
            spki: Some(SpkiDigest::new([n; 32])),
            nonce: Nonce::new([n; 32]),
        };
        let session = Session {
            exporter: Exporter::new([3; 32]),
            cipher_suite: 0x1302,
            group: 0x11ec,
            inner_protocol: "http/1.1".into(),
        };
        Binder {
            kind: BinderKind::Admission,
            side: Side::Client,
            client: end(leaf),
            server: end(2),
            session,
            claims: ContentDigest::of(b""),
        }
    }

    /// The monitor's statement about a program.
    #[must_use]
    pub fn statement(&self, binder: &Binder, program: ProgramState) -> Vec<u8> {
        let statement = Statement {
            purpose: Purpose::Binder(binder.kind),
            domain: self.domain,
            program,
            binder: binder.digest(),
        };
        signed(self.statement_key, statement::LABEL, statement.encode())
    }

    /// All of it, verified at `now`: the machine and the program on it.
    #[must_use]
    pub fn facts(
        &self,
        program: ProgramState,
        now: Time,
    ) -> (Authentic<HardwareFacts>, Authentic<ProgramFacts>) {
        let nonce = Nonce::new([6; 32]);
        let hardware = software::verify(&self.evidence(nonce), &[self.pin()], now).unwrap();
        let monitor = verify_monitor(&hardware, &self.binding(nonce)).unwrap();
        let binder = self.admission(1);
        let statement = self.statement(&binder, program);
        let program = verify_program(&monitor, &statement, &binder).unwrap();
        (hardware, program)
    }
}
