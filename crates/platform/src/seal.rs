//! Sealed blobs: bytes that open only for the same program, on the same platform, in the same domain, in the
//! same store. `docs/formats/sealed-blob.md` is the page of this format.
//!
//! The header says in clear for whom the blob is, so that each wrong opener is told what is wrong; the key is
//! derived from all of it, so a header that was edited to fit fails at the tag.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce as GcmNonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA384, KeyType, Salt};
use ciborium::Value;
use evidence::cbor::{self, CborError, Fields};
use evidence::controls::holds;
use evidence::statement::Anchor;
use evidence::{DomainRoot, Measurement};
use thiserror::Error;

use crate::{PlatformError, Secret, random};

/// Longest plaintext one blob holds; larger data is encrypted under a key that is sealed.
pub const PLAINTEXT_MAX: usize = 64 * 1024;
/// Longest blob.
pub const BLOB_MAX: usize = PLAINTEXT_MAX + 1024;
const SALT: &[u8] = b"casemate/seal/v1";
const VERSION: u64 = 1;

/// The name of a store: 1 to 64 bytes of `a-z 0-9 - _ .`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StoreId(String);

impl StoreId {
    /// A name of the allowed form.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        let ok =
            |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.');
        ((1..=64).contains(&name.len()) && name.bytes().all(ok)).then(|| Self(name.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What came out of a blob.
#[derive(Debug)]
pub struct Opened {
    /// The version it was sealed as.
    pub version: u64,
    /// What keeps an older blob from passing for this one.
    pub anchor: Anchor,
    /// The content.
    pub plaintext: Secret<Vec<u8>>,
}

/// Why a blob does not open. Each cause has its own refusal; none says anything about the content.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenRefusal {
    /// Cut short, too long, or not a sealed blob.
    #[error("sealed blob is truncated or not one of ours ({0}); restore the file whole")]
    Form(CborError),
    /// Sealed on another platform.
    #[error(
        "sealed on another platform; a local seal opens only where it was made, move role secrets instead"
    )]
    WrongPlatform,
    /// Sealed under another domain.
    #[error("sealed under domain {got}, this is domain {expected}")]
    WrongDomain {
        /// The opener's domain.
        expected: DomainRoot,
        /// The blob's.
        got: DomainRoot,
    },
    /// Sealed by another program.
    #[error(
        "sealed by program {got}, opened by {expected}; a changed program cannot open what the old one sealed, carry a role secret across"
    )]
    WrongProgram {
        /// The opener.
        expected: Measurement,
        /// The sealer.
        got: Measurement,
    },
    /// Sealed for another store.
    #[error("sealed for store {got:?}, opened as {expected:?}; the blobs were swapped")]
    WrongStore {
        /// The store asked for.
        expected: String,
        /// The blob's.
        got: String,
    },
    /// Older than what the anchor or the caller has seen.
    #[error(
        "sealed as version {got}, version {expected} was seen before; the disk was rolled back"
    )]
    Older {
        /// Lowest acceptable version.
        expected: u64,
        /// The blob's.
        got: u64,
    },
    /// The tag does not verify.
    #[error("sealed blob was changed; restore the file")]
    Changed,
}

/// Who seals: everything the key is derived from besides the store.
pub struct Sealer<'a> {
    /// The platform's sealing root.
    pub root: &'a Secret<[u8; 32]>,
    /// The domain.
    pub domain: DomainRoot,
    /// The program.
    pub program: Measurement,
    /// What the platform offers against rollback.
    pub anchor: Anchor,
}

struct Header {
    store: String,
    version: u64,
    anchor: Anchor,
    platform: Vec<u8>,
    domain: DomainRoot,
    program: Measurement,
}

impl Header {
    fn fields(&self) -> Vec<(i64, Value)> {
        vec![
            (1, VERSION.into()),
            (2, self.store.as_str().into()),
            (3, self.version.into()),
            (4, self.anchor.as_str().into()),
            (5, Value::Bytes(self.platform.clone())),
            (6, Value::Bytes(self.domain.as_bytes().to_vec())),
            (7, Value::Bytes(self.program.as_bytes().to_vec())),
        ]
    }

