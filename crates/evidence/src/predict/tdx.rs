//! MRTD of a trust domain (Intel TDX module specification, "TDH.MEM.PAGE.ADD" and "TDH.MR.EXTEND"): SHA-384 over every page that is added
//! before the domain runs, and over the contents of those whose section says so.
//!
//! When the contents of a page are extended is the host's choice, so that [`Order`] is an argument.

use aws_lc_rs::digest;

use super::ovmf::{Ovmf, TdxSection};
use super::{PAGE, PAGES_MAX, PredictError, Result, form, size, slice};
use crate::bytes::Measurement;

const WHAT: &str = "a firmware image for trust domains";
/// Bytes one TDH.MR.EXTEND takes.
const CHUNK: usize = 256;
/// Attribute: MRTD is extended by the contents.
const EXTEND: u32 = 1;
/// Attributes that are known: MR.EXTEND and PAGE.AUG.
const KNOWN: u32 = 3;
/// Sections of a domain's memory that are added before it runs: BFV, CFV, TD_HOB, TempMem, PermMem, payload and its parameters.
const TYPES_MAX: u32 = 6;
/// PAGE.AUG: memory that is added while it runs, and measured by nobody.
const AUGMENTED: u32 = 2;

/// When a host extends MRTD by the contents of pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Each page as soon as it is added: Google Compute Engine.
    PageByPage,
    /// A section's pages once all of them are added: QEMU with KVM.
    SectionBySection,
}

/// MRTD.
///
/// # Errors
/// [`PredictError`].
pub fn mrtd(firmware: &Ovmf<'_>, order: Order) -> Result<Measurement> {
    if firmware.tdx().is_empty() {
        return Err(PredictError::Lacks("TDX metadata"));
    }
    let mut context = digest::Context::new(&digest::SHA384);
    let mut pages = 0_u64;
    for section in firmware.tdx().iter().filter(|s| s.attributes & AUGMENTED == 0) {
        let page = u64::try_from(PAGE).unwrap_or(1);
        pages = pages.saturating_add(section.len.checked_div(page).unwrap_or_default());
        if section.attributes & !KNOWN != 0 || section.section > TYPES_MAX || pages > PAGES_MAX {
            return Err(form(WHAT, "a section has a type, attribute or length that is not known"));
        }
        add(&mut context, firmware.bytes(), section, order)?;
    }
    let mut out = [0; 48];
    out.copy_from_slice(context.finish().as_ref());
    Ok(Measurement::new(out))
}

fn add(
    context: &mut digest::Context,
    image: &[u8],
    section: &TdxSection,
    order: Order,
) -> Result<()> {
    let extends = section.attributes & EXTEND != 0;
    let at = size(u64::from(section.data_offset));
    let len = size(u64::from(section.data_len));
    let data = at.zip(len).and_then(|(at, len)| slice(image, at, len));
    let data = data.ok_or(form(WHAT, "the bytes of a section lie outside it"))?;
    let whole = u64::try_from(data.len()) == Ok(section.len);
    if extends && !whole {
        return Err(form(WHAT, "a section that is measured has other bytes than memory"));
    }
    let places = || (section.gpa..section.gpa.saturating_add(section.len)).step_by(PAGE);
    if order == Order::SectionBySection || !extends {
        places().for_each(|gpa| context.update(&operation(b"MEM.PAGE.ADD", gpa)));
    }
    if extends {
        for (page, gpa) in data.chunks(PAGE).zip(places()) {
            if order == Order::PageByPage {
                context.update(&operation(b"MEM.PAGE.ADD", gpa));
            }
            for (chunk, gpa) in page.chunks(CHUNK).zip((gpa..).step_by(CHUNK)) {
                context.update(&operation(b"MR.EXTEND", gpa));
                context.update(chunk);
            }
        }
    }
    Ok(())
}

/// 128 bytes: the name of an operation, and at 16 its address.
fn operation(name: &[u8], gpa: u64) -> [u8; 128] {
    let mut out = [0; 128];
    for (to, byte) in out.iter_mut().zip(name) {
        *to = *byte;
    }
    for (to, byte) in out.iter_mut().skip(16).zip(gpa.to_le_bytes()) {
        *to = byte;
    }
    out
}
