//! The SDK: what a program written for casemate uses. It runs under a monitor, which put a socket into its root.
//!
//! ```no_run
//! use casemate::{ContentDigest, LeafKey, Nonce, Platform, Program, StoreId};
//!
//! fn main() -> Result<(), casemate::PlatformError> {
//!     let mut me = Program::connect()?;
//!     println!("I am {} ({})", me.measurement()?, me.info()?.program.isolation.as_str());
//!     let store = StoreId::new("notes").ok_or(casemate::PlatformError::Random)?;
//!     let blob = me.seal(&store, 1, b"only I read this")?;
//!     assert_eq!(me.open(&store, 1, &blob)?.plaintext.expose(), b"only I read this");
//!     let said = me.attest(Nonce::new([7; 32]), ContentDigest::of(b"what I say"))?;
//!     println!("a statement of {} bytes says I said it", said.len());
//!     let mut dice = [0; 16];
//!     me.random(&mut dice)?;
//!     // With the grant `self-tls`: a key of my own, certified for my role.
//!     if let Some(key) = LeafKey::generate() {
//!         let chain = me.credential(key.spki(), |message| key.sign(message))?;
//!         println!("{} certificates", chain.len());
//!     }
//!     Ok(())
//! }
//! ```
#![forbid(unsafe_code)]

pub use channel::keys::LeafKey;
pub use evidence::{
    Binder, ContentDigest, DomainRoot, Isolation, Measurement, Nonce, StatementKey,
};
pub use platform::program::Client as Program;
pub use platform::{Info, OpenRefusal, Opened, Platform, PlatformError, Refused, Secret, StoreId};
