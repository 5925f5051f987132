//! The modifiers behind a field's name (`CommandLine|contains|all`), and which of them go together.

use crate::codes::{self, Code};
use crate::detection::{CompareOp, Position, TimePart};
use crate::diagnostic::Span;
use crate::fields::similar;
use crate::report::Report;

/// What a chain of modifiers asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chain {
    pub(crate) kind: Kind,
    /// What happens to a text, in this order.
    pub(crate) steps: Vec<Step>,
    /// All of the values must match, not any.
    pub(crate) all: bool,
    /// The whole item must not match.
    pub(crate) neq: bool,
    pub(crate) cased: bool,
    /// `%placeholders%` in the values are filled by pipelines.
    pub(crate) expand: bool,
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Regex(Flags),
    Compare(CompareOp),
    /// A part of a date; without an operator it equals the value.
    Time(TimePart, Option<CompareOp>),
    Cidr,
    Exists,
    FieldRef,
}

/// The flags of a regular expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Flags {
    pub(crate) ignore_case: bool,
    pub(crate) multi_line: bool,
    pub(crate) dot_all: bool,
}

/// A change to a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Wildcards on one side or both.
    At(Position),
    Windash,
    Base64,
    Base64Offset,
    Utf16 {
        big_endian: bool,
        mark: bool,
    },
}

/// Every modifier of Sigma v2.1.0.
const NAMES: [&str; 36] = [
    "all",
    "startswith",
    "endswith",
    "contains",
    "exists",
    "cased",
    "neq",
    "windash",
    "re",
    "i",
    "m",
    "s",
    "ignorecase",
    "multiline",
    "dotall",
    "base64",
    "base64offset",
    "utf16le",
    "wide",
    "utf16be",
    "utf16",
    "lt",
    "lte",
    "gt",
    "gte",
    "minute",
    "hour",
    "day",
    "week",
    "month",
    "year",
    "cidr",
    "expand",
    "fieldref",
    "eq",
    "not",
];

/// Reads the modifiers of a key; `names` with the place of each. Complains and gives none where they make no sense.
pub(crate) fn read(names: &[(&str, Span)], report: &mut Report<'_>) -> Option<Chain> {
    let mut chain = Chain {
        kind: Kind::Text,
        steps: Vec::new(),
        all: false,
        neq: false,
        cased: false,
        expand: false,
    };
    let mut seen: Vec<&str> = Vec::new();
    for (name, span) in names {
        if let Err(refusal) = chain.add(name, &seen) {
            let Refusal {
                code,
                message,
                help,
            } = refusal;
            match help {
                Some(help) => report.advise(code, *span, message, help),
                None => report.add(code, *span, message),
            }
            return None;
        }
        seen.push(name);
    }
    Some(chain)
}

/// Why a modifier cannot be added to a chain.
struct Refusal {
    code: &'static Code,
    message: String,
    help: Option<String>,
}

fn refuse(message: impl Into<String>, help: &str) -> Refusal {
    Refusal {
        code: &codes::BAD_CHAIN,
        message: message.into(),
        help: (!help.is_empty()).then(|| help.to_owned()),
    }
}

impl Chain {
    fn add(&mut self, name: &str, seen: &[&str]) -> Result<(), Refusal> {
        if seen.contains(&name) {
            return Err(refuse(format!("`{name}` is given twice"), ""));
        }
        match name {
            "all" => self.all = true,
            "neq" => self.neq = true,
            "cased" => self.cased = true,
            "expand" => self.expand = true,
            "re" => self.become_kind(Kind::Regex(Flags::default()), name)?,
            "cidr" => self.become_kind(Kind::Cidr, name)?,
            "exists" => self.become_kind(Kind::Exists, name)?,
            "fieldref" => self.become_kind(Kind::FieldRef, name)?,
            "lt" => self.compare(CompareOp::Lt, name)?,
            "lte" => self.compare(CompareOp::Lte, name)?,
            "gt" => self.compare(CompareOp::Gt, name)?,
            "gte" => self.compare(CompareOp::Gte, name)?,
            "minute" => self.time_part(TimePart::Minute)?,
            "hour" => self.time_part(TimePart::Hour)?,
            "day" => self.time_part(TimePart::Day)?,
            "week" => self.time_part(TimePart::Week)?,
            "month" => self.time_part(TimePart::Month)?,
            "year" => self.time_part(TimePart::Year)?,
            "i" | "ignorecase" => self.flags(name)?.ignore_case = true,
            "m" | "multiline" => self.flags(name)?.multi_line = true,
            "s" | "dotall" => self.flags(name)?.dot_all = true,
            "contains" => self.position(Position::Contains, name)?,
            "startswith" => self.position(Position::Start, name)?,
            "endswith" => self.position(Position::End, name)?,
            "windash" => self.encode(Step::Windash, name)?,
            "base64" => self.encode(Step::Base64, name)?,
            "base64offset" => self.encode(Step::Base64Offset, name)?,
            "wide" | "utf16le" => self.encode(
                Step::Utf16 {
                    big_endian: false,
                    mark: false,
                },
                name,
            )?,
            "utf16be" => self.encode(
                Step::Utf16 {
                    big_endian: true,
                    mark: false,
                },
                name,
            )?,
            "utf16" => self.encode(
                Step::Utf16 {
                    big_endian: false,
                    mark: true,
                },
                name,
            )?,
            _ => return Err(unknown(name)),
        }
        self.check_together(name)
    }

