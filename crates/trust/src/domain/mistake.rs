//! What is wrong with a domain file, and where: one value per mistake, so that all are told and not only the first.
//!
//! An error keeps the file from becoming a policy. A warning is told where an error would be wrong: the file is as it is while programs are
//! added one by one, and whoever adds the server before its client has made no mistake.

use core::fmt;
use core::ops::Range;

use thiserror::Error;

use super::LEN_MAX;
use super::near::disguised;

/// Most mistakes told at once.
pub const MISTAKES_MAX: usize = 100;
/// Known words listed behind an unknown one.
const KNOWN_MAX: usize = 8;
/// Characters of the file's own words that are repeated.
const SHOWN_MAX: usize = 120;

/// Whether the file can become a policy as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It cannot.
    Error,
    /// It can; something in it has no effect yet.
    Warning,
}

impl Severity {
    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Wrong {
    /// Longer than the limit.
    #[error("domain file of {0} bytes, at most {LEN_MAX} allowed")]
    TooLong(usize),
    /// Not TOML.
    #[error("{0}")]
    Syntax(String),
    /// A word that is not understood.
    #[error("unknown {what} `{}`{}", shown(.word), suggestion(.near.as_deref(), .known))]
    Unknown {
        /// Field, kind of hardware, role, place, profile.
        what: &'static str,
        /// As it stands there.
        word: String,
        /// The nearest known one, where it is near.
        near: Option<String>,
        /// Those there are.
        known: Vec<String>,
    },
    /// A field that must be there.
    #[error("missing field `{name}`; {why}")]
    Missing {
        /// Which.
        name: &'static str,
        /// What it states.
        why: &'static str,
    },
    /// A value that makes no sense.
    #[error("is {:?}, expected {expected}", shown(.got))]
    Value {
        /// What it should be.
        expected: &'static str,
        /// What it is.
        got: String,
    },
    /// A demand that nothing can meet.
    #[error("{why}")]
    Impossible {
        /// Why.
        why: &'static str,
    },
    /// Something left unsaid would permit more than what is said elsewhere.
    #[error("{why}")]
    Widens {
        /// What, and what to write.
        why: &'static str,
    },
    /// Two that are one.
    #[error("{why}")]
    Doubled {
        /// Which.
        why: String,
    },
    /// The same twice.
    #[error("{:?} stands twice; take one away", shown(.0))]
    Twice(String),
    /// Two names that a reader takes for one.
    #[error("{one:?} looks like {other:?} of line {line}; call one of them otherwise")]
    LookAlike {
        /// This one.
        one: String,
        /// The one before.
        other: String,
        /// Where that is.
        line: usize,
    },
    /// A name with a character that looks like another.
    #[error("{:?} holds {character:?} (U+{:04X}){}; names are of plain letters", shown(.name), u32::from(*.character), resembles(*.looks))]
    Disguised {
        /// The name.
        name: String,
        /// Its first character that is not plain.
        character: char,
        /// What that looks like.
        looks: Option<char>,
    },
    /// Something has no effect.
    #[error("{why}")]
    Idle {
        /// Why, and what to do.
        why: String,
    },
    /// There is more.
    #[error("more than {MISTAKES_MAX} mistakes; mend these first")]
    More,
}

/// The file's own words, as far as a terminal shows them as what they are.
fn shown(word: &str) -> String {
    let mut out = String::new();
    for c in word.chars().take(SHOWN_MAX) {
        if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
    }
    if word.chars().nth(SHOWN_MAX).is_some() {
        out.push('…');
    }
    out
}

fn suggestion(near: Option<&str>, known: &[String]) -> String {
    if let Some(near) = near {
        return format!("; did you mean `{near}`?");
    }
    let some = known.iter().take(KNOWN_MAX).map(|k| format!("`{k}`")).collect::<Vec<_>>();
    let more = if known.len() > KNOWN_MAX { ", …" } else { "" };
    if some.is_empty() {
        "; there is none".to_owned()
    } else {
        format!("; there are {}{more}", some.join(", "))
    }
}

fn resembles(looks: Option<char>) -> String {
    looks.map_or_else(String::new, |c| format!(", which looks like {c:?}"))
}

/// One mistake and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Error or warning.
    pub severity: Severity,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// Where, by name; empty for the file as a whole.
    pub field: String,
    /// What.
    pub wrong: Wrong,
}

