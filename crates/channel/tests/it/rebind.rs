//! A channel outlives its lease only by re-binding, and only for the program it began with.

use std::time::Duration;

use channel::frame::{FrameError, Kind};
use channel::handshake::Unbound;
use channel::stream::RebindError;
use channel::{AttestedStream, ChannelEnd, CredentialRefusal, Mode};
use evidence::controls::without;
use evidence::statement::StatementRefusal;
use evidence::{Time, Window};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use trust::Revoked;

use crate::raw::{Client, prove};
use crate::world::{
    NOW, Peer, World, anonymous, at, block, endpoint, meet, peer, peer_with, wire, world,
};

/// In force until so many seconds from now.
fn until(secs: i64) -> Window {
    Window { not_before: NOW.plus_secs(-60), not_after: NOW.plus_secs(secs) }
}

fn short(w: &World, role: &str, n: u8) -> Peer {
    peer_with(w, role, n, |_| {}, until(100))
}

/// The reason inside an error of a channel.
fn reason(error: std::io::Error) -> ChannelEnd {
    match error.into_inner().expect("no reason").downcast::<ChannelEnd>() {
        Ok(end) => *end,
        Err(other) => match other.downcast::<FrameError>() {
            Ok(frame) => ChannelEnd::Frame(*frame),
            Err(other) => panic!("{other}"),
        },
    }
}

/// Why the channel ended.
async fn end(stream: &mut AttestedStream<TcpStream>) -> ChannelEnd {
    let read = tokio::time::timeout(Duration::from_secs(5), stream.read_u8());
    reason(read.await.expect("it did not end").expect_err("data came"))
}

/// One byte each way.
async fn ping(a: &mut AttestedStream<TcpStream>, b: &mut AttestedStream<TcpStream>) {
    let one = async |s: &mut AttestedStream<TcpStream>| {
        s.write_all(b"x").await?;
        s.read_u8().await
    };
    let (a, b) = tokio::join!(one(a), one(b));
    assert_eq!((a.unwrap(), b.unwrap()), (b'x', b'x'));
}

/// Pings until both are bound until `ends`.
async fn settle(c: &mut AttestedStream<TcpStream>, s: &mut AttestedStream<TcpStream>, ends: Time) {
    for _ in 0..8 {
        ping(c, s).await;
        if (c.ends(), s.ends()) == (ends, ends) {
            return;
        }
    }
    panic!("client bound until {}, server until {}, expected {ends}", c.ends(), s.ends());
}

#[test]
fn a_channel_that_is_not_bound_anew_ends_with_the_earlier_lease() {
    let w = world(1);
    let (client, server) = (short(&w, "client", 11), peer(&w, "server", 12));
    let attack = || {
        at(0);
        block(async {
            let (c, s) = (
                endpoint(&w, &client, Mode::Bound, "server"),
                endpoint(&w, &server, Mode::Bound, "client"),
            );
            let (c, s) = meet(&c, &s).await;
            let (mut c, mut s) = (c.unwrap(), s.unwrap());
            at(100);
            ping(&mut c, &mut s).await;
            at(101);
            let write = c.write_all(b"late").await;
            write.map_err(|_| ())?;
            let mut late = [0; 4];
            s.read_exact(&mut late).await.map(|_| ()).map_err(|_| ())
        })
    };
    assert_eq!(attack(), Err(()));
    assert_eq!(without("lease_end", attack), Ok(()));
    // The clock stands still for a channel that is idle, so only the alarm wakes it: leases in real seconds.
    at(0);
    let brief = peer_with(&w, "client", 11, |_| {}, until(1));
    block(async {
        let (c, s) = (
            endpoint(&w, &brief, Mode::Credential, "server"),
            endpoint(&w, &server, Mode::Credential, "client"),
        );
        let (c, s) = meet(&c, &s).await;
        let (_c, mut s) = (c.unwrap(), s.unwrap());
        let later = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            at(2);
        };
        let (ended, ()) = tokio::join!(end(&mut s), later);
        assert!(matches!(ended, ChannelEnd::Lease(t) if t == NOW.plus_secs(1)), "{ended:?}");
    });
}

