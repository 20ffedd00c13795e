//! Names that are near to each other: meant for one another by whoever typed them, or taken for one another by whoever reads them.

use unicode_security::confusable_detection::skeleton;

/// A known word so near to an unknown one was meant.
const EDITS_MAX: usize = 2;

/// The known word that was meant, if one is near enough.
pub(super) fn nearest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    // Two edits change a length by two characters at most: a word of the file's own length is not compared at all. A third of a short
    // word is another word.
    let far = |k: &&str| word.len().abs_diff(k.len()) > EDITS_MAX * 4;
    let near = known.filter(|k| !far(k)).map(|k| (distance(word, k), k));
    near.filter(|(d, k)| {
        *d <= EDITS_MAX && d.saturating_mul(2) < k.chars().count().max(word.chars().count())
    })
    .min()
    .map(|(_, k)| k)
}

/// Edits between two words.
fn distance(a: &str, b: &str) -> usize {
    let b = b.chars().collect::<Vec<_>>();
    let mut row = (0..=b.len()).collect::<Vec<_>>();
    for (i, x) in a.chars().enumerate() {
        let mut next = vec![i.saturating_add(1)];
        for (j, y) in b.iter().enumerate() {
            let at = |r: &[usize], k: usize| r.get(k).copied().unwrap_or(usize::MAX);
            let edit = at(&row, j).saturating_add(usize::from(x != *y));
            let least = edit
                .min(at(&row, j.saturating_add(1)).saturating_add(1))
                .min(at(&next, j).saturating_add(1));
            next.push(least);
        }
        row = next;
    }
    row.last().copied().unwrap_or(usize::MAX)
}

/// What a reader sees of a name: Unicode's skeleton (UTS 39, section 4) without case and separators. Two names with one are look-alikes.
pub(super) fn seen(name: &str) -> String {
    // Case first: `I` and `l` are one to the eye, `I` and `i` one to whoever speaks it.
    let lower = name.to_lowercase();
    let plain = lower.chars().filter(|c| !matches!(c, '-' | '_' | '.' | ' '));
    let plain = plain.map(|c| if matches!(c, 'i' | '1') { 'l' } else { c }).collect::<String>();
    skeleton(&plain).flat_map(char::to_lowercase).collect()
}

/// A name's first character that is not plain ASCII, and what it looks like.
pub(super) fn disguised(name: &str) -> Option<(char, Option<char>)> {
    let odd = name.chars().find(|c| !c.is_ascii())?;
    let text = odd.to_string();
    let mut looks = skeleton(&text);
    let first = looks.next().filter(char::is_ascii);
    Some((odd, first.filter(|_| looks.next().is_none())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_that_was_meant_is_found_and_no_other() {
        let known = ["listen", "connect", "on", "in", "secrets"];
        let near = |w: &str| nearest(w, known.into_iter());
        assert_eq!(near("lisen"), Some("listen"));
        assert_eq!(near("conect"), Some("connect"));
        assert_eq!(near("secret"), Some("secrets"));
        for other in ["xy", "", "ports", "measurement", &"x".repeat(1 << 20)] {
            assert_eq!(near(other), None, "{other:.9}");
        }
    }

    #[test]
    fn names_that_look_alike_are_seen_as_one() {
        for (a, b) in [
            ("db-password", "db_password"),
            ("db-password", "DB.password"),
            ("api1", "apil"),
            ("web0", "webo"),
            ("modern", "modem"),
            ("cache", "сache"),
        ] {
            assert_eq!(seen(a), seen(b), "{a} {b}");
        }
        for (a, b) in [("api", "apis"), ("web-1", "web-2"), ("eu", "us"), ("a", "b")] {
            assert_ne!(seen(a), seen(b), "{a} {b}");
        }
        assert_eq!(disguised("сache"), Some(('с', Some('c'))));
        assert_eq!(disguised("cache"), None);
    }
}
