//! Event time: texts and numbers to nanoseconds since the epoch, and what to do with the impossible.

use chrono::NaiveDate;

/// Nanoseconds in a second.
const SECOND: i64 = 1_000_000_000;

/// Reads a time as loggers write it, in nanoseconds since 1970-01-01 UTC:
///
/// - RFC 3339, also with a space for the `T`, with a comma for the point, and without a zone, which then is UTC;
///   digits beyond nanoseconds are dropped;
/// - .NET's `/Date(milliseconds)/`;
/// - a number, see [`parse_number`].
///
/// `None` if it is none of these or lies outside the years 1677 to 2262 that 64-bit nanoseconds can tell.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let text = text.trim_ascii();
    match text.as_bytes() {
        [_, _, _, _, b'-', ..] => parse_calendar(text.as_bytes()),
        [b'/', ..] => {
            let number = text.strip_prefix("/Date(")?.strip_suffix(")/")?;
            number.parse::<i64>().ok()?.checked_mul(1_000_000)
        }
        _ => parse_number(text),
    }
}

/// Reads a number of seconds, milliseconds, microseconds or nanoseconds since the epoch. Its size tells which:
/// below 10¹¹ seconds (the year 5138), below 10¹⁴ milliseconds, below 10¹⁷ microseconds, else nanoseconds.
pub(crate) fn parse_number(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_plain(whole) {
        return None;
    }
    if !is_plain(fraction) {
        return parse_exponent(text);
    }
    let whole: i64 = whole.parse().ok()?;
    let unit = unit_of(whole.unsigned_abs());
    // Digits of the fraction beyond nanoseconds are dropped.
    let mut place = unit;
    let mut part = 0;
    for byte in fraction.bytes() {
        place /= 10;
        part += i64::from(byte - b'0') * place;
    }
    let time = whole.checked_mul(unit)?.checked_add(part)?;
    Some(if negative { -time } else { time })
}

/// A number with an exponent, which no logger writes on purpose: to the precision of a double.
fn parse_exponent(text: &str) -> Option<i64> {
    let number: f64 = text.parse().ok()?;
    let time = number * unit_of(number.abs() as u64) as f64;
    // The range excludes i64::MAX, which as a double is one too many.
    (time.is_finite() && (i64::MIN as f64..i64::MAX as f64).contains(&time)).then_some(time as i64)
}

/// Nanoseconds in the unit that a number of this size counts.
fn unit_of(magnitude: u64) -> i64 {
    match magnitude {
        0..100_000_000_000 => SECOND,
        100_000_000_000..100_000_000_000_000 => 1_000_000,
        100_000_000_000_000..100_000_000_000_000_000 => 1_000,
        _ => 1,
    }
}

fn parse_calendar(text: &[u8]) -> Option<i64> {
    let (date, rest) = text.split_at_checked(10)?;
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = date else {
        return None;
    };
    let [
        b'T' | b't' | b' ',
        h1,
        h2,
        b':',
        n1,
        n2,
        b':',
        s1,
        s2,
        rest @ ..,
    ] = rest
    else {
        return None;
    };
    let year = digits(&[*y1, *y2, *y3, *y4])?;
    let date = NaiveDate::from_ymd_opt(
        i32::try_from(year).ok()?,
        u32::try_from(digits(&[*m1, *m2])?).ok()?,
        u32::try_from(digits(&[*d1, *d2])?).ok()?,
    )?;
    let (hour, minute, second) = (
        digits(&[*h1, *h2])?,
        digits(&[*n1, *n2])?,
        digits(&[*s1, *s2])?,
    );
    // 60 is a leap second, which falls together with the second after it.
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (nanos, zone) = fraction(rest)?;
    let days = date.signed_duration_since(NaiveDate::default()).num_days();
    let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second - zone_offset(zone)?;
    // In 128 bits, because the first second of the range begins before it.
    i64::try_from(i128::from(seconds) * i128::from(SECOND) + i128::from(nanos)).ok()
}

/// The nanoseconds of a fraction of a second, if there is one, and what follows it.
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let [b'.' | b',', digits @ ..] = text else {
        return Some((0, text));
    };
    let len = digits
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(digits.len());
    let (digits, rest) = digits.split_at_checked(len)?;
    let mut place = SECOND;
    let mut nanos = 0;
    for digit in digits {
        place /= 10;
        nanos += i64::from(digit - b'0') * place;
    }
    (len > 0).then_some((nanos, rest))
}

/// Seconds that a zone is ahead of UTC.
fn zone_offset(zone: &[u8]) -> Option<i64> {
    let (sign, offset) = match zone.trim_ascii_start() {
        [] | b"Z" | b"z" | b"UTC" => return Some(0),
        [b'+', offset @ ..] => (1, offset),
        [b'-', offset @ ..] => (-1, offset),
        _ => return None,
    };
    let (hours, minutes) = match offset {
        [h1, h2] => (digits(&[*h1, *h2])?, 0),
        [h1, h2, b':', m1, m2] | [h1, h2, m1, m2] => (digits(&[*h1, *h2])?, digits(&[*m1, *m2])?),
        _ => return None,
    };
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3_600 + minutes * 60))
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0, |number, digit| {
        digit
            .is_ascii_digit()
            .then(|| number * 10 + i64::from(digit - b'0'))
    })
}

/// The time that an event goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventTime {
    /// As the event says.
    Own(i64),
    /// The event says something in the future; this is the time it arrived.
    Clamped(i64),
    /// The event says nothing that can be read; this is the time it arrived.
    Untimed(i64),
}