    fn aad(&self) -> Vec<u8> {
        cbor::encode(&cbor::map(self.fields()))
    }
}

impl Sealer<'_> {
    /// Seals `plaintext` as version `version` of `store`.
    ///
    /// # Errors
    /// [`PlatformError::Random`], or [`PlatformError::Message`] if the plaintext is longer than [`PLAINTEXT_MAX`].
    pub fn seal(
        &self,
        store: &StoreId,
        version: u64,
        plaintext: &[u8],
    ) -> Result<Vec<u8>, PlatformError> {
        if plaintext.len() > PLAINTEXT_MAX {
            return Err(CborError::TooLong { max: PLAINTEXT_MAX, got: plaintext.len() }.into());
        }
        let header = Header {
            store: store.as_str().to_owned(),
            version,
            anchor: self.anchor,
            platform: self.platform_tag(),
            domain: self.domain,
            program: self.program,
        };
        let mut nonce = [0; NONCE_LEN];
        random(&mut nonce)?;
        let mut sealed = plaintext.to_vec();
        self.key(&header)?
            .seal_in_place_append_tag(
                GcmNonce::assume_unique_for_key(nonce),
                Aad::from(header.aad()),
                &mut sealed,
            )
            .map_err(|_| PlatformError::Random)?;
        let mut fields = header.fields();
        fields.extend([(8, Value::Bytes(nonce.to_vec())), (9, Value::Bytes(sealed))]);
        Ok(cbor::encode(&cbor::map(fields)))
    }

    /// Opens a blob that this same sealer made for `store`, at least as new as `at_least`.
    ///
    /// 1. form, 2. platform, 3. domain, 4. program, 5. store, 6. tag over all of it, 7. version.
    ///
    /// # Errors
    /// [`OpenRefusal`], the first that applies.
    pub fn open(&self, store: &StoreId, at_least: u64, blob: &[u8]) -> Result<Opened, OpenRefusal> {
        // 1
        let (header, nonce, mut sealed) = read(blob).map_err(OpenRefusal::Form)?;
        // 2
        if !holds("seal_platform", header.platform == self.platform_tag()) {
            return Err(OpenRefusal::WrongPlatform);
        }
        // 3
        if !holds("seal_domain", header.domain == self.domain) {
            return Err(OpenRefusal::WrongDomain { expected: self.domain, got: header.domain });
        }
        // 4
        if !holds("seal_program", header.program == self.program) {
            return Err(OpenRefusal::WrongProgram { expected: self.program, got: header.program });
        }
        // 5
        if !holds("seal_store", header.store == store.as_str()) {
            return Err(OpenRefusal::WrongStore {
                expected: store.as_str().to_owned(),
                got: header.store,
            });
        }
        // 6
        let aad = Aad::from(header.aad());
        let key = self.key(&header).map_err(|_| OpenRefusal::Changed)?;
        let plaintext = key
            .open_in_place(GcmNonce::assume_unique_for_key(nonce), aad, &mut sealed)
            .map_err(|_| OpenRefusal::Changed)?;
        let plaintext = Secret::new(plaintext.to_vec());
        // 7
        if !holds("seal_version", header.version >= at_least) {
            return Err(OpenRefusal::Older { expected: at_least, got: header.version });
        }
        Ok(Opened { version: header.version, anchor: header.anchor, plaintext })
    }

    /// Sixteen bytes that tell one platform from another without telling its root.
    fn platform_tag(&self) -> Vec<u8> {
        let mut tag = vec![0; 16];
        let filled = Salt::new(HKDF_SHA384, SALT)
            .extract(self.root.expose())
            .expand(&[b"platform-tag"], Len(16))
            .and_then(|okm| okm.fill(&mut tag));
        debug_assert!(filled.is_ok(), "sixteen bytes are within HKDF's limit");
        tag
    }

    /// Key of this blob's own domain, program and store: derived from the header, whose every field was
    /// compared before, so that removing a comparison in a test build alone opens nothing.
    fn key(&self, header: &Header) -> Result<LessSafeKey, PlatformError> {
        let info = [
            b"blob-key".as_slice(),
            self.domain.as_bytes(),
            self.program.as_bytes(),
            header.store.as_bytes(),
        ];
        let mut key = Secret::new([0; 32]);
        Salt::new(HKDF_SHA384, SALT)
            .extract(self.root.expose())
            .expand(&info, Len(32))
            .and_then(|okm| okm.fill(key.expose_mut()))
            .map_err(|_| PlatformError::Random)?;
        let unbound =
            UnboundKey::new(&AES_256_GCM, key.expose()).map_err(|_| PlatformError::Random)?;
        Ok(LessSafeKey::new(unbound))
    }
}

