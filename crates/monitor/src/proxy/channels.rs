//! What ingress and egress share: the program's standing, and carrying a channel for as long as it is permitted.
//!
//! A channel ends by itself with its lease or a revocation (`channel::stream`); here it also ends when a renewed admission
//! does not permit that peer any more.

use std::sync::Arc;

use channel::admission::Admission;
use channel::handshake::{Endpoint, Mode, PeerPolicy};
use channel::standing::{Authority, Own, Present};
use channel::{AttestedStream, Standing};
use evidence::BinderKind;
use platform::keyholder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};

use super::admit::{Admitted, ChannelSource};
use super::clock;

/// A peer has heard more than this proxy: the admission is renewed before its time.
struct Renewal(Arc<Notify>);

impl Authority for Renewal {
    fn ask(&self) -> bool {
        self.0.notify_one();
        true
    }
}

/// The program's channels.
#[derive(Clone)]
pub(super) struct Channels {
    keyholder: Arc<keyholder::Client>,
    admitted: watch::Receiver<Option<Admitted>>,
    standing: watch::Receiver<Option<Standing>>,
}

impl Channels {
    /// Channels of a program whose admissions come through `admitted`; `renew` asks for one before its time.
    pub(super) fn new(
        keyholder: Arc<keyholder::Client>,
        admitted: watch::Receiver<Option<Admitted>>,
        renew: Arc<Notify>,
    ) -> Self {
        let (out, standing) = watch::channel(None);
        tokio::spawn(follow(admitted.clone(), out, renew));
        Self { keyholder, admitted, standing }
    }

    /// Waits until the program is admitted.
    pub(super) async fn admission(&self) -> Option<Arc<Admission>> {
        self.standing.clone().wait_for(Option::is_some).await.ok()?;
        self.admission_now()
    }

    /// The newest admission.
    pub(super) fn admission_now(&self) -> Option<Arc<Admission>> {
        self.admitted.borrow().as_ref().map(|a| Arc::clone(&a.admission))
    }

    /// One side of channels with peers in `roles`, for the server's port `port`; none before the program is admitted.
    pub(super) fn endpoint(
        &self,
        modes: Vec<Mode>,
        roles: Vec<String>,
        port: u16,
    ) -> Option<Endpoint<ChannelSource>> {
        let kinds = vec![BinderKind::ChannelMonitor, BinderKind::ChannelProgram];
        Some(Endpoint {
            standing: self.standing.borrow().clone()?,
            source: Arc::new(ChannelSource(Arc::clone(&self.keyholder))),
            policy: PeerPolicy { modes, roles, kinds, require_pq: true },
            port: Some(port),
            clock,
        })
    }

    /// Carries until either side ends, the channel ends, or the newest admission does not permit it.
    pub(super) async fn carry<T>(
        &self,
        mut stream: AttestedStream<T>,
        mut inside: TcpStream,
        permits: impl Fn(&Admission) -> bool,
    ) where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        // Nothing between the two is ever congested. A host whose default paces (BBR) would set a timer a message.
        let _ = rustix::net::sockopt::set_tcp_congestion(&inside, "reno");
        let _ = inside.set_nodelay(true);
        let mut admitted = self.admitted.clone();
        let forbidden = admitted.wait_for(|a| !a.as_ref().is_some_and(|a| permits(&a.admission)));
        tokio::select! {
            biased;
            _ = channel::carry(&mut stream, &mut inside) => {}
            _ = forbidden => {}
        }
    }
}

/// Turns every admission and what was heard with it into the standing of channels.
async fn follow(
    mut admitted: watch::Receiver<Option<Admitted>>,
    out: watch::Sender<Option<Standing>>,
    renew: Arc<Notify>,
) {
    let mut ready: Option<Standing> = None;
    while admitted.changed().await.is_ok() {
        let Some(a) = admitted.borrow_and_update().clone() else { continue };
        if let Some(standing) = &ready {
            let known = standing.now().epochs().revocation;
            let _ = standing.hear(known.saturating_add(1), a.revocations.after(known));
            if standing.now().own.is_some_and(|own| own.spki() == a.own) {
                continue;
            }
        }
        let Ok(own) = Own::new(a.identity, &a.trust, clock()).map(Arc::new) else { continue };
        let policy = a.admission.policy;
        if let Some(standing) = &ready {
            let _ = standing.renew(a.trust, own, policy);
        } else {
            let present =
                Present { trust: a.trust, own: Some(own), policy, revocations: a.revocations };
            let standing = Standing::new(present, Renewal(Arc::clone(&renew)));
            ready = Some(standing.clone());
            out.send_replace(Some(standing));
        }
    }
}

#[cfg(test)]
mod tests;