impl EventTime {
    /// In nanoseconds since the epoch.
    pub(crate) fn ns(self) -> i64 {
        match self {
            Self::Own(time) | Self::Clamped(time) | Self::Untimed(time) => time,
        }
    }

    /// Decides between what the event says and when it arrived: at `record_ns` by the log, unless that too is in
    /// the future, else now. A time is in the future if it lies more than `future_ns` after now.
    pub(crate) fn decide(
        said_ns: Option<i64>,
        record_ns: Option<i64>,
        now_ns: i64,
        future_ns: i64,
    ) -> Self {
        let latest = now_ns.saturating_add(future_ns);
        let arrived = record_ns.filter(|&time| time <= latest).unwrap_or(now_ns);
        match said_ns {
            None => Self::Untimed(arrived),
            Some(time) if time > latest => Self::Clamped(arrived),
            Some(time) => Self::Own(time),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// 2020-09-18 15:00:16 UTC
    const T: i64 = 1_600_441_216 * SECOND;

    #[test]
    fn calendar_times_are_read() {
        for (text, time) in [
            ("2020-09-18T15:00:16Z", T),
            ("2020-09-18t15:00:16z", T),
            ("2020-09-18 15:00:16", T),
            (" 2020-09-18 15:00:16 \n", T),
            ("2020-09-18T15:00:16.299Z", T + 299_000_000),
            ("2020-09-18 15:00:16,299", T + 299_000_000),
            ("2020-09-18T15:00:16.2990045Z", T + 299_004_500),
            ("2020-09-18T15:00:16.123456789987Z", T + 123_456_789),
            ("2020-09-18T17:30:16+02:30", T),
            ("2020-09-18T08:00:16-0700", T),
            ("2020-09-18 16:00:16 +01", T),
            ("2020-09-18T15:00:16 UTC", T),
            ("1970-01-01T00:00:00Z", 0),
            ("1969-12-31T23:59:59.5Z", -SECOND / 2),
            ("2016-12-31T23:59:60Z", 1_483_228_800 * SECOND),
            ("1677-09-21T00:12:43.145224192Z", i64::MIN),
            ("2262-04-11T23:47:16.854775807Z", i64::MAX),
            ("/Date(1600441216299)/", T + 299_000_000),
        ] {
            assert_eq!(parse(text), Some(time), "{text}");
        }
    }

    #[test]
    fn numbers_are_read_by_their_size() {
        for (text, time) in [
            ("0", 0),
            ("1600441216", T),
            ("1600441216.25", T + SECOND / 4),
            ("1600441216.123456789", T + 123_456_789),
            ("1600441216299", T + 299_000_000),
            ("1600441216299.5", T + 299_500_000),
            ("1600441216299001", T + 299_001_000),
            ("1600441216299001002", T + 299_001_002),
            ("-1.5", -3 * SECOND / 2),
            ("1.600441216e9", T),
            ("9223372036854775807", i64::MAX),
        ] {
            assert_eq!(parse(text), Some(time), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_not_guessed() {
        for text in [
            "",
            "-",
            ".",
            "x",
            "2020",
            "2020-09-18",
            "2020-09-18T15:00",
            "2020-13-18T15:00:16Z",
            "2020-02-30T15:00:16Z",
            "2020-09-18T24:00:16Z",
            "2020-09-18T15:00:16.Z",
            "2020-09-18T15:00:16X",
            "2020-09-18T15:00:16+2",
            "2263-01-01T00:00:00Z",
            "1600-01-01T00:00:00Z",
            "9223372036854775808",
            "1e300",
            "-1e300",
            "nan",
            "inf",
            "1.2.3",
            "0x10",
            "/Date(x)/",
            "+5",
            "2020-٠٩-18T15:00:16Z",
        ] {
            // "2020" alone is a number: 2020 seconds after the epoch.
            let expected = (text == "2020").then_some(2020 * SECOND);
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    #[test]
    fn the_future_is_the_arrival() {
        use EventTime::{Clamped, Own, Untimed};
        let decide = |said, record| EventTime::decide(said, record, 1_000, 100);
        assert_eq!(decide(Some(1_100), Some(900)), Own(1_100));
        assert_eq!(decide(Some(1_101), Some(900)), Clamped(900));
        assert_eq!(decide(Some(1_101), Some(5_000)), Clamped(1_000));
        assert_eq!(decide(Some(1_101), None), Clamped(1_000));
        assert_eq!(decide(None, Some(900)), Untimed(900));
        assert_eq!(decide(None, Some(5_000)), Untimed(1_000));
        assert_eq!(decide(None, None), Untimed(1_000));
        assert_eq!(
            EventTime::decide(Some(i64::MAX), None, i64::MAX, 100),
            Own(i64::MAX)
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_not(text in ".*") {
            parse(&text);
        }

        #[test]
        fn every_instant_survives_rfc_3339(time in any::<i64>()) {
            let text = chrono::DateTime::from_timestamp_nanos(time).to_rfc3339();
            prop_assert_eq!(parse(&text), Some(time));
        }

        #[test]
        fn nanoseconds_survive_as_decimal_seconds(seconds in 0i64..100_000_000_000 / 20, nanos in 0..SECOND) {
            prop_assert_eq!(parse(&format!("{seconds}.{nanos:09}")), Some(seconds * SECOND + nanos));
        }
    }
}
