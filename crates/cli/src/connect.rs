//! `casemate connect`: brings an attested channel to this machine, for a person at a laptop.
//!
//! The server is checked before the first byte: its credential under the domain's pinned genesis, its role, its monitor's
//! statement about this very connection, and what the owners revoked. Where it is reached is the host's word and is not
//! trusted. Nobody is told who connects: the client is anonymous, and gets only what a policy lets anybody have.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use channel::admission::Bundle;
use channel::admission::client::{self, AdmissionError, Connected};
use channel::handshake::{Endpoint, HandshakeError, Mode, NoPlatform, PeerPolicy};
use channel::standing::{Authority, Epochs, Present, Standing};
use channel::{AttestedStream, DomainTrust};
use evidence::BinderKind;
use monitor::supervisor::Directory;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use trust::policy::{Outsider, PolicyInForce};

use crate::clock::now;
use crate::domain::Domain;
use crate::output::{Failure, Format};

/// Local connections at once.
const CONNECTIONS_MAX: usize = 256;
/// After a failure to hear news, how long until the next try.
const RETRY: Duration = Duration::from_secs(2);

/// Bring an attested channel to a program's port to this machine.
#[derive(clap::Args)]
#[command(
    after_help = "Example: casemate connect api 8080   # then: curl http://127.0.0.1:8080/\n\nThe policy must say so: clients = [\"anonymous\"] in [program.api]. Ends with Ctrl-C."
)]
pub struct ConnectArgs {
    /// The program's role
    name: String,
    /// Its port
    port: u16,
    /// The port here, on 127.0.0.1; 0 for any free one [default: the same]
    #[arg(long, value_name = "PORT")]
    local: Option<u16>,
    /// Where it is reached, if its monitor is not on this machine
    #[arg(long, value_name = "HOST:PORT")]
    at: Option<String>,
    /// How to print where it listens; JSON is one line
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

/// A long poll tells this side of every revocation anyway.
struct Listening;

impl Authority for Listening {
    fn ask(&self) -> bool {
        true
    }
}

/// Connects until it is told to stop.
pub fn run(args: &ConnectArgs) -> Result<ExitCode> {
    let domain = Domain::find()?;
    if let Some(policy) = domain.in_force()? {
        permitted(&policy, args)?;
    }
    let directory = Directory::new(domain.run_dir().join("peers.json"));
    let at = args.at.clone().or_else(|| directory.find(&args.name, args.port)).ok_or_else(|| {
        Failure::Missing(format!(
            "nobody says where {}:{} is reached; start it with `casemate run {}`, or say --at HOST:PORT",
            args.name, args.port, args.name
        ))
    })?;
    let bundle = Bundle::decode(&domain.bundle()?)?;
    let trust = client::trust_of(&bundle, domain.genesis.root(), now())
        .map_err(|e| Failure::Refused(e.to_string()))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(args, at, &bundle, trust))
}

/// What the policy in the domain folder says; what counts is what the server's proxy has.
fn permitted(policy: &PolicyInForce, args: &ConnectArgs) -> Result<()> {
    let (name, port) = (&args.name, args.port);
    let mut programs = policy.policy().programs.iter();
    let Some(program) = programs.find(|p| p.role.as_str() == name) else {
        bail!(Failure::Usage(format!("no program {name:?} in the policy")));
    };
    if !program.listen.contains(&port) {
        let ports = program.listen.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
        bail!(Failure::Usage(format!(
            "{name} listens on {}, not on {port}",
            if ports.is_empty() { "no port" } else { &ports }
        )));
    }
    if !program.outsiders.contains(&Outsider::Anonymous) {
        bail!(Failure::Refused(format!(
            "policy version {} lets only programs connect to {name}; if anybody may, write clients = [\"anonymous\"] into [program.{name}] and sign",
            policy.policy().version
        )));
    }
    Ok(())
}

/// What was heard of revocations so far, and the connection that more comes by.
async fn heard(
    bundle: &Bundle,
    trust: &Arc<DomainTrust>,
) -> Result<(Standing, Connected), AdmissionError> {
    let present =
        Present { trust: Arc::clone(trust), own: None, policy: 0, revocations: Arc::default() };
    let standing = Standing::new(present, Listening);
    let known = client::epoch(&bundle.authority, trust, now).await?;
    let mut connected = client::listen(&bundle.authority, trust, now).await?;
    while standing.now().epochs().revocation < known {
        hear(&standing, &mut connected).await?;
    }
    Ok((standing, connected))
}

/// Waits for news and takes it.
async fn hear(standing: &Standing, connected: &mut Connected) -> Result<(), AdmissionError> {
    let revocation = standing.now().epochs().revocation;
    let news = connected.news(Epochs { policy: u64::MAX, revocation }).await?;
    standing
        .hear(revocation.saturating_add(1), news.revocations)
        .map_err(|e| AdmissionError::Refused(vec![e.to_string()]))
}

