//! Trust anchors for tokens that carry no chain (CCA, PSA): the keys given by `--root`, each taken for whatever device the
//! token names. A file that merely lies beside the evidence vouches for nothing.

use anyhow::Result;
use evidence::cose::anchor::{Anchor, AnchorKey};
use evidence::profile::Stated;

use super::input::Input;
use crate::output::Failure;

/// The anchors of the command line.
pub(super) fn anchors(input: &Input) -> Result<Vec<Anchor>> {
    let read = |file: &Vec<u8>| -> Result<Anchor> {
        let key = AnchorKey::read(file).map_err(|e| Failure::Usage(format!("--root: {e}")))?;
        Ok(Anchor { key, devices: Stated::Unconstrained })
    };
    input.roots.iter().map(read).collect()
}
