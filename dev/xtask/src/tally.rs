//! Counts tests: one that printed a line `skipped: …` could not run, and is neither passed nor failed.

use std::fmt;

/// How tests ended.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    passed: usize,
    failed: usize,
    skipped: Vec<String>,
}

impl Tally {
    /// From the report of `cargo nextest`, JUnit's XML.
    pub(crate) fn of_junit(xml: &str) -> Self {
        let mut tally = Self::default();
        for case in xml.split("<testcase ").skip(1) {
            let case = case.split("</testcase>").next().unwrap_or_default();
            let name = case.split("name=\"").nth(1).and_then(|n| n.split('"').next());
            let printed = case.replace("<system-out>", "\n").replace("</system-out>", "\n");
            let why = printed.lines().find_map(|l| l.strip_prefix("skipped: "));
            if case.contains("<failure") || case.contains("<error") {
                tally.failed += 1;
            } else if let Some(why) = why {
                tally.skipped.push(format!("{}: {why}", name.unwrap_or("?")));
            } else {
                tally.passed += 1;
            }
        }
        tally
    }

    /// From what `cargo test -- --show-output` prints.
    pub(crate) fn of_libtest(text: &str) -> Self {
        let mut tally = Self::default();
        let (mut name, mut counted) = ("?", "");
        for line in text.lines() {
            if let Some(head) =
                line.strip_prefix("---- ").and_then(|l| l.strip_suffix(" stdout ----"))
            {
                name = head;
            } else if let Some(why) = line.strip_prefix("skipped: ").filter(|_| counted != name) {
                tally.skipped.push(format!("{name}: {why}"));
                counted = name;
            } else if let Some(counts) = line.strip_prefix("test result: ") {
                let count = |what: &str| {
                    let part = counts.split(what).next()?;
                    part.trim_end().rsplit(' ').next()?.parse::<usize>().ok()
                };
                tally.passed += count("passed").unwrap_or_default();
                tally.failed += count("failed").unwrap_or_default();
            }
        }
        tally.passed = tally.passed.saturating_sub(tally.skipped.len());
        tally
    }

    /// True if tests ran and all of them passed or could not run.
    pub(crate) const fn is_good(&self) -> bool {
        self.failed == 0 && self.passed > 0
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for skipped in &self.skipped {
            writeln!(f, "  skipped {skipped}")?;
        }
        let (passed, failed, skipped) = (self.passed, self.failed, self.skipped.len());
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_could_not_run_is_counted_as_skipped_with_its_reason() {
        let xml = r#"<testsuites><testsuite name="a">
<testcase name="one" classname="a" time="1"></testcase>
<testcase name="two" classname="a"><system-out>running 1 test
skipped: no openssl
more</system-out></testcase>
<testcase name="three" classname="a"><system-out>skipped: no root</system-out></testcase>
<testcase name="four" classname="a"><failure type="x"/><system-out>skipped: x</system-out></testcase>
<testcase name="five"><system-out>not skipped: really</system-out></testcase>
</testsuite></testsuites>"#;
        let tally = Tally::of_junit(xml);
        let skipped = vec!["two: no openssl".to_owned(), "three: no root".to_owned()];
        assert_eq!(tally, Tally { passed: 2, failed: 1, skipped });
        assert!(!tally.is_good() && tally.to_string().ends_with("2 passed, 1 failed, 2 skipped"));
        assert!(!Tally::of_junit("").is_good(), "nothing ran");
    }

    #[test]
    fn the_plain_runner_is_counted_alike() {
        let text = "running 3 tests\ntest a ... ok\n\nsuccesses:\n\n---- a stdout ----\nskipped: no root\nskipped: again\n\n\
            ---- b stdout ----\nhello\n\ntest result: ok. 3 passed; 0 failed; 0 ignored; finished in 0.1s\n\
            test result: FAILED. 1 passed; 2 failed; 0 ignored\n";
        let skipped = vec!["a: no root".to_owned()];
        assert_eq!(Tally::of_libtest(text), Tally { passed: 3, failed: 2, skipped });
    }
}
