//! Windows of event time: `tumble`, `hop` and `session`.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, TimeUnit};
use datafusion_common::tree_node::TreeNode;
use datafusion_common::{Result, ScalarValue, exec_err};
use datafusion_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature,
    Volatility,
};

use super::error::SqlError;

const NS_PER_MS: i64 = 1_000_000;
const NS_PER_DAY: i64 = 86_400_000_000_000;

/// What to write, for messages.
pub(super) const EXAMPLE: &str = "tumble(interval '1 minute')";
/// The functions by whose names a query asks for a window.
pub(super) const NAMES: [&str; 3] = ["tumble", "hop", "session"];
/// The function that stands for the end of the window. It is put into GROUP BY for every query.
pub(super) const END: &str = "window_end";
/// An event is in at most so many windows at a time.
const MOST_WINDOWS: i64 = 1440;

/// Which windows a rollup has. All lengths are in nanoseconds and positive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Window {
    /// `[n · width, (n + 1) · width)`, from the Unix epoch.
    Tumble {
        /// Length of a window.
        width_ns: i64,
    },
    /// `[n · slide, n · slide + width)`: an event is in several of them.
    Hop {
        /// From the start of one window to the start of the next.
        slide_ns: i64,
        /// Length of a window.
        width_ns: i64,
    },
    /// Events of a group that are less than `gap` apart: `[first, last + gap)`.
    Session {
        /// Silence that ends a session.
        gap_ns: i64,
    },
}

impl Window {
    /// Stage 1 aggregates by panes: `[n · pane, (n + 1) · pane)`. Windows are made of whole panes, and all events of a group
    /// in one pane are in one session.
    pub(super) fn pane_ns(self) -> i64 {
        match self {
            Self::Tumble { width_ns } => width_ns,
            Self::Hop { slide_ns, width_ns } => greatest_common_divisor(slide_ns, width_ns),
            Self::Session { gap_ns } => gap_ns,
        }
    }

    /// How long after an event the last of its windows may end. A session may last longer, as long as events come.
    pub(super) fn span_ns(self) -> i64 {
        match self {
            Self::Tumble { width_ns } | Self::Hop { width_ns, .. } => width_ns,
            Self::Session { gap_ns } => gap_ns.saturating_add(NS_PER_DAY),
        }
    }

    /// The windows that a pane belongs to, as (start, end); none for sessions, which do not follow from the time alone.
    pub(super) fn of_pane(self, pane_ns: i64) -> impl Iterator<Item = (i64, i64)> {
        let (slide_ns, width_ns) = match self {
            Self::Tumble { width_ns } => (width_ns, width_ns),
            Self::Hop { slide_ns, width_ns } => (slide_ns, width_ns),
            Self::Session { .. } => (1, 0),
        };
        let last_ns = floor(pane_ns, slide_ns);
        (0..MOST_WINDOWS)
            .map_while(move |back| last_ns.checked_sub(back.checked_mul(slide_ns)?))
            .map(move |start_ns| (start_ns, start_ns.saturating_add(width_ns)))
            .take_while(move |&(_, end_ns)| end_ns > pane_ns)
    }
}

fn greatest_common_divisor(mut left: i64, mut right: i64) -> i64 {
    while right != 0 {
        (left, right) = (right, left % right);
    }
    left.max(1)
}

/// The start of the stretch of this length, aligned to the Unix epoch, that a time falls into.
pub(super) fn floor(time_ns: i64, length_ns: i64) -> i64 {
    time_ns.saturating_sub(time_ns.rem_euclid(length_ns.max(1)))
}

/// The functions, for the planner. They stand for the start and the end of the window; the values are put in without them, so they
/// are never called.
pub(super) static FUNCTIONS: LazyLock<Vec<Arc<ScalarUDF>>> = LazyLock::new(|| {
    let function = |name, arguments| {
        // Volatile, so that nobody tries to compute it while planning.
        let signature = match arguments {
            0 => Signature::nullary(Volatility::Volatile),
            _ => Signature::one_of(
                vec![TypeSignature::VariadicAny, TypeSignature::Nullary],
                Volatility::Volatile,
            ),
        };
        Arc::new(ScalarUDF::new_from_impl(WindowTime { name, signature }))
    };
    let windows = NAMES.iter().map(|&name| function(name, 1));
    windows.chain([function(END, 0)]).collect()
});

#[derive(Debug, PartialEq, Eq, Hash)]
struct WindowTime {
    name: &'static str,
    signature: Signature,
}

