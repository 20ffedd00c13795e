//! One small function a rule: the tree in, breaches out.

mod guards;

use crate::tidy::Tree;

/// Every rule over the files.
pub(crate) const ALL: [fn(&Tree) -> Vec<String>; 9] = [
    first_lines,
    sizes,
    no_mod_files,
    unsafe_in_sys,
    no_ignored_tests,
    no_machine_paths,
    links,
    named_tests,
    guards::guards,
];

/// Lines of a source file without its tests.
const LINES_MAX: usize = 600;

fn sources(tree: &Tree) -> impl Iterator<Item = (&String, &String)> {
    tree.iter().filter(|(n, _)| n.ends_with(".rs") && !n.starts_with("fuzz/"))
}

fn first_lines(tree: &Tree) -> Vec<String> {
    let bare = |(_, text): &(&String, &String)| !text.lines().take(5).any(|l| l.starts_with("//!"));
    sources(tree)
        .filter(bare)
        .map(|(n, _)| format!("{n} does not open with what it is for"))
        .collect()
}

fn sizes(tree: &Tree) -> Vec<String> {
    let lines = |text: &str| text.split("#[cfg(test)]").next().map_or(0, |t| t.lines().count());
    let long = sources(tree).filter(|(n, t)| !n.contains("/tests") && lines(t) > LINES_MAX);
    long.map(|(n, t)| format!("{n} has {} lines, at most {LINES_MAX}", lines(t))).collect()
}

fn no_mod_files(tree: &Tree) -> Vec<String> {
    sources(tree)
        .filter(|(n, _)| n.ends_with("/mod.rs"))
        .map(|(n, _)| format!("{n}: foo.rs stands beside foo/"))
        .collect()
}

fn unsafe_in_sys(tree: &Tree) -> Vec<String> {
    let word = ["unsafe", " {"].concat();
    let has = |(n, t): &(&String, &String)| {
        !n.ends_with("/sys.rs")
            && t.lines().any(|l| !l.trim_start().starts_with("//") && l.contains(&word))
    };
    sources(tree).filter(has).map(|(n, _)| format!("{n}: unsafe code lives in sys.rs")).collect()
}

fn no_ignored_tests(tree: &Tree) -> Vec<String> {
    let words =
        [["#[", "ignore"].concat(), ["todo", "!("].concat(), ["unimplemented", "!("].concat()];
    sources(tree)
        .flat_map(|(n, t)| {
            words.iter().filter(|w| t.contains(w.as_str())).map(move |w| format!("{n}: {w}"))
        })
        .collect()
}

fn no_machine_paths(tree: &Tree) -> Vec<String> {
    let words = [["/wo", "rk/"].concat(), ["/fa", "rm/"].concat()];
    let has = |(n, t): &(&String, &String)| {
        *n != "Cargo.lock" && words.iter().any(|w| t.contains(w.as_str()))
    };
    tree.iter()
        .filter(has)
        .map(|(n, _)| format!("{n}: names a path of somebody's machine"))
        .collect()
}

/// Links in documents lead to files that are there.
fn links(tree: &Tree) -> Vec<String> {
    let mut out = Vec::new();
    for (name, text) in tree.iter().filter(|(n, _)| n.ends_with(".md")) {
        let dir = name.rsplit_once('/').map_or("", |(d, _)| d);
        for target in text.split("](").skip(1).filter_map(|t| t.split([')', '#']).next()) {
            let path = joined(dir, target);
            let local = !target.is_empty() && !target.contains("://");
            if local
                && !tree.keys().any(|k| {
                    *k == path || k.starts_with(&format!("{}/", path.trim_end_matches('/')))
                })
            {
                out.push(format!("{name}: link to {target}, which is not there"));
            }
        }
    }
    out
}