impl Mistake {
    /// What is wrong, with the field's name.
    #[must_use]
    pub fn message(&self) -> String {
        match (&self.wrong, self.field.as_str()) {
            (wrong, "") => wrong.to_string(),
            (wrong @ Wrong::Value { .. }, field) => format!("{field} {wrong}"),
            (wrong, field) => format!("{field}: {wrong}"),
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "",
            Severity::Warning => "warning: ",
        };
        write!(f, "{severity}line {}, column {}: {}", self.line, self.column, self.message())
    }
}

/// Why a domain file is refused: every mistake found, in the file's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainFileError(Vec<Mistake>);

impl DomainFileError {
    /// The errors among them and the warnings, in the file's order; never without an error.
    #[must_use]
    pub fn mistakes(&self) -> &[Mistake] {
        &self.0
    }
}

impl DomainFileError {
    /// A file of reference values that could not be read.
    pub(super) fn image(field: String, file: &str, (line, column): (usize, usize)) -> Self {
        let expected = "a file of reference values that can be read";
        let wrong = Wrong::Value { expected, got: file.to_owned() };
        Self(vec![Mistake { severity: Severity::Error, line, column, field, wrong }])
    }
}

impl fmt::Display for DomainFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let errors = self.0.iter().filter(|m| m.severity == Severity::Error);
        for (i, mistake) in errors.enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            mistake.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for DomainFileError {}

/// Mistakes as they are found, placed by byte.
#[derive(Debug)]
pub(super) struct Found<'t> {
    text: &'t str,
    all: Vec<(usize, Mistake)>,
}

impl<'t> Found<'t> {
    pub(super) const fn new(text: &'t str) -> Self {
        Self { text, all: Vec::new() }
    }

    pub(super) fn error(&mut self, at: &Range<usize>, field: &str, wrong: Wrong) {
        self.put(Severity::Error, at, field, wrong);
    }

    pub(super) fn warning(&mut self, at: &Range<usize>, field: &str, wrong: Wrong) {
        self.put(Severity::Warning, at, field, wrong);
    }

    /// Nothing more is told.
    pub(super) fn is_full(&self) -> bool {
        self.all.len() > MISTAKES_MAX
    }

    /// What is no TOML; a letter in disguise is called that, because nobody sees it.
    pub(super) fn syntax(&mut self, e: &toml::de::Error) {
        let at = e.span().unwrap_or(0..0);
        let mut message = e.message().lines().collect::<Vec<_>>().join(", ");
        let line = self.text.get(at.start..).and_then(|t| t.lines().next()).unwrap_or_default();
        if let Some((odd, looks)) = disguised(line) {
            let code = u32::from(odd);
            message.push_str(&format!(
                "; {odd:?} (U+{code:04X}) is no plain letter{}",
                resembles(looks)
            ));
        }
        self.error(&at, "", Wrong::Syntax(message));
    }

    fn put(&mut self, severity: Severity, at: &Range<usize>, field: &str, wrong: Wrong) {
        if self.is_full() {
            return;
        }
        let (field, wrong, severity) = if self.all.len() == MISTAKES_MAX {
            (String::new(), Wrong::More, Severity::Error)
        } else {
            (shown(field), wrong, severity)
        };
        let (line, column) = self.place(at.start);
        self.all.push((at.start, Mistake { severity, line, column, field, wrong }));
    }

    /// Line and column of a byte.
    pub(super) fn place(&self, at: usize) -> (usize, usize) {
        let mut end = at.min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end = end.saturating_sub(1);
        }
        let before = self.text.get(..end).unwrap_or_default();
        let line = before.bytes().filter(|b| *b == b'\n').count();
        let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count());
        (line.saturating_add(1), column.saturating_add(1))
    }

    /// All of them in the file's order, if one is an error; else the warnings.
    pub(super) fn finish(self) -> Result<Vec<Mistake>, DomainFileError> {
        if self.all.iter().any(|(_, m)| m.severity == Severity::Error) {
            return Err(self.refuse());
        }
        Ok(self.refuse().0)
    }

    /// All of them in the file's order, for a file that cannot be read further.
    pub(super) fn refuse(mut self) -> DomainFileError {
        self.all.sort_by_key(|(at, _)| *at);
        DomainFileError(self.all.into_iter().map(|(_, m)| m).collect())
    }
}
