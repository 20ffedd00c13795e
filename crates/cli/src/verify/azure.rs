//! Azure's machines: hardware evidence made at boot, the runtime data it binds, and the virtual TPM's quote, which alone is fresh. They
//! count together or not at all.

use anyhow::Result;
use evidence::Check;
use evidence::azure::{AzureRefusal, HclReport, parse};
use evidence::tpm::AttestationKey;

use super::input::Input;
use super::report::Report;
use super::tpm;

/// Adds what the virtual TPM says to a report on the hardware; a member that does not belong makes the whole inauthentic.
pub(super) fn with_vtpm(
    input: &Input,
    mut report: Report,
    key: impl FnOnce(&HclReport<'_>) -> Result<AttestationKey, AzureRefusal>,
) -> Result<Report> {
    let refused = |report: Report, why: &dyn std::error::Error| {
        Report::refused(report.tee, report.title, report.profile, why, false)
    };
    let blob = input.read("hcl-report.bin")?;
    let (hcl, key) = match parse(&blob).and_then(|hcl| key(&hcl).map(|key| (hcl, key))) {
        Ok(both) => both,
        Err(why) => return Ok(refused(report, &why)),
    };
    let values = tpm::pcrs(input)?;
    match tpm::beside(input, &key, &values)? {
        Err(why) => Ok(refused(report, &why)),
        Ok((checks, answered)) => {
            report.checks.push(Check::passed(
                "vtpm",
                "the hardware binds the runtime data, which names the key",
            ));
            report.checks.extend(checks);
            report.facts.push(("vTPM extraData", hex::encode(&answered)));
            if let Some(configuration) = hcl.configuration() {
                report.facts.push(("vm-configuration", configuration.to_string()));
            }
            // The hardware report is of the machine's start: what was asked for now, the virtual TPM answers.
            report.ask_nonce("extraData", input.nonce.as_deref(), &answered);
            Ok(report)
        }
    }
}
