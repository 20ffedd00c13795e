//! Permissions: `listen`, `connect` and `secrets` of the domain file as Cedar policies, and questions to them.
//!
//! One set of policies per role, so that a question about one principal never looks at another's.

use std::collections::BTreeMap;
use std::str::FromStr;

use cedar_policy::{Authorizer, Context, Decision, Entities, EntityUid, PolicySet, Request};
use thiserror::Error;

use crate::names::RoleName;
use crate::policy::{Outsider, Policy, Program};

/// What a role may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action<'a> {
    /// Connect to a role.
    Connect(&'a str),
    /// Take connections on a port.
    Listen(u16),
    /// Be given a secret.
    Read(&'a str),
    /// Be connected to by somebody who is no program.
    Serve(Outsider),
}

/// Why permissions do not compile.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PermissionError {
    /// A connection to a role that the policy does not have.
    #[error("program.{from}.connect names {to:?}, which is no program of this policy")]
    UnknownPeer {
        /// Who.
        from: String,
        /// To whom.
        to: String,
    },
    /// A secret's name that cannot be a name.
    #[error(
        "program.{role}.secrets names {name:?}; names are at most {NAME_MAX} letters, digits, . - _"
    )]
    SecretName {
        /// Whose.
        role: String,
        /// Which.
        name: String,
    },
    /// Cedar refused what we wrote.
    #[error("permissions of {0} do not parse as Cedar; report this")]
    Cedar(String),
}

/// A policy's permissions, compiled.
#[derive(Debug)]
pub struct Permissions(BTreeMap<RoleName, (String, PolicySet)>);

/// Longest name of a secret.
const NAME_MAX: usize = 64;

/// True if a secret can have that name.
pub(crate) fn is_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    (1..=NAME_MAX).contains(&name.len()) && name.bytes().all(plain)
}

/// The Cedar text of one program's permissions.
#[must_use]
pub fn cedar_text(program: &Program) -> String {
    let mut out = String::new();
    let mut permit = |action: &str, resource: String| {
        out.push_str(&format!(
            "permit (principal == Role::\"{}\", action == Action::\"{action}\", resource == {resource});\n",
            program.role
        ));
    };
    for role in &program.connect {
        permit("connect", format!("Role::\"{role}\""));
    }
    for port in &program.listen {
        permit("listen", format!("Port::\"{port}\""));
    }
    for secret in &program.secrets {
        permit("read", format!("Secret::\"{secret}\""));
    }
    for outsider in &program.outsiders {
        out.push_str(&format!(
            "permit (principal == Outsider::\"{}\", action == Action::\"connect\", resource == Role::\"{}\");\n",
            outsider.as_str(),
            program.role
        ));
    }
    out
}

impl Permissions {
    /// Compiles every program's permissions.
    ///
    /// # Errors
    /// [`PermissionError`].
    pub fn compile(policy: &Policy) -> Result<Self, PermissionError> {
        let mut all = BTreeMap::new();
        for program in &policy.programs {
            let role = program.role.to_string();
            if let Some(to) =
                program.connect.iter().find(|r| !policy.programs.iter().any(|p| p.role == **r))
            {
                return Err(PermissionError::UnknownPeer { from: role, to: to.to_string() });
            }
            if let Some(name) = program.secrets.iter().find(|n| !is_name(n)) {
                return Err(PermissionError::SecretName { role, name: name.clone() });
            }
            let text = cedar_text(program);
            let set = PolicySet::from_str(&text).map_err(|_| PermissionError::Cedar(role))?;
            all.insert(program.role.clone(), (text, set));
        }
        Ok(Self(all))
    }

    /// The Cedar text, role by role, as `policy show` prints it.
    #[must_use]
    pub fn text(&self) -> String {
        self.0.values().map(|(text, _)| text.as_str()).collect()
    }

    /// Whether Cedar permits it. A role the policy does not have may nothing.
    #[must_use]
    pub fn permits(&self, role: &RoleName, action: &Action<'_>) -> bool {
        let Some((_, set)) = self.0.get(role) else { return false };
        let own = format!("Role::\"{role}\"");
        let (principal, action, resource) = match action {
            Action::Connect(to) => (own, "connect", format!("Role::\"{to}\"")),
            Action::Listen(port) => (own, "listen", format!("Port::\"{port}\"")),
            Action::Read(secret) => (own, "read", format!("Secret::\"{secret}\"")),
            Action::Serve(o) => (format!("Outsider::\"{}\"", o.as_str()), "connect", own),
        };
        let uid = |text: String| EntityUid::from_str(&text).ok();
        let request = || {
            let principal = uid(principal)?;
            let action = uid(format!("Action::\"{action}\""))?;
            Request::new(principal, action, uid(resource)?, Context::empty(), None).ok()
        };
        request().is_some_and(|r| {
            Authorizer::new().is_authorized(&r, set, &Entities::empty()).decision()
                == Decision::Allow
        })
    }
}
