//! Event time in the spellings that logs use. The date is worked out once a day, the rest is arithmetic.

use chrono::DateTime;

use super::json::Put;

const NS_PER_DAY: i64 = 86_400_000_000_000;

/// Keeps the spelling of the day at hand.
pub(super) struct Calendar {
    day: i64,
    date: [u8; 10],
}

impl Calendar {
    /// At 1970-01-01.
    pub(super) fn new() -> Self {
        Self {
            day: 0,
            date: *b"1970-01-01",
        }
    }

    /// Nanoseconds since 1970, as a moment that can be spelled.
    pub(super) fn moment(&mut self, time_ns: i64) -> Moment {
        let day = time_ns.div_euclid(NS_PER_DAY);
        if day != self.day
            && let Some(date) = DateTime::from_timestamp(day * 86_400, 0)
        {
            // i64 nanoseconds end in 2262: the year always has four digits.
            let text = date.format("%Y-%m-%d").to_string();
            if let Ok(date) = <[u8; 10]>::try_from(text.as_bytes()) {
                (self.day, self.date) = (day, date);
            }
        }
        Moment {
            date: self.date,
            of_day_ns: time_ns.rem_euclid(NS_PER_DAY) as u64,
        }
    }
}

/// A point in event time.
#[derive(Clone, Copy)]
pub(super) struct Moment {
    date: [u8; 10],
    of_day_ns: u64,
}

impl Moment {
    /// RFC 3339 in UTC with so many fractional digits, at most 9.
    pub(super) fn rfc3339(self, digits: u32) -> Stamp {
        Stamp {
            moment: self,
            separator: b'T',
            digits,
            zone: "Z",
        }
    }

    /// As Sysmon writes it: `2026-01-31 17:05:09.123`.
    pub(super) fn sysmon(self) -> Stamp {
        Stamp {
            moment: self,
            separator: b' ',
            digits: 3,
            zone: "",
        }
    }
}

/// A moment in one spelling.
pub(super) struct Stamp {
    moment: Moment,
    separator: u8,
    digits: u32,
    zone: &'static str,
}

impl Put for Stamp {
    fn put(&self, out: &mut Vec<u8>) {
        let second = self.moment.of_day_ns / 1_000_000_000;
        out.extend_from_slice(&self.moment.date);
        out.push(self.separator);
        for (part, end) in [
            (second / 3600, b':'),
            (second / 60 % 60, b':'),
            (second % 60, b'.'),
        ] {
            out.extend_from_slice(&[b'0' + (part / 10) as u8, b'0' + (part % 10) as u8, end]);
        }
        if self.digits == 0 {
            out.pop();
        }
        let mut unit = 1_000_000_000;
        for _ in 0..self.digits {
            unit /= 10;
            out.push(b'0' + (self.moment.of_day_ns / unit % 10) as u8);
        }
        out.extend_from_slice(self.zone.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(stamp: Stamp) -> String {
        let mut out = Vec::new();
        stamp.put(&mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn spellings() {
        let mut calendar = Calendar::new();
        let moment = calendar.moment(1_709_210_096_123_456_789);
        assert_eq!(spelled(moment.rfc3339(9)), "2024-02-29T12:34:56.123456789Z");
        assert_eq!(spelled(moment.rfc3339(3)), "2024-02-29T12:34:56.123Z");
        assert_eq!(spelled(moment.rfc3339(0)), "2024-02-29T12:34:56Z");
        assert_eq!(spelled(moment.sysmon()), "2024-02-29 12:34:56.123");
        assert_eq!(
            spelled(calendar.moment(-1).rfc3339(3)),
            "1969-12-31T23:59:59.999Z"
        );
        assert_eq!(
            spelled(calendar.moment(0).rfc3339(0)),
            "1970-01-01T00:00:00Z"
        );
    }
}
