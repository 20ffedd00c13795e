//! What a program can ask of its monitor: measurement, sealing, attestation, its credential, secrets, randomness.

use casemate::{Error, Nonce, Program, verify};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let me = Program::current()?;
    println!("measurement {}", me.measurement());
    println!("isolation {}", me.info().program.isolation.as_str());
    let blob = me.seal("notes", 2, b"only I read this")?;
    let opened = me.open("notes", 2, &blob)?;
    println!("opened {}", String::from_utf8_lossy(opened.plaintext.expose()));
    if let Err(refused) = me.open("notes", 3, &blob) {
        println!("refused: {refused}");
    }
    let mut nonce = [0; 32];
    me.random(&mut nonce)?;
    let statement = me.attest(Nonce::new(nonce), b"what I say")?;
    let own = me.credential().await?;
    verify(&statement, &own, Nonce::new(nonce), b"what I say")?;
    println!("attested as {}", own.spiffe_id());
    match me.secret("db-password").await {
        Ok(value) => println!("a secret of {} bytes", value.expose().len()),
        Err(refused) => println!("refused: {refused}"),
    }
    Ok(())
}