#[test]
fn a_channel_lives_on_when_both_sides_renew_while_data_flows() {
    let w = world(1);
    let (client, server) = (short(&w, "client", 11), short(&w, "server", 12));
    block(async {
        let (ce, se) = (
            endpoint(&w, &client, Mode::Bound, "server"),
            endpoint(&w, &server, Mode::Bound, "client"),
        );
        let (c, s) = meet(&ce, &se).await;
        let (mut c, mut s) = (c.unwrap(), s.unwrap());
        let renew = |e: &channel::Endpoint<_>, p: &Peer, secs| {
            let new = p.renewed(&w, until(secs)).own(&w);
            e.standing.renew(w.trust.clone(), new, 1).unwrap();
        };
        // One side: the earlier lease still counts.
        renew(&ce, &client, 200);
        settle(&mut c, &mut s, NOW.plus_secs(100)).await;
        renew(&se, &server, 150);
        settle(&mut c, &mut s, NOW.plus_secs(150)).await;
        at(140);
        ping(&mut c, &mut s).await;
        // Both at once.
        renew(&ce, &client, 300);
        renew(&se, &server, 310);
        settle(&mut c, &mut s, NOW.plus_secs(300)).await;
        // In the middle of much data, both ways.
        renew(&ce, &client, 400);
        let data = vec![5; 2_000_000];
        let (mut cr, mut cw) = tokio::io::split(c);
        let (mut sr, mut sw) = tokio::io::split(s);
        let send = async |w: &mut (dyn tokio::io::AsyncWrite + Unpin + Send)| {
            w.write_all(&data).await.unwrap();
            w.flush().await.unwrap();
        };
        let (mut got_c, mut got_s) = (vec![0; data.len()], vec![0; data.len()]);
        tokio::join!(
            send(&mut cw),
            send(&mut sw),
            async { cr.read_exact(&mut got_c).await.unwrap() },
            async {
                sr.read_exact(&mut got_s[..1_000_000]).await.unwrap();
                renew(&se, &server, 410);
                sr.read_exact(&mut got_s[1_000_000..]).await.unwrap();
            },
        );
        assert!(got_c == data && got_s == data);
        let (mut c, mut s) = (cr.unsplit(cw), sr.unsplit(sw));
        settle(&mut c, &mut s, NOW.plus_secs(400)).await;
        assert_eq!(c.peer().unwrap().window().not_after, NOW.plus_secs(410));
    });
}

#[test]
fn an_attested_server_renews_before_an_anonymous_client() {
    let w = world(1);
    let server = short(&w, "server", 12);
    block(async {
        let se = endpoint(&w, &server, Mode::OneSided, "client");
        let (c, s) = meet(&anonymous(&w, "server"), &se).await;
        let (mut c, mut s) = (c.unwrap(), s.unwrap());
        ping(&mut c, &mut s).await;
        let new = server.renewed(&w, until(200)).own(&w);
        se.standing.renew(w.trust.clone(), new, 1).unwrap();
        settle(&mut c, &mut s, NOW.plus_secs(200)).await;
    });
}

#[test]
fn a_revocation_ends_live_channels_of_either_side() {
    let w = world(1);
    let (client, server) = (peer(&w, "client", 11), peer(&w, "server", 12));
    let attack = |hears: &str| {
        block(async {
            let (ce, se) = (
                endpoint(&w, &client, Mode::Bound, "server"),
                endpoint(&w, &server, Mode::Bound, "client"),
            );
            let (c, s) = meet(&ce, &se).await;
            let (mut c, mut s) = (c.unwrap(), s.unwrap());
            ping(&mut c, &mut s).await;
            let told = w.revocation(1, Revoked::Measurement(client.credential.measurement));
            let (hearing, stream) = match hears {
                "server" => (&se, &mut s),
                _ => (&ce, &mut c),
            };
            // Told while it sleeps in a read.
            let tell = async { hearing.standing.hear(1, vec![told]).unwrap() };
            let ended = async {
                let read = stream.read_u8();
                tokio::time::timeout(Duration::from_millis(300), read).await.is_ok()
            };
            tokio::join!(biased; ended, tell).0
        })
    };
    for hears in ["server", "client"] {
        assert!(attack(hears), "{hears}");
        assert!(!without("revoked", || attack(hears)), "{hears}");
    }
}

/// What the server makes of a client that goes through the handshake and then does as `act` says.
fn against(w: &World, act: impl AsyncFnOnce(&mut Client)) -> Result<Time, ChannelEnd> {
    let (client, server) = (short(w, "client", 11), peer(w, "server", 12));
    block(async {
        let (a, b) = wire().await;
        let se = endpoint(w, &server, Mode::Bound, "client");
        let (mut client, s) =
            tokio::join!(Client::handshake(w, &client, server.spki, a), se.accept(b));
        let mut s = s.unwrap();
        let watched = async move {
            let mut last = [0; 4];
            s.read_exact(&mut last).await.map_err(reason)?;
            assert_eq!(&last, b"last");
            Ok(s.ends())
        };
        let acted = async {
            act(&mut client).await;
            client.raw.send(Kind::Data, b"last").await;
        };
        tokio::join!(watched, acted).0
    })
}

