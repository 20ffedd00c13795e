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
use platform::software::Machine;
use services::authority::AuditSecret;
use trust::policy::PolicyInForce;
use trust::signing::{Namespace, Signed, SigningKey};
use trust::{DomainFile, DomainName, Genesis};

use crate::clock::now;
use crate::output::Failure;

/// The owners' audit key: whoever holds it reads every decision record.
const AUDIT_KEY: &str = "keys/audit";
/// The domain file's name.
pub const FILE: &str = "casemate.toml";

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
    /// Makes a development domain in `dir`.
    pub fn create(dir: &Path, name: &str, now: Time) -> Result<Self> {
        let domain = DomainName::new(name).ok_or_else(|| {
            Failure::Usage(format!("{name:?} is no domain name: lower-case letters, digits, . - _"))
        })?;
        if dir.join(FILE).exists() {
            bail!(Failure::Usage(format!("{} is a domain already", dir.display())));
        }
        fs::DirBuilder::new()
            .mode(0o700)
            .recursive(true)
            .create(dir)
            .with_context(|| dir.display().to_string())?;
        for sub in ["keys", "programs", "policy"] {
            fs::create_dir_all(dir.join(sub))?;
        }
        let mut seed = [0; 32];
        platform::random(&mut seed)?;
        let key = SigningKey::from_seed(seed)?;
        write_private(
            &dir.join("keys/development"),
            key.to_openssh("casemate development key")?.as_bytes(),
        )?;
        fs::write(dir.join("keys/development.pub"), key.public_openssh()? + "\n")?;
        let mut nonce = [0; 32];
        platform::random(&mut nonce)?;
        let signers = trust::signing::Signers::new(1, &[key.public_openssh()?])?;
        let genesis = Genesis::new(domain, signers, nonce);
        fs::write(dir.join("genesis.cbor"), genesis.encode())?;
        let machine = Machine::create(&dir.join("machine"), now)?;
        let text = format!(
            "# A development domain: its hardware is software and protects from nobody who owns the machine.\n\
             format = 1\ndomain = \"{name}\"\nsign = {{ need = 1, by = [\"keys/development.pub\"] }}\n\n\
             [hardware.software]\nroot = [\"sha256:{}\"]\nimage = [\"sha384:{}\"]\nmachines = \"any-genuine\"\n\
             isolation = [\"software\"]\nhost = [\"mutable\"]\n",
            machine.root(),
            own_measurement()?,
        );
        fs::write(dir.join(FILE), text)?;
        fs::write(dir.join(".gitignore"), "keys/development\nkeys/audit\nmachine\nrun\nstate\n")?;
        let this = Self { dir: dir.to_owned(), genesis };
        this.audit_secret_or_new()?;
        this.sign()?;
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
        Ok(Self { dir: dir.to_owned(), genesis: Genesis::decode(&bytes)? })
    }

    /// The domain file's text.
    pub fn text(&self) -> Result<String> {
        let path = self.dir.join(FILE);
        fs::read_to_string(&path).with_context(|| path.display().to_string())
    }

    /// The domain file, read.
    pub fn file(&self) -> Result<DomainFile> {
        let path = self.dir.join(FILE);
        DomainFile::parse(&self.text()?)
            .map_err(|e| Failure::Usage(format!("{}: {e}", path.display())).into())
    }

    /// Where signed policy number `n` is.
    fn policy_path(&self, n: u64) -> PathBuf {
        self.dir.join(format!("policy/policy-{n}.cbor"))
    }

    /// Every signed policy, oldest first, each verified on top of the one before.
    pub fn policies(&self) -> Result<Vec<PolicyInForce>> {
        let mut all: Vec<PolicyInForce> = Vec::new();
        for n in 1.. {
            let Ok(bytes) = fs::read(self.policy_path(n)) else { break };
            all.push(PolicyInForce::verify(&Signed::decode(&bytes)?, &self.genesis, all.last())?);
        }
        Ok(all)
    }

    /// The newest signed policy.
    pub fn in_force(&self) -> Result<Option<PolicyInForce>> {
        Ok(self.policies()?.pop())
    }

    /// The development signing key.
    pub fn key(&self) -> Result<SigningKey> {
        let path = self.dir.join("keys/development");
        let pem = fs::read_to_string(&path).map_err(|e| {
            Failure::Missing(format!(
                "{}: {e}; a production domain is signed with `ssh-keygen -Y sign`",
                path.display()
            ))
        })?;
        Ok(SigningKey::from_openssh(&pem)?)
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

    /// Signs what the domain file says as the next version, if it says something new. The version in force.
    pub fn sign(&self) -> Result<u64> {
        let before = self.in_force()?;
        let (version, previous) =
            before.as_ref().map_or((1, None), |p| (p.policy().version + 1, Some(p.digest())));
        let compile = |version, previous: Option<ContentDigest>| {
            self.file()?
                .compile(self.genesis.root(), version, previous, |_| None)
                .map_err(|e| anyhow::Error::from(Failure::Usage(e.to_string())))
        };
        if let Some(p) = &before
            && compile(p.policy().version, p.policy().previous)? == *p.policy()
        {
            return Ok(p.policy().version);
        }
        let payload = compile(version, previous)?.encode();
        let signatures = vec![self.key()?.sign(Namespace::Policy, &payload)?];
        let signed = Signed { payload, signatures };
        PolicyInForce::verify(&signed, &self.genesis, before.as_ref())?;
        replace(&self.policy_path(version), &signed.encode())?;
        Ok(version)
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
        let dir = self.dir.join("programs").join(name);
        fs::create_dir_all(&dir)?;
        replace(&dir.join("config.json"), config.to_json()?.as_bytes())?;
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
            let words = words.iter().map(|w| format!("{w:?}")).collect::<Vec<_>>();
            section.push_str(&format!("{key} = [{}]\n", words.join(", ")));
        }
        let kept = without_section(&self.text()?, &format!("[program.{name}]"));
        replace(&self.dir.join(FILE), format!("{}\n\n{section}", kept.trim_end()).as_bytes())
    }

    /// Takes the running executable as the monitor that the development policy trusts.
    pub fn trust_own_monitor(&self) -> Result<()> {
        let (text, own) = (self.text()?, own_measurement()?);
        let line = format!("image = [\"sha384:{own}\"]");
        let lines = text.lines().map(|l| if l.starts_with("image = ") { line.as_str() } else { l });
        let new = lines.collect::<Vec<_>>().join("\n") + "\n";
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
            machine: self.dir.join("machine"),
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
