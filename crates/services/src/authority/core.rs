//! What the authority decides, without a socket or a clock: state and a request in, an answer out.

pub mod claims;

use std::collections::HashMap;
use std::sync::Arc;

use channel::DomainTrust;
use channel::admission::client::SKEW_SECS_MAX;
use channel::admission::{Admission, AdmissionRequest, News, ReleasedSecret};
use channel::credential::{Ca, Credential, P256Key};
use channel::handshake::Epochs;
use channel::signed_time::TimeClaim;
use checker::DecisionRecord;
use evidence::controls::holds;
use evidence::layered::{MonitorFacts, verify_monitor, verify_program};
use evidence::{
    Authentic, Binder, HardwareEvidence, HardwareFacts, Kind, MonitorBinding, Nonce, SpkiDigest,
    StatementKey, Time, Window, hardware,
};
use ledger::entry::Kind as EntryKind;
use trust::policy::{PolicyError, PolicyInForce};
use trust::revocation::{Revocations, Revoked};
use trust::role_secret::{RoleSecret, RoleSecrets};
use trust::signing::Signed;
use trust::{Claims, Context, Decision, decide};

use super::ledgered::Ledgered;
use super::role_secrets::SecretsPair;

/// How long things live.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// A monitor's hardware evidence, in seconds.
    pub monitor_lease_secs: i64,
    /// A credential.
    pub credential_secs: i64,
    /// A credential whose key the program can export.
    pub exportable_secs: i64,
}

/// A monitor whose hardware evidence was verified.
struct Lease {
    monitor: Authentic<MonitorFacts>,
    hardware: Authentic<HardwareFacts>,
    evidence: HardwareEvidence,
    nonce: Nonce,
    ends: Time,
}

/// The keys an authority made inside and its owners endorsed, but for its log's.
pub struct Keys {
    /// Issues credentials.
    pub ca: Ca,
    /// Opens role secrets.
    pub secrets: SecretsPair,
}

/// The authority's state.
pub struct Core {
    trust: Arc<DomainTrust>,
    keys: Keys,
    secrets: RoleSecrets,
    policy: PolicyInForce,
    revocations: Revocations,
    claims: Claims,
    leases: HashMap<StatementKey, Lease>,
    log: Ledgered,
    limits: Limits,
    /// Refusals before anything was authentic: counted, not entered (I8).
    refused_unproved: u64,
}

/// Bytes of secrets in one answer, which also holds certificates and proofs.
const RELEASED_MAX: usize = channel::admission::BODY_MAX / 2;

/// A no, for the one who asked.
pub type Reasons = Vec<String>;

/// Why a policy does not come into force.
#[derive(Debug, thiserror::Error)]
pub enum Adoption {
    /// It is not the owners' next one.
    #[error("{0}")]
    Policy(#[from] PolicyError),
    /// The log cannot take it.
    #[error("{0}")]
    Log(String),
}

fn one(reason: impl ToString) -> Reasons {
    vec![reason.to_string()]
}

impl Core {
    /// An authority of a domain whose owners endorsed it.
    #[must_use]
    pub fn new(
        trust: Arc<DomainTrust>,
        keys: Keys,
        policy: PolicyInForce,
        log: Ledgered,
        limits: Limits,
    ) -> Self {
        let (revocations, leases) = (Revocations::default(), HashMap::new());
        let secrets = RoleSecrets::default();
        let claims = Claims::new();
        Self {
            trust,
            keys,
            secrets,
            policy,
            revocations,
            claims,
            leases,
            log,
            limits,
            refused_unproved: 0,
        }
    }

    /// True if fresh hardware evidence is wanted from this monitor.
    #[must_use]
    pub fn needs_hardware(&self, monitor: &StatementKey, now: Time) -> bool {
        self.leases.get(monitor).is_none_or(|l| now >= l.ends)
    }

    /// Refusals of strangers so far.
    #[must_use]
    pub const fn refused_unproved(&self) -> u64 {
        self.refused_unproved
    }

    /// Number of the newest revocation.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.revocations.epoch()
    }

    /// What there is to hear of.
    #[must_use]
    pub fn epochs(&self) -> Epochs {
        Epochs { policy: self.policy_version(), revocation: self.epoch() }
    }

    /// What is said about now to whoever asks with a nonce: nothing, by a clock that is behind the log.
    #[must_use]
    pub fn time(&self, nonce: Nonce, now: Time) -> Option<TimeClaim> {
        self.believes(now).then_some(())?;
        let (policy, revocation) = (self.policy.policy().version, self.epoch());
        Some(TimeClaim { domain: self.trust.root(), nonce, time: now, policy, revocation })
    }