/// The same program with a longer lease.
fn longer(w: &World) -> Peer {
    short(w, "client", 11).renewed(w, until(500))
}

fn unbound(result: &Result<Time, ChannelEnd>) -> Option<&Unbound> {
    match result {
        Err(ChannelEnd::Rebind(RebindError::Unbound(why))) => Some(why),
        _ => None,
    }
}

const LONGER: Time = NOW.plus_secs(500);

#[test]
fn an_honest_re_bind_by_hand_moves_the_end() {
    let w = world(1);
    let moved = against(&w, async |c| {
        let new = longer(&w);
        c.offer(&new).await;
        let said = c.answered(&w, &new).await;
        c.confirm(&said.statement, &prove(&new, &said.binder)).await;
    });
    assert_eq!(moved.unwrap(), LONGER);
    assert_eq!(against(&w, async |_| {}).unwrap(), NOW.plus_secs(100));
}

#[test]
fn a_statement_of_the_handshake_or_of_an_earlier_re_bind_is_refused_in_a_re_bind() {
    let w = world(1);
    let handshake = || {
        against(&w, async |c| {
            let new = longer(&w);
            c.offer(&new).await;
            let said = c.answered(&w, &new).await;
            let old = c.statement.clone();
            c.confirm(&old, &prove(&new, &said.binder)).await;
        })
    };
    let earlier = || {
        against(&w, async |c| {
            let (new, newer) = (longer(&w), longer(&w));
            c.offer(&new).await;
            let first = c.answered(&w, &new).await;
            c.confirm(&first.statement, &prove(&new, &first.binder)).await;
            c.offer(&newer).await;
            let second = c.answered(&w, &newer).await;
            c.confirm(&first.statement, &prove(&newer, &second.binder)).await;
        })
    };
    for attack in [&handshake as &dyn Fn() -> _, &earlier] {
        let refused = attack();
        let binder =
            matches!(unbound(&refused), Some(Unbound::Statement(StatementRefusal::Binder { .. })));
        assert!(binder, "{refused:?}");
        assert_eq!(without("statement_binder", attack).unwrap(), LONGER);
    }
}

#[test]
fn a_re_bind_without_the_new_key_is_refused() {
    let w = world(1);
    let attack = || {
        against(&w, async |c| {
            // The thief copied the new certificate off the wire; the platform would sign, the key is elsewhere.
            let (new, other) = (longer(&w), longer(&w));
            c.offer(&new).await;
            let said = c.answered(&w, &new).await;
            c.confirm(&said.statement, &prove(&other, &said.binder)).await;
        })
    };
    assert!(matches!(attack(), Err(ChannelEnd::Rebind(RebindError::Possession))));
    assert_eq!(without("rebind_possession", attack).unwrap(), LONGER);
}

#[test]
fn a_re_bind_to_another_program_role_or_monitor_is_refused() {
    let w = world(1);
    let others = [
        ("program", peer_with(&w, "client", 13, |_| {}, until(500))),
        ("role", peer_with(&w, "server", 11, |_| {}, until(500))),
        ("exportable", peer_with(&w, "client", 11, |c| c.exportable = true, until(500))),
    ];
    for (what, other) in others {
        let attack = || {
            against(&w, async |c| {
                c.offer(&other).await;
                let said = c.answered(&w, &other).await;
                c.confirm(&said.statement, &prove(&other, &said.binder)).await;
            })
        };
        let refused = || {
            against(&w, async |c| {
                c.offer(&other).await;
                c.raw.next().await;
            })
        };
        let end = refused();
        assert!(
            matches!(end, Err(ChannelEnd::Rebind(RebindError::Program { .. }))),
            "{what}: {end:?}"
        );
        assert_eq!(without("rebind_program", attack).unwrap(), LONGER, "{what}");
    }
    // An honest endpoint that is given another program's credential does not drag its channel along.
    let (client, server) = (short(&w, "client", 11), peer(&w, "server", 12));
    block(async {
        let ce = endpoint(&w, &client, Mode::Bound, "server");
        let (c, s) = meet(&ce, &endpoint(&w, &server, Mode::Bound, "client")).await;
        let (mut c, mut s) = (c.unwrap(), s.unwrap());
        let other = peer_with(&w, "server", 11, |_| {}, until(500)).own(&w);
        ce.standing.renew(w.trust.clone(), other, 1).unwrap();
        c.write_all(b"x").await.unwrap();
        s.read_u8().await.unwrap_or_default();
        let ended = end(&mut s).await;
        assert!(matches!(ended, ChannelEnd::Over | ChannelEnd::Rebind(_)), "{ended:?}");
    });
}

