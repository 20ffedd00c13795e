//! Which TCB level a platform meets, and what levels of platform, TDX module and quoting enclave come to (Intel SGX ECDSA
//! QuoteLib Reference, section 4.1.2.5; Intel PCS API v4, TCB info). SVNs are the PCK certificate's and, for TDX, the
//! TD report's; no level met is no status at all.

use core::fmt;

use super::identity::QeIdentity;
use super::pck::Pck;
use super::signed_json::SvnLevel;
use super::status::Status;
use super::tcb_info::{Level, ModuleIdentity, TcbInfo};
use crate::controls::holds;

/// What a TD report says of the TDX module under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TdSvns {
    /// TEE_TCB_SVN: the TCB the domain was launched under.
    pub(crate) launched: [u8; 16],
    /// TEE_TCB_SVN2: the TCB it runs under now (TDX 1.5).
    pub(crate) current: Option<[u8; 16]>,
    /// MRSIGNERSEAM.
    pub(crate) mr_signer_seam: [u8; 48],
    /// SEAMATTRIBUTES.
    pub(crate) seam_attributes: [u8; 8],
}

/// The TDX module's level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Module {
    /// There is none: SGX, or collateral that is not of this platform.
    None,
    /// Version 0: its SVN is a component of the platform's level.
    Legacy,
    /// TCB info knows no module of this version.
    Unknown(u8),
    /// Its SVN is below every level.
    BelowEvery(u8),
    /// The level it meets.
    Level(SvnLevel),
}

impl Module {
    /// What it adds to the platform's status; none if it meets no level.
    #[must_use]
    pub const fn status(&self) -> Option<Status> {
        match self {
            Self::None | Self::Legacy => Some(Status::UpToDate),
            Self::Unknown(_) | Self::BelowEvery(_) => None,
            Self::Level(level) => Some(level.status),
        }
    }
}

/// An SVN that is too low.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortfall {
    /// Of what: `SGX component 8`, `PCESVN`, `TDX component 3`.
    pub component: String,
    /// What it is.
    pub have: u16,
    /// What the level needs.
    pub needs: u16,
}

impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}, {} needed", self.component, self.have, self.needs)
    }
}

/// What a platform's TCB is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tcb {
    /// The level the platform meets.
    pub platform: Option<Level>,
    /// The TDX module's.
    pub module: Module,
    /// MRSIGNERSEAM and SEAMATTRIBUTES are as TCB info says; true where there is no module.
    pub module_genuine: bool,
    /// The quoting enclave's.
    pub qe: Option<SvnLevel>,
    /// All three together, and for TDX 1.5 with what runs now; none if any of them meets no level.
    pub status: Option<Status>,
    /// Advisories of all three, each once.
    pub advisories: Vec<String>,
    /// What is missing to the highest level or, where none is met, to the nearest one.
    pub shortfalls: Vec<Shortfall>,
}

impl Tcb {
    /// Of a platform that the collateral is not about.
    pub(crate) const fn unknown() -> Self {
        Self {
            platform: None,
            module: Module::None,
            module_genuine: true,
            qe: None,
            status: None,
            advisories: Vec::new(),
            shortfalls: Vec::new(),
        }
    }
}

/// Evaluates a platform under the collateral that is about it.
pub(crate) fn evaluate(
    info: &TcbInfo,
    identity: &QeIdentity,
    pck: &Pck,
    qe_svn: u16,
    td: Option<&TdSvns>,
) -> Tcb {
    let launched = td.map(|td| &td.launched);
    let platform = platform_level(info, pck, launched);
    let (module, genuine) = match td {
        None => (Module::None, true),
        Some(td) => (module_level(info, &td.launched), module_is_genuine(info, td)),
    };
    let qe = level_of(&identity.levels, qe_svn);
    let whole = |platform: Option<&Level>, module: &Module| {
        Some(platform?.status.join(module.status()?).join(qe?.status))
    };
    let at_launch = whole(platform, &module);
    let status = match td.and_then(|td| td.current.as_ref()) {
        None => at_launch,
        Some(now) => whole(platform_level(info, pck, Some(now)), &module_level(info, now))
            .and_then(|now| Some(at_launch?.relaunch(now))),
    };
    let mut advisories = Vec::new();
    let of_module = if let Module::Level(l) = &module { &l.advisories[..] } else { &[] };
    let of_platform = platform.iter().flat_map(|l| &l.advisories);
    let of_qe = qe.iter().flat_map(|l| &l.advisories);
    for id in of_platform.chain(of_module).chain(of_qe) {
        if !advisories.contains(id) {
            advisories.push(id.clone());
        }
    }
    let every = info.levels.iter().map(|l| shortfalls(l, pck, launched));
    let shortfalls = match platform {
        // Nothing falls short of the level that is met; what counts is the distance to the highest.
        Some(_) => every.into_iter().next(),
        None => every.min_by_key(Vec::len),
    };
    Tcb {
        platform: platform.cloned(),
        module,
        module_genuine: genuine,
        qe: qe.cloned(),
        status,
        advisories,
        shortfalls: shortfalls.unwrap_or_default(),
    }
}

