//! `casemate connect`: an attested channel on a laptop's port, for anybody where the policy says so, and for nobody else.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::stage::Stage;

/// A running `connect` and what it said first.
struct Connected {
    child: Child,
    said: serde_json::Value,
}

impl Connected {
    fn new(stage: &Stage, args: &[&str]) -> Self {
        let args = [&["connect", "--local", "0", "--format", "json"], args].concat();
        let mut command = stage.command(&args);
        command.current_dir(stage.path().join("shop"));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said = serde_json::from_str(&line).unwrap_or_else(|_| {
            let mut why = String::new();
            child.stderr.take().unwrap().read_to_string(&mut why).unwrap();
            panic!("{why}")
        });
        Self { child, said }
    }

    fn open(&self) -> TcpStream {
        let stream = TcpStream::connect(self.said["listening"].as_str().unwrap()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream
    }

    fn get(&self) -> String {
        let mut stream = self.open();
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    fn stop(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success(), "no clean shutdown");
    }
}

/// A domain with a web server for anybody, one for anybody too, and one for programs only; all run.
fn shop(stage: &Stage) {
    let exe = stage.path().join("casemate");
    let exe = exe.to_str().unwrap();
    stage.good(".", &["new", "shop"]);
    for (name, port, open) in
        [("web", "8000", true), ("blog", "8001", true), ("books", "8002", false)]
    {
        let who = if open { &["--clients", "anonymous"][..] } else { &[] };
        let add =
            [&["add", name, "--listen", port], who, &["--", exe, "__tour-program", "serve", port]];
        stage.good("shop", &add.concat());
    }
    stage.good("shop", &["up"]);
    stage.good("shop", &["run", "web", "blog", "books"]);
}

fn refused(stage: &Stage, args: &[&str], status: i32, says: &str) {
    let output = stage.run("shop", &[&["connect"], args].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{args:?}: {said}");
    assert!(said.contains(says), "{args:?}: {said}");
}

#[test]
fn anybody_gets_an_attested_channel_where_the_policy_says_so_and_only_there() {
    let stage = Stage::own();
    shop(&stage);
    let web = Connected::new(&stage, &["web", "8000"]);
    assert_eq!(web.said["spiffe_id"], "spiffe://shop/web");
    assert_eq!(web.said["isolation"], "software");
    assert!(web.get().starts_with("HTTP/1.0 200"), "{}", web.get());
    // Where it is reached is the host's word: another program there is somebody else.
    let peers = std::fs::read_to_string(stage.path().join("shop/run/peers.json")).unwrap();
    let peers: serde_json::Value = serde_json::from_str(&peers).unwrap();
    let at = |what: &str| peers[what].as_str().unwrap().to_owned();
    let (blog, books) = (at("blog:8001"), at("books:8002"));
    refused(&stage, &["web", "8000", "--at", &blog], 1, "peer is blog, expected web");
    refused(&stage, &["web", "8000", "--at", &books], 1, "peer is books, expected web");
    // What is not permitted, not there, or taken.
    refused(&stage, &["books", "8002"], 1, "clients = [\"anonymous\"]");
    refused(&stage, &["web", "8002"], 2, "listens on 8000");
    refused(&stage, &["wbe", "8000"], 2, "no program");
    let taken = web.said["listening"].as_str().unwrap().rsplit(':').next().unwrap();
    refused(&stage, &["web", "8000", "--local", taken], 3, "--local");
    stage.good("shop", &["stop", "blog"]);
    refused(&stage, &["blog", "8001", "--local", "0"], 3, "does blog run there?");
    web.stop();
}

#[test]
fn a_revoked_server_is_cut_off_from_whoever_is_connected_and_refused_from_then_on() {
    let stage = Stage::own();
    shop(&stage);
    let web = Connected::new(&stage, &["web", "8000"]);
    let mut open = web.open();
    // The server waits for a request.
    std::thread::sleep(Duration::from_millis(300));
    let begin = Instant::now();
    stage.good("shop", &["revoke", "web"]);
    let mut rest = Vec::new();
    let _ = open.read_to_end(&mut rest);
    assert!(rest.is_empty() && begin.elapsed() < Duration::from_secs(4), "{rest:?}");
    let mut again = web.open();
    let mut none = Vec::new();
    let _ = again.read_to_end(&mut none);
    assert!(none.is_empty(), "{none:?}");
    refused(&stage, &["web", "8000", "--local", "0"], 1, "revoked");
    web.stop();
}