#[test]
fn a_re_bind_to_another_domains_credential_is_refused() {
    let (ours, theirs) = (world(1), world(2));
    let foreign = peer_with(&theirs, "client", 11, |_| {}, until(500));
    let refused = against(&ours, async |c| {
        c.offer(&foreign).await;
        c.raw.next().await;
    });
    let chain = matches!(
        refused,
        Err(ChannelEnd::Rebind(RebindError::Credential(CredentialRefusal::Chain { .. })))
    );
    assert!(chain, "{refused:?}");
}

#[test]
fn messages_out_of_turn_end_the_channel() {
    let w = world(1);
    for kind in [Kind::Answer, Kind::Confirm] {
        let refused = against(&w, async |c| {
            c.raw.send(kind, b"x").await;
            c.raw.next().await;
        });
        let turn = matches!(refused, Err(ChannelEnd::Rebind(RebindError::Turn(k))) if k == kind);
        assert!(turn, "{refused:?}");
    }
    // While the answer is under way nothing may come but the confirmation.
    let refused = against(&w, async |c| {
        let new = longer(&w);
        c.offer(&new).await;
        c.offer(&new).await;
        while c.raw.next().await != crate::raw::Got::End {}
    });
    let turn = matches!(refused, Err(ChannelEnd::Rebind(RebindError::Turn(Kind::Offer))));
    assert!(turn, "{refused:?}");
    for kind in [Kind::Hello, Kind::Statement, Kind::News] {
        let refused = against(&w, async |c| {
            c.raw.send(kind, b"x").await;
            c.raw.next().await;
        });
        let place = matches!(
            refused,
            Err(ChannelEnd::Frame(FrameError::Unexpected { got, .. })) if got == kind
        );
        assert!(place, "{refused:?}");
    }
}

#[test]
fn a_peer_that_offers_without_end_is_cut() {
    let w = world(1);
    let flood = || {
        against(&w, async |c| {
            for n in 0..9 {
                let new = longer(&w);
                c.offer(&new).await;
                if n == 8 {
                    c.raw.next().await;
                    return;
                }
                let said = c.answered(&w, &new).await;
                c.confirm(&said.statement, &prove(&new, &said.binder)).await;
            }
        })
    };
    assert!(matches!(flood(), Err(ChannelEnd::Rebind(RebindError::TooOften))));
    assert_eq!(without("rebind_rate", flood).unwrap(), LONGER);
}

#[test]
fn an_offer_inside_data_is_data_and_unknown_or_endless_frames_end_the_channel() {
    let w = world(1);
    let (client, server) = (short(&w, "client", 11), peer(&w, "server", 12));
    block(async {
        let (c, s) = (
            endpoint(&w, &client, Mode::Bound, "server"),
            endpoint(&w, &server, Mode::Bound, "client"),
        );
        let (c, s) = meet(&c, &s).await;
        let (mut c, mut s) = (c.unwrap(), s.unwrap());
        // What a program writes cannot become a message of its channel, however it is cut.
        let header = channel::frame::header(Kind::Offer, 9).unwrap();
        let inner = [&header[..], b"an offer?"].concat();
        for part in inner.chunks(3) {
            c.write_all(part).await.unwrap();
        }
        let mut got = vec![0; inner.len()];
        s.read_exact(&mut got).await.unwrap();
        assert_eq!(got, inner);
        ping(&mut c, &mut s).await;
    });
    // A message put into the middle of an open frame is that frame's data.
    let injected = against(&w, async |c| {
        let header = channel::frame::header(Kind::Data, 8).unwrap();
        c.raw.send_bytes(&[&header[..], b"last", &[4, 0, 0, 1]].concat()).await;
    });
    assert_eq!(injected.unwrap(), NOW.plus_secs(100));
    type Bad = (&'static [u8], fn(&FrameError) -> bool);
    let bad: [Bad; 3] = [
        (&[9, 0, 0, 1, 0], |e| *e == FrameError::Kind(9)),
        (&[0, 255, 255, 255], |e| matches!(e, FrameError::Length { got: 16_777_215, .. })),
        (&[4, 0, 0, 0], |e| matches!(e, FrameError::Length { got: 0, .. })),
    ];
    for (frame, is) in bad {
        let ended = against(&w, async |c| {
            c.raw.send_bytes(frame).await;
            c.raw.next().await;
        });
        assert!(matches!(&ended, Err(ChannelEnd::Frame(e)) if is(e)), "{ended:?}");
    }
}
