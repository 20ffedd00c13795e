//! TCB statuses, and how those of several components come together: to the worst of all (Intel SGX ECDSA QuoteLib
//! Reference, sections 4.1.2.5.1 to 4.1.2.5.3; Intel PCS API v4 on `tcbStatus`).

use core::fmt;

use serde::Deserialize;

/// The status of a TCB level, and of levels that came together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Status {
    /// Everything known is fixed.
    UpToDate,
    /// Software inside must carry mitigations.
    SWHardeningNeeded,
    /// Settings of the machine leave a weakness.
    ConfigurationNeeded,
    /// Both.
    ConfigurationAndSWHardeningNeeded,
    /// Firmware lacks published fixes.
    OutOfDate,
    /// And settings leave a weakness.
    OutOfDateConfigurationNeeded,
    /// Launched under an out-of-date TDX module that was since replaced (TDX 1.5); never in collateral.
    #[serde(skip)]
    TDRelaunchAdvised,
    /// And settings leave a weakness; never in collateral.
    #[serde(skip)]
    TDRelaunchAdvisedConfigurationNeeded,
    /// Keys of this TCB are known to others: nothing it says counts.
    Revoked,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 9] = [
        Self::UpToDate,
        Self::SWHardeningNeeded,
        Self::ConfigurationNeeded,
        Self::ConfigurationAndSWHardeningNeeded,
        Self::OutOfDate,
        Self::OutOfDateConfigurationNeeded,
        Self::TDRelaunchAdvised,
        Self::TDRelaunchAdvisedConfigurationNeeded,
        Self::Revoked,
    ];

    /// Intel's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UpToDate => "UpToDate",
            Self::SWHardeningNeeded => "SWHardeningNeeded",
            Self::ConfigurationNeeded => "ConfigurationNeeded",
            Self::ConfigurationAndSWHardeningNeeded => "ConfigurationAndSWHardeningNeeded",
            Self::OutOfDate => "OutOfDate",
            Self::OutOfDateConfigurationNeeded => "OutOfDateConfigurationNeeded",
            Self::TDRelaunchAdvised => "TDRelaunchAdvised",
            Self::TDRelaunchAdvisedConfigurationNeeded => "TDRelaunchAdvisedConfigurationNeeded",
            Self::Revoked => "Revoked",
        }
    }

    /// What whoever is refused for it should do.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::UpToDate => "nothing to do",
            Self::SWHardeningNeeded => {
                "the program must carry the mitigations of the advisories; a profile may then accept this"
            }
            Self::ConfigurationNeeded => {
                "settings of the machine leave a weakness; its operator should follow the advisories"
            }
            Self::ConfigurationAndSWHardeningNeeded => {
                "settings of the machine leave a weakness and the program must carry mitigations; follow the advisories"
            }
            Self::OutOfDate | Self::OutOfDateConfigurationNeeded => {
                "firmware lacks published fixes; update BIOS, microcode and TDX module, then provision the machine anew, since its certificate keeps the old TCB until then"
            }
            Self::TDRelaunchAdvised | Self::TDRelaunchAdvisedConfigurationNeeded => {
                "the TDX module was updated under the running domain; start the domain anew"
            }
            Self::Revoked => {
                "its keys are known to others; no profile accepts this, take another machine"
            }
        }
    }

    /// The worst of both: what either lacks, the whole lacks.
    #[must_use]
    pub fn join(self, other: Self) -> Self {
        let (a, b) = (self.lacks(), other.lacks());
        let either = Lacks {
            fixes: a.fixes || b.fixes,
            settings: a.settings || b.settings,
            hardening: a.hardening || b.hardening,
        };
        match (self, other) {
            (Self::Revoked, _) | (_, Self::Revoked) => Self::Revoked,
            _ => either.status(),
        }
    }

    /// The status of a domain launched under one TCB that now runs under another one: a launch that lacked fixes can be
    /// mended by starting anew if what runs now lacks none; else the worst of both.
    #[must_use]
    pub fn relaunch(self, current: Self) -> Self {
        let (launched, now) = (self.lacks(), current.lacks());
        if self == Self::Revoked || !launched.fixes || now.fixes {
            self.join(current)
        } else if launched.settings || now.settings {
            Self::TDRelaunchAdvisedConfigurationNeeded
        } else {
            Self::TDRelaunchAdvised
        }
    }

    const fn lacks(self) -> Lacks {
        let (fixes, settings, hardening) = match self {
            Self::UpToDate => (false, false, false),
            Self::SWHardeningNeeded => (false, false, true),
            Self::ConfigurationNeeded => (false, true, false),
            Self::ConfigurationAndSWHardeningNeeded => (false, true, true),
            Self::OutOfDate | Self::TDRelaunchAdvised => (true, false, false),
            Self::OutOfDateConfigurationNeeded | Self::TDRelaunchAdvisedConfigurationNeeded => {
                (true, true, false)
            }
            Self::Revoked => (true, true, true),
        };
        Lacks { fixes, settings, hardening }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a status says is missing.
#[derive(Clone, Copy)]
struct Lacks {
    fixes: bool,
    settings: bool,
    hardening: bool,
}

impl Lacks {
    /// Hardening has no name of its own where fixes are missing: it would not help.
    const fn status(self) -> Status {
        match (self.fixes, self.settings, self.hardening) {
            (false, false, false) => Status::UpToDate,
            (false, false, true) => Status::SWHardeningNeeded,
            (false, true, false) => Status::ConfigurationNeeded,
            (false, true, true) => Status::ConfigurationAndSWHardeningNeeded,
            (true, false, _) => Status::OutOfDate,
            (true, true, _) => Status::OutOfDateConfigurationNeeded,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Status::{self, *};

    const OF_COLLATERAL: [Status; 7] = [
        UpToDate,
        SWHardeningNeeded,
        ConfigurationNeeded,
        ConfigurationAndSWHardeningNeeded,
        OutOfDate,
        OutOfDateConfigurationNeeded,
        Revoked,
    ];

    #[test]
    fn statuses_come_together_to_the_worst_in_any_order() {
        for a in OF_COLLATERAL {
            assert_eq!((a.join(a), a.join(UpToDate), a.join(Revoked)), (a, a, Revoked));
            for b in OF_COLLATERAL {
                assert_eq!(a.join(b), b.join(a));
                for c in OF_COLLATERAL {
                    assert_eq!(a.join(b).join(c), a.join(b.join(c)), "{a} {b} {c}");
                }
            }
        }
        for (a, b, both) in [
            (SWHardeningNeeded, OutOfDate, OutOfDate),
            (ConfigurationNeeded, OutOfDate, OutOfDateConfigurationNeeded),
            (ConfigurationAndSWHardeningNeeded, OutOfDate, OutOfDateConfigurationNeeded),
            (ConfigurationNeeded, SWHardeningNeeded, ConfigurationAndSWHardeningNeeded),
        ] {
            assert_eq!(a.join(b), both);
        }
    }

    #[test]
    fn only_a_launch_without_fixes_is_mended_by_starting_anew() {
        for launched in OF_COLLATERAL {
            for now in OF_COLLATERAL {
                let wanted = match (launched, now) {
                    (OutOfDate, UpToDate | SWHardeningNeeded) => TDRelaunchAdvised,
                    (OutOfDate, ConfigurationNeeded | ConfigurationAndSWHardeningNeeded)
                    | (
                        OutOfDateConfigurationNeeded,
                        UpToDate
                        | SWHardeningNeeded
                        | ConfigurationNeeded
                        | ConfigurationAndSWHardeningNeeded,
                    ) => TDRelaunchAdvisedConfigurationNeeded,
                    _ => launched.join(now),
                };
                assert_eq!(launched.relaunch(now), wanted, "{launched} then {now}");
            }
        }
    }
}
