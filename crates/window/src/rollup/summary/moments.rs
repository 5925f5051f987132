//! Variance, deviation, covariance, correlation and regression.
//!
//! DataFusion's states hold running means, whose last digits depend on the order of events and of merging. Here a group holds the sums
//! of x, y, x², y² and xy exactly, so that only the end rounds.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, PrimitiveArray};
use arrow::datatypes::Float64Type;
use datafusion_common::Result;

use super::super::expansion::Expansion;
use super::{Summary, varint};

/// Beyond this, squares and their sums would overflow: such values are left out, as what is no number is.
const LARGEST: f64 = 1e140;

/// What is made of the sums. Of two arguments, `y` is the first one and `x` the second; of one, it is `x`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Moment {
    Variance { sample: bool },
    Deviation { sample: bool },
    Covariance { sample: bool },
    Correlation,
    Slope,
    Intercept,
    R2,
    Count,
    AverageX,
    AverageY,
    SquaresX,
    SquaresY,
    Products,
}

#[derive(Default)]
pub(super) struct Moments {
    count: u64,
    x: Expansion,
    xx: Expansion,
    y: Expansion,
    yy: Expansion,
    xy: Expansion,
}

impl Moments {
    fn sums(&self) -> [&Expansion; 5] {
        [&self.x, &self.xx, &self.y, &self.yy, &self.xy]
    }

    fn sums_mut(&mut self) -> [&mut Expansion; 5] {
        [
            &mut self.x,
            &mut self.xx,
            &mut self.y,
            &mut self.yy,
            &mut self.xy,
        ]
    }

    #[allow(clippy::cast_precision_loss, reason = "no window has 2^53 rows")]
    fn rows(&self) -> f64 {
        self.count as f64
    }

    /// `n · Σab − Σa · Σb`: n times the sum of the products of what a and b differ from their means by.
    fn spread(&self, products: &Expansion, left: &Expansion, right: &Expansion) -> f64 {
        let mut rows = Expansion::default();
        rows.add(self.rows());
        products.times(&rows).minus(&left.times(right)).round()
    }

    fn moment(&self, moment: Moment) -> Option<f64> {
        let rows = self.rows();
        let xx = || self.spread(&self.xx, &self.x, &self.x);
        let yy = || self.spread(&self.yy, &self.y, &self.y);
        let xy = || self.spread(&self.xy, &self.x, &self.y);
        let divisor = |sample: bool| rows * if sample { rows - 1.0 } else { rows };
        let slope = || Some(xy() / xx()).filter(|slope| slope.is_finite());
        if moment == Moment::Count {
            return Some(rows);
        }
        if self.count == 0 {
            return None;
        }
        let value = match moment {
            Moment::Variance { sample } => xx() / divisor(sample),
            Moment::Deviation { sample } => (xx() / divisor(sample)).sqrt(),
            Moment::Covariance { sample } => xy() / divisor(sample),
            Moment::Correlation => {
                let product = xx() * yy();
                // Where the product of both would overflow, that of the roots does not.
                let scale = if product.is_finite() {
                    product.sqrt()
                } else {
                    xx().sqrt() * yy().sqrt()
                };
                (xy() / scale).clamp(-1.0, 1.0)
            }
            Moment::Slope => slope()?,
            Moment::Intercept => (self.y.round() - slope()? * self.x.round()) / rows,
            Moment::R2 => {
                let r2 = (xy() / xx()) * (xy() / yy());
                if r2 > 1.0 { 1.0 } else { r2 }
            }
            Moment::Count => rows,
            Moment::AverageX => self.x.round() / rows,
            Moment::AverageY => self.y.round() / rows,
            Moment::SquaresX => xx() / rows,
            Moment::SquaresY => yy() / rows,
            Moment::Products => xy() / rows,
        };
        // Of one row there is no sample variance, and without any variance no correlation.
        value.is_finite().then_some(value)
    }
}

fn usable(argument: &PrimitiveArray<Float64Type>, row: usize) -> Option<f64> {
    let value = argument.is_valid(row).then(|| argument.value(row))?;
    (value.abs() <= LARGEST).then_some(value)
}

impl Summary for Moments {
    type Settings = Moment;

    fn add(&mut self, _: &Moment, arguments: &[ArrayRef], row: usize) {
        let argument = |at: usize| {
            let argument = arguments.get(at)?.as_primitive::<Float64Type>();
            Some(usable(argument, row))
        };
        let (x, y) = match (argument(0), argument(1)) {
            (Some(Some(x)), None) => (x, None),
            (Some(Some(y)), Some(Some(x))) => (x, Some(y)),
            _ => return,
        };
        self.count += 1;
        self.x.add(x);
        self.xx.add_product(x, x);
        if let Some(y) = y {
            self.y.add(y);
            self.yy.add_product(y, y);
            self.xy.add_product(x, y);
        }
    }

    fn absorb(&mut self, _: &Moment, mut entry: &[u8]) -> Option<()> {
        self.count = self.count.checked_add(varint::take(&mut entry)?)?;
        for sum in self.sums_mut() {
            for _ in 0..varint::take(&mut entry)? {
                let (part, rest) = entry.split_first_chunk()?;
                entry = rest;
                let part = f64::from_le_bytes(*part);
                part.is_finite().then(|| sum.add(part))?;
            }
        }
        entry.is_empty().then_some(())
    }

    fn entries(&self, put: &mut dyn FnMut(&[u8])) {
        if self.count == 0 {
            return;
        }
        let mut entry = Vec::new();
        varint::put(&mut entry, self.count);
        for sum in self.sums() {
            varint::put(&mut entry, sum.parts().len() as u64);
            for part in sum.parts() {
                entry.extend(part.to_le_bytes());
            }
        }
        put(&entry);
    }

    fn results(moment: &Moment, groups: &[Self]) -> Result<ArrayRef> {
        let values = groups.iter().map(|group| group.moment(*moment));
        Ok(Arc::new(values.collect::<Float64Array>()))
    }

    fn size(&self) -> usize {
        let parts: usize = self.sums().iter().map(|sum| sum.parts().len()).sum();
        parts * size_of::<f64>()
    }
}
