//! Asks the server for a greeting.

use casemate::{Error, Program};
use tokio::io::AsyncReadExt;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let me = Program::current()?;
    let mut channel = me.connect("server").await?;
    let mut greeting = String::new();
    channel.read_to_string(&mut greeting).await?;
    let server = channel.peer().map_or("my proxy", |peer| peer.spiffe_id());
    println!("{server} says: {}", greeting.trim());
    Ok(())
}
