//! The three give one answer, to many worlds; `docs/records` has the long runs.

use model::tally::Tally;
use trust::proof::Rule;

/// A part of what the long runs make: seconds here.
const WORLDS: u64 = 1500;

#[test]
fn engine_model_and_checker_agree_on_generated_worlds() {
    let tally = Tally::of(1, WORLDS, 3).unwrap_or_else(|why| panic!("{why}"));
    assert!(tally.accepted * 100 >= tally.worlds * 30, "{tally}");
    assert!(tally.accepted * 100 <= tally.worlds * 90, "{tally}");
    for rule in Rule::ALL.map(Rule::as_str) {
        // No software machine shows a region of a provider.
        let used = tally.rules.get(rule).copied().unwrap_or_default();
        assert!(rule == "R14" || used > 20, "{rule}: {tally}");
    }
}
