//! TPM quotes, Azure machines and NitroTPM quotes of our own making: all is signed as it should be, so every check stands alone. Each
//! attack is refused for exactly its reason, and passes once only that check is removed.

use std::collections::BTreeMap;

use evidence::azure::{self, AzureRefusal};
use evidence::bytes::sha256;
use evidence::controls::without;
use evidence::snp::{self, Product, SigningKey};
use evidence::tcg::{self, Bank, LogError};
use evidence::tpm::{
    AttestationKey, Facts, KeyKind, Knobs, Pcrs, Public, TpmRefusal, appraise, appraise_log,
    explained, parse_public, parse_quote, parse_signature, quoted as covered, verify,
};
use evidence::x509::Certificate as Read;
use evidence::x509::path::PathError;
use evidence::{
    Authentic, Check, HardwareEvidence, HardwareFacts, Outcome, RootDigest, Time, Window,
};
use silicon::amd::{Machine, around, at, root_of};
use silicon::{Certificate, Key};

use crate::profiles::{FORENSIC, changed, demands_every_knob, impossible, shipped};

const NOW: Time = Time::from_unix(1_800_000_000);
const NONCE: [u8; 32] = [0x5a; 32];
/// restricted, sign, fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth.
const AK: u32 = 1 << 18 | 1 << 16 | 1 << 6 | 1 << 5 | 1 << 4 | 1 << 1;

fn window() -> Window {
    Window { not_before: NOW.plus_secs(-100), not_after: NOW.plus_secs(100) }
}

/// What a test changes before anything is signed.
struct Tpm {
    root: Certificate,
    ak_cert: Certificate,
    root_key: Key,
    ak_key: Key,
    attributes: u32,
    pcrs: BTreeMap<u32, Vec<u8>>,
    selected: Vec<u32>,
    bank: u16,
    nonce: Vec<u8>,
    safe: u8,
    magic: u32,
    kind: u16,
    behind: Vec<u8>,
}

impl Tpm {
    fn new() -> Self {
        let (root_key, ak_key) = (Key::p256(), Key::p256());
        let usage = ("2.5.29.15", true, vec![3, 2, 7, 0x80]);
        Self {
            root: Certificate::new("TPM root", "TPM root", &root_key, window()).authority(Some(0)),
            ak_cert: Certificate::new("AK", "TPM root", &ak_key, window())
                .with(usage.0, usage.1, usage.2),
            root_key,
            ak_key,
            attributes: AK,
            pcrs: (0..24).map(|n| (n, vec![n as u8 + 1; 32])).collect(),
            selected: (0..8).collect(),
            bank: 0x000b,
            nonce: NONCE.to_vec(),
            safe: 1,
            magic: 0xff54_4347,
            kind: 0x8018,
            behind: Vec::new(),
        }
    }

    fn message(&self) -> Vec<u8> {
        let mut bits = [0_u8; 3];
        for n in &self.selected {
            bits[*n as usize / 8] |= 1 << (n % 8);
        }
        let values = self.selected.iter().flat_map(|n| self.pcrs[n].clone()).collect::<Vec<_>>();
        let sized = |b: &[u8]| [&u16::try_from(b.len()).unwrap().to_be_bytes()[..], b].concat();
        [
            &self.magic.to_be_bytes()[..],
            &self.kind.to_be_bytes(),
            &sized(&[0, 0x0b, 9, 9]),
            &sized(&self.nonce),
            &77_u64.to_be_bytes(),
            &2_u32.to_be_bytes(),
            &3_u32.to_be_bytes(),
            &[self.safe],
            &0x2019_1023_0016_3636_u64.to_be_bytes(),
            &1_u32.to_be_bytes(),
            &self.bank.to_be_bytes(),
            &[3],
            &bits,
            &sized(&sha256(&values)),
            &self.behind,
        ]
        .concat()
    }

