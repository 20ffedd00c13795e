//! Whoever has heard less catches up before data flows; what a peer makes up costs that peer its connection and no more.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use channel::frame::Kind;
use channel::standing::{ASK_EVERY, Authority};
use channel::{Endpoint, Epochs, HandshakeError, Mode, Standing};
use ciborium::Value;
use evidence::cbor;
use evidence::controls::without;
use evidence::{Binder, BinderKind, ContentDigest, End, Measurement, Nonce, Side};
use trust::revocation::RevocationError;
use trust::signing::Signed;
use trust::{Revoked, signing::Namespace};

use crate::raw::{Raw, bytes, hello, nonce_of};
use crate::world::{
    Outcome, Peer, Platform, World, anonymous, block, endpoint, meet, peer, standing, wire, world,
};

fn ends(w: &World) -> (Endpoint<Platform>, Endpoint<Platform>) {
    let (client, server) = (peer(w, "client", 11), peer(w, "server", 12));
    (endpoint(w, &client, Mode::Bound, "server"), endpoint(w, &server, Mode::Bound, "client"))
}

/// Revocations 1 to `n` of programs nobody runs.
fn revocations(w: &World, n: u64) -> Vec<Signed> {
    let what = |n: u64| Revoked::Measurement(Measurement::new([u8::try_from(n % 7).unwrap(); 48]));
    (1..=n).map(|n| w.revocation(n, what(n))).collect()
}

fn epoch(e: &Endpoint<Platform>) -> u64 {
    e.standing.now().epochs().revocation
}

#[test]
fn whoever_has_heard_less_of_revocations_catches_up_in_band() {
    let w = world(1);
    for (client, server) in [(0, 3), (3, 0), (2, 5), (5, 5), (64, 0), (0, 64)] {
        let (c, s) = ends(&w);
        c.standing.hear(1, revocations(&w, client)).unwrap();
        s.standing.hear(1, revocations(&w, server)).unwrap();
        let (a, b) = block(meet(&c, &s));
        assert!(a.is_ok() && b.is_ok(), "{client} {server}: {a:?} {b:?}");
        assert_eq!((epoch(&c), epoch(&s)), (client.max(server), client.max(server)));
    }
    // An anonymous client is told, and tells nothing: no server takes a stranger's word.
    let (_, mut s) = ends(&w);
    s.policy.modes = vec![Mode::OneSided];
    let c = anonymous(&w, "server");
    s.standing.hear(1, revocations(&w, 2)).unwrap();
    let (a, b) = block(meet(&c, &s));
    assert!(a.is_ok() && b.is_ok() && epoch(&c) == 2, "{a:?} {b:?}");
    c.standing.hear(3, revocations(&w, 4)[2..].to_vec()).unwrap();
    let (a, b) = block(meet(&c, &s));
    assert!(a.is_ok() && b.is_ok() && epoch(&s) == 2, "{a:?} {b:?}");
}

#[test]
fn a_peer_that_is_revoked_by_what_was_just_heard_gets_no_channel() {
    let w = world(1);
    let (client, server) = (peer(&w, "client", 11), peer(&w, "server", 12));
    let attack = || {
        let (c, s) = ends(&w);
        // The server has heard that it is revoked itself, and says so: it is honest, and no longer trusted.
        let told = w.revocation(1, Revoked::Measurement(server.credential.measurement));
        s.standing.hear(1, vec![told]).unwrap();
        block(meet(&c, &s)).0
    };
    assert!(matches!(attack(), Err(HandshakeError::Revoked)));
    assert!(without("revoked", attack).is_ok());
    let (c, s) = ends(&w);
    c.standing
        .hear(1, vec![w.revocation(1, Revoked::StatementKey(client.platform.key()))])
        .unwrap();
    assert!(matches!(block(meet(&c, &s)).1, Err(HandshakeError::Revoked)));
}

type Renew = Box<dyn Fn() + Send>;

/// Counts how often it is asked, and renews with what it has.
#[derive(Clone, Default)]
struct Asked {
    times: Arc<AtomicU32>,
    renews: Arc<std::sync::Mutex<Option<Renew>>>,
}

impl Authority for Asked {
    fn ask(&self) -> bool {
        self.times.fetch_add(1, Ordering::Relaxed);
        if let Some(renew) = &*self.renews.lock().unwrap() {
            renew();
        }
        true
    }
}

