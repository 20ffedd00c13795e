//! A domain's directory: the domain file, its keys if it is a development one, signed policies, programs, and what runs.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use channel::admission::{Bundle, client};
use evidence::{ContentDigest, Measurement, Time};
use monitor::program::Config;
use monitor::supervisor::{Client, Settings};
use platform::Secret;
use platform::keyholder::Hardware;
use platform::software::Machine;
use services::authority::AuditSecret;
use trust::domain::{DomainFileError, Mistake};
use trust::policy::{PolicyError, PolicyInForce};
use trust::signing::{Namespace, Signed, Signers, SigningKey};
use trust::{DomainFile, DomainName, Genesis, Policy};

use crate::clock::now;
use crate::output::Failure;
use crate::owners;

/// The one key of a development domain.
const DEVELOPMENT_KEY: &str = "keys/development";

/// The owners' audit key: whoever holds it reads every decision record.
const AUDIT_KEY: &str = "keys/audit";
/// The domain file's name.
pub const FILE: &str = "casemate.toml";

/// The owners of a domain that is signed by several.
pub struct Founders {
    /// k.
    pub need: usize,
    /// How many revoke.
    pub revoke: usize,
    /// Files with their public keys.
    pub by: Vec<PathBuf>,
}

/// An open domain.
pub struct Domain {
    /// Its directory.
    pub dir: PathBuf,
    /// Its genesis.
    pub genesis: Genesis,
}

/// SHA-384 of this executable: what a software machine reports as launched.
pub fn own_measurement() -> Result<Measurement> {
    let bytes = fs::read("/proc/self/exe").context("reading this executable")?;
    Ok(Measurement::new(evidence::bytes::sha384(&bytes)))
}

/// Writes a file that only its owner reads.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    let file = file.as_mut().map_err(|e| anyhow::anyhow!("{}: {e}", path.display()))?;
    file.write_all(bytes).with_context(|| path.display().to_string())
}

/// Replaces a file whole.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, bytes).with_context(|| new.display().to_string())?;
    fs::rename(&new, path).with_context(|| path.display().to_string())
}

impl Domain {
    /// Makes a development domain in `dir`: signed with a key of its own, or by `owners`.
    pub fn create(dir: &Path, name: &str, owners: Option<&Founders>, now: Time) -> Result<Self> {
        let domain = DomainName::new(name).ok_or_else(|| {
            Failure::Usage(format!("{name:?} is no domain name: lower-case letters, digits, . - _"))
        })?;
        if dir.join(FILE).exists() {
            bail!(Failure::Usage(format!("{} is a domain already", dir.display())));
        }
        // Nothing is left behind of a domain whose owners do not fit.
        let founding = owners.map(owners::read).transpose()?;
        fs::DirBuilder::new()
            .mode(0o700)
            .recursive(true)
            .create(dir)
            .with_context(|| dir.display().to_string())?;
        for sub in ["keys", "programs", "policy"] {
            fs::create_dir_all(dir.join(sub))?;
        }
        let (signers, sign) = match founding {
            Some(founding) => founding.write(dir)?,
            None => development_signer(dir)?,
        };
        let mut nonce = [0; 32];
        platform::random(&mut nonce)?;
        let genesis = Genesis::new(domain, signers, nonce);
        fs::write(dir.join("genesis.cbor"), genesis.encode())?;
        let machine = Machine::create(&dir.join("machine"), now)?;
        let text = format!(
            "# A development domain: its hardware is software and protects from nobody who owns the machine.\n\
             format = 1\ndomain = \"{name}\"\nsign = {sign}\n\n\
             [hardware.software]\nroot = [\"sha256:{}\"]\nimage = [\"sha384:{}\"]\nmachines = \"any-genuine\"\n\
             isolation = [\"software\"]\nhost = [\"mutable\"]\n",
            machine.root(),
            own_measurement()?,
        );
        fs::write(dir.join(FILE), text)?;
        fs::write(dir.join(".gitignore"), "keys/development\nkeys/audit\nmachine\nrun\nstate\n")?;
        let this = Self { dir: dir.to_owned(), genesis };
        this.audit_secret_or_new()?;
        if this.signs_alone() {
            this.sign()?;
        }
        Ok(this)
    }

    /// Opens the domain of the current directory or one above.
    pub fn find() -> Result<Self> {
        let start = std::env::current_dir()?;
        let dir = start.ancestors().find(|d| d.join(FILE).exists());
        let dir = dir.ok_or_else(|| {
            Failure::Usage(format!(
                "no {FILE} here or above; make a domain with `casemate new NAME`, or go into one"
            ))
        })?;
        Self::open(dir)
    }

