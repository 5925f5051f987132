//! Dates as loggers write them, for the time modifiers.

use chrono::{DateTime, Datelike, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, Timelike};
use haechi_rules::TimePart;

/// The longest text that can be a date: a calendar one with every digit that a fraction may have, and a zone.
const LONGEST: usize = 64;

/// A date, and a time of day where there is one; in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    date: NaiveDate,
    time: Option<NaiveTime>,
}

/// Reads a date:
///
/// - RFC 3339, also with a space for the `T`, a comma for the point, a zone such as `+0200`, or none, which then is UTC;
/// - a calendar day alone (`2026-03-01`), which has no hour and no minute;
/// - a web server's `01/Mar/2026:10:00:00 +0000`;
/// - .NET's `/Date(milliseconds)/`;
/// - a number of seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by size as for event time.
pub(crate) fn read(value: &str) -> Option<Moment> {
    let text = value.trim_ascii();
    if text.len() > LONGEST {
        return None;
    }
    match text.as_bytes() {
        [_, _, _, _, b'-', ..] => calendar(text),
        [_, _, b'/', ..] => {
            let time = DateTime::parse_from_str(text, "%d/%b/%Y:%H:%M:%S %z").ok()?;
            Some(Moment::at(time.naive_utc()))
        }
        [b'/', ..] => {
            let milliseconds = text.strip_prefix("/Date(")?.strip_suffix(")/")?;
            let time = DateTime::from_timestamp_millis(milliseconds.parse().ok()?)?;
            Some(Moment::at(time.naive_utc()))
        }
        _ => number(text),
    }
}

impl Moment {
    fn at(time: NaiveDateTime) -> Self {
        Self {
            date: time.date(),
            time: Some(time.time()),
        }
    }

    /// A part of it; `None` for one that it does not have.
    pub(crate) fn part(&self, part: TimePart) -> Option<i32> {
        let small = |number: u32| i32::try_from(number).ok();
        match part {
            TimePart::Minute => small(self.time?.minute()),
            TimePart::Hour => small(self.time?.hour()),
            TimePart::Day => small(self.date.day()),
            TimePart::Week => small(self.date.iso_week().week()),
            TimePart::Month => small(self.date.month()),
            TimePart::Year => Some(self.date.year()),
        }
    }
}

fn calendar(text: &str) -> Option<Moment> {
    // chrono would also take `2026- 3-1`.
    let fits = |shape: &[u8]| {
        let mut written = text.as_bytes().iter().zip(shape);
        text.len() >= shape.len()
            && written.all(|(&byte, &shape)| match shape {
                b'0' => byte.is_ascii_digit(),
                b'T' => matches!(byte, b'T' | b't' | b' '),
                other => byte == other,
            })
    };
    if text.len() == 10 && fits(b"0000-00-00") {
        let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
        return Some(Moment { date, time: None });
    }
    if !fits(b"0000-00-00T00:00:00") {
        return None;
    }
    let (date, clock) = (text.get(..10)?, text.get(11..)?.replacen(',', ".", 1));
    let date = NaiveDate::parse_from_str(date, "%Y-%m-%d").ok()?;
    let (time, zone) = NaiveTime::parse_and_remainder(&clock, "%H:%M:%S%.f").ok()?;
    let offset = match zone.trim_ascii_start() {
        "" | "Z" | "z" | "UTC" => return Some(Moment::at(date.and_time(time))),
        hours if hours.len() == 3 => format!("{hours}00").parse::<FixedOffset>(),
        offset => offset.parse(),
    };
    let time = date.and_time(time).checked_sub_offset(offset.ok()?)?;
    Some(Moment::at(time))
}

fn number(text: &str) -> Option<Moment> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !plain(whole) || !plain(fraction) {
        return None;
    }
    let whole: i64 = whole.parse().ok()?;
    let in_a_second = match whole {
        0..100_000_000_000 => 1,
        100_000_000_000..100_000_000_000_000 => 1_000,
        100_000_000_000_000..100_000_000_000_000_000 => 1_000_000,
        _ => 1_000_000_000,
    };
    // Minutes are the finest part, so whole seconds do; before 1970 they are counted downwards.
    let units = match negative {
        true => -whole - i64::from(fraction.bytes().any(|digit| digit != b'0')),
        false => whole,
    };
    let time = DateTime::from_timestamp_secs(units.div_euclid(in_a_second))?;
    Some(Moment::at(time.naive_utc()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Year, month, day, hour and minute.
    fn parts(text: &str) -> Option<[Option<i32>; 5]> {
        use TimePart::{Day, Hour, Minute, Month, Year};
        let moment = read(text)?;
        Some([Year, Month, Day, Hour, Minute].map(|part| moment.part(part)))
    }

    #[test]
    fn dates_are_read_in_utc() {
        let noon = Some([Some(2026), Some(3), Some(1), Some(12), Some(30)]);
        for text in [
            "2026-03-01T12:30:05Z",
            "2026-03-01t12:30:05z",
            " 2026-03-01 12:30:05 ",
            "2026-03-01 12:30:05.1234567",
            "2026-03-01 12:30:05,123",
            "2026-03-01T14:30:05+02:00",
            "2026-03-01T14:30:05.5+0200",
            "2026-03-01 14:30:05 +02",
            "2026-02-28T22:30:05-14:00",
            "2026-03-01 12:30:05 UTC",
            "2026-03-01T12:30:60Z",
            "01/Mar/2026:12:30:05 +0000",
            "01/Mar/2026:07:30:05 -0500",
            "1772368205",
            "1772368205.75",
            "1772368205123",
            "1772368205123456",
            "1772368205123456789",
            "/Date(1772368205123)/",
        ] {
            assert_eq!(parts(text), noon, "{text}");
        }
        assert_eq!(
            parts("2026-03-01"),
            Some([Some(2026), Some(3), Some(1), None, None])
        );
        let before = Some([Some(1969), Some(12), Some(31), Some(23), Some(59)]);
        assert_eq!(parts("-0.5"), before);
        assert_eq!(parts("-1"), before);
    }

    #[test]
    fn weeks_are_those_of_iso_8601() {
        for (day, week) in [
            ("2021-01-03", 53),
            ("2021-01-04", 1),
            ("2024-12-29", 52),
            ("2024-12-30", 1),
            ("2026-12-31", 53),
        ] {
            assert_eq!(read(day).unwrap().part(TimePart::Week), Some(week), "{day}");
        }
    }

    #[test]
    fn what_is_no_date_is_not_guessed() {
        for text in [
            "",
            "-",
            "x",
            "12:30",
            "2026-3-1",
            "2026-02-30",
            "2026-03-01T25:00:00Z",
            "2026-03-01T12:30",
            "2026-03-01T12:30:05X",
            "2026-03-01T12:30:05+2",
            "2026- 3- 1",
            "01/Mrz/2026:12:30:05 +0000",
            "/Date(x)/",
            "1e9",
            "0x10",
            "1.2.3",
            "+5",
            "9223372036854775808",
            "٢٠٢٦-03-01",
            "March 1, 2026",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_not(text in "[-0-9T: +./,ZDate()]{0,30}|.*") {
            read(&text);
        }

        #[test]
        fn numbers_of_every_unit_are_the_instant(seconds in 200_000_000_i64..9_000_000_000) {
            let whole = Moment::at(DateTime::from_timestamp_secs(seconds).unwrap().naive_utc());
            for unit in [1, 1_000, 1_000_000, 1_000_000_000] {
                prop_assert_eq!(read(&(seconds * unit).to_string()), Some(whole));
            }
        }
    }
}