    /// TPMT_PUBLIC of the key.
    fn public(&self) -> Vec<u8> {
        public(&self.ak_key, self.attributes)
    }

    fn quote(&self) -> Quoted {
        let message = self.message();
        let fixed = self.ak_key.sign_p256_fixed(&message);
        let signature =
            [&[0, 0x18, 0, 0x0b, 0, 32][..], &fixed[..32], &[0, 32], &fixed[32..]].concat();
        let root = self.root.signed_by(&self.root_key);
        Quoted {
            message,
            signature,
            certificate: self.ak_cert.signed_by(&self.root_key),
            root,
            public: self.public(),
            pcrs: Pcrs::from([(Bank::Sha256, self.pcrs.clone())]),
        }
    }
}

fn public(key: &Key, attributes: u32) -> Vec<u8> {
    let point = key.point();
    [
        &[0, 0x23, 0, 0x0b][..],
        &attributes.to_be_bytes(),
        &[0, 0, 0, 0x10, 0, 0x18, 0, 0x0b, 0, 3, 0, 0x10, 0, 32],
        &point[..32],
        &[0, 32],
        &point[32..],
    ]
    .concat()
}

struct Quoted {
    message: Vec<u8>,
    signature: Vec<u8>,
    certificate: Vec<u8>,
    root: Vec<u8>,
    public: Vec<u8>,
    pcrs: Pcrs,
}

impl Quoted {
    fn roots(&self) -> [RootDigest; 1] {
        [RootDigest::new(sha256(&self.root))]
    }

    fn key(&self) -> Result<AttestationKey, TpmRefusal> {
        let root = [Read::parse(&self.root).unwrap()];
        let public = parse_public(&self.public)?;
        AttestationKey::certified(&self.certificate, &root, &self.roots(), Some(&public), NOW)
    }

    fn verify(&self) -> Result<Authentic<Facts>, TpmRefusal> {
        let key = self.key()?;
        verify(&self.message, &parse_signature(&self.signature, key.kind())?, &key, NOW)
    }
}

fn quoted(change: impl Fn(&mut Tpm)) -> Quoted {
    let mut tpm = Tpm::new();
    change(&mut tpm);
    tpm.quote()
}

fn only(check: &'static str, quoted: &Quoted) -> TpmRefusal {
    let refused = quoted.verify().unwrap_err();
    let removed = without(check, || quoted.verify());
    assert!(removed.is_ok(), "without {check}: {:?}", removed.err());
    refused
}

fn failures(checks: &[Check]) -> Vec<&'static str> {
    checks.iter().filter(|c| c.outcome == Outcome::Failed).map(|c| c.name).collect()
}

fn strict() -> Knobs {
    shipped("tpm-2026-11")
}

#[test]
fn a_quote_of_our_own_is_authentic_and_taken() {
    let q = quoted(|_| {});
    let verified = q.verify().unwrap();
    assert!(failures(&appraise(verified.facts(), &q.pcrs, &strict())).is_empty());
    assert_eq!(verified.holds_until(), window().not_after);
    let facts = &verified.facts().quote;
    assert_eq!((facts.extra_data.as_slice(), facts.reset_count, facts.safe), (&NONCE[..], 2, true));
    assert_eq!(facts.selections[0].pcrs, (0..8).collect::<Vec<_>>());
}