    /// Time goes on: what was logged has been (I12).
    fn believes(&self, now: Time) -> bool {
        holds("authority_clock", now.plus_secs(SKEW_SECS_MAX) >= self.log.newest())
    }

    /// Revocations after number `after`.
    #[must_use]
    pub fn news(&self, after: u64) -> News {
        News { policy: self.policy.policy().version, revocations: self.revocations.after(after) }
    }

    /// Takes revocations again that were acknowledged before a restart.
    ///
    /// # Errors
    /// Why one does not hold; an authority that has lost one must not start.
    pub fn restore(&mut self, revocations: Vec<Signed>) -> Result<(), Reasons> {
        let genesis = self.trust.authority().genesis().clone();
        revocations
            .into_iter()
            .try_for_each(|s| self.revocations.add(s, &genesis).map(drop).map_err(one))
    }

    /// The values of the secrets a role may read; names without a value are left out.
    fn released(&self, names: &[String]) -> Result<Vec<ReleasedSecret>, String> {
        let (mut released, mut room) = (Vec::new(), RELEASED_MAX);
        for secret in names.iter().filter_map(|n| self.secrets.get(n)) {
            let name = &secret.name;
            let value =
                self.keys.secrets.open(secret).map_err(|e| format!("secret {name}: {e}"))?;
            let Some(value) = value else { continue };
            room = room.checked_sub(value.expose().len()).ok_or_else(|| {
                format!("secrets: expected at most {RELEASED_MAX} bytes for one role, {name} is beyond; name fewer in its policy")
            })?;
            released.push((name.clone(), Arc::new(value)));
        }
        Ok(released)
    }

    /// A role secret the owners signed, if it is newer than all of its name and opens here.
    ///
    /// # Errors
    /// Why not.
    pub fn next_secret(&self, signed: &Signed) -> Result<RoleSecret, Reasons> {
        let genesis = self.trust.authority().genesis();
        let secret = self.secrets.check(signed, genesis).map_err(one)?;
        self.keys
            .secrets
            .open(&secret)
            .map_err(|e| one(format!("role secret {}: {e}", secret.name)))?;
        Ok(secret)
    }

    /// Takes a role secret that was kept: released once the log has it.
    ///
    /// # Errors
    /// The log's.
    pub fn take_secret(&mut self, signed: &Signed, now: Time) -> Result<RoleSecret, Reasons> {
        let secret = self.next_secret(signed)?;
        self.log.secret(&secret, signed, now).map_err(one)?;
        self.secrets.put(secret.clone());
        Ok(secret)
    }

    /// Takes a role secret again that was acknowledged before a restart; one for another authority's key is left closed.
    ///
    /// # Errors
    /// Why the owners did not sign it.
    pub fn restore_secret(&mut self, signed: &Signed, now: Time) -> Result<(), Reasons> {
        let secret = self.secrets.check(signed, self.trust.authority().genesis()).map_err(one)?;
        let (_, _, entered) = self.log.entered();
        if entered.get(&secret.name).is_none_or(|n| *n < secret.number) {
            // A start that was cut off between keeping and entering.
            self.log.secret(&secret, signed, now).map_err(one)?;
        }
        self.secrets.put(secret);
        Ok(())
    }

    /// After a start: what the log says there was, there is. A host that kept newer state back is refused.
    ///
    /// # Errors
    /// What is missing.
    pub fn is_whole(&self) -> Result<(), String> {
        let (policy, revocation, secrets) = self.log.entered();
        let missing = |what: &str, got: u64, logged: u64| {
            (!holds("state_behind_log", got >= logged)).then(|| {
                format!("{what}: expected number {logged}, which the log names, got {got}; the state directory was set back, restore it whole")
            })
        };
        let secret = || {
            let mut all = secrets.iter();
            all.find_map(|(n, l)| missing(&format!("role secret {n}"), self.secrets.number(n), *l))
        };
        let claim = || {
            let digest = self.missing_claim()?;
            Some(format!(
                "claim {digest}: the log names it and the state directory has it not; the directory was set back, restore it whole"
            ))
        };
        let changes = self.trust.authority().genesis().changes().map(|c| c.number).max();
        let other = || {
            let (version, digest) = (self.policy_version(), self.policy.digest());
            (!holds("policy_of_log", self.log.knows(&self.policy))).then(|| {
                format!("policy: the log names another version {version} than {digest}, which the owners signed too; keep both, restore the one the log names, and ask the owners")
            })
        };
        let found = missing("change of signers", changes.unwrap_or_default(), self.log.signers())
            .or_else(|| missing("policy", self.policy_version(), policy))
            .or_else(other)
            .or_else(|| missing("revocation", self.epoch(), revocation))
            .or_else(secret)
            .or_else(claim);
        found.map_or(Ok(()), Err)
    }

