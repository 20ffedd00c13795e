//! A monitor in an SEV-SNP machine, admitted by a real authority under the shipped production profile. The silicon is of our own making;
//! everything above it is what runs.

use std::path::Path;
use std::sync::Arc;

use channel::admission::client::{AdmissionError, Attester};
use checker::{DecisionRecord, Part, recheck};
use evidence::appraise::Machines;
use evidence::controls::without;
use evidence::snp::{Product, SigningKey};
use evidence::statement::HostOs;
use evidence::{
    Binder, HardwareEvidence, Isolation, Kind, MonitorBinding, Nonce, RootDigest, StatementKey,
};
use platform::PlatformError;
use services::authority::{AuditSecret, sealed_record};
use silicon::Crl;
use silicon::amd::{Machine, around, at, root_of};
use testkit::{AUDIT, MONITOR, Monitor, NOW, Served, Town, clock, program};
use trust::policy::{Place, PlaceBy};

type Change = fn(&mut [u8]);

/// The machine with its vendor's certificates, each signed once.
#[derive(Clone)]
struct Snp {
    machine: Arc<Machine>,
    endorsements: Vec<Vec<u8>>,
}

impl Snp {
    fn new(key: SigningKey) -> Self {
        let machine = Machine::new(Product::Genoa, key, around(NOW));
        let mut endorsements = machine.certificates().to_vec();
        let window = around(NOW);
        let list = Crl {
            issuer: "ARK-Genoa".to_owned(),
            this_update: window.not_before,
            next_update: Some(window.not_after),
            serials: Vec::new(),
            extensions: Vec::new(),
        };
        endorsements.push(list.signed_by(&machine.ark_key));
        Self { machine: Arc::new(machine), endorsements }
    }

    fn evidence(&self, mut report: Vec<u8>) -> HardwareEvidence {
        self.machine.sign(&mut report);
        let endorsements = self.endorsements.clone();
        HardwareEvidence { kind: Kind::Snp, report, endorsements }
    }

    fn root(&self) -> RootDigest {
        root_of(&self.evidence(self.machine.report()))
    }
}

/// A monitor inside: its report carries what the protocol binds.
struct Inside {
    monitor: Monitor,
    snp: Snp,
    change: Change,
}

impl Attester for Inside {
    fn statement_key(&self) -> StatementKey {
        self.monitor.statement_key()
    }

    fn hardware_evidence(&self, nonce: Nonce) -> Result<HardwareEvidence, PlatformError> {
        let (domain, statement_key) = (self.monitor.info().domain, self.statement_key());
        let binding = MonitorBinding { domain, statement_key, nonce };
        let mut report = self.snp.machine.report();
        let mut put = |at: usize, bytes: &[u8]| report[at..at + bytes.len()].copy_from_slice(bytes);
        put(at::REPORT_DATA, binding.fill64().as_bytes());
        put(at::MEASUREMENT, MONITOR.as_bytes());
        put(at::HOST_DATA, domain.as_bytes());
        (self.change)(&mut report);
        Ok(self.snp.evidence(report))
    }

    fn state(&self, binder: &Binder) -> Result<Vec<u8>, PlatformError> {
        Attester::state(&self.monitor, binder)
    }
}

/// How a program on such a machine fares, and the record of it if it was admitted.
fn admitted(change: Change) -> Result<DecisionRecord, AdmissionError> {
    admitted_by(SigningKey::Vcek, change, None)
}