#[test]
fn only_what_a_tpm_made_about_itself_is_a_quote() {
    let refused = |change: &dyn Fn(&mut Tpm)| quoted(change).verify().unwrap_err();
    assert_eq!(refused(&|t| t.magic = 1), TpmRefusal::Magic(1));
    assert_eq!(refused(&|t| t.kind = 0x8017), TpmRefusal::Type(0x8017));
    assert_eq!(refused(&|t| t.behind = vec![0]), TpmRefusal::Form("TPMS_ATTEST"));
    assert_eq!(refused(&|t| t.safe = 2), TpmRefusal::Unknown { what: "safe", got: 2 });
    let bank = TpmRefusal::Unknown { what: "algorithm of a PCR bank", got: 0x27 };
    assert_eq!(refused(&|t| t.bank = 0x27), bank);
    let q = quoted(|_| {});
    for len in 0..q.message.len() {
        assert!(parse_quote(&q.message[..len]).is_err(), "cut at {len}");
    }
    for at in 0..q.message.len() {
        let mut changed = quoted(|_| {});
        changed.message[at] ^= 1;
        assert!(changed.verify().is_err(), "byte {at} may change");
    }
    let long = vec![0; 5000];
    assert!(matches!(parse_quote(&long), Err(TpmRefusal::TooLong { .. })));
}

#[test]
fn another_keys_signature_or_scheme_is_refused() {
    let mut q = quoted(|_| {});
    q.message[40] ^= 1;
    assert_eq!(only("tpm_quote_signature", &q), TpmRefusal::Signature);
    // An RSA signature, or a weak hash, under a key on P-256.
    let mut q = quoted(|_| {});
    q.signature[1] = 0x14;
    assert!(matches!(q.verify(), Err(TpmRefusal::Unknown { what: "signature algorithm", .. })));
    let mut q = quoted(|_| {});
    q.signature[3] = 0x04;
    assert!(matches!(q.verify(), Err(TpmRefusal::Unknown { what: "hash of the signature", .. })));
    let q = quoted(|_| {});
    let rsa = parse_signature(&[7; 256], KeyKind::Rsa).unwrap();
    assert_eq!(verify(&q.message, &rsa, &q.key().unwrap(), NOW).unwrap_err(), TpmRefusal::Scheme);
}

#[test]
fn a_certificate_is_an_attestation_keys_under_a_pinned_root() {
    let authority = quoted(|t| {
        t.ak_cert.extensions = vec![("2.5.29.15".into(), true, vec![3, 2, 2, 0x84])];
        t.ak_cert = t.ak_cert.clone().authority(None);
    });
    assert!(matches!(only("tpm_ak_leaf", &authority), TpmRefusal::Usage(_)));
    let signs_nothing =
        quoted(|t| t.ak_cert.extensions = vec![("2.5.29.15".into(), true, vec![3, 2, 5, 0x20])]);
    assert!(matches!(only("tpm_ak_leaf", &signs_nothing), TpmRefusal::Usage(_)));
    let critical = quoted(|t| t.ak_cert = t.ak_cert.clone().with("1.2.3.4", true, vec![5, 0]));
    assert!(matches!(only("tpm_ak_critical_extension", &critical), TpmRefusal::Usage(_)));
    let mut other = quoted(|_| {});
    other.public = public(&Key::p256(), AK);
    assert_eq!(only("tpm_ak_same_key", &other), TpmRefusal::OtherKey);
    let q = quoted(|_| {});
    let root = [Read::parse(&q.root).unwrap()];
    let unpinned = AttestationKey::certified(&q.certificate, &root, &[], None, NOW).unwrap_err();
    assert!(matches!(unpinned, TpmRefusal::Path(PathError::UntrustedRoot(_))));
    for (at, good) in [(-101, false), (-100, true), (100, true), (101, false)] {
        let key =
            AttestationKey::certified(&q.certificate, &root, &q.roots(), None, NOW.plus_secs(at));
        assert_eq!(key.is_ok(), good, "{at}");
    }
    // A root of the same name and another key.
    let forged = quoted(|_| {});
    let mut spliced = quoted(|_| {});
    spliced.certificate = forged.certificate;
    assert!(matches!(spliced.verify(), Err(TpmRefusal::Path(_))), "{:?}", spliced.verify());
}