/// Hears of revocations for as long as anything is connected; without an authority nothing new is heard, and channels
/// end with their leases.
async fn listen_on(
    standing: Standing,
    mut connected: Connected,
    bundle: Bundle,
    trust: Arc<DomainTrust>,
) {
    loop {
        while hear(&standing, &mut connected).await.is_ok() {}
        tokio::time::sleep(RETRY).await;
        if let Ok(again) = client::listen(&bundle.authority, &trust, now).await {
            connected = again;
        }
    }
}

/// 1. what is revoked, 2. the server, once, so that whoever asks sees at once whom they get, 3. the port here, 4. whoever
/// comes to it.
async fn serve(
    args: &ConnectArgs,
    at: String,
    bundle: &Bundle,
    trust: Arc<DomainTrust>,
) -> Result<ExitCode> {
    // 1
    let (standing, connected) = heard(bundle, &trust).await.map_err(|e| match e {
        AdmissionError::Network(_) => Failure::Missing(format!(
            "{e} (without it nobody here knows what the owners have revoked)"
        )),
        other => Failure::Refused(other.to_string()),
    })?;
    tokio::spawn(listen_on(standing.clone(), connected, bundle.clone(), trust));
    let endpoint = Endpoint {
        standing,
        source: Arc::new(NoPlatform),
        policy: PeerPolicy {
            modes: vec![Mode::OneSided],
            roles: vec![args.name.clone()],
            kinds: vec![BinderKind::ChannelMonitor],
            require_pq: true,
        },
        port: Some(args.port),
        clock: now,
    };
    // 2
    let stream = open(&endpoint, &at).await.map_err(|e| match e {
        HandshakeError::Tls(e) if e.kind() == std::io::ErrorKind::ConnectionRefused => {
            Failure::Missing(format!("{at}: {e}; does {} run there?", args.name))
        }
        other => Failure::Refused(format!("{at}: {other}")),
    })?;
    // 3
    let local = args.local.unwrap_or(args.port);
    let listener = TcpListener::bind(("127.0.0.1", local)).await.map_err(|e| {
        Failure::Missing(format!("127.0.0.1:{local}: {e}; choose another port with --local"))
    })?;
    announce(args, &listener.local_addr()?.to_string(), &stream)?;
    drop(stream);
    // 4
    let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminated.recv() => {}
        () = accept(listener, Arc::new(endpoint), Arc::from(at)) => {}
    }
    Ok(ExitCode::SUCCESS)
}

async fn open(
    endpoint: &Endpoint<NoPlatform>,
    at: &str,
) -> Result<AttestedStream<TcpStream>, HandshakeError> {
    let tcp = TcpStream::connect(at).await?;
    tcp.set_nodelay(true)?;
    endpoint.connect(tcp).await
}

async fn accept(listener: TcpListener, endpoint: Arc<Endpoint<NoPlatform>>, at: Arc<str>) {
    let places = Arc::new(tokio::sync::Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok((mut inside, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let (endpoint, at) = (Arc::clone(&endpoint), Arc::clone(&at));
        tokio::spawn(async move {
            let _ = inside.set_nodelay(true);
            match open(&endpoint, &at).await {
                Ok(mut stream) => {
                    let carried = channel::carry(&mut stream, &mut inside).await;
                    // What its peers did with a connection is theirs; that a channel was ended is said.
                    if let Err(e) = carried
                        && let Some(end) =
                            e.get_ref().and_then(|e| e.downcast_ref::<channel::ChannelEnd>())
                    {
                        eprintln!("casemate: {end}");
                    }
                }
                Err(e) => eprintln!("casemate: {at}: {e}"),
            }
            drop(place);
        });
    }
}

/// Says where it listens and who is behind it.
fn announce(args: &ConnectArgs, here: &str, stream: &AttestedStream<TcpStream>) -> Result<()> {
    let peer = stream.peer().context("no peer")?;
    let c = peer.credential();
    if args.format == Format::Json {
        println!(
            "{}",
            json!({"listening": here, "spiffe_id": peer.spiffe_id(), "measurement": c.measurement.to_string(), "kind": c.kind.as_str(),
                "isolation": c.isolation.as_str(), "host": c.host.as_str(), "policy": c.policy, "until": stream.ends().to_string()})
        );
    } else {
        println!("{}:{} is at {here}", args.name, args.port);
        println!("  {}, sha384:{}", peer.spiffe_id(), c.measurement);
        println!(
            "  on {}, isolation `{}`, host `{}`",
            c.kind,
            c.isolation.as_str(),
            c.host.as_str()
        );
        println!("  Every user of this machine can connect here. Ctrl-C ends it.");
    }
    Ok(std::io::stdout().flush()?)
}
