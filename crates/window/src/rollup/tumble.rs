//! `tumble(interval '1 minute')`: the window of event time that a row falls into.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, TimeUnit};
use datafusion_common::{Result, ScalarValue, exec_err};
use datafusion_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::error::SqlError;

const NAME: &str = "tumble";
const NS_PER_MS: i64 = 1_000_000;
const NS_PER_DAY: i64 = 86_400_000_000_000;

/// What to write, for messages.
pub(super) const EXAMPLE: &str = "tumble(interval '1 minute')";

/// The function by whose name a query asks for a window. It stands for the start of the window; stage 1 puts in the value, so
/// it is never called.
pub(super) static TUMBLE: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
    // Volatile, so that nobody tries to compute it while planning.
    let signature = Signature::any(1, Volatility::Volatile);
    Arc::new(ScalarUDF::new_from_impl(Tumble { signature }))
});

#[derive(Debug, PartialEq, Eq, Hash)]
struct Tumble {
    signature: Signature,
}

impl ScalarUDFImpl for Tumble {
    fn name(&self) -> &'static str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Timestamp(TimeUnit::Nanosecond, None))
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        exec_err!("{NAME} stands in GROUP BY only")
    }
}

/// The width in nanoseconds when the expression is a window, nothing when it is another expression.
pub(super) fn width(expr: &Expr) -> Option<Result<i64, SqlError>> {
    match expr {
        Expr::Alias(alias) => width(&alias.expr),
        Expr::ScalarFunction(function) if function.name() == NAME => {
            let wrong = || {
                SqlError::new(format!(
                    "{NAME} takes a positive, constant interval of days or less"
                ))
                .help(format!("write {EXAMPLE}"))
            };
            let [argument] = function.args.as_slice() else {
                return Some(Err(wrong()));
            };
            let ns = interval_ns(argument).filter(|&width_ns| width_ns > 0);
            Some(ns.ok_or_else(wrong))
        }
        _ => None,
    }
}

/// Whether a window is asked for inside the expression.
pub(super) fn is_inside(expr: &Expr) -> bool {
    use datafusion_common::tree_node::TreeNode;
    expr.exists(|expr| {
        Ok(matches!(expr, Expr::ScalarFunction(function) if function.name() == NAME))
    })
    .unwrap_or(false)
}

/// A constant interval without months (they have no fixed length) in nanoseconds.
fn interval_ns(expr: &Expr) -> Option<i64> {
    let value = match expr {
        Expr::Literal(value, _) => value,
        Expr::Alias(alias) => return interval_ns(&alias.expr),
        Expr::Cast(cast) => return interval_ns(&cast.expr),
        _ => return None,
    };
    match *value {
        ScalarValue::IntervalMonthDayNano(Some(interval)) if interval.months == 0 => {
            let days_ns = i64::from(interval.days).checked_mul(NS_PER_DAY)?;
            days_ns.checked_add(interval.nanoseconds)
        }
        ScalarValue::IntervalDayTime(Some(interval)) => {
            let days_ns = i64::from(interval.days).checked_mul(NS_PER_DAY)?;
            let ns = i64::from(interval.milliseconds).checked_mul(NS_PER_MS)?;
            days_ns.checked_add(ns)
        }
        _ => None,
    }
}

/// The start of the window of this width, aligned to the Unix epoch, that a time falls into.
pub(super) fn start_ns(time_ns: i64, width_ns: i64) -> i64 {
    time_ns.saturating_sub(time_ns.rem_euclid(width_ns.max(1)))
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
    fn windows_are_aligned_to_the_epoch() {
        assert_eq!(start_ns(0, 10), 0);
        assert_eq!(start_ns(9, 10), 0);
        assert_eq!(start_ns(10, 10), 10);
        assert_eq!(start_ns(-1, 10), -10);
        assert_eq!(start_ns(i64::MIN, 10), i64::MIN);
        assert_eq!(start_ns(i64::MAX, 10), i64::MAX - 7);
    }
}