impl ScalarUDFImpl for WindowTime {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Timestamp(TimeUnit::Nanosecond, None))
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        exec_err!("{} stands in GROUP BY only", self.name)
    }
}

/// The window that an expression asks for; nothing when it is another expression.
pub(super) fn asked_for(expr: &Expr) -> Option<Result<Window, SqlError>> {
    match expr {
        Expr::Alias(alias) => asked_for(&alias.expr),
        Expr::ScalarFunction(function) if NAMES.contains(&function.name()) => {
            let window = window(function.name(), &function.args);
            Some(window.map_err(|error| error.near([function.name()])))
        }
        _ => None,
    }
}

/// Whether the expression is the end of the window.
pub(super) fn is_end(expr: &Expr) -> bool {
    matches!(expr, Expr::ScalarFunction(function) if function.name() == END)
}

fn window(name: &str, arguments: &[Expr]) -> Result<Window, SqlError> {
    let lengths: Option<Vec<i64>> = arguments.iter().map(interval_ns).collect();
    match (name, lengths.as_deref()) {
        ("tumble", Some(&[width_ns])) => Ok(Window::Tumble { width_ns }),
        ("session", Some(&[gap_ns])) => Ok(Window::Session { gap_ns }),
        ("hop", Some(&[slide_ns, width_ns])) if slide_ns > width_ns => Err(SqlError::new(
            "hop takes the slide first and then the width, and the slide is not longer than the width",
        )
        .help("write hop(interval '10 seconds', interval '1 minute')")),
        ("hop", Some(&[slide_ns, width_ns])) if width_ns / slide_ns >= MOST_WINDOWS => {
            Err(SqlError::new(format!(
                "an event would be in {} windows; at most {MOST_WINDOWS} are possible",
                width_ns / slide_ns + 1
            ))
            .help("make the slide longer"))
        }
        ("hop", Some(&[slide_ns, width_ns])) => Ok(Window::Hop { slide_ns, width_ns }),
        ("hop", _) => Err(SqlError::new(
            "hop takes two positive, constant intervals of days or less: slide and width",
        )
        .help("write hop(interval '10 seconds', interval '1 minute')")),
        (name, _) => Err(SqlError::new(format!(
            "{name} takes a positive, constant interval of days or less"
        ))
        .help(format!("write {name}(interval '1 minute')"))),
    }
}

/// Whether a window is asked for inside the expression.
pub(super) fn is_inside(expr: &Expr) -> bool {
    expr.exists(|expr| {
        Ok(matches!(expr, Expr::ScalarFunction(function)
            if NAMES.contains(&function.name()) || function.name() == END))
    })
    .unwrap_or(false)
}

/// A constant, positive interval without months (they have no fixed length) in nanoseconds.
fn interval_ns(expr: &Expr) -> Option<i64> {
    let value = match expr {
        Expr::Literal(value, _) => value,
        Expr::Alias(alias) => return interval_ns(&alias.expr),
        Expr::Cast(cast) => return interval_ns(&cast.expr),
        _ => return None,
    };
    let ns = match *value {
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
    };
    ns.filter(|&ns| ns > 0)
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
        assert_eq!(floor(0, 10), 0);
        assert_eq!(floor(9, 10), 0);
        assert_eq!(floor(10, 10), 10);
        assert_eq!(floor(-1, 10), -10);
        assert_eq!(floor(i64::MIN, 10), i64::MIN);
        assert_eq!(floor(i64::MAX, 10), i64::MAX - 7);
    }

    #[test]
    fn a_pane_is_in_every_window_that_covers_it() {
        let of = |window: Window, pane| window.of_pane(pane).collect::<Vec<_>>();
        assert_eq!(of(Window::Tumble { width_ns: 10 }, 20), [(20, 30)]);
        let hop = Window::Hop {
            slide_ns: 4,
            width_ns: 10,
        };
        assert_eq!(hop.pane_ns(), 2);
        assert_eq!(of(hop, 8), [(8, 18), (4, 14), (0, 10)]);
        assert_eq!(of(hop, 10), [(8, 18), (4, 14)]);
        assert_eq!(of(hop, -2), [(-4, 6), (-8, 2)]);
        assert_eq!(of(hop, i64::MIN), [(i64::MIN, i64::MIN + 10)]);
        assert_eq!(of(Window::Session { gap_ns: 5 }, 10), []);
    }
}
