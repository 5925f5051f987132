//! Parts of dates, by the calendar's own rules.

use regex::Regex;

/// A part of the date that a text is, in UTC.
pub(crate) fn part(text: &str, part: &str) -> Option<f64> {
    thread_local! {
        static CALENDAR: Regex = Regex::new(
            r"^(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,]\d+)?(?:Z|([+-])(\d\d):(\d\d))?$"
        ).unwrap();
        static NUMBER: Regex = Regex::new(r"^-?[0-9]+(\.[0-9]*)?$").unwrap();
    }
    let number = NUMBER.with(|regex| regex.is_match(text));
    let minutes = if number {
        let number: f64 = text.parse().unwrap();
        let seconds = if number.abs() < 1e11 {
            number
        } else {
            number / 1e3
        };
        (seconds / 60.0).floor() as i64
    } else {
        let captures = CALENDAR.with(|regex| regex.captures(text))?;
        let of = |group: usize| {
            captures
                .get(group)
                .map_or(0, |g| g.as_str().parse().unwrap())
        };
        let zone: i64 = of(8) * 60 + of(9);
        let ahead = if captures.get(7).is_some_and(|sign| sign.as_str() == "-") {
            -zone
        } else {
            zone
        };
        days_before(of(1), of(2), of(3)) * 1440 + of(4) * 60 + of(5) - ahead
    };
    let (year, month, day) = date(minutes.div_euclid(1440));
    let minute = minutes.rem_euclid(1440);
    Some(match part {
        "minute" => minute % 60,
        "hour" => minute / 60,
        "day" => day,
        "month" => month,
        "year" => year,
        "week" => week(minutes.div_euclid(1440)),
        other => panic!("{other}"),
    } as f64)
}

fn leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn month_days(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970 to a date.
fn days_before(year: i64, month: i64, day: i64) -> i64 {
    let years: i64 = if year >= 1970 {
        (1970..year).map(|year| 365 + i64::from(leap(year))).sum()
    } else {
        -(year..1970)
            .map(|year| 365 + i64::from(leap(year)))
            .sum::<i64>()
    };
    years + (1..month).map(|month| month_days(year, month)).sum::<i64>() + day - 1
}

/// The date so many days from 1970.
fn date(days: i64) -> (i64, i64, i64) {
    let (mut year, mut month) = (1970 + days.div_euclid(366) - 1, 1);
    while days_before(year + 1, 1, 1) <= days {
        year += 1;
    }
    while days - days_before(year, month, 1) >= month_days(year, month) {
        month += 1;
    }
    (year, month, days - days_before(year, month, 1) + 1)
}

/// The ISO week: that of the Thursday in the same week, counted from the year's first Thursday.
fn week(days: i64) -> i64 {
    // 1 January 1970 was a Thursday; weeks begin on Monday.
    let thursday = days - (days + 3).rem_euclid(7) + 3;
    let (year, _, _) = date(thursday);
    (thursday - days_before(year, 1, 1)) / 7 + 1
}

#[test]
fn the_calendar_is_right() {
    for (text, wanted) in [
        ("2024-12-30T23:59:59Z", [59, 23, 30, 1, 12, 2024]),
        ("2021-01-03T00:00:00Z", [0, 0, 3, 53, 1, 2021]),
        ("2026-03-01T01:30:00+02:00", [30, 23, 28, 9, 2, 2026]),
        ("-1", [59, 23, 31, 1, 12, 1969]),
    ] {
        let parts = ["minute", "hour", "day", "week", "month", "year"];
        let found = parts.map(|name| part(text, name).unwrap() as i64);
        assert_eq!(found, wanted, "{text}");
    }
}
