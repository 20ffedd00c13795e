//! What a profile states about Android devices and their keys, and the judgement. Only what the hardware enforces counts.
//! Every knob is stated; what is left open is reported as not applicable.

use serde::Deserialize;

use super::layout::{BootState, Facts, RootOfTrust, SecurityLevel};
use crate::authentic::Check;
use crate::knob::{judge, listed_hex, names, stated, words};
use crate::profile::{Section, Stated, Taken};

/// What a device and its key must be like.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Knobs {
    /// Levels taken, of the key and of what attested it.
    pub security_levels: Vec<SecurityLevel>,
    /// Devices whose boot loader takes what does not verify.
    pub unlocked_devices: Taken,
    /// Boot states taken.
    pub boot_states: Vec<BootState>,
    /// Keys that were not made inside.
    pub imported_keys: Taken,
    /// Lowest patch level of the system, e.g. 202511.
    pub os_patch_level_minimum: Stated<u32>,
    /// Chains no status list was asked about.
    pub unknown_revocation: Taken,
    /// Keys that may have verified the system, hex.
    pub boot_keys: Stated<Vec<String>>,
}

impl Section for Knobs {
    const KIND: &'static str = "android-key";

    fn possible(&self) -> Result<(), (String, &'static str)> {
        let at = |knob: &str, why| Err((knob.to_owned(), why));
        if self.security_levels.is_empty() || self.boot_states.is_empty() {
            return at("security-levels, boot-states", "takes none, so no device can ever pass");
        }
        // YYYYMM, so that 202513 or 2025 is a slip and no demand.
        let month =
            |n: &u32| (201_000..300_000).contains(n) && (1..=12).contains(&n.rem_euclid(100));
        if self.os_patch_level_minimum.value().is_some_and(|n| !month(n)) {
            return at("os-patch-level-minimum", "is no year and month, e.g. 202511");
        }
        Ok(())
    }

    fn words(&self) -> Vec<String> {
        let levels = self.security_levels.iter().map(|l| l.as_str().to_owned());
        let states = self.boot_states.iter().map(|s| s.as_str().to_owned());
        let patch = self.os_patch_level_minimum.words(u32::to_string);
        vec![
            format!("security levels: {}", names(levels)),
            format!("unlocked devices: {}", self.unlocked_devices.as_str()),
            format!("boot states: {}", names(states)),
            format!("keys not made inside: {}", self.imported_keys.as_str()),
            format!("system patch level at least: {patch}"),
            format!("chains no status list was asked about: {}", self.unknown_revocation.as_str()),
            format!("verified boot keys: {}", words(&self.boot_keys)),
        ]
    }
}

/// Judges an Android key attestation; every knob gives a check.
#[must_use]
pub fn appraise(facts: &Facts, knobs: &Knobs) -> Vec<Check> {
    let d = &facts.description;
    let (level, key_level) = (d.attestation_security_level, d.keymaster_security_level);
    let taken = |l| knobs.security_levels.contains(&l);
    let mut checks = vec![judge(
        "android_level",
        taken(level) && taken(key_level),
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
    let (origin, patch) = (d.hardware.origin, d.hardware.os_patch_level);
    let asked =
        if facts.revocation_checked { "status list asked" } else { "no status list was given" };
    checks.extend([
        judge(
            "android_origin",
            knobs.imported_keys == Taken::Taken || origin == Some(0),
            format!("origin of the key: {}, 0 is made inside", number(origin)),
            "have the key made in the keystore",
        ),
        stated(
            "android_patch_level",
            &knobs.os_patch_level_minimum,
            number(patch),
            "update the device",
            |least| patch.is_some_and(|n| n >= *least),
        ),
        judge(
            "android_revocation",
            knobs.unknown_revocation == Taken::Taken || facts.revocation_checked,
            asked,
            "fetch https://android.googleapis.com/attestation/status and pass it along",
        ),
    ]);
    checks
}

fn boot(root: &RootOfTrust, knobs: &Knobs) -> [Check; 3] {
    [
        judge(
            "android_locked",
            knobs.unlocked_devices == Taken::Taken || root.device_locked,
            if root.device_locked { "boot loader is locked" } else { "boot loader is unlocked" },
            "lock it",
        ),
        judge(
            "android_boot_state",
            knobs.boot_states.contains(&root.verified_boot_state),
            root.verified_boot_state.as_str(),
            "restore the maker's system",
        ),
        listed_hex("android_boot_key", &knobs.boot_keys, Some(&root.verified_boot_key)),
    ]
}
