//! The program's socket: what a program may ask its monitor. Its bytes are read and checked here, so that the
//! keyholder only ever sees requests of the protocol; a request that is none closes its own connection.

use std::sync::Arc;

use channel::admission::Bundle;
use channel::admission::client::{self, Pending};
use evidence::cbor;
use platform::keyholder::{self, Reply};
use platform::message::MESSAGE_MAX;
use platform::program::{ProgramReply, ProgramRequest};
use platform::{PlatformError, Refused, Secret};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

use super::{admit, clock};

/// Connections of the program at once.
const CONNECTIONS_MAX: usize = 64;

/// Serves the program until the proxy ends.
pub(super) async fn serve(
    listener: UnixListener,
    keyholder: Arc<keyholder::Client>,
    bundle: Option<Bundle>,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    while let Ok((stream, _)) = listener.accept().await {
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let (keyholder, bundle) = (Arc::clone(&keyholder), bundle.clone());
        tokio::spawn(async move {
            let _ = connection(stream, keyholder, bundle).await;
            drop(place);
        });
    }
}

async fn connection(
    mut stream: UnixStream,
    keyholder: Arc<keyholder::Client>,
    bundle: Option<Bundle>,
) -> std::io::Result<()> {
    let mut pending = None;
    loop {
        let len = usize::try_from(stream.read_u32().await?).unwrap_or(usize::MAX);
        if len > MESSAGE_MAX {
            return Ok(());
        }
        let mut bytes = Secret::new(vec![0; len]);
        stream.read_exact(bytes.expose_mut()).await?;
        let request = cbor::decode(bytes.expose(), MESSAGE_MAX).and_then(ProgramRequest::decode);
        let Ok(request) = request else { return Ok(()) };
        let reply = match request {
            ProgramRequest::Keyholder(request) => ask(&keyholder, &request),
            ProgramRequest::CredentialBegin(spki) => {
                match begin(&keyholder, bundle.as_ref(), &spki).await {
                    Some(begun) => {
                        let to_be_signed = begun.to_be_signed();
                        pending = Some(begun);
                        ProgramReply::ToBeSigned(to_be_signed)
                    }
                    None => refused(Refused::NotAdmitted),
                }
            }
            ProgramRequest::CredentialFinish(signature) => match pending.take() {
                Some(begun) => finish(begun, signature, bundle.as_ref()).await,
                None => refused(Refused::Malformed),
            },
        };
        let reply = Secret::new(cbor::encode(&reply.encode()));
        let len = u32::try_from(reply.expose().len()).unwrap_or(u32::MAX);
        stream.write_all(&len.to_be_bytes()).await?;
        stream.write_all(reply.expose()).await?;
    }
}

fn refused(why: Refused) -> ProgramReply {
    ProgramReply::Keyholder(Reply::Refused(why))
}

fn ask(keyholder: &keyholder::Client, request: &keyholder::Request) -> ProgramReply {
    match keyholder.ask(request) {
        Ok(reply) => ProgramReply::Keyholder(reply),
        Err(PlatformError::Open(why)) => ProgramReply::Keyholder(Reply::NotOpened(why)),
        Err(PlatformError::Refused(why)) => refused(why),
        Err(_) => refused(Refused::Platform),
    }
}

async fn begin(
    keyholder: &Arc<keyholder::Client>,
    bundle: Option<&Bundle>,
    spki: &[u8],
) -> Option<Pending> {
    let (holder, info) = admit::holder(keyholder).ok()?;
    let bundle = bundle?;
    let trust = client::trust_of(bundle, info.domain, clock()).ok()?;
    client::begin(&bundle.authority, &trust, &holder, spki, None, false, clock).await.ok()
}

async fn finish(begun: Pending, signature: Vec<u8>, bundle: Option<&Bundle>) -> ProgramReply {
    match begun.finish(signature).await {
        Ok((admission, _)) => {
            let ca = bundle.map(|b| b.ca.clone()).unwrap_or_default();
            ProgramReply::Chain(vec![admission.certificate, ca])
        }
        Err(_) => refused(Refused::NotAdmitted),
    }
}