#[test]
fn a_key_that_leaves_its_tpm_or_signs_freely_is_no_attestation_key() {
    for (bit, word) in [
        (1, "fixed to its TPM"),
        (4, "fixed to its parent"),
        (5, "made by its TPM"),
        (16, "restricted"),
        (18, "a signing key"),
        (17, "for signing alone"),
    ] {
        let free = quoted(|t| t.attributes ^= 1 << bit);
        assert_eq!(only("tpm_ak_attributes", &free), TpmRefusal::Attributes(word));
    }
    let q = quoted(|_| {});
    for len in 0..q.public.len() {
        assert!(parse_public(&q.public[..len]).is_err(), "cut at {len}");
    }
    let Public { kind, attributes, key } = parse_public(&q.public).unwrap();
    assert_eq!((kind, attributes, key.len()), (KeyKind::P256, AK, 65));
}

/// Authentic; that check fails, and is made by nobody once it is removed.
fn fails(name: &'static str, q: &Quoted, knobs: &Knobs) {
    let failed = || failures(&appraise(q.verify().unwrap().facts(), &q.pcrs, knobs));
    assert!(failed().contains(&name), "{name}: {:?}", failed());
    assert!(!without(name, failed).contains(&name), "{name}");
}

#[test]
fn values_that_were_not_quoted_and_quotes_that_say_too_little_are_refused() {
    let mut altered = quoted(|_| {});
    altered.pcrs.get_mut(&Bank::Sha256).unwrap().insert(7, vec![0; 32]);
    fails("tpm_pcr_digest", &altered, &strict());
    let empty = quoted(|t| t.selected.clear());
    fails("tpm_pcr_digest", &empty, &strict());
    let mut missing = quoted(|_| {});
    missing.pcrs.clear();
    let checks = appraise(missing.verify().unwrap().facts(), &missing.pcrs, &strict());
    assert!(failures(&checks).contains(&"tpm_pcr_digest"));
    let few = quoted(|t| t.selected = vec![0, 1, 2]);
    fails("tpm_quoted", &few, &strict());
    fails("tpm_nonce", &quoted(|t| t.nonce = vec![1; 31]), &strict());
    let with = |line: (&str, &str)| changed::<Knobs>(FORENSIC, &[line]).unwrap();
    let q = quoted(|_| {});
    fails("tpm_banks", &q, &with(("banks", "banks = [\"sha384\"]")));
    fails(
        "tpm_firmware",
        &q,
        &with(("firmware-versions", "firmware-versions = [\"0000000000000001\"]")),
    );
    fails(
        "tpm_clock",
        &quoted(|t| t.safe = 0),
        &with(("unsafe-clocks", "unsafe-clocks = \"refused\"")),
    );
    let value = |hex: &str| format!("values = {{ \"4\" = [\"{hex}\"] }}");
    let booted = with(("values", &value(&"05".repeat(32))));
    assert!(failures(&appraise(q.verify().unwrap().facts(), &q.pcrs, &booted)).is_empty());
    fails("tpm_values", &q, &with(("values", &value(&"06".repeat(32)))));
    let elsewhere = quoted(|t| t.selected = vec![0]);
    fails("tpm_values", &elsewhere, &booted);
}

#[test]
fn a_key_only_the_asker_trusts_is_taken_where_the_profile_says_so() {
    let q = quoted(|_| {});
    let spki = q.certificate.clone();
    let spki = Read::parse(&spki).unwrap().spki().to_vec();
    let bare = AttestationKey::trusted(&spki).unwrap();
    let signature = parse_signature(&q.signature, bare.kind()).unwrap();
    let verified = verify(&q.message, &signature, &bare, NOW).unwrap();
    let failed = || failures(&appraise(verified.facts(), &q.pcrs, &strict()));
    assert_eq!(failed(), ["tpm_key_vouched", "tpm_key_attributes"]);
    for name in ["tpm_key_vouched", "tpm_key_attributes"] {
        assert!(!without(name, failed).contains(&name));
    }
    let forensic = shipped::<Knobs>(FORENSIC);
    assert!(failures(&appraise(verified.facts(), &q.pcrs, &forensic)).is_empty());
    // With its public area the key shows what it is.
    let shown = AttestationKey::trusted(&q.public).unwrap();
    let verified = verify(&q.message, &signature, &shown, NOW).unwrap();
    assert_eq!(failures(&appraise(verified.facts(), &q.pcrs, &strict())), ["tpm_key_vouched"]);
    assert!(AttestationKey::trusted(b"junk").is_err());
}

