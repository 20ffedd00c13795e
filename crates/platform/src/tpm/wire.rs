//! The few commands that are needed, as they travel (TCG TPM 2.0 Library, Parts 2 and 3). Big-endian, lengths before what they count.

use evidence::bytes::sha256;
use zeroize::Zeroizing;

use super::TpmError;

pub(super) const SHA256: u16 = 0x000b;
pub(super) const ECDSA: u16 = 0x0018;
const HMAC: u16 = 0x0005;
const NULL: u16 = 0x0010;
const HANDLE_NULL: u32 = 0x4000_0007;
const NO_SESSIONS: u16 = 0x8001;
const SESSIONS: u16 = 0x8002;
const HEADER: usize = 10;

/// fixedTPM, fixedParent, sensitiveDataOrigin, noDA: made by this TPM, never leaving it, and not locked by others' wrong guesses.
const OWN: u32 = 1 << 1 | 1 << 4 | 1 << 5 | 1 << 10;
const USER_WITH_AUTH: u32 = 1 << 6;
const RESTRICTED: u32 = 1 << 16;
const SIGN: u32 = 1 << 18;

/// How a command is authorised.
pub(super) struct Session<'a> {
    pub(super) handle: u32,
    pub(super) nonce: &'a [u8],
}

impl Session<'_> {
    /// An empty password.
    pub(super) const PASSWORD: Self = Self { handle: 0x4000_0009, nonce: &[] };
}

/// A command being written: handles first, then how it is authorised, then parameters.
pub(super) struct Command {
    name: &'static str,
    code: u32,
    tag: u16,
    body: Vec<u8>,
}

impl Command {
    pub(super) const fn new(name: &'static str, code: u32) -> Self {
        Self { name, code, tag: NO_SESSIONS, body: Vec::new() }
    }

    pub(super) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.body.extend(bytes);
        self
    }

    pub(super) fn u16(self, n: u16) -> Self {
        self.bytes(&n.to_be_bytes())
    }

    pub(super) fn u32(self, n: u32) -> Self {
        self.bytes(&n.to_be_bytes())
    }

    pub(super) fn handle(self, handle: u32) -> Self {
        self.u32(handle)
    }

    /// A TPM2B.
    pub(super) fn sized(self, bytes: &[u8]) -> Self {
        self.bytes(&sized(bytes))
    }

    /// TPML_PCR_SELECTION of registers of the SHA-256 bank.
    pub(super) fn selection(self, registers: &[u32]) -> Self {
        self.bytes(&selection(registers))
    }

    /// One authorisation, for this command alone.
    pub(super) fn session(mut self, session: Session<'_>) -> Self {
        self.tag = SESSIONS;
        let mut area = session.handle.to_be_bytes().to_vec();
        area.extend(sized(session.nonce));
        // No attribute: a policy session ends with this command. No HMAC.
        area.extend([0, 0, 0]);
        let len = u32::try_from(area.len()).unwrap_or(u32::MAX);
        self.u32(len).bytes(&area)
    }

    /// Its name, and the bytes to send.
    pub(super) fn finish(self) -> (&'static str, Vec<u8>) {
        let len = HEADER.saturating_add(self.body.len());
        let mut out = self.tag.to_be_bytes().to_vec();
        out.extend(u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes());
        out.extend(self.code.to_be_bytes());
        out.extend(self.body);
        (self.name, out)
    }
}

fn sized(bytes: &[u8]) -> Vec<u8> {
    let mut out = u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes().to_vec();
    out.extend(bytes);
    out
}

fn selection(registers: &[u32]) -> Vec<u8> {
    let mut bits = [0_u8; 3];
    for n in registers {
        let byte = usize::try_from(n / 8).ok().and_then(|at| bits.get_mut(at));
        if let Some(byte) = byte {
            *byte |= 1_u8.checked_shl(n % 8).unwrap_or_default();
        }
    }
    let mut out = vec![0, 0, 0, 1];
    out.extend(SHA256.to_be_bytes());
    out.push(3);
    out.extend(bits);
    out
}

/// TPMT_PUBLIC of a restricted ECDSA key on P-256.
pub(super) fn attestation_key(unique: &[u8]) -> Vec<u8> {
    let attributes = OWN | USER_WITH_AUTH | RESTRICTED | SIGN;
    let mut out = [0x0023_u16, SHA256].map(u16::to_be_bytes).concat();
    out.extend(attributes.to_be_bytes());
    out.extend(sized(&[]));
    // No symmetric algorithm, ECDSA with SHA-256, P-256, no derivation.
    out.extend([NULL, ECDSA, SHA256, 0x0003, NULL].map(u16::to_be_bytes).concat());
    out.extend(sized(unique));
    out.extend(sized(&[]));
    out
}

