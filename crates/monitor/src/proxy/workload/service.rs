//! The calls of the Workload API (SPIFFE_Workload_API.md sections 4 and 5, SPIFFE_Workload_Endpoint.md sections 3 and 6):
//! the two of the X.509 profile; every other name is answered `Unimplemented`.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::time::Duration;

use evidence::controls::holds;
use hyper::body::Incoming;
use hyper::{HeaderMap, Request, Response};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::server::{Grpc, ServerStreamingService};
use tonic::{Code, Status};
use tonic_prost::ProstCodec;

use super::issuer::{Desk, State, Svid};
use super::messages::{Empty, X509BundlesResponse, X509Svid, X509SvidResponse};

/// The header that a forged request of somebody else's making lacks, and its only value.
const SECURITY_HEADER: (&str, &str) = ("workload.spiffe.io", "true");
/// Longest request message: it is empty, and may get fields one day.
const REQUEST_MAX: usize = 4096;
/// How long a request may take to arrive.
const READ_MAX: Duration = Duration::from_secs(10);
/// How long a first answer may take to come.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection's calls. `open` is shared by every call that is not over.
#[derive(Clone)]
pub(super) struct Service {
    pub(super) desk: Desk,
    pub(super) open: Arc<()>,
}

impl Service {
    /// Every call there is.
    pub(super) async fn answer(
        self,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Infallible> {
        if !holds("workload_header", is_marked(request.headers())) {
            let (name, value) = SECURITY_HEADER;
            let why = format!("metadata {name}: expected exactly {value}; use a SPIFFE client");
            return Ok(Status::invalid_argument(why).into_http());
        }
        let called = async {
            match request.uri().path() {
                "/SpiffeWorkloadAPI/FetchX509SVID" => self.streaming(svids, request).await,
                "/SpiffeWorkloadAPI/FetchX509Bundles" => self.streaming(bundles, request).await,
                other => Status::unimplemented(format!(
                    "{other} is not served here; X.509 identities are: FetchX509SVID, FetchX509Bundles"
                ))
                .into_http(),
            }
        };
        Ok(tokio::time::timeout(READ_MAX, called).await.unwrap_or_else(|_| {
            let why =
                format!("request not complete within {} s; send it whole", READ_MAX.as_secs());
            Status::deadline_exceeded(why).into_http()
        }))
    }

    async fn streaming<T: prost::Message + Default + 'static>(
        self,
        show: fn(&Svid) -> T,
        request: Request<Incoming>,
    ) -> Response<Body> {
        let codec = ProstCodec::<T, Empty>::default();
        let mut grpc = Grpc::new(codec).max_decoding_message_size(REQUEST_MAX);
        grpc.server_streaming(Call { service: self, show }, request).await
    }
}

/// Exactly one such header with exactly that value.
fn is_marked(headers: &HeaderMap) -> bool {
    let (name, value) = SECURITY_HEADER;
    headers.get_all(name).iter().map(|v| v.as_bytes()).eq([value.as_bytes()])
}

/// One call whose request has been read.
struct Call<T> {
    service: Service,
    show: fn(&Svid) -> T,
}

type Answers<T> = ReceiverStream<Result<T, Status>>;

impl<T: Send + 'static> ServerStreamingService<Empty> for Call<T> {
    type Response = T;
    type ResponseStream = Answers<T>;
    type Future = Ready<Result<tonic::Response<Answers<T>>, Status>>;

    fn call(&mut self, _: tonic::Request<Empty>) -> Self::Future {
        let (to, answers) = mpsc::channel(1);
        let (Service { desk, open }, show) = (self.service.clone(), self.show);
        tokio::spawn(async move {
            tokio::select! {
                () = to.closed() => {}
                end = follow(&desk, show, &to) => drop(to.send(Err(end)).await),
            }
            drop(open);
        });
        ready(Ok(tonic::Response::new(ReceiverStream::new(answers))))
    }
}

/// Sends the whole state each time it changes, until it ends: with what.
async fn follow<T>(
    desk: &Desk,
    show: fn(&Svid) -> T,
    to: &mpsc::Sender<Result<T, Status>>,
) -> Status {
    let mut state = desk.follow();
    loop {
        let now = state.borrow_and_update().clone();
        let patience = match now {
            State::Given(svid) => {
                if to.send(Ok(show(&svid))).await.is_err() {
                    return Status::new(Code::Cancelled, "nobody listens");
                }
                None
            }
            State::Unasked => {
                desk.ask();
                Some(PATIENCE)
            }
            State::Refused(why) => return Status::permission_denied(why),
            State::Unavailable(why) => return Status::unavailable(why),
        };
        let changed = match patience {
            None => state.changed().await.is_ok(),
            Some(patience) => {
                tokio::time::timeout(patience, state.changed()).await.is_ok_and(|c| c.is_ok())
            }
        };
        if !changed {
            return Status::unavailable("the authority has not answered yet; ask again");
        }
    }
}

fn svids(svid: &Svid) -> X509SvidResponse {
    X509SvidResponse {
        svids: vec![X509Svid {
            spiffe_id: svid.spiffe_id.clone(),
            x509_svid: svid.leaf.clone(),
            x509_svid_key: svid.key.expose().clone(),
            bundle: svid.trust.ca().to_vec(),
        }],
    }
}

fn bundles(svid: &Svid) -> X509BundlesResponse {
    let domain = &svid.trust.authority().genesis().domain;
    let named = (format!("spiffe://{domain}"), svid.trust.ca().to_vec());
    X509BundlesResponse { bundles: HashMap::from([named]) }
}
