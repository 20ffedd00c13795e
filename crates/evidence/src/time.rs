//! Points in time and validity windows. Nothing in this crate reads a clock: time is an argument (I3).

use core::fmt;

/// Seconds since 1970-01-01T00:00:00Z. Leap seconds do not exist here, as in POSIX time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(i64);

impl Time {
    /// Latest time this project accepts anywhere: 9999-12-31T23:59:59Z.
    pub const MAX: Self = Self(253_402_300_799);

    /// The earliest time there is.
    pub const MIN: Self = Self(i64::MIN);

    /// A time from Unix seconds.
    #[must_use]
    pub const fn from_unix(secs: i64) -> Self {
        Self(secs)
    }

    /// Unix seconds.
    #[must_use]
    pub const fn unix(self) -> i64 {
        self.0
    }

    /// This time moved forward; saturates at the ends of `i64`.
    #[must_use]
    pub const fn plus_secs(self, secs: i64) -> Self {
        Self(self.0.saturating_add(secs))
    }

    /// Reads `2026-11-24T12:00:00Z`, the one RFC 3339 form this project writes.
    ///
    /// ```
    /// use evidence::Time;
    /// let t = Time::parse_rfc3339("2026-11-24T12:00:00Z").ok_or("not a time")?;
    /// assert_eq!(t.to_string(), "2026-11-24T12:00:00Z");
    /// # Ok::<(), &str>(())
    /// ```
    #[must_use]
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let field = |from: usize, to: usize| -> Option<i64> {
            let part = text.get(from..to)?;
            if !part.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            part.parse().ok()
        };
        let fixed = [(4, "-"), (7, "-"), (10, "T"), (13, ":"), (16, ":"), (19, "Z")];
        if text.len() != 20
            || fixed.iter().any(|(at, c)| !text.get(*at..).is_some_and(|t| t.starts_with(c)))
        {
            return None;
        }
        let (y, mo, d) = (field(0, 4)?, field(5, 7)?, field(8, 10)?);
        let (h, mi, s) = (field(11, 13)?, field(14, 16)?, field(17, 19)?);
        if !(1..=12).contains(&mo)
            || d < 1
            || d > days_in_month(y, mo)
            || h > 23
            || mi > 59
            || s > 59
        {
            return None;
        }
        let secs = days_from_civil(y, mo, d).checked_mul(86_400)?;
        Some(Self(
            secs.checked_add(h.checked_mul(3600)?)?
                .checked_add(mi.checked_mul(60)?)?
                .checked_add(s)?,
        ))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (y, mo, d) = civil_from_days(self.0.div_euclid(86_400));
        let s = self.0.rem_euclid(86_400);
        let (h, mi, s) = (s.div_euclid(3600), s.rem_euclid(3600).div_euclid(60), s.rem_euclid(60));
        write!(f, "{y:04}-{mo:02}-{d:02}T{h:02}:{mi:02}:{s:02}Z")
    }
}

/// When something is in force: both ends belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// First second in force.
    pub not_before: Time,
    /// Last second in force.
    pub not_after: Time,
}

impl Window {
    /// True from `not_before` to `not_after`, both included.
    #[must_use]
    pub fn contains(&self, at: Time) -> bool {
        self.not_before <= at && at <= self.not_after
    }

    /// The time both windows share; empty windows contain nothing.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Self {
        Self {
            not_before: self.not_before.max(other.not_before),
            not_after: self.not_after.min(other.not_after),
        }
    }
}

fn days_in_month(y: i64, m: i64) -> i64 {
    match m {
        4 | 6 | 9 | 11 => 30,
        2 if y.rem_euclid(4) == 0 && (y.rem_euclid(100) != 0 || y.rem_euclid(400) == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a Gregorian date (years 0 to 9999, so nothing here overflows).
#[expect(clippy::arithmetic_side_effects, reason = "fields are at most four digits long")]
fn days_from_civil(y: i64, m: i64, d: i64) -> i64 {
    let y = if m <= 2 { y - 1 } else { y };
    let era = y.div_euclid(400);
    let yoe = y.rem_euclid(400);
    let doy = (153 * (if m > 2 { m - 3 } else { m + 9 }) + 2).div_euclid(5) + d - 1;
    let doe = yoe * 365 + yoe.div_euclid(4) - yoe.div_euclid(100) + doy;
    era * 146_097 + doe - 719_468
}

#[expect(clippy::arithmetic_side_effects, reason = "days of an i64 of seconds leave ample room")]
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe.div_euclid(1460) + doe.div_euclid(36_524) - doe.div_euclid(146_096))
        .div_euclid(365);
    let doy = doe - (365 * yoe + yoe.div_euclid(4) - yoe.div_euclid(100));
    let mp = (5 * doy + 2).div_euclid(153);
    let d = doy - (153 * mp + 2).div_euclid(5) + 1;
    let m = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + i64::from(m <= 2), m, d)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_round_trip_over_four_centuries() {
        for day in (-200_000..200_000).step_by(7) {
            let t = Time::from_unix(day * 86_400 + 3_661);
            if t.to_string().len() == 20 && !t.to_string().starts_with('-') {
                assert_eq!(Time::parse_rfc3339(&t.to_string()), Some(t));
            }
        }
    }

    #[test]
    fn impossible_or_foreign_spellings_are_refused() {
        for bad in [
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-11-24 12:00:00Z",
            "2026-11-24T12:00:00+00:00",
            "2026-11-24T24:00:00Z",
            "2026-11-24T12:00:00Zx",
            "+026-11-24T12:00:00Z",
            "",
        ] {
            assert_eq!(Time::parse_rfc3339(bad), None, "{bad}");
        }
    }

    #[test]
    fn both_ends_belong_to_a_window() {
        let w = Window { not_before: Time::from_unix(10), not_after: Time::from_unix(20) };
        let inside = |s| w.contains(Time::from_unix(s));
        assert_eq!([inside(9), inside(10), inside(20), inside(21)], [false, true, true, false]);
    }
}