#[test]
fn profiles_of_tpms_state_every_knob_and_ask_nothing_impossible() {
    demands_every_knob::<Knobs>("tpm-2026-11");
    for (knob, line) in [
        ("banks", "banks = [\"md5\"]"),
        ("quoted", "quoted = [24]"),
        ("values", "values = { \"24\" = [] }"),
        ("values", "values = { \"04\" = [] }"),
        ("values", "values = { \"4\" = [\"00\"] }"),
        ("firmware-versions", "firmware-versions = [\"1\"]"),
        ("nonce-bytes-minimum", "nonce-bytes-minimum = 65"),
    ] {
        impossible::<Knobs>(knob, line);
    }
}

/// A crypto-agile log with SHA-256 digests.
fn log(events: &[(u32, u32, [u8; 32], &[u8])]) -> Vec<u8> {
    let spec = [
        &b"Spec ID Event03\0"[..],
        &[0; 4],
        &[0, 2, 0, 2],
        &1_u32.to_le_bytes(),
        &[0x0b, 0, 32, 0],
        &[0],
    ];
    let spec = spec.concat();
    let mut out = [&0_u32.to_le_bytes()[..], &3_u32.to_le_bytes(), &[0; 20]].concat();
    out.extend(u32::try_from(spec.len()).unwrap().to_le_bytes());
    out.extend(spec);
    for (register, kind, digest, data) in events {
        let head = [register.to_le_bytes(), kind.to_le_bytes(), 1_u32.to_le_bytes()].concat();
        let len = u32::try_from(data.len()).unwrap().to_le_bytes();
        out.extend([&head[..], &[0x0b, 0], digest, &len, data].concat());
    }
    out
}

fn extended(begin: [u8; 32], digests: &[[u8; 32]]) -> Vec<u8> {
    digests.iter().fold(begin, |r, d| sha256(&[r, *d].concat())).to_vec()
}

#[test]
fn a_log_counts_where_it_leads_to_the_quoted_values() {
    let separator = sha256(&[0; 4]);
    let events = [
        (0, 3, [0; 32], &b"StartupLocality\0\x03"[..]),
        (0, 8, [1; 32], b"crtm"),
        (4, 4, separator, &[0; 4]),
        (4, 0x8000_0003, [2; 32], b"loader"),
    ];
    let bytes = log(&events);
    let read = tcg::read(&bytes).unwrap();
    assert_eq!((read.startup_locality, read.events.len(), read.used), (3, 5, bytes.len()));
    let mut begin = [0; 32];
    begin[31] = 3;
    let good = BTreeMap::from([
        (0, extended(begin, &[[1; 32]])),
        (4, extended([0; 32], &[separator, [2; 32]])),
        (7, vec![9; 32]),
    ]);
    let values = |pcrs: &BTreeMap<u32, Vec<u8>>| Pcrs::from([(Bank::Sha256, pcrs.clone())]);
    assert!(failures(&appraise_log(&read, &values(&good))).is_empty());
    assert_eq!(explained(&read, Bank::Sha256, &good), [0, 4]);
    let mut other = good.clone();
    other.insert(4, vec![8; 32]);
    let failed = || failures(&appraise_log(&read, &values(&other)));
    assert_eq!(failed(), ["tpm_event_log"]);
    assert!(without("tpm_event_log", failed).is_empty());
    // A description that its own digest contradicts.
    let mut lying = events;
    lying[2].3 = b"fine";
    let bytes = log(&lying);
    let read = tcg::read(&bytes).unwrap();
    let failed = || failures(&appraise_log(&read, &values(&good)));
    assert_eq!(failed(), ["tpm_event_data"]);
    assert!(without("tpm_event_data", failed).is_empty());
}

