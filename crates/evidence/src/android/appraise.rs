//! Knobs of a profile that only Android key attestation has, and their judgement. Every knob is stated; there is no default.

use super::layout::{BootState, Facts, RootOfTrust, SecurityLevel};
use crate::authentic::Check;
use crate::wanted::{Wanted, judge};

/// What a device and its key must be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Knobs {
    /// Levels taken, of the key and of what attested it.
    pub levels: Vec<SecurityLevel>,
    /// A boot loader that takes what does not verify is taken.
    pub unlocked: bool,
    /// Boot states taken.
    pub boot_states: Vec<BootState>,
    /// Keys taken that were not made inside.
    pub imported: bool,
    /// Lowest patch level of the system, e.g. 202511; none leaves it open, in words.
    pub os_patch_level_min: Option<u32>,
    /// A chain taken that no status list was asked about.
    pub unknown_revocation: bool,
    /// Keys that may have verified the system.
    pub boot_keys: Wanted<Vec<u8>>,
}

impl Knobs {
    /// The profile `forensic-2026-11`: what evidence says, with open devices refused; it admits nothing.
    #[must_use]
    pub fn forensic() -> Self {
        Self {
            levels: vec![SecurityLevel::TrustedEnvironment, SecurityLevel::StrongBox],
            unlocked: false,
            boot_states: vec![BootState::Verified],
            imported: true,
            os_patch_level_min: None,
            unknown_revocation: true,
            boot_keys: Wanted::Unconstrained,
        }
    }

    /// The profile `android-key-2026-11`: keys made inside a locked device that booted the maker's system, patched within a
    /// year, with the status list asked.
    #[must_use]
    pub fn production_2026_11() -> Self {
        Self {
            imported: false,
            os_patch_level_min: Some(202_511),
            unknown_revocation: false,
            ..Self::forensic()
        }
    }

    /// Every knob in words, a line each: what a profile's digest covers and what people are shown.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        let taken = |yes: bool| if yes { "taken" } else { "refused" };
        let levels = self.levels.iter().map(|l| l.as_str()).collect::<Vec<_>>();
        let states = self.boot_states.iter().map(|s| s.as_str()).collect::<Vec<_>>();
        let patch = self.os_patch_level_min.map(|n| n.to_string());
        vec![
            format!("security levels: {}", levels.join(" or ")),
            format!("unlocked devices: {}", taken(self.unlocked)),
            format!("boot states: {}", states.join(" or ")),
            format!("keys not made inside: {}", taken(self.imported)),
            format!("lowest system patch level: {}", patch.as_deref().unwrap_or("unconstrained")),
            format!("chains no status list was asked about: {}", taken(self.unknown_revocation)),
            format!("verified boot keys: {}", self.boot_keys.hex_words()),
        ]
    }
}

/// Judges what only Android key attestation has; every knob gives a check. Only what the hardware enforces counts.
#[must_use]
pub fn appraise(facts: &Facts, knobs: &Knobs) -> Vec<Check> {
    let d = &facts.description;
    let (level, key_level) = (d.attestation_security_level, d.keymaster_security_level);
    let mut checks = vec![judge(
        "android_level",
        knobs.levels.contains(&level) && knobs.levels.contains(&key_level),
        format!("attested by {}, key in {}", level.as_str(), key_level.as_str()),
        "use a device with a hardware-backed keystore",
    )];
    match &d.hardware.root_of_trust {
        None => checks.push(judge(
            "android_root_of_trust",
            false,
            "the hardware says nothing about what was booted",
            "use a device whose keymaster does",
        )),
        Some(root) => checks.extend(boot(root, knobs)),
    }
    let number = |n: Option<u32>| n.map_or_else(|| "not stated".to_owned(), |n| n.to_string());
    let origin = d.hardware.origin;
    checks.push(judge(
        "android_origin",
        knobs.imported || origin == Some(0),
        format!("origin of the key: {}, 0 is made inside", number(origin)),
        "have the key made in the keystore",
    ));
    if let Some(least) = knobs.os_patch_level_min {
        let patch = d.hardware.os_patch_level;
        checks.push(judge(
            "android_patch_level",
            patch >= Some(least),
            format!("{}, at least {least}", number(patch)),
            "update the device",
        ));
    }
    let asked =
        if facts.revocation_checked { "status list asked" } else { "no status list was given" };
    checks.push(judge(
        "android_revocation",
        knobs.unknown_revocation || facts.revocation_checked,
        asked,
        "fetch https://android.googleapis.com/attestation/status and pass it along",
    ));
    checks
}

fn boot(root: &RootOfTrust, knobs: &Knobs) -> [Check; 3] {
    let key = &root.verified_boot_key;
    [
        judge(
            "android_locked",
            knobs.unlocked || root.device_locked,
            if root.device_locked { "boot loader is locked" } else { "boot loader is unlocked" },
            "lock it",
        ),
        judge(
            "android_boot_state",
            knobs.boot_states.contains(&root.verified_boot_state),
            root.verified_boot_state.as_str(),
            "restore the maker's system",
        ),
        knobs.boot_keys.judge(
            "android_boot_key",
            Some(key),
            &hex::encode(key),
            "it is not on the list",
        ),
    ]
}