    /// Opens the domain in `dir`.
    pub fn open(dir: &Path) -> Result<Self> {
        let path = dir.join("genesis.cbor");
        let bytes = fs::read(&path).with_context(|| path.display().to_string())?;
        Ok(Self { dir: dir.to_owned(), genesis: Genesis::decode_chain(&bytes)? })
    }

    /// The domain file's text.
    pub fn text(&self) -> Result<String> {
        let path = self.dir.join(FILE);
        fs::read_to_string(&path).with_context(|| path.display().to_string())
    }

    /// The domain file, read; every mistake with the file's name and its place.
    pub fn file(&self) -> Result<DomainFile> {
        let text = self.text()?;
        DomainFile::parse(&text).map_err(|e| Failure::Usage(self.mistakes(&e)).into())
    }

    /// The policy the domain file means.
    pub fn compile(&self, version: u64, previous: Option<ContentDigest>) -> Result<Policy> {
        let policy = self.file()?.compile(self.genesis.root(), version, previous, |_| None);
        policy.map_err(|e| Failure::Usage(self.mistakes(&e)).into())
    }

    fn mistakes(&self, e: &DomainFileError) -> String {
        located(&self.dir.join(FILE), e)
    }

    /// Where signed policy number `n` is.
    pub fn policy_path(&self, n: u64) -> PathBuf {
        self.dir.join(format!("policy/policy-{n}.cbor"))
    }

    /// Every signed policy, oldest first, each verified on top of the one before.
    pub fn policies(&self) -> Result<Vec<PolicyInForce>> {
        self.policies_in(&self.dir.join("policy"))
    }

    /// The same from another folder of this domain's signed policies.
    pub fn policies_in(&self, dir: &Path) -> Result<Vec<PolicyInForce>> {
        let mut all: Vec<PolicyInForce> = Vec::new();
        for n in 1.. {
            let path = dir.join(format!("policy-{n}.cbor"));
            let bytes = match fs::read(&path) {
                Ok(bytes) => bytes,
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => break,
                Err(e) => return Err(e).with_context(|| path.display().to_string()),
            };
            let read = Signed::decode(&bytes).map_err(anyhow::Error::from);
            let verified =
                read.and_then(|s| Ok(PolicyInForce::verify(&s, &self.genesis, all.last())?));
            let refused = |e| Failure::Refused(format!("{}: {e}", path.display()));
            all.push(verified.map_err(refused)?);
        }
        Ok(all)
    }

    /// The newest signed policy.
    pub fn in_force(&self) -> Result<Option<PolicyInForce>> {
        Ok(self.policies()?.pop())
    }

    /// The development signing key.
    pub fn key(&self) -> Result<SigningKey> {
        let path = self.dir.join(DEVELOPMENT_KEY);
        let pem = fs::read_to_string(&path).map_err(|e| {
            Failure::Missing(format!(
                "{}: {e}; a domain of several owners is signed with `casemate policy sign --key FILE`",
                path.display()
            ))
        })?;
        Ok(SigningKey::from_openssh(&pem)?)
    }

    /// True for a development domain, whose one key is here.
    pub fn signs_alone(&self) -> bool {
        let signers = self.genesis.signers_now();
        let own = self.key().and_then(|k| Ok(k.public_openssh()?));
        signers.need() == 1 && own.is_ok_and(|key| signers.keys().contains(&key))
    }