impl Asked {
    fn times(&self) -> u32 {
        self.times.load(Ordering::Relaxed)
    }

    /// A standing that asks here.
    fn standing(&self, w: &World, p: &Peer) -> Standing {
        standing(w, Some(p), self.clone())
    }
}

#[test]
fn a_lower_policy_is_caught_up_on_at_the_authority() {
    let w = world(1);
    let (client, server) = (peer(&w, "client", 11), peer(&w, "server", 12));
    let newest = |e: &Endpoint<Platform>, p: &Peer, policy| {
        e.standing.renew(w.trust.clone(), p.own(&w), policy).unwrap();
    };
    for behind in ["client", "server"] {
        let (mut c, mut s) = ends(&w);
        let asked = Asked::default();
        let (slow, fast, who) =
            if behind == "client" { (&mut c, &s, &client) } else { (&mut s, &c, &server) };
        newest(fast, if behind == "client" { &server } else { &client }, 7);
        slow.standing = asked.standing(&w, who);
        let (renewing, own, trust) = (slow.standing.clone(), who.own(&w), w.trust.clone());
        let renew = move || {
            renewing.renew(trust.clone(), own.clone(), 7).unwrap();
        };
        *asked.renews.lock().unwrap() = Some(Box::new(renew));
        let slow = slow.standing.clone();
        let (a, b) = block(meet(&c, &s));
        assert!(a.is_ok() && b.is_ok(), "{behind}: {a:?} {b:?}");
        assert_eq!((slow.now().policy, asked.times()), (7, 1));
    }
    // Where nothing comes of asking, this connection is refused and nothing else.
    let (c, s) = ends(&w);
    newest(&c, &client, 7);
    let attack = || block(meet(&c, &s)).1;
    let refused = attack();
    let known = Epochs { policy: 1, revocation: 0 };
    assert!(matches!(refused, Err(HandshakeError::Behind { known: k, .. }) if k == known));
    assert!(without("caught_up", attack).is_ok());
    let (c, _) = ends(&w);
    assert!(block(meet(&c, &s)).1.is_ok());
}

#[test]
fn revocations_beyond_what_fits_one_message_come_from_the_authority() {
    let w = world(1);
    let (mut c, s) = ends(&w);
    let client = peer(&w, "client", 11);
    let all = revocations(&w, 70);
    s.standing.hear(1, all.clone()).unwrap();
    let (refused, _) = block(meet(&c, &s));
    let known = Epochs { policy: 1, revocation: 64 };
    assert!(matches!(refused, Err(HandshakeError::Behind { known: k, .. }) if k == known));
    let asked = Asked::default();
    c.standing = asked.standing(&w, &client);
    let hearing = c.standing.clone();
    let tell = move || hearing.hear(1, all.clone()).unwrap();
    *asked.renews.lock().unwrap() = Some(Box::new(tell));
    let (a, b) = block(meet(&c, &s));
    assert!(a.is_ok() && b.is_ok(), "{a:?} {b:?}");
    assert_eq!((epoch(&c), asked.times()), (70, 1));
}

/// What an honest server makes of a client that claims `epochs` and tells `news`.
async fn claims(
    w: &World,
    me: &Peer,
    server: &Endpoint<Platform>,
    epochs: Epochs,
    news: &[Signed],
) -> Outcome {
    let (a, b) = wire().await;
    let liar = async {
        let mut raw = Raw::client(w, Some(me.identity.clone()), a).await;
        let own = Nonce::new([1; 32]);
        raw.send(Kind::Hello, &hello(own, "bound", epochs)).await;
        let crate::raw::Got::Message(Kind::Hello, said) = raw.next().await else { return };
        raw.message(Kind::Statement).await;
        let list = news.iter().map(|s| bytes(&s.encode())).collect();
        let news = cbor::map(vec![(1, 1.into()), (2, Value::Array(list))]);
        raw.send(Kind::News, &cbor::encode(&news)).await;
        let theirs = nonce_of(&said);
        let end = |spki, nonce| End { domain: Some(w.root), spki: Some(spki), nonce };
        let server = server.standing.now().own.unwrap().spki();
        let binder = Binder {
            kind: BinderKind::ChannelMonitor,
            side: Side::Client,
            client: end(me.spki, own),
            server: end(server, theirs),
            session: raw.session(own, theirs),
            claims: ContentDigest::of(b""),
        };
        raw.send(Kind::Statement, &me.platform.sign(&binder)).await;
        raw.next().await;
    };
    tokio::select! {
        biased;
        outcome = server.accept(b) => outcome,
        () = async { liar.await; std::future::pending().await } => unreachable!(),
    }
}