#[test]
fn a_malformed_log_is_refused_by_its_event() {
    let good = log(&[(1, 8, [1; 32], b"a"), (2, 8, [2; 32], b"b")]);
    for len in 0..good.len() {
        if let Ok(cut) = tcg::read(&good[..len]) {
            assert!(cut.events.len() < 3 && cut.used == len, "{len}");
        }
    }
    assert_eq!(tcg::read(&[]), Err(LogError::Header));
    assert_eq!(tcg::read(&[1; 64]), Err(LogError::Header));
    let long = vec![0; tcg::LOG_MAX + 1];
    assert_eq!(tcg::read(&long), Err(LogError::TooLong(tcg::LOG_MAX + 1)));
    assert_eq!(tcg::read(&good).unwrap().replay(Bank::Sha384), Err(LogError::Algorithm("sha384")));
    for padding in [&[0xff; 64][..], &[0; 64]] {
        assert_eq!(tcg::read(&[&good, padding].concat()).unwrap().used, good.len());
    }
    for at in 0..good.len() {
        let mut changed = good.clone();
        changed[at] ^= 0x80;
        let _ = tcg::read(&changed);
    }
}

/// An Azure machine: the hardware's report in its blob, binding a document with a key.
struct Azure {
    evidence: HardwareEvidence,
    blob: Vec<u8>,
}

fn azure(change_report: impl Fn(&mut [u8]), change_inside: impl Fn(&mut [u8])) -> Azure {
    let runtime = br#"{"keys":[{"kid":"HCLAkPub","kty":"RSA","n":"qR7L","e":"AQAB"}],"vm-configuration":{"x":1}}"#;
    let machine = Machine::new(Product::Milan, SigningKey::Vcek, around(NOW));
    let mut report = machine.report();
    report[at::REPORT_DATA..][..64].fill(0);
    report[at::REPORT_DATA..][..32].copy_from_slice(&sha256(runtime));
    change_report(&mut report);
    machine.sign(&mut report);
    let mut inside = report.clone();
    change_inside(&mut inside);
    let mut blob = [&b"HCLA"[..], &[0; 28], &inside].concat();
    let len = u32::try_from(runtime.len()).unwrap();
    for field in [len + 20, 1, 2, 1, len] {
        blob.extend(field.to_le_bytes());
    }
    blob.extend(runtime);
    Azure { evidence: machine.evidence(report), blob }
}

impl Azure {
    fn verified(&self) -> Authentic<HardwareFacts> {
        snp::verify(&self.evidence, &[root_of(&self.evidence)], NOW).unwrap()
    }

    fn key(&self) -> Result<AttestationKey, AzureRefusal> {
        azure::parse(&self.blob)?.key_of_snp(&self.verified(), &self.evidence.report)
    }
}

#[test]
fn an_azure_machine_vouches_for_the_key_its_report_binds_and_for_no_other() {
    let good = azure(|_| {}, |_| {});
    assert_eq!(good.key().unwrap().kind(), KeyKind::Rsa);
    assert_eq!(azure::parse(&good.blob).unwrap().configuration().unwrap()["x"], 1);
    // Another document, and bytes behind the digest.
    let mut other = azure(|_| {}, |_| {});
    let at_key = other.blob.windows(4).position(|w| w == b"qR7L").unwrap();
    other.blob[at_key] = b'r';
    let behind = azure(|r| r[at::REPORT_DATA + 40] = 1, |_| {});
    for unbound in [&other, &behind] {
        assert_eq!(unbound.key().unwrap_err(), AzureRefusal::Unbound);
        assert!(without("azure_runtime_bound", || unbound.key()).is_ok());
    }
    let spliced = azure(|_| {}, |r| r[at::MEASUREMENT] ^= 1);
    assert_eq!(spliced.key().unwrap_err(), AzureRefusal::OtherReport);
    assert!(without("azure_same_report", || spliced.key()).is_ok());
    for len in 0..good.blob.len() {
        assert!(azure::parse(&good.blob[..len]).is_err(), "cut at {len}");
    }
    let mut hash = azure(|_| {}, |_| {});
    hash.blob[32 + 1184 + 12] = 2;
    assert_eq!(hash.key().unwrap_err(), AzureRefusal::Hash(2));
}