/// The same on a machine with that kind of key, and confined to a region of a provider.
fn admitted_by(
    key: SigningKey,
    change: Change,
    region: Option<&str>,
) -> Result<DecisionRecord, AdmissionError> {
    let (dir, snp) = (tempfile::tempdir().unwrap(), Snp::new(key));
    let mut web = program("web", 0x11, &[]);
    web.on = vec![Kind::Snp];
    web.places = region.iter().map(|_| "there".to_owned()).collect();
    let mut town = Town::new(dir.path(), vec![web]);
    town.policy.places = region
        .iter()
        .map(|r| Place { name: "there".into(), by: PlaceBy::AwsVlek((*r).to_owned()) })
        .collect();
    let hardware = town.policy.hardware.first_mut().unwrap();
    hardware.kind = Kind::Snp;
    hardware.profile = "snp-2026-11".to_owned();
    hardware.roots = vec![snp.root()];
    hardware.machines = Machines::AnyGenuine;
    hardware.isolation = vec![Isolation::MachineSharedKernel];
    hardware.host = vec![HostOs::Measured];
    let mut monitor = town.monitor(0x11);
    monitor.program.isolation = Isolation::MachineSharedKernel;
    monitor.program.host = HostOs::Measured;
    let inside = Inside { monitor, snp, change };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let served: Served = town.serve(dir.path(), clock).await;
        let (admission, _, _) = served.admit(&inside, false).await?;
        Ok(record(dir.path(), &admission.decision))
    })
}

fn record(dir: &Path, name: &evidence::ContentDigest) -> DecisionRecord {
    let sealed = std::fs::read(dir.join("decisions").join(name.to_string())).unwrap();
    let opened = sealed_record::open(&AuditSecret::new(AUDIT), name, &sealed).unwrap();
    DecisionRecord::decode(&opened).unwrap()
}

fn why(change: Change) -> String {
    admitted(change).unwrap_err().to_string()
}

/// DEBUG of the guest's policy.
fn debug(report: &mut [u8]) {
    report[at::POLICY + 2] |= 8;
}

#[test]
fn a_monitor_in_a_confidential_machine_is_admitted_under_the_production_profile() {
    let record = admitted(|_| {}).unwrap();
    assert_eq!((record.hardware.kind, record.role.as_str()), (Kind::Snp, "web"));
    let report = recheck(&record);
    assert!(report.holds(), "{report:?}");
    let english = trust::proof::Proof::decode(&record.proof).unwrap().english();
    assert!(english.iter().any(|l| l.contains("snp")), "{english:?}");
}

#[test]
fn a_machine_the_profile_or_the_policy_does_not_take_is_refused_for_that_reason() {
    assert!(why(debug).contains("snp_debug"), "{}", why(debug));
    let image: Change = |r| r[at::MEASUREMENT] ^= 1;
    assert!(why(image).contains("image"), "{}", why(image));
    let level: Change = |r| r[at::VMPL] = 1;
    assert!(why(level).contains("vmpl"), "{}", why(level));
    let foreign: Change = |r| r[at::HOST_DATA] ^= 1;
    assert!(why(foreign).contains("HOST_DATA"), "{}", why(foreign));
    let stale: Change = |r| r[at::REPORT_DATA] ^= 1;
    assert!(why(stale).contains("REPORT_DATA"), "{}", why(stale));
}

#[test]
fn the_checker_asks_every_knob_of_the_profile_again() {
    // An authority that lets a debuggable machine in writes down what it saw: the checker tells.
    let record = without("snp_debug", || admitted(debug)).unwrap();
    let report = recheck(&record);
    assert!(matches!(report.proof, Part::Failed(_)), "{report:?}");
    assert_eq!(report.evidence, Part::Rechecked, "the evidence itself is genuine");
    assert!(without("recheck_profile", || recheck(&record)).holds());
}

#[test]
fn a_program_confined_to_a_region_runs_where_the_machines_certificate_says_so() {
    let there = |key, region| admitted_by(key, |_| {}, Some(region));
    let record = there(SigningKey::Vlek, "cloud.example").unwrap();
    assert!(recheck(&record).holds(), "{:?}", recheck(&record));
    let english = trust::proof::Proof::decode(&record.proof).unwrap().english().join("\n");
    assert!(english.contains("in region cloud.example"), "{english}");
    // Another region, one whose name only begins so, and a certificate that names none.
    for (key, region) in [
        (SigningKey::Vlek, "elsewhere.example"),
        (SigningKey::Vlek, "cloud.exampl"),
        (SigningKey::Vcek, "cloud.example"),
    ] {
        let refused = there(key, region).unwrap_err().to_string();
        assert!(refused.contains("program.in"), "{refused}");
        let record = without("place_region", || there(key, region)).unwrap();
        assert!(matches!(recheck(&record).proof, Part::Failed(_)), "the checker takes it");
    }
}
