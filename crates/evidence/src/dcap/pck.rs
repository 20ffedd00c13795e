//! What a PCK certificate says of its platform: the extension 1.2.840.113741.1.13.1 (Intel SGX PCK Certificate and
//! Certificate Revocation List Profile Specification, section 1.3.5). The TCB is taken from here, never from the quote.

use der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef};
use der::{Reader, SliceReader};

use crate::time::Window;
use crate::x509::Certificate;

/// The extension.
pub(super) const EXTENSION: &str = "1.2.840.113741.1.13.1";

/// Which authority issued a PCK certificate: each has its own revocation list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PckCa {
    /// For machines of one package.
    Processor,
    /// For machines registered as a platform.
    Platform,
}

impl PckCa {
    /// Intel's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Processor => "Processor",
            Self::Platform => "Platform",
        }
    }
}

/// How a platform is configured; certificates of the Platform CA say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// Packages may be added to it without registering it anew.
    pub dynamic_platform: bool,
    /// Its root keys are kept by Intel's registration service.
    pub cached_keys: bool,
    /// Simultaneous multithreading is on.
    pub smt_enabled: bool,
}

/// A platform as its PCK certificate describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pck {
    /// The authority that issued the certificate.
    pub ca: PckCa,
    /// PPID.
    pub ppid: [u8; 16],
    /// The 16 SGX TCB components.
    pub components: [u8; 16],
    /// PCESVN.
    pub pce_svn: u16,
    /// CPUSVN.
    pub cpu_svn: [u8; 16],
    /// PCE-ID.
    pub pce_id: [u8; 2],
    /// FMSPC: family, model, stepping, platform and package configuration.
    pub fmspc: [u8; 6],
    /// SGX type: 0 standard, 1 scalable, 2 scalable with integrity.
    pub sgx_type: u8,
    /// The platform's instance id; only of the Platform CA.
    pub platform_instance: Option<[u8; 16]>,
    /// The configuration; only of the Platform CA.
    pub configuration: Option<Configuration>,
    /// When the certificate is in force.
    pub window: Window,
}

/// Reads it from a certificate; nothing if the extension is absent, malformed, or says something twice.
pub(super) fn parse(certificate: &Certificate, ca: PckCa) -> Option<Pck> {
    let mut e = Parts::default();
    members(certificate.extension(EXTENSION)?, |arc, value| e.member(arc, value))?;
    Some(Pck {
        ca,
        ppid: e.ppid?,
        components: all(e.components)?,
        pce_svn: e.pce_svn?,
        cpu_svn: e.cpu_svn?,
        pce_id: e.pce_id?,
        fmspc: e.fmspc?,
        sgx_type: e.sgx_type?,
        platform_instance: e.platform_instance,
        configuration: match e.configuration {
            [None, None, None] => None,
            [dynamic_platform, cached_keys, smt_enabled] => Some(Configuration {
                dynamic_platform: dynamic_platform?,
                cached_keys: cached_keys?,
                smt_enabled: smt_enabled?,
            }),
        },
        window: certificate.window(),
    })
}

/// The extension while it is read. An arc that is not known, or comes again, ends the reading.
#[derive(Default)]
struct Parts {
    ppid: Option<[u8; 16]>,
    components: [Option<u8>; 16],
    pce_svn: Option<u16>,
    cpu_svn: Option<[u8; 16]>,
    pce_id: Option<[u8; 2]>,
    fmspc: Option<[u8; 6]>,
    sgx_type: Option<u8>,
    platform_instance: Option<[u8; 16]>,
    configuration: [Option<bool>; 3],
}

impl Parts {
    fn member(&mut self, arc: &str, value: AnyRef<'_>) -> Option<()> {
        match arc {
            "1" => once(&mut self.ppid, bytes(value)),
            "2" => members_of(value, |arc, value| self.tcb(arc.strip_prefix("2.")?, value)),
            "3" => once(&mut self.pce_id, bytes(value)),
            "4" => once(&mut self.fmspc, bytes(value)),
            "5" => once(&mut self.sgx_type, enumerated(value)),
            "6" => once(&mut self.platform_instance, bytes(value)),
            "7" => members_of(value, |arc, value| {
                let n = arc.strip_prefix("7.")?.parse::<usize>().ok()?.checked_sub(1)?;
                once(self.configuration.get_mut(n)?, value.decode_as().ok())
            }),
            _ => None,
        }
    }

    fn tcb(&mut self, arc: &str, value: AnyRef<'_>) -> Option<()> {
        match arc.parse::<usize>().ok()? {
            n @ 1..=16 => {
                let place = self.components.get_mut(n.checked_sub(1)?)?;
                once(place, value.decode_as().ok())
            }
            17 => once(&mut self.pce_svn, value.decode_as().ok()),
            18 => once(&mut self.cpu_svn, bytes(value)),
            _ => None,
        }
    }
}

/// Calls `each` for every member of a SEQUENCE OF { id, value }, with what the id has below the extension's own.
fn members(der: &[u8], each: impl FnMut(&str, AnyRef<'_>) -> Option<()>) -> Option<()> {
    let mut reader = SliceReader::new(der).ok()?;
    let outer = reader.decode::<AnyRef<'_>>().ok()?;
    reader.finish().ok()?;
    members_of(outer, each)
}

fn members_of(
    outer: AnyRef<'_>,
    mut each: impl FnMut(&str, AnyRef<'_>) -> Option<()>,
) -> Option<()> {
    let read = outer.sequence(|list| {
        while !list.is_finished() {
            let (id, value) = list.sequence(|pair| {
                let id = pair.decode::<ObjectIdentifier>()?;
                Ok::<_, der::Error>((id.to_string(), pair.decode::<AnyRef<'_>>()?))
            })?;
            let arc = id.strip_prefix(EXTENSION).and_then(|arc| arc.strip_prefix('.'));
            arc.and_then(|arc| each(arc, value)).ok_or(der::ErrorKind::Failed)?;
        }
        Ok::<_, der::Error>(())
    });
    read.ok()
}

fn once<T>(place: &mut Option<T>, value: Option<T>) -> Option<()> {
    if place.is_some() {
        return None;
    }
    *place = Some(value?);
    Some(())
}

fn all(components: [Option<u8>; 16]) -> Option<[u8; 16]> {
    let mut out = [0; 16];
    for (to, from) in out.iter_mut().zip(components) {
        *to = from?;
    }
    Some(out)
}

fn bytes<const N: usize>(value: AnyRef<'_>) -> Option<[u8; N]> {
    value.decode_as::<&OctetStringRef>().ok()?.as_bytes().try_into().ok()
}

fn enumerated(value: AnyRef<'_>) -> Option<u8> {
    match (value.header().tag(), value.value()) {
        (der::Tag::Enumerated, [n]) if *n < 0x80 => Some(*n),
        _ => None,
    }
}
