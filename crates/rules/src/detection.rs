//! Detections: what a single event must look like.

use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::pattern::Pattern;
use crate::rule::{Logsource, RuleHeader};

/// A Sigma detection rule, its filters already applied.
#[derive(Debug, Clone, PartialEq)]
pub struct DetectionRule {
    /// What the rule says about itself.
    pub header: RuleHeader,
    /// Which events it looks at.
    pub logsource: Logsource,
    /// What such an event must look like.
    pub condition: Expr,
    /// Whether a match is an alert. False when the rule only feeds correlations, none of which says `generate: true`.
    pub alerts: bool,
}

/// A condition over one event, all selections and modifiers resolved.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// All of these.
    And(Vec<Expr>),
    /// At least one of these.
    Or(Vec<Expr>),
    /// Not this.
    Not(Box<Expr>),
    /// At least this many of these.
    AtLeast(usize, Vec<Expr>),
    /// A test of one field.
    Field(FieldTest),
    /// Some value anywhere in the event, or its raw text where there is one, is covered by the pattern, which begins and ends with `*`
    /// unless the rule ties the keyword to the start or the end of a value.
    Keyword(Text),
    /// Always or never.
    Const(bool),
}

/// A test of one field of an event. A field of several values matches when any of them does; an absent field matches only
/// [`Test::Null`] and `Test::Exists(false)`.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldTest {
    /// The field's name as the rule writes it.
    pub field: Arc<str>,
    /// What its value must be.
    pub test: Test,
}

/// What a value must be.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// The value, as text, is covered by the pattern. Numbers and booleans of a rule come as their decimal spelling.
    Text(Text),
    /// The regular expression (syntax of the `regex` crate, flags inlined as `(?ims)`) is found somewhere in the value. Known to
    /// compile within [`crate::REGEX_SIZE_LIMIT`].
    Regex(String),
    /// The value reads as a number that compares so with this finite one. A value that is no number does not match, whatever the
    /// operator.
    Compare(CompareOp, f64),
    /// The value reads as a date of which this part, in UTC, compares so with this finite number. A value that is no date does not match,
    /// whatever the operator.
    TimePart(TimePart, CompareOp, f64),
    /// The value reads as an IP address inside this network (address, prefix length; host bits are zero). An IPv4-mapped IPv6 address
    /// in an event counts as the IPv4 address; the network here is never IPv4-mapped.
    Cidr(IpAddr, u8),
    /// The field is there (a null counts as there), or is not.
    Exists(bool),
    /// The value is null, or the field is absent. The empty text is neither.
    Null,
    /// The value matches the value of another field of the same event. Absent fields and nulls never match.
    FieldRef {
        /// The other field.
        other: Arc<str>,
        /// Where in this field's value the other's value must be found.
        position: Position,
        /// Whether upper and lower case differ.
        cased: bool,
    },
}

/// A [`Pattern`] and how to compare letters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Text {
    /// Covers the whole value; `contains` is `*…*`.
    pub pattern: Pattern,
    /// Whether upper and lower case differ.
    pub cased: bool,
}

/// Where one text must be found in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Position {
    /// They are the same.
    Whole,
    /// At the start.
    Start,
    /// At the end.
    End,
    /// Anywhere.
    Contains,
}

/// A part of a date, a number by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TimePart {
    /// Of the hour, from 0 to 59.
    Minute,
    /// Of the day, from 0 to 23.
    Hour,
    /// Of the month, from 1 to 31.
    Day,
    /// Of the year as ISO 8601 counts: from 1 to 53, the first one being that of 4 January; weeks begin on Monday.
    Week,
    /// Of the year, from 1 to 12.
    Month,
    /// Of the Gregorian calendar.
    Year,
}

impl TimePart {
    /// The part as Sigma writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }

    /// The numbers that it can be, the last one included.
    pub(crate) fn range(self) -> (f64, f64) {
        match self {
            Self::Minute => (0.0, 59.0),
            Self::Hour => (0.0, 23.0),
            Self::Day => (1.0, 31.0),
            Self::Week => (1.0, 53.0),
            Self::Month => (1.0, 12.0),
            Self::Year => (0.0, 9999.0),
        }
    }
}

/// How two numbers compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CompareOp {
    /// `<`
    Lt,
    /// `<=`
    Lte,
    /// `>`
    Gt,
    /// `>=`
    Gte,
    /// `=`
    Eq,
    /// `≠`
    Neq,
}

impl CompareOp {
    /// Whether `left` compares so with `right`. Nothing compares with NaN, except that it is [`CompareOp::Neq`].
    pub fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Self::Lt => left < right,
            Self::Lte => left <= right,
            Self::Gt => left > right,
            Self::Gte => left >= right,
            Self::Eq => left == right,
            Self::Neq => left != right,
        }
    }
}

impl Expr {
    /// All of `parts`, nested conjunctions taken apart; of one part, that part.
    pub fn all(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut flat = Vec::new();
        for part in parts {
            match part {
                Self::And(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        match (flat.pop(), flat.is_empty()) {
            (None, _) => Self::Const(true),
            (Some(only), true) => only,
            (Some(last), false) => {
                flat.push(last);
                Self::And(flat)
            }
        }
    }

    /// Any of `parts`, nested disjunctions taken apart; of one part, that part.
    pub fn any(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut flat = Vec::new();
        for part in parts {
            match part {
                Self::Or(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        match (flat.pop(), flat.is_empty()) {
            (None, _) => Self::Const(false),
            (Some(only), true) => only,
            (Some(last), false) => {
                flat.push(last);
                Self::Or(flat)
            }
        }
    }

    /// How many tests and keywords it is made of.
    pub fn size(&self) -> usize {
        match self {
            Self::And(parts) | Self::Or(parts) | Self::AtLeast(_, parts) => {
                parts.iter().map(Self::size).sum()
            }
            Self::Not(inner) => inner.size(),
            Self::Field(_) | Self::Keyword(_) | Self::Const(_) => 1,
        }
    }

    /// Calls `visit` with every field that the condition reads, the other side of a [`Test::FieldRef`] too; a field read
    /// twice is named twice.
    pub fn fields(&self, visit: &mut impl FnMut(&str)) {
        match self {
            Self::And(parts) | Self::Or(parts) | Self::AtLeast(_, parts) => {
                parts.iter().for_each(|part| part.fields(visit));
            }
            Self::Not(inner) => inner.fields(visit),
            Self::Field(FieldTest { field, test }) => {
                visit(field);
                if let Test::FieldRef { other, .. } = test {
                    visit(other);
                }
            }
            Self::Keyword(_) | Self::Const(_) => {}
        }
    }

    /// Whether the condition looks for keywords, and so needs every value of an event.
    pub fn has_keywords(&self) -> bool {
        match self {
            Self::And(parts) | Self::Or(parts) | Self::AtLeast(_, parts) => {
                parts.iter().any(Self::has_keywords)
            }
            Self::Not(inner) => inner.has_keywords(),
            Self::Keyword(_) => true,
            Self::Field(_) | Self::Const(_) => false,
        }
    }
}
