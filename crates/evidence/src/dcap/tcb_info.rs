//! TCB info (Intel PCS API v4, `GET /tcb`; version 2 as API v3 served it): the levels a platform's SVNs are compared with.
//! Read from the text whose signature was checked. Levels are ordered here, whatever order they came in.

use core::fmt;

use serde::Deserialize;
use serde::de::{Error as _, MapAccess, Visitor};

use super::layout::Tee;
use super::refusal::DcapRefusal;
use super::signed_json::{
    LEVELS_MAX, Mask, RawSvnLevel, SvnLevel, advisories, date, hex_bytes, svn_levels, window,
};
use super::status::Status;
use crate::time::{Time, Window};

/// TCB info whose signature held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcbInfo {
    /// What it is for.
    pub tee: Tee,
    /// `version`: 3, or 2 for SGX before 2022.
    pub version: u8,
    /// From `issueDate` to `nextUpdate`.
    pub window: Window,
    /// `fmspc`.
    pub fmspc: [u8; 6],
    /// `pceId`.
    pub pce_id: [u8; 2],
    /// `tcbEvaluationDataNumber`: grows with every TCB recovery.
    pub evaluation: u32,
    /// What the TDX module of version 0 must be like.
    pub(super) module: Option<ModuleIdentity>,
    /// What later modules must be like, by version.
    pub(super) modules: Vec<(u8, ModuleIdentity)>,
    /// Highest first.
    pub(super) levels: Vec<Level>,
}

/// A level: the SVNs it needs, and what it is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Level {
    /// The SGX components it needs.
    pub sgx: [u8; 16],
    /// The PCESVN it needs.
    pub pce_svn: u16,
    /// The TDX components it needs; zero for SGX.
    pub tdx: [u8; 16],
    /// `tcbStatus`.
    pub status: Status,
    /// `tcbDate`.
    pub date: Time,
    /// `advisoryIDs`.
    pub advisories: Vec<String>,
}

/// What a TDX module must be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ModuleIdentity {
    pub(super) mr_signer: [u8; 48],
    pub(super) attributes: Mask<8>,
    /// Highest first; none for version 0, whose SVN the platform's levels hold.
    pub(super) levels: Vec<SvnLevel>,
}

impl TcbInfo {
    /// Reads the text.
    pub(super) fn parse(text: &str) -> Result<Self, DcapRefusal> {
        let form =
            |e: serde_json::Error| DcapRefusal::Json { what: "TCB info", why: e.to_string() };
        let refuse = |why: &str| DcapRefusal::Json { what: "TCB info", why: why.to_owned() };
        let raw = serde_json::from_str::<Raw>(text).map_err(form)?;
        let tee = match (raw.version, raw.id.as_deref()) {
            (2, None) | (3, Some("SGX")) => Tee::Sgx,
            (3, Some("TDX")) => Tee::Tdx,
            (2 | 3, _) => return Err(refuse("id is neither SGX nor TDX")),
            (version, _) => {
                return Err(DcapRefusal::JsonVersion { what: "TCB info", version });
            }
        };
        if raw.tcb_type != 0 {
            return Err(refuse("tcbType is not 0"));
        }
        if raw.tcb_levels.len() > LEVELS_MAX || raw.tdx_module_identities.len() > LEVELS_MAX {
            return Err(refuse("more levels or module identities than any platform has"));
        }
        let (tdx, version) = (tee == Tee::Tdx, raw.version);
        if tdx != raw.tdx_module.is_some() || !(tdx || raw.tdx_module_identities.is_empty()) {
            return Err(refuse("tdxModule is missing, or does not belong here"));
        }
        let level = |l: RawLevel| l.level(version, tdx).ok_or_else(|| refuse("tcb of a level"));
        let mut levels = raw.tcb_levels.into_iter().map(level).collect::<Result<Vec<_>, _>>()?;
        levels.sort_by(|a, b| b.needs().cmp(&a.needs()));
        if levels.windows(2).any(|w| matches!(w, [a, b] if a.needs() == b.needs())) {
            return Err(refuse("two levels need the same SVNs"));
        }
        let mut modules = Vec::new();
        for module in raw.tdx_module_identities {
            let version = module.version().ok_or_else(|| refuse("id of a module identity"))?;
            if version == 0 || modules.iter().any(|(v, _)| *v == version) {
                return Err(refuse("a module identity for version 0, or two for one version"));
            }
            modules.push((version, module.identity().ok_or_else(|| refuse("a module's levels"))?));
        }
        Ok(Self {
            tee,
            version,
            window: window(raw.issue_date, raw.next_update),
            fmspc: raw.fmspc,
            pce_id: raw.pce_id,
            evaluation: raw.tcb_evaluation_data_number,
            module: raw.tdx_module.and_then(RawModule::identity),
            modules,
            levels,
        })
    }
}

