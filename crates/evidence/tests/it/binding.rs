//! The binder: every item counts, kinds and sides never pass for each other.

use evidence::{
    Binder, BinderKind, ContentDigest, DomainRoot, End, Exporter, Nonce, Session, Side, SpkiDigest,
};

fn binder() -> Binder {
    let end = |b: u8| End {
        domain: Some(DomainRoot::new([b; 32])),
        spki: Some(SpkiDigest::new([b; 32])),
        nonce: Nonce::new([b; 32]),
    };
    let session = Session {
        exporter: Exporter::new([3; 32]),
        cipher_suite: 0x1302,
        group: 0x11ec,
        inner_protocol: "casemate/1".into(),
    };
    Binder {
        kind: BinderKind::ChannelMonitor,
        side: Side::Client,
        client: end(1),
        server: end(2),
        session,
        claims: ContentDigest::of(b""),
    }
}

type Change = fn(&mut Binder);
const CHANGES: [(&str, Change); 16] = [
    ("none", |_| {}),
    ("kind", |b| b.kind = BinderKind::ChannelProgram),
    ("admission", |b| b.kind = BinderKind::Admission),
    ("side", |b| b.side = Side::Server),
    ("client domain", |b| b.client.domain = Some(DomainRoot::new([9; 32]))),
    ("no client domain", |b| b.client.domain = None),
    ("server domain", |b| b.server.domain = Some(DomainRoot::new([9; 32]))),
    ("client key", |b| b.client.spki = Some(SpkiDigest::new([9; 32]))),
    ("server key", |b| b.server.spki = Some(SpkiDigest::new([9; 32]))),
    ("client nonce", |b| b.client.nonce = Nonce::new([9; 32])),
    ("server nonce", |b| b.server.nonce = Nonce::new([9; 32])),
    ("exporter", |b| b.session.exporter = Exporter::new([9; 32])),
    ("cipher suite", |b| b.session.cipher_suite = 0x1301),
    ("group", |b| b.session.group = 0x1d),
    ("inner protocol", |b| b.session.inner_protocol = "h2".into()),
    ("claims", |b| b.claims = ContentDigest::of(b"x")),
];

#[test]
fn one_item_changed_changes_the_binder_as_the_vectors_say() {
    let text = include_str!("../../../../vectors/binder.json");
    let vectors: serde_json::Value = serde_json::from_str(text).unwrap();
    let mut seen = Vec::new();
    for (name, change) in CHANGES {
        let mut b = binder();
        change(&mut b);
        let digest = b.digest().to_string();
        assert_eq!(vectors["digests"][name], digest, "{name}");
        assert!(!seen.contains(&digest), "{name}");
        seen.push(digest);
    }
    assert_eq!(vectors["digests"].as_object().unwrap().len(), CHANGES.len());
}

#[test]
fn fields_of_every_width_are_filled_as_the_page_says() {
    let b = binder();
    assert_eq!(b.fill64().as_bytes()[..48], b.digest().as_bytes()[..]);
    assert!(b.fill64().as_bytes()[48..].iter().all(|b| *b == 0));
    assert_eq!(b.fill32(), evidence::bytes::sha256(&b.encode()));
    assert_eq!(b.reflected().reflected(), b);
}
