//! From a call in a query to an aggregate function with its settings.

use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::datatypes::DataType;
use datafusion_common::{Result, ScalarValue, plan_err};
use datafusion_expr::expr::NullTreatment;
use datafusion_expr::planner::RawAggregateExpr;
use datafusion_expr::{AggregateUDF, Expr, GroupsAccumulator, cast, ident};

use super::super::key::KeyKind;
use super::super::order::PLACE;
use super::super::order::order_key;
use super::super::typing::{as_double, is_text};
use super::counted::{Counted, Counts, Of};
use super::distinct::Distinct;
use super::moments::{Moment, Moments};
use super::names::follows_order;
use super::ordered::{LONGEST, Ordered, Pick, Values};
use super::quantile::{Quantile, Values as Numbers};
use super::{SummaryUdaf, boxed};

/// An aggregate with its settings.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Function {
    Moment(Moment),
    Quantile(Quantile),
    Distinct(KeyKind),
    Ordered(Ordered),
    Counted(Counted),
}

impl Function {
    pub(super) fn result(&self) -> DataType {
        match self {
            Self::Moment(_) | Self::Quantile(_) => DataType::Float64,
            Self::Distinct(_) => DataType::Int64,
            Self::Ordered(ordered) => ordered.result(),
            Self::Counted(counted) => counted.result(),
        }
    }

    pub(super) fn accumulator(&self) -> Box<dyn GroupsAccumulator> {
        match self.clone() {
            Self::Moment(moment) => boxed::<Moments>(moment),
            Self::Quantile(quantile) => boxed::<Numbers>(quantile),
            Self::Distinct(kind) => boxed::<Distinct>(kind),
            Self::Ordered(ordered) => boxed::<Values>(ordered),
            Self::Counted(counted) => boxed::<Counts>(counted),
        }
    }
}

/// A function, and the arguments that it is called with.
pub(in super::super) struct Planned {
    pub(in super::super) function: Arc<AggregateUDF>,
    pub(in super::super) arguments: Vec<Expr>,
}

/// Plans a call of one of [`super::NAMES`], or of `sum` or `avg` with DISTINCT. `of` are the types of the arguments.
pub(in super::super) fn plan(call: &RawAggregateExpr, of: &[DataType]) -> Result<Planned> {
    let name = call.func.name().to_owned();
    let takes_distinct = matches!(
        &*name,
        "sum" | "avg" | "array_agg" | "string_agg" | "listagg"
    );
    if call.distinct && !takes_distinct {
        return plan_err!("{name} does not take DISTINCT");
    }
    let call = Call { call, of, name };
    match call.name.as_str() {
        "sum" | "avg" | "mode" | "top_k" | "approx_top_k" => call.counted(),
        "approx_distinct" => {
            let (argument, kind, _) = call.value(1, "one argument")?;
            Ok(call.planned("", Function::Distinct(kind), vec![argument]))
        }
        "median"
        | "approx_median"
        | "percentile_cont"
        | "quantile_cont"
        | "quantile"
        | "approx_percentile_cont" => call.quantile(),
        name if follows_order(name) => call.ordered(),
        _ => call.moment(),
    }
}

struct Call<'a> {
    call: &'a RawAggregateExpr,
    of: &'a [DataType],
    name: String,
}