/// The highest level whose every SVN is met.
fn platform_level<'a>(info: &'a TcbInfo, pck: &Pck, tee: Option<&[u8; 16]>) -> Option<&'a Level> {
    info.levels.iter().find(|level| met(level, pck, tee))
}

fn met(level: &Level, pck: &Pck, tee: Option<&[u8; 16]>) -> bool {
    let reaches = |have: &[u8], needs: &[u8]| have.iter().zip(needs).all(|(h, n)| h >= n);
    let tdx = tee.is_none_or(|tee| reaches(compared(tee, tee), compared(tee, &level.tdx)));
    reaches(&pck.components, &level.sgx) && pck.pce_svn >= level.pce_svn && tdx
}

/// The TDX components a level is about: where the module has a version, its SVN (components 0 and 1) is judged by its identity.
fn compared<'a>(tee: &[u8; 16], components: &'a [u8; 16]) -> &'a [u8] {
    match (tee, components) {
        ([_, version, ..], [_, _, rest @ ..]) if *version > 0 => rest,
        _ => components,
    }
}

fn shortfalls(level: &Level, pck: &Pck, tee: Option<&[u8; 16]>) -> Vec<Shortfall> {
    let pair = |name: &'static str, skipped: usize, have: &[u8], needs: &[u8]| {
        let numbered = (skipped.saturating_add(1)..).zip(have.iter().zip(needs));
        let short = numbered.filter(|(_, (have, needs))| have < needs);
        short
            .map(|(n, (have, needs))| Shortfall {
                component: format!("{name} component {n}"),
                have: (*have).into(),
                needs: (*needs).into(),
            })
            .collect::<Vec<_>>()
    };
    let mut all = pair("SGX", 0, &pck.components, &level.sgx);
    if pck.pce_svn < level.pce_svn {
        let component = "PCESVN".to_owned();
        all.push(Shortfall { component, have: pck.pce_svn, needs: level.pce_svn });
    }
    if let Some(tee) = tee {
        let (have, needs) = (compared(tee, tee), compared(tee, &level.tdx));
        all.extend(pair("TDX", tee.len().saturating_sub(have.len()), have, needs));
    }
    all
}

fn module_level(info: &TcbInfo, tee: &[u8; 16]) -> Module {
    let [svn, version, ..] = *tee;
    if version == 0 {
        return Module::Legacy;
    }
    match info.modules.iter().find(|(v, _)| *v == version) {
        None => Module::Unknown(version),
        Some((_, identity)) => match level_of(&identity.levels, svn.into()) {
            None => Module::BelowEvery(svn),
            Some(level) => Module::Level(level.clone()),
        },
    }
}

fn module_is_genuine(info: &TcbInfo, td: &TdSvns) -> bool {
    let [_, version, ..] = td.launched;
    let identity: Option<&ModuleIdentity> = match version {
        0 => info.module.as_ref(),
        _ => info.modules.iter().find(|(v, _)| *v == version).map(|(_, identity)| identity),
    };
    let genuine = identity.is_some_and(|identity| {
        identity.mr_signer == td.mr_signer_seam && identity.attributes.fits(&td.seam_attributes)
    });
    holds("tdx_module_identity", genuine)
}

/// The highest level of one SVN that is met.
fn level_of(levels: &[SvnLevel], svn: u16) -> Option<&SvnLevel> {
    levels.iter().find(|level| svn >= level.svn)
}
