//! Conditions as text for people, in the words of Sigma.

use std::fmt;

use crate::detection::{CompareOp, Expr, FieldTest, Position, Test, Text};

impl fmt::Display for Expr {
    /// On one line, such as `Image|endswith: '\cmd.exe' and not User: 'SYSTEM'`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::And(parts) => joined(f, parts, " and ", |part| matches!(part, Self::Or(_))),
            Self::Or(parts) => joined(f, parts, " or ", |_| false),
            Self::Not(inner) => {
                f.write_str("not ")?;
                bracketed(f, inner, matches!(**inner, Self::And(_) | Self::Or(_)))
            }
            Self::AtLeast(count, parts) => {
                write!(f, "{count} of (")?;
                joined(f, parts, ", ", |_| false)?;
                f.write_str(")")
            }
            Self::Field(test) => write!(f, "{test}"),
            Self::Keyword(text) => write!(f, "{text}"),
            Self::Const(value) => write!(f, "{}", if *value { "always" } else { "never" }),
        }
    }
}

fn joined(
    f: &mut fmt::Formatter<'_>,
    parts: &[Expr],
    word: &str,
    loose: impl Fn(&Expr) -> bool,
) -> fmt::Result {
    for (nth, part) in parts.iter().enumerate() {
        if nth > 0 {
            f.write_str(word)?;
        }
        bracketed(f, part, loose(part))?;
    }
    Ok(())
}

fn bracketed(f: &mut fmt::Formatter<'_>, expr: &Expr, brackets: bool) -> fmt::Result {
    if brackets {
        write!(f, "({expr})")
    } else {
        write!(f, "{expr}")
    }
}

impl fmt::Display for FieldTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, test } = self;
        match test {
            Test::Text(text) if text.cased => write!(f, "{field}|cased: '{}'", text.pattern),
            Test::Text(text) => write!(f, "{field}: '{}'", text.pattern),
            Test::Regex(pattern) => write!(f, "{field}|re: '{pattern}'"),
            Test::Compare(op, number) => write!(f, "{field} {op} {number}"),
            Test::TimePart(part, op, number) => {
                write!(f, "{field}|{} {op} {number}", part.as_str())
            }
            Test::Cidr(address, prefix) => write!(f, "{field}|cidr: {address}/{prefix}"),
            Test::Exists(wanted) => write!(f, "{field}|exists: {wanted}"),
            Test::Null => write!(f, "{field}: null"),
            Test::FieldRef {
                other,
                position,
                cased,
            } => {
                let position = match position {
                    Position::Whole => "",
                    Position::Start => "|startswith",
                    Position::End => "|endswith",
                    Position::Contains => "|contains",
                };
                write!(
                    f,
                    "{field}|fieldref{position}{}: {other}",
                    if *cased { "|cased" } else { "" }
                )
            }
        }
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "'{}'{}",
            self.pattern,
            if self.cased { "|cased" } else { "" }
        )
    }
}

impl fmt::Display for CompareOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lt => "<",
            Self::Lte => "<=",
            Self::Gt => ">",
            Self::Gte => ">=",
            Self::Eq => "=",
            Self::Neq => "!=",
        })
    }
}