    /// Takes an owners' revocation; ends the leases it touches.
    ///
    /// # Errors
    /// Why not.
    pub fn revoke(&mut self, signed: Signed, now: Time) -> Result<u64, Reasons> {
        let payload = signed.payload.clone();
        let genesis = self.trust.authority().genesis().clone();
        let revoked = self.revocations.add(signed, &genesis).map_err(one)?.clone();
        self.log.enter(EntryKind::Revocation, now, &payload).map_err(one)?;
        if let Revoked::StatementKey(key) = revoked {
            self.leases.remove(&key);
        }
        Ok(self.revocations.epoch())
    }

    /// Takes the owners' next policy: in force once the log has it, for every admission from then on.
    ///
    /// # Errors
    /// [`Adoption`].
    pub fn adopt(&mut self, signed: &Signed, now: Time) -> Result<u64, Adoption> {
        let next = self.next_policy(signed)?;
        let Some(next) = next else { return Ok(self.policy.policy().version) };
        self.log.policy(&next, now).map_err(|e| Adoption::Log(e.to_string()))?;
        self.policy = next;
        Ok(self.policy.policy().version)
    }

    /// The owners' next policy, if it is one; none for the one that is in force already.
    ///
    /// # Errors
    /// [`Adoption::Policy`].
    pub fn next_policy(&self, signed: &Signed) -> Result<Option<PolicyInForce>, Adoption> {
        // The same policy with other owners' signatures is the same policy.
        if signed.payload == self.policy.signed().payload {
            return Ok(None);
        }
        let genesis = self.trust.authority().genesis();
        PolicyInForce::verify(signed, genesis, Some(&self.policy))
            .map(Some)
            .map_err(Adoption::Policy)
    }

    /// Version of the policy in force.
    #[must_use]
    pub const fn policy_version(&self) -> u64 {
        self.policy.policy().version
    }

    /// Decides on an admission.
    ///
    /// 1. the clock is not behind the log, and the key holds itself, 2. the monitor's lease, 3. the statement, 4. the decision, 5. record and log, 6. the
    ///    credential, never longer than anything it rests on.
    ///
    /// # Errors
    /// The reasons.
    pub fn admit(
        &mut self,
        request: &AdmissionRequest,
        binder: &Binder,
        key: StatementKey,
        now: Time,
    ) -> Result<Admission, Reasons> {
        // 1
        if !self.believes(now) {
            return Err(one(format!(
                "clock: this authority's clock says {now}, its log was written at {}; its host set it back, mend it",
                self.log.newest()
            )));
        }
        let leaf = SpkiDigest::of_der(&request.spki);
        let possessed = P256Key::from_spki(&request.spki)
            .is_some_and(|k| k.verifies(&binder.encode(), &request.proof_of_possession));
        if !holds("proof_of_possession", possessed)
            || !holds("admission_leaf", binder.client.spki == Some(leaf))
        {
            self.refused_unproved = self.refused_unproved.saturating_add(1);
            return Err(one(
                "proof of possession: expected a signature of the key to be certified over this connection's binder; make it inside the program",
            ));
        }
        // 2
        if let Some(evidence) = &request.hardware {
            let lease = self.lease(evidence, key, binder.server.nonce, now);
            let lease = lease
                .inspect_err(|_| self.refused_unproved = self.refused_unproved.saturating_add(1))?;
            self.leases.insert(key, lease);
        }
        let lease = self.leases.get(&key).filter(|l| now < l.ends);
        let lease = lease.ok_or_else(|| one("monitor lease: expected fresh hardware evidence, got none; send it with this admission"))?;
        // 3
        let program = verify_program(&lease.monitor, &request.statement, binder);
        let program = program.map_err(|e| {
            self.refused_unproved = self.refused_unproved.saturating_add(1);
            one(e)
        })?;
        // 4
        let narrow = request.narrow.as_deref();
        let (revocations, claims) = (&self.revocations, &self.claims);
        let context = Context { now, leaf, narrow, revocations, claims };
        let grant = match decide(&[&self.policy], &program, &lease.hardware, &context) {
            Decision::Granted(grant) => grant,
            Decision::Refused(reasons) => {
                let reasons = reasons.iter().map(ToString::to_string).collect::<Vec<_>>();
                let measured = program.facts().statement.program.measurement;
                let said = format!("{measured}: {}", reasons.join("; "));
                self.log.refusal(now, &said).map_err(one)?;
                return Err(reasons);
            }
        };
        // A key that the program can export may speak for it elsewhere: it is given no secrets (I14).
        let secrets = if holds("secrets_exportable", !request.exportable) {
            self.released(&grant.secrets).map_err(one)?
        } else {
            Vec::new()
        };
        // 5
        let life = if request.exportable {
            self.limits.exportable_secs
        } else {
            self.limits.credential_secs
        };
        let not_after = grant
            .not_after
            .min(now.plus_secs(life))
            .min(lease.ends)
            .min(self.trust.authority().endorsement().window.not_after);
        let record = DecisionRecord {
            at: now,
            domain: self.trust.root(),
            policy: self.policy.signed().payload.clone(),
            hardware: lease.evidence.clone(),
            hardware_at: lease.hardware.verified_at(),
            nonce: lease.nonce,
            statement_key: key,
            statement: request.statement.clone(),
            binder: binder.encode(),
            proof: grant.proof.encode(),
            role: grant.role.to_string(),
            connect: grant.connect.iter().map(ToString::to_string).collect(),
            listen: grant.listen.clone(),
            secrets: grant.secrets.clone(),
            claims: grant.claims.clone(),
            revocation: self.epoch(),
            not_after,
        };
        let decision = record.digest();
        let (log_index, log) = self.log.admission(&record, request.log_seen).map_err(one)?;
        // 6
        let state = &program.facts().statement.program;
        let credential = Credential {
            domain: self.trust.root(),
            role: grant.role.clone(),
            measurement: state.measurement,
            statement_key: key,
            kind: lease.hardware.facts().kind,
            isolation: state.isolation,
            host: state.host,
            exportable: request.exportable,
            policy: self.policy.policy().version,
            proof: evidence::ContentDigest::of(&record.proof),
            log_index,
        };
        let id = self.policy.policy().domain.spiffe_id(&grant.role);
        let certificate = self
            .keys
            .ca
            .issue(&id, &request.spki, &credential, Window { not_before: now, not_after })
            .map_err(one)?;
        let programs = &self.policy.policy().programs;
        let clients = programs
            .iter()
            .filter(|p| p.connect.contains(&grant.role))
            .map(|p| p.role.to_string())
            .chain(grant.outsiders.iter().map(|o| o.as_client().to_owned()))
            .collect();
        Ok(Admission {
            certificate,
            role: record.role,
            connect: record.connect,
            clients,
            policy: credential.policy,
            revocation: self.revocations.epoch(),
            log_index,
            decision,
            secrets,
            log,
        })
    }