impl Call<'_> {
    fn planned(&self, settings: &str, function: Function, arguments: Vec<Expr>) -> Planned {
        let distinct = if self.call.distinct { " distinct" } else { "" };
        let name = format!("{}{distinct}{settings}", self.name);
        Planned {
            function: SummaryUdaf::udaf(name, function, arguments.len()),
            arguments,
        }
    }

    fn unordered(&self) -> Result<()> {
        if self.call.order_by.is_empty() {
            Ok(())
        } else {
            plan_err!("{} cannot be ordered: its result has no order", self.name)
        }
    }

    /// The first of so many arguments, as a value that can be kept.
    fn value(&self, arguments: usize, expected: &str) -> Result<(Expr, KeyKind, DataType)> {
        let (true, [argument, ..], [of, ..]) = (
            self.call.args.len() == arguments,
            self.call.args.as_slice(),
            self.of,
        ) else {
            return plan_err!("{} takes {expected}", self.name);
        };
        let Some(kind) = KeyKind::of(of) else {
            return plan_err!(
                "{} takes text, numbers, booleans, dates and times, not {of}",
                self.name
            );
        };
        // Text leaves its batch here: views would keep all of the batch's values.
        let of = if is_text(of) || of.is_null() {
            DataType::Utf8
        } else {
            of.clone()
        };
        Ok((cast(argument.clone(), kind.data_type()), kind, of))
    }

    fn doubles(&self, arguments: usize, expected: &str) -> Result<Vec<Expr>> {
        if self.call.args.len() != arguments {
            return plan_err!("{} takes {expected}", self.name);
        }
        let arguments = self.call.args.iter().zip(self.of);
        arguments
            .map(|(argument, of)| as_double(&self.name, argument.clone(), of))
            .collect()
    }

    /// A constant number among the arguments.
    fn number(&self, at: usize, what: &str) -> Result<f64> {
        let constant = match self.call.args.get(at) {
            Some(Expr::Literal(value, _)) => value.cast_to(&DataType::Float64).ok(),
            _ => None,
        };
        match constant {
            Some(ScalarValue::Float64(Some(number))) => Ok(number),
            _ => plan_err!("{} takes {what}", self.name),
        }
    }

    /// A constant whole number from 1 to so many.
    fn whole(&self, at: usize, most: usize) -> Result<usize> {
        let what = format!("a constant number from 1 to {most}");
        let number = self.number(at, &what)?;
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "it is whole and within bounds"
        )]
        if number.fract() == 0.0 && (1.0..=most as f64).contains(&number) {
            Ok(number as usize)
        } else {
            plan_err!("{} takes {what}, not {number}", self.name)
        }
    }

    fn counted(&self) -> Result<Planned> {
        self.unordered()?;
        let (made, settings) = match self.name.as_str() {
            "top_k" | "approx_top_k" => {
                if self.call.args.len() != 2 {
                    return plan_err!("{} takes a value and how many: {0}(x, 10)", self.name);
                }
                let most = self.whole(1, LONGEST)?;
                (Of::Top(most), format!(" {most}"))
            }
            "mode" => (Of::Mode, String::new()),
            "avg" => (Of::Average, String::new()),
            _ => (Of::Sum, String::new()),
        };
        let (argument, kind, of) = match made {
            Of::Top(_) => self.value(2, "a value and how many")?,
            Of::Sum if self.of.first().is_some_and(DataType::is_integer) => {
                self.value(1, "one argument")?
            }
            Of::Sum | Of::Average => {
                let doubles = self.doubles(1, "one argument")?;
                let Ok([argument]) = <[Expr; 1]>::try_from(doubles) else {
                    return plan_err!("{} takes one argument", self.name);
                };
                (argument, KeyKind::Double, DataType::Float64)
            }
            Of::Mode => self.value(1, "one argument")?,
        };
        let function = Function::Counted(Counted { made, kind, of });
        Ok(self.planned(&settings, function, vec![argument]))
    }

    fn quantile(&self) -> Result<Planned> {
        let fixed = matches!(&*self.name, "median" | "approx_median");
        let (arguments, mut at) = match self.call.args.len() {
            1 if fixed => (1, 0.5),
            2 if !fixed => (2, self.number(1, "a constant number from 0 to 1")?),
            _ if fixed => return plan_err!("{} takes one argument", self.name),
            _ => {
                return plan_err!(
                    "{} takes a value and a constant from 0 to 1: {0}(x, 0.95), or {0}(0.95) WITHIN GROUP (ORDER BY x)",
                    self.name
                );
            }
        };
        if self.call.order_by.iter().any(|sort| !sort.asc) {
            at = 1.0 - at;
        }
        let Some(quantile) = Quantile::new(at) else {
            return plan_err!("{} takes a constant from 0 to 1, not {at}", self.name);
        };
        let mut doubles = self.doubles(arguments, "a value and a number")?;
        doubles.truncate(1);
        Ok(self.planned(&format!(" {at}"), Function::Quantile(quantile), doubles))
    }

    fn moment(&self) -> Result<Planned> {
        self.unordered()?;
        let moment = match self.name.as_str() {
            "var" | "var_samp" | "var_sample" | "variance" | "variance_samp" => {
                Moment::Variance { sample: true }
            }
            "var_pop" | "var_population" | "variance_pop" => Moment::Variance { sample: false },
            "stddev" | "stddev_samp" => Moment::Deviation { sample: true },
            "stddev_pop" => Moment::Deviation { sample: false },
            "covar" | "covar_samp" => Moment::Covariance { sample: true },
            "covar_pop" => Moment::Covariance { sample: false },
            "corr" => Moment::Correlation,
            "regr_slope" => Moment::Slope,
            "regr_intercept" => Moment::Intercept,
            "regr_r2" => Moment::R2,
            "regr_count" => Moment::Count,
            "regr_avgx" => Moment::AverageX,
            "regr_avgy" => Moment::AverageY,
            "regr_sxx" => Moment::SquaresX,
            "regr_syy" => Moment::SquaresY,
            "regr_sxy" => Moment::Products,
            other => return plan_err!("there is no function {other}"),
        };
        let one = matches!(moment, Moment::Variance { .. } | Moment::Deviation { .. });
        let arguments = if one {
            self.doubles(1, "one argument")?
        } else {
            self.doubles(2, "two arguments")?
        };
        Ok(self.planned("", Function::Moment(moment), arguments))
    }

    fn ordered(&self) -> Result<Planned> {
        let (pick, settings) = match self.name.as_str() {
            "first_value" | "any_value" => (Pick::First, String::new()),
            "last_value" => (Pick::Last, String::new()),
            "nth_value" => {
                let place = self.whole(1, LONGEST)?;
                (Pick::Nth(place), format!(" {place}"))
            }
            "array_agg" => (Pick::List, String::new()),
            _ => {
                let separator = self.separator()?;
                let settings = format!(" {separator:?}");
                (Pick::Text { separator }, settings)
            }
        };
        let arguments = self.call.args.len();
        let (argument, kind, of) = match &pick {
            Pick::Nth(_) => self.value(2, "a value and its place")?,
            Pick::Text { .. } => {
                let (argument, _, _) =
                    self.value(arguments.clamp(1, 2), "a text and a separator")?;
                (
                    cast(argument, DataType::Utf8),
                    KeyKind::Text,
                    DataType::Utf8,
                )
            }
            _ => self.value(1, "one argument")?,
        };
        let nulls = match self.call.null_treatment {
            Some(NullTreatment::IgnoreNulls) => false,
            Some(NullTreatment::RespectNulls) => true,
            None => !matches!(pick, Pick::Text { .. }) && self.name != "any_value",
        };
        let key = if self.call.distinct {
            self.own_order()?;
            place()
        } else {
            self.order()?
        };
        let function = Function::Ordered(Ordered {
            pick,
            kind,
            of,
            nulls,
            distinct: self.call.distinct,
        });
        let settings = format!("{settings}{}", if nulls { "" } else { " ignore nulls" });
        Ok(self.planned(&settings, function, vec![argument, key]))
    }

    /// What string_agg puts between texts; a comma where nothing is said.
    fn separator(&self) -> Result<String> {
        match self.call.args.get(1) {
            None => Ok(",".to_owned()),
            Some(Expr::Literal(value, _)) => match value.try_as_str() {
                Some(Some(text)) => Ok(text.to_owned()),
                _ => plan_err!("{} takes a constant text as separator", self.name),
            },
            Some(_) => plan_err!("{} takes a constant text as separator", self.name),
        }
    }

    /// Different values are in their own order: no other one makes sense of them.
    fn own_order(&self) -> Result<()> {
        match self.call.order_by.as_slice() {
            [] => Ok(()),
            [sort] if sort.asc && self.call.args.first() == Some(&sort.expr) => Ok(()),
            _ => plan_err!(
                "{} with DISTINCT can be ordered by its argument, ascending, only",
                self.name
            ),
        }
    }

    fn order(&self) -> Result<Expr> {
        if self.call.order_by.is_empty() {
            return Ok(place());
        }
        let sorts = self.call.order_by.iter();
        let options = sorts.clone().map(|sort| SortOptions {
            descending: !sort.asc,
            nulls_first: sort.nulls_first,
        });
        let mut keys: Vec<Expr> = sorts.map(|sort| sort.expr.clone()).collect();
        let options = options.collect();
        keys.push(place());
        Ok(order_key(options, keys))
    }
}

fn place() -> Expr {
    ident(PLACE)
}