fn read(blob: &[u8]) -> Result<(Header, [u8; NONCE_LEN], Vec<u8>), CborError> {
    let mut f = Fields::decode(blob, BLOB_MAX)?;
    f.version(VERSION)?;
    let header = Header {
        store: f.text(2, "store")?,
        version: f.uint(3, "version")?,
        anchor: Anchor::parse(&f.text(4, "anchor")?).ok_or(CborError::Field("anchor"))?,
        platform: f.bytes(5, "platform")?,
        domain: f.named(6, "domain", DomainRoot::from_slice)?,
        program: f.named(7, "program", Measurement::from_slice)?,
    };
    let nonce = f.named(8, "nonce", |b| b.try_into().ok())?;
    let sealed = f.bytes(9, "ciphertext")?;
    f.finish()?;
    Ok((header, nonce, sealed))
}

struct Len(usize);

impl KeyType for Len {
    fn len(&self) -> usize {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer(root: &Secret<[u8; 32]>) -> Sealer<'_> {
        Sealer {
            root,
            domain: DomainRoot::new([1; 32]),
            program: Measurement::new([2; 48]),
            anchor: Anchor::Unprotected,
        }
    }

    fn store(name: &str) -> StoreId {
        StoreId::new(name).unwrap()
    }

    #[test]
    fn only_the_same_program_platform_domain_and_store_opens() {
        let (here, elsewhere) = (Secret::new([7; 32]), Secret::new([8; 32]));
        let blob = sealer(&here).seal(&store("a"), 3, b"secret").unwrap();
        let opened = sealer(&here).open(&store("a"), 3, &blob).unwrap();
        assert_eq!(
            (opened.plaintext.expose().as_slice(), opened.version),
            (b"secret".as_slice(), 3)
        );
        let refusal =
            |s: Sealer<'_>, name, at_least| s.open(&store(name), at_least, &blob).unwrap_err();
        assert_eq!(refusal(sealer(&elsewhere), "a", 0), OpenRefusal::WrongPlatform);
        let other = Sealer { domain: DomainRoot::new([9; 32]), ..sealer(&here) };
        assert!(matches!(refusal(other, "a", 0), OpenRefusal::WrongDomain { .. }));
        let other = Sealer { program: Measurement::new([9; 48]), ..sealer(&here) };
        assert!(matches!(refusal(other, "a", 0), OpenRefusal::WrongProgram { .. }));
        assert!(matches!(refusal(sealer(&here), "b", 0), OpenRefusal::WrongStore { .. }));
        assert_eq!(refusal(sealer(&here), "a", 4), OpenRefusal::Older { expected: 4, got: 3 });
    }

    #[test]
    fn every_changed_bit_and_every_truncation_is_refused() {
        let root = Secret::new([7; 32]);
        let blob = sealer(&root).seal(&store("a"), 3, b"secret").unwrap();
        for bit in 0..blob.len() * 8 {
            let mut bad = blob.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(sealer(&root).open(&store("a"), 0, &bad).is_err(), "bit {bit}");
        }
        for len in 0..blob.len() {
            assert!(
                matches!(
                    sealer(&root).open(&store("a"), 0, &blob[..len]),
                    Err(OpenRefusal::Form(_))
                ),
                "{len}"
            );
        }
    }

