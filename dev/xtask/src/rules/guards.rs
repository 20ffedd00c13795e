//! Every check that can be removed by name (`controls::holds`) stands in a table of checks, and a test removes it.

use std::collections::{BTreeMap, BTreeSet};

use crate::tidy::Tree;

/// Checks no test can remove, each with its reason.
const NOT_REMOVABLE: [(&str, &str); 1] =
    [("tls_version", "the TLS library is built without older versions: there is none to accept")];

/// Guards without a row, and guards no test removes.
pub(crate) fn guards(tree: &Tree) -> Vec<String> {
    let (rows, removed) = (rows(tree), removed(tree));
    let mut out = Vec::new();
    for (name, file) in guarded(tree) {
        if NOT_REMOVABLE.iter().any(|(n, _)| *n == name) {
            continue;
        }
        if !rows.contains(name.as_str()) {
            out.push(format!("{file}: the check `{name}` stands in no table of docs/checks"));
        }
        if !removed.contains(name.as_str()) {
            out.push(format!("{file}: no test shows what happens without the check \"{name}\""));
        }
    }
    out
}

/// Names of guards with the file each stands in. Where a file guards by a variable (the checks of profiles do), every word
/// with an underscore in it is a name, and so is whatever `check` or `judge` is given first.
fn guarded(tree: &Tree) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for (file, text) in tree.iter().filter(|(n, _)| is_source(n)) {
        let code = code(text);
        let mut add = |name: &str| drop(out.insert(name.to_owned(), file.clone()));
        let calls = |call| calls(&code, call).filter_map(first_literal).collect::<Vec<_>>();
        calls("holds").into_iter().for_each(&mut add);
        let by_variable = file.ends_with("/appraise.rs")
            || self::calls(&code, "holds").any(|a| a.trim_start().starts_with("name"));
        if by_variable {
            literals(&code).filter(|l| l.contains('_') && is_name(l)).for_each(&mut add);
            ["check", "judge"].into_iter().flat_map(calls).for_each(&mut add);
        }
    }
    out
}

fn is_source(name: &str) -> bool {
    name.starts_with("crates/")
        && name.contains("/src/")
        && name.ends_with(".rs")
        && !name.contains("/tests")
        && !name.ends_with("/controls.rs")
}

/// A file without its tests and comments.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    text.lines().filter(|l| !l.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// What follows each call of that function.
fn calls<'a>(code: &'a str, function: &'a str) -> impl Iterator<Item = &'a str> {
    let begins = move |(at, _): &(usize, &str)| {
        !code
            .get(..*at)
            .unwrap_or_default()
            .ends_with(|c: char| c.is_alphanumeric() || "_.".contains(c))
    };
    code.match_indices(function)
        .filter(begins)
        .filter_map(move |(at, _)| code.get(at..)?.strip_prefix(function)?.strip_prefix('('))
}

/// The name an argument list begins with, if it begins with one in quotes.
fn first_literal(arguments: &str) -> Option<&str> {
    let name = arguments.trim_start().strip_prefix('"')?.split('"').next()?;
    is_name(name).then_some(name)
}

fn literals(code: &str) -> impl Iterator<Item = &str> {
    code.lines().flat_map(|line| line.split('"').skip(1).step_by(2))
}

fn is_name(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    !text.is_empty() && !text.starts_with('_') && text.bytes().all(plain)
}

/// Names in the tables of checks.
fn rows(tree: &Tree) -> BTreeSet<&str> {
    let tables = tree.iter().filter(|(n, _)| n.starts_with("docs/checks/"));
    let lines = tables.flat_map(|(_, text)| text.lines()).filter(|l| l.starts_with("| "));
    let first = lines.filter_map(|l| l.split('|').nth(1));
    first.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect()
}

/// Names in tests that remove checks.
fn removed(tree: &Tree) -> BTreeSet<&str> {
    let call = ["without", "("].concat();
    let tests = tree.iter().filter(|(n, _)| n.ends_with(".rs")).filter_map(|(n, text)| {
        let is_test = n.contains("/tests") || n.starts_with("dev/fuzzing/");
        let text = if is_test { text } else { text.split_once("#[cfg(test)]")?.1 };
        text.contains(&call).then_some(text)
    });
    tests.flat_map(literals).filter(|l| is_name(l)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(source: &str, table: &str, test: &str) -> Tree {
        [
            ("crates/a/src/b.rs", source),
            ("docs/checks/a.md", table),
            ("crates/a/tests/it/b.rs", test),
        ]
        .map(|(n, t)| (n.to_owned(), t.to_owned()))
        .into()
    }

    #[test]
    fn a_guard_without_a_row_or_without_a_test_that_removes_it_is_seen() {
        let (row, test) = ("| `x`, `a_b` | y | `t` |", "without(\"a_b\", f)");
        let guard = "if !holds(\n    \"a_b\", good) {}";
        assert_eq!(guards(&tree(guard, row, test)), Vec::<String>::new());
        assert_eq!(guards(&tree(guard, "", test)).len(), 1);
        assert_eq!(guards(&tree(guard, "| x | `a_b` | t |", test)).len(), 1, "not what is checked");
        assert_eq!(guards(&tree(guard, row, "f(\"a_b\")")).len(), 1, "nothing is removed");
        let table = "for (check, act) in [(\"a_b\", f)] { without(check, act) }";
        assert_eq!(guards(&tree(guard, row, table)), Vec::<String>::new());
    }

    #[test]
    fn guards_by_variable_are_known_by_their_names_and_methods_of_that_name_are_none() {
        let judged =
            "fn judge() { holds(name, good) }\njudge(\n  \"root\", x); stated(\"a_b\", y);";
        let seen = guarded(&tree(judged, "", "")).into_keys().collect::<Vec<_>>();
        assert_eq!(seen, ["a_b", "root"]);
        for other in ["report.holds(\"a_b\")", "upholds(\"a_b\")", "// holds(\"a_b\")"] {
            assert_eq!(guarded(&tree(other, "", "")).len(), 0, "{other}");
        }
        let within_tests = "#[cfg(test)]\nmod tests { fn f() { holds(\"a_b\", x) } }";
        assert_eq!(guarded(&tree(within_tests, "", "")).len(), 0);
    }
}