#[test]
fn revocations_that_the_owners_did_not_sign_or_with_a_gap_or_of_another_domain_are_refused() {
    let (w, other) = (world(1), world(2));
    let me = peer(&w, "client", 11);
    let what = || Revoked::Measurement(Measurement::new([0x77; 48]));
    let signed = w.revocation(1, what());
    let mut unsigned = signed.clone();
    unsigned.signatures.clear();
    let payload = trust::Revocation { domain: other.root, epoch: 1, revoked: what() }.encode();
    let signatures = vec![w.owner.sign(Namespace::Revocation, &payload).unwrap()];
    let foreign = Signed { payload, signatures };
    type Is = fn(&RevocationError) -> bool;
    let lies: [(&str, Vec<Signed>, Is, &'static str); 4] = [
        ("unsigned", vec![unsigned], |e| matches!(e, RevocationError::Signing(_)), ""),
        (
            "of other owners",
            vec![other.revocation(1, what())],
            |e| matches!(e, RevocationError::Signing(_)),
            "",
        ),
        (
            "of another domain",
            vec![foreign],
            |e| matches!(e, RevocationError::Domain { .. }),
            "revocation_domain",
        ),
        (
            "with a gap",
            vec![w.revocation(2, what())],
            |e| matches!(e, RevocationError::Epoch { expected: 1, got: 2 }),
            "revocation_epoch",
        ),
    ];
    for (name, news, is, check) in lies {
        let attack = || {
            let (_, s) = ends(&w);
            let claimed = Epochs { policy: 1, revocation: 1 };
            let outcome = block(claims(&w, &me, &s, claimed, &news));
            (outcome, epoch(&s))
        };
        let (outcome, known) = attack();
        assert!(matches!(&outcome, Err(HandshakeError::News(e)) if is(e)), "{name}: {outcome:?}");
        assert_eq!(known, 0, "{name}");
        if !check.is_empty() {
            assert!(without(check, || attack().0).is_ok(), "{name}");
        }
    }
    // The truth, told by hand, is taken.
    let (_, s) = ends(&w);
    let claimed = Epochs { policy: 1, revocation: 1 };
    assert!(block(claims(&w, &me, &s, claimed, &[signed])).is_ok());
    assert_eq!(epoch(&s), 1);
}

#[test]
fn a_peer_that_claims_the_highest_number_there_is_costs_only_its_own_connection() {
    let w = world(1);
    let (me, server) = (peer(&w, "client", 11), peer(&w, "server", 12));
    let (c, mut s) = ends(&w);
    let asked = Asked::default();
    s.standing = asked.standing(&w, &server);
    let begin = Instant::now();
    block(async {
        let lie = Epochs { policy: u64::MAX, revocation: u64::MAX };
        // Many liars at once; an honest peer in their midst gets through at once.
        let liars = async {
            let (a, b, c, d) = tokio::join!(
                claims(&w, &me, &s, lie, &[]),
                claims(&w, &me, &s, Epochs { policy: 1, ..lie }, &[]),
                claims(&w, &me, &s, Epochs { revocation: 0, ..lie }, &[]),
                claims(&w, &me, &s, lie, &[]),
            );
            [a, b, c, d]
        };
        let honest = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let begin = Instant::now();
            let met = meet(&c, &s).await;
            (met, begin.elapsed())
        };
        let (lies, ((_, met), took)) = tokio::join!(liars, honest);
        assert!(met.is_ok() && took < Duration::from_secs(1), "{met:?} {took:?}");
        for lie in lies {
            assert!(matches!(lie, Err(HandshakeError::Behind { .. })), "{lie:?}");
        }
    });
    let most = u32::try_from(begin.elapsed().as_secs() / ASK_EVERY.as_secs() + 1).unwrap();
    assert!((1..=most).contains(&asked.times()), "asked {} times of {most}", asked.times());
}
