//! Text as numbers.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion_common::{Result, exec_err, plan_err};
use datafusion_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::typing::is_text;
use crate::route::canonical;

/// No number in a rollup is larger, so that sums cannot overflow: anything beyond is as if it were no number.
const LARGEST: f64 = 1e290;

/// A number that rollups calculate with: finite, not beyond [`LARGEST`], and not minus zero.
///
/// Infinities and NaN are left out because they would swallow a whole window: one event that says `"bytes": "NaN"` must not
/// hide the rest.
pub(crate) fn usable(number: f64) -> Option<f64> {
    (number.abs() <= LARGEST).then_some(canonical(number))
}

/// Text as a floating point number: decimal, with or without exponent.
pub(crate) fn double(text: &str) -> Option<f64> {
    text.parse().ok().and_then(usable)
}

/// Text as an integer. A decimal with nothing behind the point, such as `12.0` or `1e3`, is one too.
pub(super) fn bigint(text: &str) -> Option<i64> {
    text.parse().ok().or_else(|| {
        let number = double(text)?;
        // Beyond 2^53 such a spelling does not say which integer it is.
        let exact = number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0;
        #[allow(clippy::cast_possible_truncation, reason = "it is whole and small")]
        exact.then_some(number as i64)
    })
}

/// Text as a boolean.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" => Some(true),
        "0" => Some(false),
        _ if text.eq_ignore_ascii_case("true") => Some(true),
        _ if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// The function's name.
pub(super) const NAME: &str = "number";

/// The function `number(x)`: text as [`double`] reads it, numbers as floating point numbers. What is no number is NULL. Where a query
/// calculates with text, it is put around the text.
pub(super) static NUMBER: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
    let signature = Signature::any(1, Volatility::Immutable);
    Arc::new(ScalarUDF::new_from_impl(Number { signature }))
});

#[derive(Debug, PartialEq, Eq, Hash)]
struct Number {
    signature: Signature,
}

impl ScalarUDFImpl for Number {
    fn name(&self) -> &'static str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [of] if is_text(of) || of.is_numeric() || of.is_null() => Ok(DataType::Float64),
            _ => plan_err!("{NAME} takes one text or number"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [argument] = args.args.as_slice() else {
            return exec_err!("{NAME} takes one argument");
        };
        let array = argument.to_array(args.number_rows)?;
        if !is_text(array.data_type()) {
            let numbers = usable_array(cast(&array, &DataType::Float64)?);
            return Ok(ColumnarValue::Array(numbers));
        }
        let text = cast(&array, &DataType::Utf8View)?;
        let numbers = text.as_string_view().iter().map(|text| double(text?));
        Ok(ColumnarValue::Array(Arc::new(
            numbers.collect::<Float64Array>(),
        )))
    }
}

/// Floating point numbers as aggregates take them: see [`usable`]. Other arrays are left as they are.
pub(super) fn usable_array(array: ArrayRef) -> ArrayRef {
    let Some(numbers) = array.as_primitive_opt::<arrow::datatypes::Float64Type>() else {
        return array;
    };
    let clean =
        |number: &f64| usable(*number).is_some_and(|usable| usable.to_bits() == number.to_bits());
    if numbers.values().iter().all(clean) {
        return array;
    }
    let usable: Float64Array = numbers
        .iter()
        .map(|number| number.and_then(usable))
        .collect();
    Arc::new(usable)
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
    fn text_that_is_a_number() {
        for (text, number) in [
            ("12", 12.0_f64),
            ("-1.5e3", -1500.0),
            ("+.5", 0.5),
            ("-0", 0.0),
        ] {
            assert_eq!(
                double(text).map(f64::to_bits),
                Some(number.to_bits()),
                "{text}"
            );
        }
        for text in [
            "",
            " 1",
            "1 ",
            "0x10",
            "1,5",
            "NaN",
            "inf",
            "-Infinity",
            "1e400",
            "1e291",
        ] {
            assert_eq!(double(text), None, "{text}");
        }
    }

    #[test]
    fn text_that_is_an_integer() {
        for (text, number) in [
            ("12", 12),
            ("9223372036854775807", i64::MAX),
            ("12.0", 12),
            ("1e3", 1000),
        ] {
            assert_eq!(bigint(text), Some(number), "{text}");
        }
        for text in ["", "1.5", "9223372036854775808", "1e17", "x"] {
            assert_eq!(bigint(text), None, "{text}");
        }
    }
}