    /// The owners' audit key, with which decision records are read; none where it is not kept.
    pub fn audit_secret(&self) -> Result<Option<AuditSecret>> {
        let path = self.dir.join(AUDIT_KEY);
        let text = match fs::read_to_string(&path) {
            Ok(text) => Secret::new(text),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e).with_context(|| path.display().to_string()),
        };
        let key = AuditSecret::from_file(text.expose());
        let bad = || Failure::Usage(format!("{}: not an audit key", path.display()));
        Ok(Some(key.ok_or_else(bad)?))
    }

    /// The audit key, made now for a domain that has none.
    pub fn audit_secret_or_new(&self) -> Result<AuditSecret> {
        if let Some(key) = self.audit_secret()? {
            return Ok(key);
        }
        let mut bytes = [0; 32];
        platform::random(&mut bytes)?;
        let key = AuditSecret::new(bytes);
        write_private(&self.dir.join(AUDIT_KEY), key.to_file().expose().as_bytes())?;
        Ok(key)
    }

    /// The policy the domain file means as the next version; none if the one in force says the same.
    pub fn next_policy(&self) -> Result<Option<Policy>> {
        let before = self.in_force()?;
        let Some(p) = &before else { return Ok(Some(self.compile(1, None)?)) };
        let next = self.compile(p.policy().version.saturating_add(1), Some(p.digest()))?;
        let same =
            Policy { version: p.policy().version, previous: p.policy().previous, ..next.clone() };
        Ok((same != *p.policy()).then_some(next))
    }

    /// Signs what the domain file says as the next version with the development key, if it says something new. The version in force.
    pub fn sign(&self) -> Result<u64> {
        let before = self.in_force()?;
        let Some(next) = self.next_policy()? else {
            return Ok(before.map_or(0, |p| p.policy().version));
        };
        let payload = next.encode();
        let signatures = vec![self.key()?.sign(Namespace::Policy, &payload)?];
        self.keep_policy(&Signed { payload, signatures })
    }

    /// Keeps a policy enough owners signed, if it is the next one; its version. Two of one number are both kept, apart, as evidence.
    pub fn keep_policy(&self, signed: &Signed) -> Result<u64> {
        let all = self.policies()?;
        let policy = match PolicyInForce::verify(signed, &self.genesis, all.last()) {
            Ok(policy) => policy,
            Err(e) => return Err(self.not_next(signed, &all, e)),
        };
        let version = policy.policy().version;
        replace(&self.policy_path(version), &signed.encode())?;
        Ok(version)
    }

    fn not_next(&self, signed: &Signed, all: &[PolicyInForce], why: PolicyError) -> anyhow::Error {
        // Whoever holds two policies of one number that the owners signed holds evidence, whichever came first.
        let index = |v: u64| usize::try_from(v.saturating_sub(1)).unwrap_or(usize::MAX);
        let version = match &why {
            PolicyError::Equivocation { version, .. } => *version,
            PolicyError::Version { got, .. } => *got,
            _ => return Failure::Refused(why.to_string()).into(),
        };
        let Some(known) = all.get(index(version)) else {
            return Failure::Refused(why.to_string()).into();
        };
        if known.signed().payload == signed.payload {
            return Failure::Refused(format!(
                "policy version {version} is known here already; nothing to take"
            ))
            .into();
        }
        let before = version.checked_sub(2).and_then(|n| all.get(usize::try_from(n).ok()?));
        if PolicyInForce::verify(signed, &self.genesis, before).is_err() {
            return Failure::Refused(why.to_string()).into();
        }
        let digest = ContentDigest::of(&signed.payload).to_string();
        let short = digest.get(..16).unwrap_or_default();
        let path = self.dir.join(format!("policy/equivocation-{version}-{short}.cbor"));
        match replace(&path, &signed.encode()) {
            Err(e) => e,
            Ok(()) => Failure::Refused(format!(
                "the owners signed two policies of version {version}: {} is known, this one is {digest}; it is kept as evidence in {}, ask the owners who signed both",
                known.digest(),
                path.display()
            ))
            .into(),
        }
    }

    /// Hands the newest signed policy to the authority, if one runs for this domain; whether one did.
    pub fn put_in_force(&self) -> Result<bool> {
        if self.monitor().is_err() {
            return Ok(false);
        }
        let Ok(bundle) = self.bundle() else { return Ok(false) };
        let bundle = Bundle::decode(&bundle)?;
        let trust = client::trust_of(&bundle, self.genesis.root(), now())?;
        let policy = self.in_force()?.context("no signed policy")?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let put = client::put_policy(&bundle.authority, &trust, policy.signed(), now);
        let version = runtime.block_on(put).map_err(|e| Failure::Refused(e.to_string()))?;
        if version != policy.policy().version {
            bail!(Failure::Refused(format!(
                "the authority has policy version {version} in force, signed here is {}",
                policy.policy().version
            )));
        }
        Ok(true)
    }

    /// A program's configuration.
    pub fn config(&self, name: &str) -> Result<(Vec<u8>, Config)> {
        let path = self.dir.join("programs").join(name).join("config.json");
        let bytes = fs::read(&path).map_err(|_| {
            Failure::Usage(format!(
                "no program {name:?}; add it with `casemate add {name} -- COMMAND`"
            ))
        })?;
        let config = Config::parse(&bytes)
            .map_err(|e| Failure::Usage(format!("{}: {e}", path.display())))?;
        Ok((bytes, config))
    }

    /// Adds or replaces a program: its configuration, and its section in the domain file, with those lists of words besides.
    pub fn add(
        &self,
        name: &str,
        config: &Config,
        measurement: &Measurement,
        lists: &[(&str, &[String])],
    ) -> Result<()> {
        let mut connect =
            config.connect.iter().map(|p| format!("{:?}", p.role)).collect::<Vec<_>>();
        connect.dedup();
        let listen = config.listen.iter().map(u16::to_string).collect::<Vec<_>>();
        let mut section = format!(
            "[program.{name}]\nmeasurement = [\"sha384:{measurement}\"]\non = [\"software\"]\n"
        );
        if !listen.is_empty() {
            section.push_str(&format!("listen = [{}]\n", listen.join(", ")));
        }
        if !connect.is_empty() {
            section.push_str(&format!("connect = [{}]\n", connect.join(", ")));
        }
        for (key, words) in lists.iter().filter(|(_, words)| !words.is_empty()) {
            let all = words.iter().map(|w| format!("{w:?}")).collect::<Vec<_>>();
            let anywhere = *key == "in" && **words == ["anywhere".to_owned()];
            let all = if anywhere { all.concat() } else { format!("[{}]", all.join(", ")) };
            section.push_str(&format!("{key} = {all}\n"));
        }
        let kept = without_section(&self.text()?, &format!("[program.{name}]"));
        let text = format!("{}\n\n{section}", kept.trim_end());
        // What does not make sense beside the rest is not written down.
        if let Err(e) = DomainFile::parse(&text) {
            bail!(Failure::Usage(format!("{name} is not added: {}", self.mistakes(&e))));
        }
        let dir = self.dir.join("programs").join(name);
        fs::create_dir_all(&dir)?;
        replace(&dir.join("config.json"), config.to_json()?.as_bytes())?;
        replace(&self.dir.join(FILE), text.as_bytes())
    }

    /// Takes the running executable as the monitor that the development policy trusts.
    pub fn trust_own_monitor(&self) -> Result<()> {
        let (text, own) = (self.text()?, own_measurement()?);
        let line = format!("image = [\"sha384:{own}\"]");
        let mut section = "";
        let mut new = String::new();
        for l in text.lines() {
            if l.starts_with('[') {
                section = l.trim();
            }
            // Images of other hardware are the owners' word alone.
            let ours = section == "[hardware.software]" && l.starts_with("image = ");
            new.push_str(if ours { &line } else { l });
            new.push('\n');
        }
        if new != text {
            replace(&self.dir.join(FILE), new.as_bytes())?;
        }
        Ok(())
    }

    /// Where the monitor keeps its sockets and logs.
    pub fn run_dir(&self) -> PathBuf {
        self.dir.join("run")
    }

    /// What a supervisor needs.
    pub fn settings(&self) -> Result<Settings> {
        Ok(Settings {
            run: self.run_dir(),
            state: self.dir.join("state"),
            hardware: Hardware::Software(self.dir.join("machine").to_string_lossy().into_owned()),
            domain: self.genesis.root(),
            monitor: own_measurement()?,
        })
    }

    /// The running monitor.
    pub fn monitor(&self) -> Result<Client> {
        Client::connect(&self.run_dir()).map_err(|e| Failure::Missing(e.to_string()).into())
    }

    /// The bundle of a program that asks for `role`.
    pub fn bundle_for(&self, role: Option<&str>) -> Result<Vec<u8>> {
        let bundle = Bundle::decode(&self.bundle()?)?;
        Ok(Bundle { role: role.map(ToOwned::to_owned), ..bundle }.encode())
    }

    /// The bundle programs' proxies get, once an authority is up.
    pub fn bundle(&self) -> Result<Vec<u8>> {
        let path = self.run_dir().join("bundle.cbor");
        fs::read(&path).map_err(|_| {
            Failure::Missing(
                "no authority runs for this domain; start it with `casemate up`".to_owned(),
            )
            .into()
        })
    }
}

