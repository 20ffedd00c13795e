//! Carrying between a channel and a plain connection: all bytes, both ways, halves that end, and ends that come while
//! nothing flows.

use std::io;
use std::time::Duration;

use channel::{AttestedStream, ChannelEnd, Endpoint, Mode};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::TcpStream;
use trust::Revoked;

use crate::world::{Platform, World, block, endpoint, meet, peer, world};

type Channel = AttestedStream<TcpStream>;

/// A channel, with the server's endpoint and the client's revocation.
async fn channel(w: &World) -> (Channel, Channel, Endpoint<Platform>, Revoked) {
    let (client, server) = (peer(w, "client", 11), peer(w, "server", 12));
    let ce = endpoint(w, &client, Mode::Bound, "server");
    let se = endpoint(w, &server, Mode::Bound, "client");
    let (c, s) = meet(&ce, &se).await;
    (c.unwrap(), s.unwrap(), se, Revoked::Measurement(client.credential.measurement))
}

#[test]
fn all_bytes_arrive_both_ways_and_halves_end_by_themselves() {
    let w = world(1);
    block(async {
        let (mut c, mut s, ..) = channel(&w).await;
        let (mut outer, mut c_side) = duplex(1000);
        let (mut inner, mut s_side) = duplex(70_000);
        let up = (0..1_500_000_u32).map(|n| n.to_le_bytes()[0]).collect::<Vec<_>>();
        let down = up.iter().rev().copied().collect::<Vec<_>>();
        let client = async {
            let (mut r, mut w) = tokio::io::split(&mut outer);
            let mut got = Vec::new();
            let (sent, read) = tokio::join!(
                async {
                    w.write_all(&up).await?;
                    w.shutdown().await
                },
                r.read_to_end(&mut got)
            );
            sent.and(read).unwrap();
            got
        };
        let server = async {
            let mut got = Vec::new();
            inner.read_to_end(&mut got).await.unwrap();
            // Only now, when the other half has long ended.
            inner.write_all(&down).await.unwrap();
            inner.shutdown().await.unwrap();
            got
        };
        let (one, two, at_client, at_server) = tokio::join!(
            channel::carry(&mut c, &mut c_side),
            channel::carry(&mut s, &mut s_side),
            client,
            server
        );
        assert!(one.is_ok() && two.is_ok(), "{one:?} {two:?}");
        assert!(at_client == down && at_server == up);
    });
}

/// Why the server's carrying ended, once its client was revoked.
async fn revoked(
    mut s: Channel,
    mut inside: DuplexStream,
    se: &Endpoint<Platform>,
    told: trust::signing::Signed,
) -> io::Error {
    let revoke = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        se.standing.hear(1, vec![told]).unwrap();
    };
    let carried = tokio::time::timeout(Duration::from_secs(5), channel::carry(&mut s, &mut inside));
    let (carried, ()) = tokio::join!(carried, revoke);
    carried.expect("it did not end").expect_err("it ended as its peers wished")
}

#[test]
fn a_channel_ends_also_while_nothing_flows_in_it() {
    let w = world(1);
    // Its client has ended its half, and the program has nothing to say.
    let half = block(async {
        let (mut c, s, se, what) = channel(&w).await;
        let (inside, _program) = duplex(1000);
        c.shutdown().await.unwrap();
        revoked(s, inside, &se, w.revocation(1, what)).await
    });
    // The program does not read, so that everything waits for it.
    let full = block(async {
        let (mut c, s, se, what) = channel(&w).await;
        let (inside, _program) = duplex(10);
        c.write_all(&[1; 10_000]).await.unwrap();
        revoked(s, inside, &se, w.revocation(1, what)).await
    });
    for error in [half, full] {
        let end = error.get_ref().and_then(|e| e.downcast_ref::<ChannelEnd>());
        assert!(matches!(end, Some(ChannelEnd::Revoked("its peer"))), "{error:?}");
    }
}