/// TPMT_PUBLIC of an HMAC key that only `policy` opens.
pub(super) fn keyed_hash(policy: &[u8], unique: &[u8]) -> Vec<u8> {
    let attributes = OWN | SIGN;
    let mut out = [0x0008_u16, SHA256].map(u16::to_be_bytes).concat();
    out.extend(attributes.to_be_bytes());
    out.extend(sized(policy));
    out.extend([HMAC, SHA256].map(u16::to_be_bytes).concat());
    out.extend(sized(unique));
    out
}

/// The digest of a policy of one TPM2_PolicyPCR, of registers whose values have that digest (Part 3, section 23.7).
pub(super) fn policy_of(registers: &[u32], digest: &[u8; 32]) -> [u8; 32] {
    let mut bytes = vec![0; 32];
    bytes.extend(0x17f_u32.to_be_bytes());
    bytes.extend(selection(registers));
    bytes.extend(digest);
    sha256(&bytes)
}

/// TPM2_StartAuthSession of a policy session without key, salt or encryption.
pub(super) fn start_policy_session(nonce: &[u8]) -> Command {
    Command::new("StartAuthSession", 0x176)
        .handle(HANDLE_NULL)
        .handle(HANDLE_NULL)
        .sized(nonce)
        .sized(&[])
        .bytes(&[1])
        .u16(NULL)
        .u16(SHA256)
}

/// An answer being read. What it held is cleared: one of them is a secret.
pub(super) struct Answer {
    command: &'static str,
    bytes: Zeroizing<Vec<u8>>,
    at: usize,
    code: u32,
}

impl Answer {
    /// The header is read, the length held against the bytes.
    pub(super) fn new(command: &'static str, bytes: Vec<u8>) -> Result<Self, TpmError> {
        let bytes = Zeroizing::new(bytes);
        let mut answer = Self { command, bytes, at: 0, code: 0 };
        let _tag = answer.u16()?;
        if usize::try_from(answer.u32()?).ok() != Some(answer.bytes.len()) {
            return Err(answer.wrong());
        }
        answer.code = answer.u32()?;
        Ok(answer)
    }

    pub(super) const fn code(&self) -> u32 {
        self.code
    }

    const fn wrong(&self) -> TpmError {
        TpmError::Answer(self.command)
    }

    fn take(&mut self, len: usize) -> Result<&[u8], TpmError> {
        let end = self.at.checked_add(len).ok_or_else(|| self.wrong())?;
        let wrong = self.wrong();
        let taken = self.bytes.get(self.at..end).ok_or(wrong)?;
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], TpmError> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    pub(super) fn u16(&mut self) -> Result<u16, TpmError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, TpmError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn sized(&mut self) -> Result<&[u8], TpmError> {
        let len = self.u16()?;
        self.take(len.into())
    }

    /// The length of parameters, which stands before them where there are sessions.
    pub(super) fn parameters(&mut self) -> Result<(), TpmError> {
        self.u32().map(|_| ())
    }

    /// Skips a TPML_PCR_SELECTION.
    pub(super) fn selection(&mut self) -> Result<(), TpmError> {
        for _ in 0..self.u32()? {
            self.u16()?;
            let [len] = self.array()?;
            self.take(len.into())?;
        }
        Ok(())
    }

    /// A TPMT_SIGNATURE by ECDSA, whole.
    pub(super) fn signature(&mut self) -> Result<&[u8], TpmError> {
        let from = self.at;
        let (scheme, hash) = (self.u16()?, self.u16()?);
        if (scheme, hash) != (ECDSA, SHA256) {
            return Err(self.wrong());
        }
        self.sized()?;
        self.sized()?;
        let wrong = self.wrong();
        self.bytes.get(from..self.at).ok_or(wrong)
    }
}

/// TPM_RC_RETRY, TPM_RC_YIELDED, TPM_RC_TESTING.
pub(super) const fn is_busy(code: u32) -> bool {
    matches!(code, 0x922 | 0x908 | 0x90a)
}

/// What to do about codes that people meet.
pub(super) const fn meaning(code: u32) -> &'static str {
    match code {
        0x921 => " (locked out after wrong authorisations; wait, or reset the lockout)",
        0x9a2 | 0x98e => " (authorisation failed: somebody set a password for this hierarchy)",
        0x902..=0x904 => " (out of room; free its transient objects and sessions)",
        0x120 => " (disabled)",
        0x101 => " (the TPM is in failure mode; reset the machine)",
        _ => "",
    }
}
