//! Greets every peer by the name the authority gave it.

use casemate::{Error, Program};
use tokio::io::AsyncWriteExt;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let me = Program::current()?;
    let mut listener = me.listen(8000).await?;
    loop {
        let mut channel = listener.accept().await?;
        tokio::spawn(async move {
            let name = channel.peer().map_or("whoever you are", |peer| peer.spiffe_id());
            let greeting = format!("hello, {name}\n");
            channel.write_all(greeting.as_bytes()).await?;
            channel.shutdown().await
        });
    }
}