/// A link's target as seen from the root of the tree.
fn joined(dir: &str, target: &str) -> String {
    let mut parts = dir.split('/').filter(|p| !p.is_empty()).collect::<Vec<_>>();
    for part in target.split('/').filter(|p| !p.is_empty() && *p != ".") {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    parts.join("/")
}

/// Tests named in the tables of invariants and checks exist.
fn named_tests(tree: &Tree) -> Vec<String> {
    let exists = |test: &str| sources(tree).any(|(_, t)| t.contains(&format!("fn {test}(")));
    let tables =
        tree.iter().filter(|(n, _)| *n == "ARCHITECTURE.md" || n.starts_with("docs/checks/"));
    let mut out = Vec::new();
    for (name, text) in tables {
        for row in text.lines().filter(|l| l.starts_with("| ")) {
            let last = row.trim_end_matches([' ', '|']).rsplit('|').next().unwrap_or_default();
            let named = last.split('`').skip(1).step_by(2).filter(|w| {
                w.contains('_') && w.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            });
            out.extend(
                named.filter(|t| !exists(t)).map(|t| format!("{name}: no test is called {t}")),
            );
        }
    }
    out
}

/// The arrows of ARCHITECTURE.md: what a crate must never depend on.
pub(crate) fn arrows(metadata: &serde_json::Value) -> Vec<String> {
    const IMPURE: [&str; 6] = ["tokio", "rustix", "libc", "hyper", "axum", "rustls"];
    let never: [(&str, &[&str]); 9] = [
        ("casemate-evidence", &["casemate-trust", "casemate-platform"]),
        ("casemate-trust", &["casemate-platform", "casemate-checker", "casemate-channel"]),
        ("casemate-checker", &["casemate-trust", "casemate-platform", "casemate-channel"]),
        ("casemate-platform", &["casemate-trust", "casemate-channel", "casemate-monitor"]),
        ("casemate-store", &["casemate-trust", "casemate-channel"]),
        ("casemate-ledger", &["casemate-trust", "casemate-channel", "tokio"]),
        ("casemate-channel", &["casemate-monitor", "casemate-services"]),
        ("casemate-monitor", &["casemate-services"]),
        ("casemate-services", &["casemate-monitor"]),
    ];
    let mut out = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        for dependency in
            package["dependencies"].as_array().into_iter().flatten().filter(|d| d["kind"].is_null())
        {
            let on = dependency["name"].as_str().unwrap_or_default();
            let pure = ["casemate-evidence", "casemate-trust", "casemate-checker"].contains(&name);
            let forbidden = never.iter().any(|(n, list)| *n == name && list.contains(&on))
                || (pure && IMPURE.contains(&on));
            if forbidden {
                out.push(format!("{name} depends on {on}, against the arrows of ARCHITECTURE.md"));
            }
            let features = dependency["features"].as_array().into_iter().flatten();
            if name != "casemate-testkit"
                && features.filter_map(|f| f.as_str()).any(|f| f == "dangerous_controls")
            {
                out.push(format!("{name} enables dangerous_controls outside its tests"));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> Tree {
        files.iter().map(|(n, t)| ((*n).to_owned(), (*t).to_owned())).collect()
    }

    #[test]
    fn every_rule_is_broken_by_its_own_breach_and_by_nothing_else() {
        let good = tree(&[
            ("a.rs", "//! For tests.\nfn x_y() {}\n"),
            ("ARCHITECTURE.md", "| I1 | x | `x_y` |\n[a](a.rs)\n"),
        ]);
        assert!(ALL.iter().all(|rule| rule(&good).is_empty()));
        let long = format!("//! x\n{}", "x\n".repeat(601));
        let breaches: [(&str, String, usize); 9] = [
            ("b.rs", "fn x() {}".into(), 0),
            ("b.rs", long, 1),
            ("b/mod.rs", "//! x".into(), 2),
            ("b.rs", format!("//! x\n{} {{}}", "unsafe"), 3),
            ("b.rs", format!("//! x\n#[{}]", "ignore"), 4),
            ("b.md", format!("see /{}/x", "work"), 5),
            ("b.md", "[b](c.md)".into(), 6),
            ("ARCHITECTURE.md", "| I1 | x | `y_z` |".into(), 7),
            ("crates/c/src/d.rs", "//! x\nfn f() { holds(\"e_f\", true) }".into(), 8),
        ];
        for (name, text, broken) in breaches {
            let mut bad = good.clone();
            bad.insert(name.to_owned(), text);
            for (n, rule) in ALL.iter().enumerate() {
                assert_eq!(!rule(&bad).is_empty(), n == broken, "{name} rule {n}");
            }
        }
    }

    #[test]
    fn an_arrow_against_the_architecture_is_seen() {
        let with = |name: &str, on: &str, features: &str| {
            serde_json::from_str(&format!(r#"{{"packages":[{{"name":"{name}","dependencies":[{{"name":"{on}","kind":null,"features":[{features}]}}]}}]}}"#)).unwrap()
        };
        assert_eq!(arrows(&with("casemate-checker", "casemate-trust", "")).len(), 1);
        assert_eq!(arrows(&with("casemate-trust", "tokio", "")).len(), 1);
        assert_eq!(
            arrows(&with("casemate-cli", "casemate-evidence", r#""dangerous_controls""#)).len(),
            1
        );
        assert!(arrows(&with("casemate-services", "casemate-trust", "")).is_empty());
    }
}