    fn lease(
        &self,
        evidence: &HardwareEvidence,
        key: StatementKey,
        nonce: Nonce,
        now: Time,
    ) -> Result<Lease, Reasons> {
        let stated = self.policy.policy().hardware.iter().filter(|h| h.kind == evidence.kind);
        let roots = stated.flat_map(|h| h.roots.iter().copied()).collect::<Vec<_>>();
        let hardware = hardware::verify(evidence, &roots, now).map_err(one)?;
        let binding = MonitorBinding { domain: self.trust.root(), statement_key: key, nonce };
        let monitor = verify_monitor(&hardware, &binding).map_err(one)?;
        let ends = monitor.holds_until().min(now.plus_secs(self.limits.monitor_lease_secs));
        Ok(Lease { monitor, hardware, evidence: evidence.clone(), nonce, ends })
    }

    /// A certificate for the authority's own TLS key.
    ///
    /// # Errors
    /// Why not.
    pub fn own_certificate(
        &self,
        spki: &[u8],
        info: &platform::Info,
        now: Time,
    ) -> Result<Vec<u8>, Reasons> {
        let role =
            trust::RoleName::new(channel::admission::AUTHORITY_ROLE).ok_or_else(|| one("role"))?;
        let id = self.policy.policy().domain.spiffe_id(&role);
        let credential = Credential {
            domain: self.trust.root(),
            role,
            measurement: info.program.measurement,
            statement_key: info.statement_key,
            kind: Kind::Software,
            isolation: info.program.isolation,
            host: info.program.host,
            exportable: false,
            policy: self.policy.policy().version,
            proof: evidence::ContentDigest::of(b"endorsed by the owners"),
            log_index: 0,
        };
        let not_after = self.trust.authority().endorsement().window.not_after;
        self.keys
            .ca
            .issue(&id, spki, &credential, Window { not_before: now, not_after })
            .map_err(one)
    }

    /// The domain's trust, as clients have it.
    #[must_use]
    pub const fn trust(&self) -> &Arc<DomainTrust> {
        &self.trust
    }

    /// The log's newest checkpoint.
    #[must_use]
    pub fn checkpoint(&self) -> &str {
        self.log.checkpoint()
    }

    /// A tile of the log.
    #[must_use]
    pub fn tile(&self, path: &str) -> Option<Vec<u8>> {
        self.log.tile(path)
    }
}
