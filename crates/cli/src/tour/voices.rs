//! The scene in which somebody else than the owners speaks: a maker whose releases the policy takes, and a stranger.

use std::fs::{self, OpenOptions};
use std::io::Write;

use anyhow::{Context, Result, bail, ensure};
use evidence::{Measurement, Window};
use monitor::program::{Config, image};
use monitor::supervisor::Request;
use trust::claim::Says;
use trust::signing::SigningKey;
use trust::{AuthenticClaim, Claim, RoleName};

use super::Stage;
use super::refusals::{refused, short};
use super::scenes::spawn;
use crate::clock::now;
use crate::domain::Domain;
use crate::{claim, explain, programs};

const PRODUCT: &str = "parcel";

fn key() -> Result<SigningKey> {
    let mut seed = [0; 32];
    platform::random(&mut seed)?;
    Ok(SigningKey::from_seed(seed)?)
}

fn maker(domain: &Domain) -> Result<SigningKey> {
    Ok(SigningKey::from_openssh(&fs::read_to_string(domain.dir.join("maker"))?)?)
}

/// Writes into the policy that releases of a maker are trusted from version 2 on; no measurement of them is known.
pub(super) fn name_maker(domain: &Domain) -> Result<()> {
    let key = key()?;
    fs::write(domain.dir.join("maker"), key.to_openssh("maker")?)?;
    let text = format!(
        "\n[issuer.maker]\nkey = \"{}\"\nholder = \"Maker Ltd\"\nmay = {{ release = [\"{PRODUCT}\"] }}\ndepth = 0\nuntil = \"2099-01-01T00:00:00Z\"\n\n\
[program.{PRODUCT}]\nreleases = [{{ product = \"{PRODUCT}\", from = 2 }}]\non = [\"software\"]\n",
        key.public_openssh()?
    );
    let file = domain.dir.join(crate::domain::FILE);
    OpenOptions::new().append(true).open(file)?.write_all(text.as_bytes())?;
    Ok(())
}

fn signed(domain: &Domain, by: &SigningKey, says: Says) -> Result<AuthenticClaim> {
    let window = Window { not_before: now().plus_secs(-5), not_after: now().plus_secs(3600) };
    let claim = Claim { domain: Some(domain.genesis.root()), issuer: by.issuer(), window, says };
    Ok(claim.sign(by)?)
}

fn release(version: u64, measurement: Measurement) -> Result<Says> {
    let product = RoleName::new(PRODUCT).context("a product's name")?;
    Ok(Says::Release { product, version, measurement })
}

pub(super) fn released(stage: &mut Stage) -> Result<Vec<String>> {
    let domain = &stage.domain;
    let config = Config::new(vec!["/bin/sleep".to_owned(), "6".to_owned()]);
    let measured = image::measure(&config)?.measurement();
    let (maker, stranger) = (maker(domain)?, key()?);
    // A stranger's word is not even kept; an older release is kept, and not enough.
    let strangers = signed(domain, &stranger, release(2, measured)?)?;
    let Err(turned_away) = claim::hand_in(domain, &strangers) else {
        bail!("a stranger's claim was kept")
    };
    claim::hand_in(domain, &signed(domain, &maker, release(1, measured)?)?)?;
    let before = refused(domain, PRODUCT, None, &config)?;
    ensure!(before.contains("nobody the policy lets speak"), "{before}");
    let good = signed(domain, &maker, release(2, measured)?)?;
    claim::hand_in(domain, &good)?;
    let output = spawn(domain, PRODUCT, &config, None)?;
    let program = programs::admission(domain, PRODUCT)?;
    domain.monitor()?.ask(&Request::Signal { name: PRODUCT.to_owned(), signal: 9 }, &[])?;
    drop(output);
    programs::wait(domain, PRODUCT)?;
    ensure!(program.admission.starts_with("admitted"), "{}", program.admission);
    let record = explain::newest(domain, PRODUCT)?;
    let report = checker::recheck(&record);
    ensure!(report.holds(), "{report:?}");
    let why = explain::english(&record);
    let why = why.iter().find(|l| l.contains("version 2") && l.contains("says"));
    claim::hand_in(domain, &signed(domain, &maker, Says::Withdraw { claim: good.digest() })?)?;
    let after = refused(domain, PRODUCT, None, &config)?;
    ensure!(after.contains("nobody the policy lets speak"), "{after}");
    Ok(vec![
        format!("a stranger says so: {}", short(&turned_away.to_string())),
        format!("the maker calls it version 1: {}", short(&before)),
        format!("version 2: {} ({})", program.admission, why.context("no such step")?.trim()),
        "the checker followed its proof; the maker takes its word back: refused again".to_owned(),
    ])
}
