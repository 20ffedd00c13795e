//! Landlock over the private root: a second wall behind the read-only mounts, and no abstract sockets or signals
//! across it. Best effort by kernel version; `casemate doctor` says which version this kernel has.

use std::io;

use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, Scope,
};

/// Confines the calling process: reading and executing everywhere inside, writing only on the writable mounts and
/// devices, executing nothing there.
///
/// # Errors
/// What the kernel said.
pub fn apply(writable: &[&str]) -> io::Result<()> {
    let abi = ABI::V6;
    let all = AccessFs::from_all(abi);
    let read = AccessFs::from_read(abi);
    let write = all & !AccessFs::Execute;
    let open = |at: &&str| PathFd::new(at).map_err(io::Error::other);
    let root = open(&"/")?;
    let places = writable.iter().map(open).collect::<io::Result<Vec<_>>>()?;
    let rules = || -> Result<(), RulesetError> {
        let mut set = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(all)?
            .scope(Scope::from_all(abi))?
            .create()?
            .add_rule(PathBeneath::new(root, read))?;
        for place in places {
            set = set.add_rule(PathBeneath::new(place, write))?;
        }
        set.restrict_self().map(drop)
    };
    rules().map_err(io::Error::other)
}
