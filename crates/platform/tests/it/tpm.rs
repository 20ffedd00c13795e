//! A TPM's machine on a real TPM 2.0 (swtpm): its evidence, its sealing root, and every way of passing off another machine.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use evidence::controls::without;
use evidence::tpm::TpmRefusal;
use evidence::tpm::machine::{self, DOMAIN_PCR, Report, domain_register, key_root};
use evidence::{DomainRoot, HardwareEvidence, Kind, ReportData, Time, hardware};
use platform::tpm::{Machine, TpmError};

const NOW: Time = Time::from_unix(1_800_000_000);
const DOMAIN: DomainRoot = DomainRoot::new([0xd0; 32]);

/// A TPM of its own; it is off when this ends, and its seeds stay in `dir`.
struct Tpm {
    process: Child,
    socket: PathBuf,
}

impl Tpm {
    fn on(dir: &Path) -> Option<Self> {
        if !Path::new("/usr/bin/swtpm").exists() {
            println!("skipped: swtpm is not installed");
            return None;
        }
        let socket = dir.join("socket");
        let _ = std::fs::remove_file(&socket);
        let process = Command::new("/usr/bin/swtpm")
            .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear"])
            .args(["--tpmstate", &format!("dir={}", dir.display())])
            .args(["--server", &format!("type=unixio,path={}", socket.display())])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begin = Instant::now();
        while !socket.exists() {
            assert!(begin.elapsed() < Duration::from_secs(20), "swtpm did not start");
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(Self { process, socket })
    }
}

impl Drop for Tpm {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn changed(evidence: &HardwareEvidence, change: impl FnOnce(&mut Report)) -> HardwareEvidence {
    let mut report = Report::decode(&evidence.report).unwrap();
    change(&mut report);
    HardwareEvidence { report: report.encode(), ..evidence.clone() }
}

#[test]
fn a_tpms_word_for_a_machine_is_authentic_under_its_key_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let Some(tpm) = Tpm::on(dir.path()) else { return };
    let (mut own, _) = Machine::open(&tpm.socket, DOMAIN).unwrap();
    let evidence = own.report([7; 32]).unwrap();
    let root = key_root(own.public());
    let facts = hardware::verify(&evidence, &[root], NOW).unwrap().facts().clone();
    assert_eq!((facts.kind, facts.root, facts.host_data), (Kind::Tpm, root, *DOMAIN.as_bytes()));
    let mut data = [0; 64];
    data[..32].fill(7);
    assert_eq!(facts.report_data, ReportData::new(data));
    let refusal = |e: &HardwareEvidence| machine::verify(e, &[root], NOW).unwrap_err();
    // Another key, named by nobody.
    let unnamed = machine::verify(&evidence, &[key_root(b"another")], NOW).unwrap_err();
    assert_eq!(unnamed, TpmRefusal::UnnamedKey(root));
    assert!(without("tpm_machine_key_named", || machine::verify(&evidence, &[], NOW)).is_ok());
    // Values, and so a measurement, that nobody quoted.
    let other = changed(&evidence, |r| {
        r.values.insert(4, [1; 32]);
    });
    assert_eq!(refusal(&other), TpmRefusal::Values);
    assert!(without("tpm_machine_values", || machine::verify(&other, &[root], NOW)).is_ok());
    // A domain that the register does not hold.
    let other = changed(&evidence, |r| r.domain = DomainRoot::new([0xee; 32]));
    assert_eq!(refusal(&other), TpmRefusal::Domain(DomainRoot::new([0xee; 32])));
    assert!(without("tpm_machine_domain", || machine::verify(&other, &[root], NOW)).is_ok());
    // A quote that was changed.
    let other = changed(&evidence, |r| r.quote[50] ^= 1);
    assert_eq!(refusal(&other), TpmRefusal::Signature);
    // Bytes behind the report, and no key at all.
    let mut longer = evidence.clone();
    longer.report.push(0);
    assert!(matches!(refusal(&longer), TpmRefusal::Report(_)));
    assert_eq!(
        refusal(&HardwareEvidence { endorsements: Vec::new(), ..evidence }),
        TpmRefusal::NoKey
    );
}

#[test]
fn a_machine_serves_one_domain_until_it_is_reset_and_then_any() {
    let dir = tempfile::tempdir().unwrap();
    let Some(tpm) = Tpm::on(dir.path()) else { return };
    let (mut first, sealing) = Machine::open(&tpm.socket, DOMAIN).unwrap();
    let before = Report::decode(&first.report([0; 32]).unwrap().report).unwrap();
    assert_eq!(before.values[&DOMAIN_PCR], domain_register(&DOMAIN));
    let key = first.public().to_vec();
    drop(first);
    drop(tpm);
    // Power off and on: the same key and the same sealing root come from the same seeds, and another domain gets another root.
    let tpm = Tpm::on(dir.path()).unwrap();
    let (again, same) = Machine::open(&tpm.socket, DOMAIN).unwrap();
    assert_eq!(again.public(), key);
    assert_eq!(same.expose(), sealing.expose());
    drop((again, tpm));
    let tpm = Tpm::on(dir.path()).unwrap();
    let elsewhere = DomainRoot::new([0xee; 32]);
    let (other, theirs) = Machine::open(&tpm.socket, elsewhere).unwrap();
    assert_eq!(other.public(), key);
    assert_ne!(theirs.expose(), sealing.expose());
    drop(other);
    // A monitor that starts again finds its domain; one of another domain is refused, the register only grows.
    drop(Machine::open(&tpm.socket, elsewhere).unwrap());
    let refused = Machine::open(&tpm.socket, DOMAIN).unwrap_err();
    assert!(matches!(refused, TpmError::Taken { domain: DOMAIN, .. }), "{refused}");
}

#[test]
fn a_missing_tpm_is_named() {
    let refused = Machine::open(Path::new("/nonexistent/tpm"), DOMAIN).unwrap_err();
    assert!(matches!(refused, TpmError::Device { .. }), "{refused}");
    assert!(refused.to_string().contains("needs a TPM 2.0"));
}
