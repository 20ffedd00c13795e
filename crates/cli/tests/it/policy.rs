//! `casemate policy diff`, `show PROFILE` and what `sign` shows before it signs.

use crate::stage::Stage;

#[test]
fn whoever_signs_sees_what_changes_and_whether_it_widens() {
    let stage = Stage::own();
    stage.good(".", &["new", "shop"]);
    stage.good("shop", &["add", "web", "--listen", "8000", "--", "/bin/sleep", "60"]);
    stage.good("shop", &["policy", "sign"]);
    let same = "the domain file says what the policy in force says\n";
    assert_eq!(stage.good("shop", &["policy", "diff"]), same);
    let file = stage.path().join("shop/casemate.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("listen = [8000]", "listen = [8000, 8001]")).unwrap();
    let told = stage.good("shop", &["policy", "diff"]);
    assert_eq!(told, "widens   program web: listen: + 8001\n");
    let json = stage.good("shop", &["policy", "diff", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json[0]["direction"], json.as_array().unwrap().len()), (&"widens".into(), 1));
    let signed = stage.good("shop", &["policy", "sign"]);
    assert!(signed.starts_with(&told) && signed.contains("is signed"), "{signed}");
    assert_eq!(stage.good("shop", &["policy", "diff"]), same);
}

#[test]
fn a_shipped_profile_is_shown_knob_by_knob() {
    let stage = Stage::own();
    let shown = stage.good(".", &["policy", "show", "snp-2026-11"]);
    for part in [
        "dated 2026-11-01",
        "after AMD 56860",
        "\nsnp\n",
        "debug",
        "What a profile does not state is refused",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    for name in evidence::Profile::shipped_names() {
        let json = stage.good(".", &["policy", "show", name, "--format", "json"]);
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["id"], name);
    }
    let output = stage.run(".", &["policy", "show", "snp-2025-01"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("there are forensic-2026-11"));
}
