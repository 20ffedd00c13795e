//! Checkpoints of other logs, changed ones and malformed ones, each refused alone.

use super::*;
use evidence::controls::without;

fn signer(n: u8) -> Signer {
    Signer::new("shop/log", Secret::new([n; 32])).unwrap()
}

const SAID: Checkpoint = Checkpoint { size: 7, root: [3; 32] };

/// A note with this body, signed by the log's key under the log's name.
fn signed(body: &str) -> String {
    let (signer, pair) = (signer(1), Ed25519KeyPair::from_seed_unchecked(&[1; 32]).unwrap());
    let id = key_id(&signer.name, &signer.key);
    let blob = BASE64_STANDARD.encode([&id, pair.sign(body.as_bytes()).as_ref()].concat());
    format!("{body}\n\u{2014} shop/log {blob}\n")
}

fn verify(note: &str) -> Result<Checkpoint, NoteError> {
    signer(1).verifier().verify(note)
}

#[test]
fn a_checkpoint_is_believed_from_its_log_only() {
    let note = signer(1).sign(&SAID).unwrap();
    assert_eq!(verify(&note), Ok(SAID));
    // Another key of the same name has another id: to this log it is as if nobody had signed.
    let other = || signer(2).verifier().verify(&note);
    assert_eq!(other(), Err(NoteError::Signature));
    assert_eq!(without("checkpoint_signed", other), Ok(SAID));
    let changed = note.replacen("\n7\n", "\n8\n", 1);
    let attack = || verify(&changed);
    assert_eq!(attack(), Err(NoteError::Signature));
    assert_eq!(without("checkpoint_signature", attack), Ok(Checkpoint { size: 8, ..SAID }));
    let none = note.split_once("\n\n").unwrap().0.to_owned() + "\n\n";
    let attack = || verify(&none);
    assert_eq!(attack(), Err(NoteError::Signature));
    assert_eq!(without("checkpoint_signed", attack), Ok(SAID));
}

#[test]
fn a_bad_signature_of_this_key_is_refused_though_a_good_one_stands_beside_it() {
    let note = signer(1).sign(&SAID).unwrap();
    let bad = signer(1).sign(&Checkpoint { size: 9, ..SAID }).unwrap();
    let both = format!("{note}{}", bad.split_once("\n\n").unwrap().1);
    let attack = || verify(&both);
    assert_eq!(attack(), Err(NoteError::Signature));
    assert_eq!(without("checkpoint_signature", attack), Ok(SAID));
    // A witness's signature is passed over.
    let witness = signer(2).sign(&SAID).unwrap();
    let cosigned = format!("{note}{}", witness.split_once("\n\n").unwrap().1);
    assert_eq!(verify(&cosigned), Ok(SAID));
}

#[test]
fn a_checkpoint_of_another_origin_is_refused_though_this_key_signed_it() {
    let root = BASE64_STANDARD.encode([3; 32]);
    let note = signed(&format!("other/log\n7\n{root}\n"));
    let attack = || verify(&note);
    let (expected, got) = ("shop/log".to_owned(), "other/log".to_owned());
    assert_eq!(attack(), Err(NoteError::Origin { expected, got }));
    assert_eq!(without("checkpoint_origin", attack), Ok(SAID));
}

#[test]
fn a_note_is_of_its_form_or_refused() {
    let root = BASE64_STANDARD.encode([3; 32]);
    let short = BASE64_STANDARD.encode([3; 31]);
    for (body, why) in [
        ("shop/log\n7\n".to_owned(), "lines"),
        (format!("shop/log\n7\n{root}\nextra\n"), "lines"),
        (format!("shop/log\n07\n{root}\n"), "size"),
        (format!("shop/log\n+7\n{root}\n"), "size"),
        (format!("shop/log\n-1\n{root}\n"), "size"),
        (format!("shop/log\n18446744073709551616\n{root}\n"), "size"),
        (format!("shop/log\n7\n{short}\n"), "root"),
        ("shop/log\n7\n!\n".to_owned(), "root"),
    ] {
        assert_eq!(verify(&signed(&body)), Err(NoteError::Form(why)), "{body}");
    }
    let good = signer(1).sign(&SAID).unwrap();
    for (note, why) in [
        (String::new(), "no signatures"),
        (good.replacen("\n\n", "\n", 1), "no signatures"),
        (good.replacen('\u{2014}', "-", 1), "signature line"),
        (format!("{good}x\n"), "signature line"),
        (format!("{good}\u{2014} witness\n"), "signature"),
        (format!("{good}\u{2014} witness !\n"), "signature"),
        (format!("{} more\n", good.trim_end()), "signature"),
        ("x".repeat(LEN_MAX + 1), "too long"),
    ] {
        assert_eq!(verify(&note), Err(NoteError::Form(why)), "{note}");
    }
}

#[test]
fn a_key_is_read_as_it_was_written() {
    let v = signer(1).verifier();
    let text = v.to_text();
    assert_eq!(Verifier::parse(&text), Ok(v));
    let ed25519 = BASE64_STANDARD.encode([&[2], [0; 32].as_slice()].concat());
    for bad in [
        text.replacen("shop", "shap", 1),
        String::new(),
        "shop/log".to_owned(),
        "shop/log+00000000+".to_owned(),
        format!("shop/log+00000000+{ed25519}"),
        format!("{text}A"),
        text.replace('+', "-"),
    ] {
        assert_eq!(Verifier::parse(&bad), Err(NoteError::Key), "{bad}");
    }
}
