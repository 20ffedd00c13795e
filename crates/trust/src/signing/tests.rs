//! k of n, distinct keys, one namespace per kind; and the same signatures as OpenSSH's own tool makes.

use super::*;
use evidence::controls::without;

fn key(n: u8) -> SigningKey {
    SigningKey::from_seed([n; 32]).unwrap()
}

fn signers(need: usize, of: &[u8]) -> Result<Signers, SigningError> {
    Signers::new(need, &of.iter().map(|n| key(*n).public_openssh().unwrap()).collect::<Vec<_>>())
}

fn signed(by: &[u8], namespace: Namespace) -> Signed {
    let payload = b"an object".to_vec();
    let signatures = by.iter().map(|n| key(*n).sign(namespace, &payload).unwrap()).collect();
    Signed { payload, signatures }
}

#[test]
fn k_of_n_means_k_distinct_known_keys() {
    let of = signers(2, &[1, 2, 3]).unwrap();
    assert!(signed(&[1, 3], Namespace::Policy).verify(&of, Namespace::Policy).is_ok());
    for by in [&[][..], &[1], &[1, 1, 1], &[1, 9], &[8, 9]] {
        let s = signed(by, Namespace::Policy);
        assert!(
            matches!(s.verify(&of, Namespace::Policy), Err(SigningError::TooFew { need: 2, .. })),
            "{by:?}"
        );
        assert!(without("signers", || s.verify(&of, Namespace::Policy).is_ok()));
    }
}

#[test]
fn half_is_not_enough_and_nobody_stands_twice() {
    for (need, of) in [(1, &[1, 2][..]), (0, &[1]), (2, &[1]), (2, &[1, 2, 3, 4])] {
        assert!(matches!(signers(need, of), Err(SigningError::Need { .. })), "{need} of {of:?}");
    }
    assert!(matches!(signers(2, &[1, 1, 2]), Err(SigningError::Duplicate(_))));
    assert!(matches!(Signers::new(1, &["ssh-rsa AAAA".into()]), Err(SigningError::Key(_))));
}

#[test]
fn a_signature_for_one_kind_of_object_is_none_for_another() {
    let of = signers(1, &[1]).unwrap();
    let s = signed(&[1], Namespace::Endorsement);
    assert!(s.verify(&of, Namespace::Policy).is_err());
    assert!(without("sshsig_namespace", || s.verify(&of, Namespace::Policy).is_ok()));
}

#[test]
fn a_changed_object_is_signed_by_nobody() {
    let of = signers(1, &[1]).unwrap();
    let mut s = signed(&[1], Namespace::Policy);
    s.payload.push(b'!');
    assert!(s.verify(&of, Namespace::Policy).is_err());
    assert!(without("sshsig_signature", || s.verify(&of, Namespace::Policy).is_ok()));
}

#[test]
fn what_ssh_keygen_signs_is_accepted_here() {
    let dir = std::env::temp_dir().join(format!("casemate-sshsig-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let keygen = |args: &[&str]| {
        std::process::Command::new("ssh-keygen").args(args).current_dir(&dir).output()
    };
    for kind in ["ed25519", "ecdsa"] {
        let Ok(made) = keygen(&["-q", "-t", kind, "-N", "", "-f", kind]) else {
            println!("skipped: ssh-keygen is not installed");
            return;
        };
        assert!(made.status.success());
        std::fs::write(dir.join("o"), b"an object").unwrap();
        let _ = std::fs::remove_file(dir.join("o.sig"));
        assert!(
            keygen(&["-q", "-Y", "sign", "-f", kind, "-n", Namespace::Policy.as_str(), "o"])
                .unwrap()
                .status
                .success()
        );
        let public = std::fs::read_to_string(dir.join(format!("{kind}.pub"))).unwrap();
        let pem = std::fs::read_to_string(dir.join("o.sig")).unwrap();
        let s = Signed { payload: b"an object".to_vec(), signatures: vec![pem] };
        assert!(
            s.verify(&Signers::new(1, &[public]).unwrap(), Namespace::Policy).is_ok(),
            "{kind}"
        );
    }
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_key_written_is_the_key_read() {
    let pem = key(5).to_openssh("development").unwrap();
    assert_eq!(
        SigningKey::from_openssh(&pem).unwrap().public_openssh().unwrap(),
        key(5).public_openssh().unwrap()
    );
}

/// OpenSSH's own token that is none, for its tests.
const DUMMY: &str = "/usr/lib/openssh/regress/misc/sk-dummy/sk-dummy.so";

#[test]
fn what_a_token_signs_is_accepted_if_its_holder_touched_it() {
    if !std::path::Path::new(DUMMY).exists() {
        println!("skipped: openssh-tests is not installed, no token signs");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let keygen = |args: &[&str]| {
        let mut command = std::process::Command::new("ssh-keygen");
        command.args(args).current_dir(&dir).env("SSH_SK_PROVIDER", DUMMY);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    std::fs::write(dir.path().join("o"), b"an object").unwrap();
    for kind in ["ed25519-sk", "ecdsa-sk"] {
        keygen(&["-q", "-t", kind, "-N", "", "-f", kind]);
        keygen(&["-q", "-Y", "sign", "-f", kind, "-n", Namespace::Policy.as_str(), "o"]);
        let public = std::fs::read_to_string(dir.path().join(format!("{kind}.pub"))).unwrap();
        let pem = std::fs::read_to_string(dir.path().join("o.sig")).unwrap();
        std::fs::remove_file(dir.path().join("o.sig")).unwrap();
        let of = Signers::new(1, &[public]).unwrap();
        let mut s = Signed { payload: b"an object".to_vec(), signatures: vec![pem] };
        assert!(s.verify(&of, Namespace::Policy).is_ok(), "{kind}");
        assert!(s.verify(&of, Namespace::Secret).is_err(), "{kind}");
        s.payload.push(b'!');
        assert!(s.verify(&of, Namespace::Policy).is_err(), "{kind}");
        assert!(without("sshsig_signature", || s.verify(&of, Namespace::Policy).is_ok()));
    }
    // A key made to sign without a touch signs nothing here.
    keygen(&["-q", "-t", "ed25519-sk", "-O", "no-touch-required", "-N", "", "-f", "quiet"]);
    keygen(&["-q", "-Y", "sign", "-f", "quiet", "-n", Namespace::Policy.as_str(), "o"]);
    let public = std::fs::read_to_string(dir.path().join("quiet.pub")).unwrap();
    let pem = std::fs::read_to_string(dir.path().join("o.sig")).unwrap();
    let s = Signed { payload: b"an object".to_vec(), signatures: vec![pem] };
    let attack = || {
        s.verify(&Signers::new(1, std::slice::from_ref(&public)).unwrap(), Namespace::Policy)
            .is_ok()
    };
    assert!(!attack());
    assert!(without("token_touched", attack));
}