#[test]
fn an_azure_blob_of_another_kind_of_machine_is_refused() {
    let mut tdx = azure(|_| {}, |_| {});
    tdx.blob[32 + 1184 + 8] = 4;
    assert_eq!(tdx.key().unwrap_err(), AzureRefusal::Kind { expected: 2, got: 4 });
    assert!(without("azure_kind", || tdx.key()).is_ok());
}

#[test]
fn a_log_that_explains_no_quoted_register_is_refused() {
    let bytes = log(&[(4, 0x8000_0003, [2; 32], b"loader")]);
    let read = tcg::read(&bytes).unwrap();
    // PCR 4 would be explained, but no quote covers it: its value is the word of whoever passed it.
    let mut q = quoted(|t| t.selected = vec![0]);
    q.pcrs.get_mut(&Bank::Sha256).unwrap().insert(4, extended([0; 32], &[[2; 32]]));
    let facts = q.verify().unwrap();
    let values = covered(facts.facts(), &q.pcrs);
    assert_eq!(values[&Bank::Sha256].keys().collect::<Vec<_>>(), [&0]);
    let failed = || failures(&appraise_log(&read, &values));
    assert_eq!(failed(), ["tpm_log_explains"]);
    assert!(without("tpm_log_explains", failed).is_empty());
    // Of a bank the log has no digests of.
    let other = Pcrs::from([(Bank::Sha384, BTreeMap::from([(4, vec![0; 48])]))]);
    assert_eq!(failures(&appraise_log(&read, &other)), ["tpm_log_explains"]);
    // Quoted, it is taken.
    let mut whole = quoted(|t| t.selected = vec![0, 4]);
    whole.pcrs = q.pcrs.clone();
    let facts = whole.verify().unwrap();
    assert!(failures(&appraise_log(&read, &covered(facts.facts(), &whole.pcrs))).is_empty());
}

#[test]
fn a_key_counts_at_the_time_somebody_vouches_for_it() {
    let q = quoted(|_| {});
    let key = q.key().unwrap();
    let signature = parse_signature(&q.signature, key.kind()).unwrap();
    for (at, good) in [(-101, false), (-100, true), (100, true), (101, false)] {
        let at = NOW.plus_secs(at);
        let verified = verify(&q.message, &signature, &key, at);
        assert_eq!(verified.is_ok(), good, "{at}");
        if let Err(refused) = verified {
            assert_eq!(refused, TpmRefusal::Time { window: window(), at });
            let removed = without("tpm_key_time", || verify(&q.message, &signature, &key, at));
            assert!(removed.is_ok());
        }
    }
}

