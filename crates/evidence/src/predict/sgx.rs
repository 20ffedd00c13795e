//! SGX enclaves before they run: SIGSTRUCT (Intel SDM volume 3D, table 37-19) with its signature, MRSIGNER, and MRENCLAVE of pages as
//! they are loaded (ECREATE, EADD, EEXTEND).

use aws_lc_rs::digest;
use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};

use super::{PAGE, PredictError, Result, array, form, size, slice, u16_le, u32_le};
use crate::bytes::sha256;
use crate::controls::holds;

const WHAT: &str = "a SIGSTRUCT";
/// A SIGSTRUCT.
pub const SIGSTRUCT_LEN: usize = 1808;
/// Its first bytes.
const HEADER: [u8; 16] = [6, 0, 0, 0, 0xe1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0];
const HEADER2: [u8; 16] = [1, 1, 0, 0, 0x60, 0, 0, 0, 0x60, 0, 0, 0, 1, 0, 0, 0];
const MODULUS_AT: usize = 128;
const SIGNATURE_AT: usize = 516;
const KEY_LEN: usize = 384;
/// What is signed: the first 128 bytes, and 128 from here.
const BODY_AT: usize = 900;
/// Bytes one EEXTEND takes.
const CHUNK: usize = 256;

/// What a SIGSTRUCT says whose signature holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigStruct {
    /// SHA-256 of the modulus.
    pub mrsigner: [u8; 32],
    /// ENCLAVEHASH.
    pub mrenclave: [u8; 32],
    /// VENDOR.
    pub vendor: u32,
    /// DATE, as its digits stand there: 0x20261125.
    pub date: u32,
    /// MISCSELECT, and which of its bits count.
    pub miscselect: (u32, u32),
    /// ATTRIBUTES, and which of their bits count.
    pub attributes: ([u8; 16], [u8; 16]),
    /// ISVPRODID.
    pub isv_prod_id: u16,
    /// ISVSVN.
    pub isv_svn: u16,
}

impl SigStruct {
    /// Reads one, if its own key signed it.
    ///
    /// # Errors
    /// [`PredictError::Form`].
    pub fn verify(bytes: &[u8]) -> Result<Self> {
        let bad = |why| form(WHAT, why);
        if bytes.len() != SIGSTRUCT_LEN {
            return Err(bad("expected 1808 bytes"));
        }
        let cut = bad("it is cut");
        let at = |from: usize, len: usize| slice(bytes, from, len).ok_or(cut.clone());
        if at(0, 16)? != HEADER || at(24, 16)? != HEADER2 {
            return Err(bad("its headers are others"));
        }
        if u32_le(bytes, 512) != Some(3) {
            return Err(bad("its exponent is not 3"));
        }
        let big_endian = |b: &[u8]| b.iter().rev().copied().collect::<Vec<_>>();
        let modulus = at(MODULUS_AT, KEY_LEN)?;
        let signature = big_endian(at(SIGNATURE_AT, KEY_LEN)?);
        let signed = [at(0, 128)?, at(BODY_AT, 128)?].concat();
        let key = RsaPublicKeyComponents { n: big_endian(modulus), e: vec![3] };
        let good = key.verify(&RSA_PKCS1_2048_8192_SHA256, &signed, &signature).is_ok();
        if !holds("sigstruct_signature", good) {
            return Err(bad("its signature does not verify"));
        }
        let word = |at| u32_le(bytes, at).ok_or(cut.clone());
        let half = |at| u16_le(bytes, at).ok_or(cut.clone());
        Ok(Self {
            mrsigner: sha256(modulus),
            mrenclave: array(bytes, 960).ok_or(cut.clone())?,
            vendor: word(16)?,
            date: word(20)?,
            miscselect: (word(900)?, word(904)?),
            attributes: (
                array(bytes, 928).ok_or(cut.clone())?,
                array(bytes, 944).ok_or(cut.clone())?,
            ),
            isv_prod_id: half(1024)?,
            isv_svn: half(1026)?,
        })
    }
}

/// MRENCLAVE, page by page in the order they are loaded.
pub struct Enclave {
    context: digest::Context,
    len: u64,
}

/// What SECINFO.FLAGS says of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageFlags {
    /// PT_TCS, a thread's control structure, and not PT_REG.
    pub tcs: bool,
    /// R.
    pub read: bool,
    /// W.
    pub write: bool,
    /// X.
    pub execute: bool,
}

impl Enclave {
    /// ECREATE: an enclave of `len` bytes whose state save frames are of `ssa_frame_pages` pages.
    ///
    /// # Errors
    /// [`PredictError::Value`], unless the length is a power of two of at least two pages.
    pub fn create(len: u64, ssa_frame_pages: u32) -> Result<Self> {
        if !len.is_power_of_two() || size(len).is_none_or(|l| l < PAGE.saturating_mul(2)) {
            let expected = "a power of two of at least 8192";
            return Err(PredictError::Value {
                what: "enclave size",
                expected,
                got: len.to_string(),
            });
        }
        let mut context = digest::Context::new(&digest::SHA256);
        let mut block = b"ECREATE\0".to_vec();
        block.extend(ssa_frame_pages.to_le_bytes());
        block.extend(len.to_le_bytes());
        block.resize(64, 0);
        context.update(&block);
        Ok(Self { context, len })
    }

    /// EADD, and EEXTEND of the whole page where it is measured.
    ///
    /// # Errors
    /// [`PredictError::Value`], if the page lies outside or is no page.
    pub fn add(
        &mut self,
        offset: u64,
        flags: PageFlags,
        page: &[u8],
        measured: bool,
    ) -> Result<()> {
        let whole = u64::try_from(PAGE).unwrap_or(1);
        let inside = offset.checked_rem(whole) == Some(0) && offset < self.len;
        if !inside || page.len() != PAGE {
            let (expected, got) = ("whole pages within the enclave", format!("{offset:#x}"));
            return Err(PredictError::Value { what: "page", expected, got });
        }
        let bits = [(flags.read, 1_u64), (flags.write, 2), (flags.execute, 4)];
        let access = bits.iter().filter(|(on, _)| *on).fold(0, |all, (_, bit)| all | bit);
        // PT_TCS is 1, PT_REG 2, in bits 8 to 15; the processor clears the permissions of a TCS.
        let secinfo = if flags.tcs { 1_u64 << 8 } else { 2 << 8 | access };
        let mut block = b"EADD\0\0\0\0".to_vec();
        block.extend(offset.to_le_bytes());
        block.extend(secinfo.to_le_bytes());
        block.resize(64, 0);
        self.context.update(&block);
        if measured {
            for (chunk, at) in page.chunks(CHUNK).zip((offset..).step_by(CHUNK)) {
                let mut block = b"EEXTEND\0".to_vec();
                block.extend(at.to_le_bytes());
                block.resize(64, 0);
                self.context.update(&block);
                self.context.update(chunk);
            }
        }
        Ok(())
    }

    /// EINIT.
    #[must_use]
    pub fn measurement(self) -> [u8; 32] {
        let mut out = [0; 32];
        out.copy_from_slice(self.context.finish().as_ref());
        out
    }
}
