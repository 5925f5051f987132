//! Lengths of time as Sigma writes them.

use crate::codes;
use crate::fields::text;
use crate::report::Report;
use crate::yaml::Entry;

pub(super) const NANOSECONDS: i64 = 1_000_000_000;

/// The timespan of an entry in nanoseconds. Complains when it is none.
pub(crate) fn timespan(entry: &Entry<'_>, report: &mut Report<'_>) -> Option<i64> {
    let text = text(entry, report)?;
    let span = nanoseconds(&text);
    if span.is_none() {
        let message = format!("`{text}` is not a timespan");
        let help = "write a whole number above 0 and its unit: s, m (minutes), h, d, w, M (months) or y, as in 15m";
        report.advise(&codes::BAD_TIMESPAN, entry.value.span, message, help);
    }
    span
}

/// A timespan of Sigma in nanoseconds; months and years have their mean length in the Gregorian calendar, as pySigma takes them.
fn nanoseconds(text: &str) -> Option<i64> {
    let unit = text.chars().next_back()?;
    let seconds: i64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 604_800,
        'M' => 2_629_746,
        'y' => 31_556_952,
        _ => return None,
    };
    let digits = text.strip_suffix(unit)?;
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let count: i64 = digits.parse().ok()?;
    count
        .checked_mul(seconds)?
        .checked_mul(NANOSECONDS)
        .filter(|span| *span > 0)
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
mod tests {
    use super::*;

    #[test]
    fn timespans_are_numbers_with_units() {
        for (text, seconds) in [
            ("10s", Some(10)),
            ("15m", Some(900)),
            ("1h", Some(3_600)),
            ("1d", Some(86_400)),
            ("2w", Some(1_209_600)),
            ("1M", Some(2_629_746)),
            ("1y", Some(31_556_952)),
            ("0s", None),
            ("5", None),
            ("m", None),
            ("", None),
            ("-5m", None),
            ("+5m", None),
            ("1.5h", None),
            ("5 m", None),
            ("5ms", None),
            ("5é", None),
            ("999999y", None),
            ("99999999999999999999s", None),
        ] {
            assert_eq!(
                nanoseconds(text),
                seconds.map(|s: i64| s * NANOSECONDS),
                "{text}"
            );
        }
    }
}