#[test]
fn a_quote_signed_with_rsapss_is_taken_under_that_scheme_alone() {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::rsa::{KeyPair, KeySize};
    use aws_lc_rs::signature::{KeyPair as _, RSA_PSS_SHA256, RSA_PSS_SHA384};

    let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
    // In DER the modulus stands between nine bytes and the exponent's five.
    let modulus = pair.public_key().as_ref()[9..265].to_vec();
    let head = [&[0, 1, 0, 0x0b][..], &AK.to_be_bytes(), &[0, 0, 0, 0x10, 0, 0x16, 0, 0x0b]];
    let public = [&head.concat()[..], &[8, 0, 0, 0, 0, 0, 1, 0], &modulus].concat();
    let key = AttestationKey::trusted(&public).unwrap();
    let message = quoted(|_| {}).message;
    for (padding, hash) in [(&RSA_PSS_SHA256, 0x0b), (&RSA_PSS_SHA384, 0x0c)] {
        let mut made = vec![0; 256];
        pair.sign(padding, &SystemRandom::new(), &message, &mut made).unwrap();
        let signature = |algorithm, hash| {
            let bytes = [&[0, algorithm, 0, hash, 1, 0][..], &made].concat();
            parse_signature(&bytes, KeyKind::Rsa)
        };
        assert!(verify(&message, &signature(0x16, hash).unwrap(), &key, NOW).is_ok());
        for (algorithm, other) in [(0x14, hash), (0x16, 0x17 - hash)] {
            let other = signature(algorithm, other).unwrap();
            assert_eq!(verify(&message, &other, &key, NOW).unwrap_err(), TpmRefusal::Signature);
        }
        assert!(signature(0x16, 0x04).is_err());
    }
}

/// A machine's evidence under a certificate, of a quote made as `change` wants it.
fn machine(change: impl Fn(&mut Tpm)) -> (HardwareEvidence, RootDigest) {
    use evidence::tpm::machine::{DOMAIN_PCR, QUOTED, Report, domain_register};
    let domain = evidence::DomainRoot::new([0xd0; 32]);
    let mut tpm = Tpm::new();
    tpm.selected = QUOTED.to_vec();
    tpm.pcrs.insert(DOMAIN_PCR, domain_register(&domain).to_vec());
    change(&mut tpm);
    let quote = tpm.quote();
    let value = |n: &u32| (*n, tpm.pcrs[n].clone().try_into().unwrap());
    let (root, values) = (RootDigest::new(sha256(&quote.root)), QUOTED.iter().map(value).collect());
    let report = Report { quote: quote.message, signature: quote.signature, values, domain };
    let endorsements = vec![quote.public, quote.certificate, quote.root];
    let report = report.encode();
    (HardwareEvidence { kind: evidence::Kind::Tpm, report, endorsements }, root)
}

#[test]
fn a_machine_is_vouched_for_by_a_certified_key_and_a_quote_of_exactly_its_registers() {
    use evidence::tpm::machine::verify as of_machine;
    let (good, root) = machine(|_| ());
    let facts = of_machine(&good, &[root], NOW).unwrap();
    assert_eq!((facts.facts().root, facts.facts().host_data), (root, [0xd0; 32]));
    assert_eq!(facts.holds_until(), window().not_after);
    let other = RootDigest::new([1; 32]);
    assert!(matches!(of_machine(&good, &[other], NOW), Err(TpmRefusal::Path(_))));
    // A register left out, one too many, another bank.
    type Change = fn(&mut Tpm);
    let changes: [Change; 2] = [|t| t.selected.retain(|n| *n != 9), |t| t.selected.push(16)];
    for change in changes {
        let (bad, root) = machine(change);
        assert_eq!(of_machine(&bad, &[root], NOW).unwrap_err(), TpmRefusal::Selection);
        // Without the check the values are still held against the digest.
        let without = without("tpm_machine_selection", || of_machine(&bad, &[root], NOW));
        assert_eq!(without.unwrap_err(), TpmRefusal::Values);
    }
    let (bad, root) = machine(|t| t.bank = 0x000c);
    assert_eq!(of_machine(&bad, &[root], NOW).unwrap_err(), TpmRefusal::Selection);
    let taken = without("tpm_machine_selection", || of_machine(&bad, &[root], NOW));
    assert!(taken.is_ok(), "another bank's registers pass for these");
    let (bad, root) = machine(|t| t.nonce.push(0));
    assert_eq!(of_machine(&bad, &[root], NOW).unwrap_err(), TpmRefusal::Extra(33));
}