    #[test]
    fn without_the_version_check_a_restored_blob_passes_for_the_current_one() {
        let root = Secret::new([7; 32]);
        let old = sealer(&root).seal(&store("a"), 1, b"yesterday").unwrap();
        assert!(sealer(&root).open(&store("a"), 2, &old).is_err());
        let opened = evidence::controls::without("seal_version", || {
            sealer(&root).open(&store("a"), 2, &old)
        })
        .unwrap();
        assert_eq!(opened.plaintext.expose(), b"yesterday");
    }

    #[test]
    fn whoever_is_no_longer_told_apart_by_the_header_fails_at_the_tag() {
        let (here, elsewhere) = (Secret::new([7; 32]), Secret::new([8; 32]));
        let blob = sealer(&here).seal(&store("a"), 1, b"secret").unwrap();
        let domain = Sealer { domain: DomainRoot::new([9; 32]), ..sealer(&here) };
        let program = Sealer { program: Measurement::new([9; 48]), ..sealer(&here) };
        for (check, other, name) in [
            ("seal_platform", sealer(&elsewhere), "a"),
            ("seal_domain", domain, "a"),
            ("seal_program", program, "a"),
        ] {
            let attack = || other.open(&store(name), 0, &blob).unwrap_err();
            assert_ne!(attack(), OpenRefusal::Changed, "{check}");
            assert_eq!(evidence::controls::without(check, attack), OpenRefusal::Changed, "{check}");
        }
    }

    #[test]
    fn without_the_store_check_swapped_blobs_of_one_program_open() {
        let root = Secret::new([7; 32]);
        let blob = sealer(&root).seal(&store("a"), 1, b"secret").unwrap();
        let attack = || sealer(&root).open(&store("b"), 0, &blob);
        let (expected, got) = ("b".to_owned(), "a".to_owned());
        assert_eq!(attack().unwrap_err(), OpenRefusal::WrongStore { expected, got });
        let opened = evidence::controls::without("seal_store", attack).unwrap();
        assert_eq!(opened.plaintext.expose(), b"secret");
    }

    #[test]
    fn a_header_edited_to_fit_another_opener_fails_at_the_tag() {
        let root = Secret::new([7; 32]);
        let blob = sealer(&root).seal(&store("a"), 1, b"secret").unwrap();
        let edited = |key: i64, value: Value| {
            let mut pairs = cbor::decode(&blob, BLOB_MAX).unwrap().into_map().unwrap();
            pairs.retain(|(k, _)| *k != key.into());
            pairs.push((key.into(), value));
            cbor::encode(&Value::Map(pairs))
        };
        let other = Sealer { program: Measurement::new([9; 48]), ..sealer(&root) };
        let program = edited(7, Value::Bytes(vec![9; 48]));
        assert_eq!(other.open(&store("a"), 0, &program).unwrap_err(), OpenRefusal::Changed);
        let renamed = edited(2, "b".into());
        assert_eq!(sealer(&root).open(&store("b"), 0, &renamed).unwrap_err(), OpenRefusal::Changed);
        let newer = edited(3, 2.into());
        assert_eq!(sealer(&root).open(&store("a"), 2, &newer).unwrap_err(), OpenRefusal::Changed);
    }

    #[test]
    fn more_than_a_blob_holds_is_refused_before_it_is_sealed() {
        let root = Secret::new([7; 32]);
        let seal = |len| sealer(&root).seal(&store(&"s".repeat(64)), u64::MAX, &vec![0; len]);
        let blob = seal(PLAINTEXT_MAX).unwrap();
        assert!(blob.len() <= BLOB_MAX);
        assert!(matches!(seal(PLAINTEXT_MAX + 1), Err(PlatformError::Message(_))));
        for bad in ["", "A", "a/b", "..\0", &"s".repeat(65)] {
            assert_eq!(StoreId::new(bad), None, "{bad}");
        }
    }
}