/// A development domain's key, made now, and how its domain file says so.
fn development_signer(dir: &Path) -> Result<(Signers, String)> {
    let mut seed = [0; 32];
    platform::random(&mut seed)?;
    let key = SigningKey::from_seed(seed)?;
    write_private(
        &dir.join(DEVELOPMENT_KEY),
        key.to_openssh("casemate development key")?.as_bytes(),
    )?;
    fs::write(dir.join("keys/development.pub"), key.public_openssh()? + "\n")?;
    let signers = Signers::new(1, &[key.public_openssh()?])?;
    Ok((signers, "{ need = 1, by = [\"keys/development.pub\"] }".to_owned()))
}

/// Mistakes as compilers print them: file, line and column first.
pub fn located(path: &Path, e: &DomainFileError) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let lines = e.mistakes().iter().map(|m| told(&name, m)).collect::<Vec<_>>();
    format!("{} mistakes in {}\n{}", lines.len(), path.display(), lines.join("\n")).replacen(
        "1 mistakes",
        "1 mistake",
        usize::from(lines.len() == 1),
    )
}

/// One of them.
pub fn told(file: &str, m: &Mistake) -> String {
    format!("{file}:{}:{}: {}: {}", m.line, m.column, m.severity.as_str(), m.message())
}

/// The text without the section that begins with `head`.
fn without_section(text: &str, head: &str) -> String {
    let mut inside = false;
    let mut out = String::new();
    for line in text.lines() {
        if line.starts_with('[') {
            inside = line.trim() == head;
        }
        if !inside {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}
