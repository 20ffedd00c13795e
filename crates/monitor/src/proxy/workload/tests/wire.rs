//! A gRPC client of few lines, so that tests see statuses and can send what no library would.

use std::convert::Infallible;
use std::path::Path;

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::net::UnixStream;

/// A gRPC frame with an empty message.
pub(super) const EMPTY: [u8; 5] = [0; 5];

type Body = BoxBody<Bytes, Infallible>;

/// One connection.
pub(super) struct Wire(SendRequest<Body>);

/// One call: what came so far, and its end.
pub(super) struct Call {
    response: Response<Incoming>,
    buffer: Vec<u8>,
    // Kept: without it the connection would end.
    _wire: SendRequest<Body>,
}

fn status(headers: &hyper::HeaderMap) -> Option<(i32, String)> {
    let text = |name| headers.get(name).map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned());
    let code = text("grpc-status")?.parse().unwrap();
    Some((code, text("grpc-message").unwrap_or_default().replace("%20", " ")))
}

impl Wire {
    pub(super) async fn connect(path: &Path) -> Self {
        let io = TokioIo::new(UnixStream::connect(path).await.unwrap());
        let (sender, connection) = handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    pub(super) async fn call(&self, path: &str) -> Call {
        self.call_with(path, &["true"], &EMPTY).await
    }

    pub(super) async fn call_with(&self, path: &str, marks: &[&str], body: &[u8]) -> Call {
        self.try_call(path, marks, body).await.unwrap()
    }

    pub(super) async fn try_call(
        &self,
        path: &str,
        marks: &[&str],
        body: &[u8],
    ) -> Result<Call, hyper::Error> {
        self.send(path, marks, Full::new(Bytes::copy_from_slice(body)).boxed()).await
    }

    /// A request whose body does not end.
    pub(super) async fn unfinished(&self, path: &str) -> Call {
        let body = BodyExt::boxed(StreamBody::new(tokio_stream::pending()));
        self.send(path, &["true"], body).await.unwrap()
    }

    async fn send(&self, path: &str, marks: &[&str], body: Body) -> Result<Call, hyper::Error> {
        let mut request = Request::post(format!("http://localhost{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        for mark in marks {
            request = request.header("workload.spiffe.io", *mark);
        }
        let mut sender = self.0.clone();
        let response = sender.send_request(request.body(body).unwrap()).await?;
        Ok(Call { response, buffer: Vec::new(), _wire: sender })
    }
}

impl Call {
    /// The next message, or the status the call ends with.
    async fn next(&mut self) -> Result<Vec<u8>, (i32, String)> {
        if let Some(status) = status(self.response.headers()) {
            return Err(status);
        }
        loop {
            if let Some(head) = self.buffer.first_chunk::<5>() {
                let len = usize::try_from(u32::from_be_bytes([head[1], head[2], head[3], head[4]]))
                    .unwrap();
                if self.buffer.len() >= 5 + len {
                    let rest = self.buffer.split_off(5 + len);
                    let message = std::mem::replace(&mut self.buffer, rest).split_off(5);
                    return Ok(message);
                }
            }
            let frame = self.response.body_mut().frame().await.expect("no status").unwrap();
            match frame.into_data() {
                Ok(data) => self.buffer.extend_from_slice(&data),
                Err(other) => return Err(status(&other.into_trailers().unwrap()).unwrap()),
            }
        }
    }

    pub(super) async fn message<M: Message + Default>(&mut self) -> M {
        let bytes = self.next().await.unwrap_or_else(|(code, why)| panic!("status {code}: {why}"));
        M::decode(bytes.as_slice()).unwrap()
    }

    /// The status it ends with; messages before that are passed over.
    pub(super) async fn end(mut self) -> (i32, String) {
        loop {
            if let Err(status) = self.next().await {
                return status;
            }
        }
    }
}
