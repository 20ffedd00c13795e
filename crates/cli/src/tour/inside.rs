//! What the tour runs as programs, inside their roots, and its attacker, outside. None of it is used elsewhere.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use evidence::{
    Binder, BinderKind, ContentDigest, End, Exporter, Nonce, Session, Side, SpkiDigest,
};
use platform::program::Client;
use platform::{Platform, StoreId};

/// What to be.
#[derive(clap::Args)]
pub struct ProgramArgs {
    what: String,
    arguments: Vec<String>,
}

/// Is it.
pub fn run(args: &ProgramArgs) -> Result<ExitCode> {
    let argument = |n: usize| args.arguments.get(n).map(String::as_str).context("argument");
    match args.what.as_str() {
        "serve" => serve(argument(0)?.parse()?)?,
        "fetch" => print!("{}", fetch(argument(0)?)?),
        "hold" => hold(argument(0)?)?,
        "seal" => seal(argument(0)?)?,
        "probe" => probe(argument(0)?, argument(1)?),
        "leak" => leak()?,
        "attack" => return super::attacker::run(),
        other => anyhow::bail!("no such part of the tour: {other}"),
    }
    Ok(ExitCode::SUCCESS)
}

/// A web server, where the machine has no other.
fn serve(port: u16) -> Result<()> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", port))?;
    for stream in listener.incoming() {
        let mut stream = stream?;
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            let _ = stream.read(&mut buffer);
            let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n<title>casemate</title>");
        });
    }
    Ok(())
}

/// An HTTP request to a peer, by name.
fn fetch(peer: &str) -> Result<String> {
    let mut stream = TcpStream::connect(peer)?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Keeps a connection open and says when it closes.
fn hold(peer: &str) -> Result<()> {
    let mut stream = TcpStream::connect(peer)?;
    // The peer waits for the rest of the request; we for whatever ends the connection.
    stream.write_all(b"GET / HTTP/1.1\r\n")?;
    println!("open");
    std::io::stdout().flush()?;
    let mut one = [0];
    let end = stream.read(&mut one);
    println!("closed {end:?}");
    Ok(())
}

/// Seals on the first run, opens on the next.
fn seal(secret: &str) -> Result<()> {
    let mut platform = Client::connect()?;
    let store = StoreId::new("tour").context("store")?;
    let path = "/state/secret.sealed";
    match fs::read(path) {
        Ok(blob) => {
            let opened = platform.open(&store, 1, &blob)?;
            println!("opened {}", String::from_utf8_lossy(opened.plaintext.expose()));
            let next = opened.version + 1;
            fs::write(path, platform.seal(&store, next, format!("{secret} {next}").as_bytes())?)?;
        }
        Err(_) => {
            let blob = platform.seal(&store, 1, format!("{secret} 1").as_bytes())?;
            fs::write(path, &blob)?;
            println!("sealed {}", blob.len());
        }
    }
    Ok(())
}

/// Tries to reach what it must not, and says how each try ended.
fn probe(file: &str, port: &str) {
    let say = |what: &str, reached: bool| {
        println!("{what}\t{}", if reached { "reached" } else { "not reached" })
    };
    say("a file of the host", fs::read(file).is_ok());
    say("the host's password hashes", fs::read("/etc/shadow").is_ok());
    let others = fs::read_dir("/proc").map(|d| {
        d.flatten().filter(|e| e.file_name().to_string_lossy().parse::<u32>().is_ok()).count()
    });
    say("other processes", others.unwrap_or(99) > 2);
    say(
        "a server of the host",
        TcpStream::connect_timeout(
            &format!("127.0.0.1:{port}").parse().unwrap_or_else(|_| ([127, 0, 0, 1], 1).into()),
            Duration::from_millis(300),
        )
        .is_ok(),
    );
    say("its own program files, to change them", fs::write("/usr/tour", b"x").is_ok());
    let made = fs::copy("/proc/self/exe", "/tmp/copy").is_ok();
    say(
        "a file it wrote, to execute it",
        made && std::process::Command::new("/tmp/copy").arg("--version").output().is_ok(),
    );
    let caps = fs::read_to_string("/proc/self/status").unwrap_or_default();
    say("any capability", !caps.lines().any(|l| l == "CapEff:\t0000000000000000"));
}

/// A program that gives its identity away: its live key, its certificate, and a genuine statement of its own connection.
fn leak() -> Result<()> {
    let mut platform = Client::connect()?;
    let info = platform.info()?;
    let key = channel::keys::LeafKey::generate().context("key")?;
    let chain = platform.credential(key.spki(), |message| key.sign(message))?;
    // A connection of its own to somebody, as it would be in truth: only the exporter differs from any other.
    let end = |n: u8| End {
        domain: Some(info.domain),
        spki: Some(SpkiDigest::of_der(key.spki())),
        nonce: Nonce::new([n; 32]),
    };
    let session = Session {
        exporter: Exporter::new([7; 32]),
        cipher_suite: 0x1302,
        group: 0x11ec,
        inner_protocol: "casemate/1".to_owned(),
    };
    let binder = Binder {
        kind: BinderKind::ChannelProgram,
        side: Side::Client,
        client: end(1),
        server: end(2),
        session,
        claims: ContentDigest::of(b""),
    };
    let statement = platform.state(&binder)?;
    let leaf = chain.first().context("no certificate")?;
    println!("{} {} {}", hex::encode(key.pkcs8()), hex::encode(leaf), hex::encode(statement));
    Ok(())
}