    fn become_kind(&mut self, kind: Kind, name: &str) -> Result<(), Refusal> {
        if self.kind != Kind::Text {
            return Err(refuse(
                format!("`{name}` and the modifier before it are different kinds of test"),
                "use one of them",
            ));
        }
        let goes_with = |step: &Step| kind == Kind::FieldRef && matches!(step, Step::At(_));
        if !self.steps.iter().all(goes_with) {
            return Err(refuse(
                format!(
                    "`{name}` takes the value as it is written, so nothing may change it before"
                ),
                "",
            ));
        }
        self.kind = kind;
        Ok(())
    }

    /// A comparison, of the value or of the part of a date that stands before.
    fn compare(&mut self, op: CompareOp, name: &str) -> Result<(), Refusal> {
        if let Kind::Time(_, how @ None) = &mut self.kind {
            *how = Some(op);
            return Ok(());
        }
        self.become_kind(Kind::Compare(op), name)
    }

    fn time_part(&mut self, part: TimePart) -> Result<(), Refusal> {
        let name = part.as_str();
        if let Kind::Compare(_) = self.kind {
            return Err(refuse(
                format!("`{name}` is compared, so it comes before the comparison"),
                &format!("write it as in `|{name}|gte`"),
            ));
        }
        self.become_kind(Kind::Time(part, None), name)
    }

    fn flags(&mut self, name: &str) -> Result<&mut Flags, Refusal> {
        match &mut self.kind {
            Kind::Regex(flags) => Ok(flags),
            _ => Err(refuse(
                format!("`{name}` is a flag of regular expressions"),
                "write it behind `re`, as in `|re|i`",
            )),
        }
    }

    fn position(&mut self, position: Position, name: &str) -> Result<(), Refusal> {
        if self.steps.iter().any(|step| matches!(step, Step::At(_))) {
            let message = format!(
                "`{name}` and the modifier before it say different things about where the text stands"
            );
            return Err(refuse(
                message,
                "use one of contains, startswith and endswith",
            ));
        }
        self.steps.push(Step::At(position));
        Ok(())
    }

    fn encode(&mut self, step: Step, name: &str) -> Result<(), Refusal> {
        let base64 = matches!(step, Step::Base64 | Step::Base64Offset);
        if base64 && self.steps.iter().any(|step| matches!(step, Step::At(_))) {
            let message =
                format!("`{name}` cannot encode the wildcards that the modifier before it adds");
            return Err(refuse(
                message,
                &format!("write `{name}` first, as in `|{name}|contains`"),
            ));
        }
        self.steps.push(step);
        Ok(())
    }

    /// Refuses what does not go together, whatever the order.
    fn check_together(&self, name: &str) -> Result<(), Refusal> {
        let changes_text = self.steps.iter().any(|step| !matches!(step, Step::At(_)));
        match self.kind {
            Kind::Text => Ok(()),
            Kind::Exists
                if self.all || self.neq || self.cased || self.expand || !self.steps.is_empty() =>
            {
                Err(refuse(
                    "`exists` stands alone",
                    "write `|exists: true` or `|exists: false`",
                ))
            }
            Kind::Compare(_) | Kind::Time(..) | Kind::Cidr
                if self.cased || !self.steps.is_empty() =>
            {
                Err(refuse(
                    format!("`{name}` is for texts; this compares numbers, dates or addresses"),
                    "",
                ))
            }
            Kind::Regex(_) if self.cased => Err(refuse(
                "`cased` does nothing for regular expressions, which mind case",
                "leave it out",
            )),
            Kind::Regex(_) | Kind::FieldRef if changes_text => Err(refuse(
                format!(
                    "`{name}` changes a text; this is a regular expression or another field's name"
                ),
                "",
            )),
            _ => Ok(()),
        }
    }
}

fn unknown(name: &str) -> Refusal {
    let help = match (name, similar(name, &NAMES)) {
        ("eq", _) => "equality is what a field without modifiers tests".to_owned(),
        ("not", _) => "did you mean `neq`?".to_owned(),
        (_, Some(meant)) => format!("did you mean `{meant}`?"),
        (_, None) => {
            "modifiers are contains, startswith, endswith, all, re, cidr, exists and others"
                .to_owned()
        }
    };
    Refusal {
        code: &codes::UNKNOWN_MODIFIER,
        message: format!("there is no modifier `{name}`"),
        help: Some(help),
    }
}