impl Level {
    /// The order in which Intel's library tries levels: it decides among several that are met.
    fn needs(&self) -> (&[u8; 16], u16, &[u8; 16]) {
        (&self.sgx, self.pce_svn, &self.tdx)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    id: Option<String>,
    version: u8,
    #[serde(deserialize_with = "date")]
    issue_date: Time,
    #[serde(deserialize_with = "date")]
    next_update: Time,
    #[serde(deserialize_with = "hex_bytes")]
    fmspc: [u8; 6],
    #[serde(deserialize_with = "hex_bytes")]
    pce_id: [u8; 2],
    tcb_type: u32,
    tcb_evaluation_data_number: u32,
    tdx_module: Option<RawModule>,
    #[serde(default)]
    tdx_module_identities: Vec<RawModule>,
    tcb_levels: Vec<RawLevel>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawLevel {
    tcb: RawTcb,
    #[serde(deserialize_with = "date")]
    tcb_date: Time,
    tcb_status: Status,
    #[serde(default, rename = "advisoryIDs", deserialize_with = "advisories")]
    advisory_ids: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawModule {
    id: Option<String>,
    #[serde(deserialize_with = "hex_bytes")]
    mrsigner: [u8; 48],
    #[serde(deserialize_with = "hex_bytes")]
    attributes: [u8; 8],
    #[serde(deserialize_with = "hex_bytes")]
    attributes_mask: [u8; 8],
    #[serde(default)]
    tcb_levels: Vec<RawSvnLevel>,
}

impl RawLevel {
    fn level(self, version: u8, tdx: bool) -> Option<Level> {
        let RawTcb { named, sgx, tdx: tdx_components, pce_svn } = self.tcb;
        let sgx = if version == 2 { named } else { sgx };
        let needs_tdx = if tdx { tdx_components? } else { [0; 16] };
        Some(Level {
            sgx: sgx?,
            pce_svn,
            tdx: needs_tdx,
            status: self.tcb_status,
            date: self.tcb_date,
            advisories: self.advisory_ids,
        })
    }
}

impl RawModule {
    /// The version in `TDX_` and two hex digits.
    fn version(&self) -> Option<u8> {
        let digits = self.id.as_deref()?.strip_prefix("TDX_").filter(|d| d.len() == 2)?;
        u8::from_str_radix(digits, 16).ok()
    }

    fn identity(self) -> Option<ModuleIdentity> {
        Some(ModuleIdentity {
            mr_signer: self.mrsigner,
            attributes: Mask { value: self.attributes, mask: self.attributes_mask },
            levels: svn_levels(self.tcb_levels)?,
        })
    }
}

/// `tcb` of a level: lists of components in version 3, `sgxtcbcomp01svn` and so on in version 2.
struct RawTcb {
    named: Option<[u8; 16]>,
    sgx: Option<[u8; 16]>,
    tdx: Option<[u8; 16]>,
    pce_svn: u16,
}

#[derive(Deserialize)]
struct RawComponent {
    svn: u8,
}

impl<'de> Deserialize<'de> for RawTcb {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(TcbVisitor)
    }
}

struct TcbVisitor;

impl<'de> Visitor<'de> for TcbVisitor {
    type Value = RawTcb;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the SVNs of a TCB level")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawTcb, A::Error> {
        let (mut named, mut sgx, mut tdx, mut pce) = ([None; 16], None, None, None);
        while let Some(key) = map.next_key::<String>()? {
            let again = match key.as_str() {
                "sgxtcbcomponents" => {
                    sgx.replace(map.next_value::<[RawComponent; 16]>()?).is_some()
                }
                "tdxtcbcomponents" => {
                    tdx.replace(map.next_value::<[RawComponent; 16]>()?).is_some()
                }
                "pcesvn" => pce.replace(map.next_value::<u16>()?).is_some(),
                other => match numbered(other).and_then(|n| named.get_mut(n)) {
                    Some(place) => place.replace(map.next_value::<u8>()?).is_some(),
                    None => {
                        map.next_value::<serde::de::IgnoredAny>()?;
                        false
                    }
                },
            };
            if again {
                return Err(A::Error::custom(format_args!("duplicate field `{key}`")));
            }
        }
        let svns = |list: [RawComponent; 16]| list.map(|c| c.svn);
        let whole = named.iter().all(Option::is_some);
        Ok(RawTcb {
            named: whole.then(|| named.map(Option::unwrap_or_default)),
            sgx: sgx.map(svns),
            tdx: tdx.map(svns),
            pce_svn: pce.ok_or_else(|| A::Error::missing_field("pcesvn"))?,
        })
    }
}

/// The index in `sgxtcbcomp01svn` to `sgxtcbcomp16svn`.
fn numbered(key: &str) -> Option<usize> {
    let digits = key.strip_prefix("sgxtcbcomp")?.strip_suffix("svn")?;
    (digits.len() == 2).then(|| digits.parse::<usize>().ok()?.checked_sub(1))?
}
