//! What is known of the values in a window that moves over a group's events.

use hashbrown::HashMap;

use super::value::Value;
use crate::rollup::Expansion;

/// A value as stage 2 holds it beside an event: nothing where none is looked at.
pub(crate) trait Held: Clone + Send + 'static {
    /// Sums up the values of a window.
    type Tally<'a>: Default
    where
        Self: 'a;
    /// The value, when it is of this type.
    fn of(value: Value) -> Option<Self>;
    /// Bytes beside the value itself.
    fn bytes(&self) -> usize;
    /// Takes a value in.
    fn add<'a>(&'a self, tally: &mut Self::Tally<'a>);
    /// Takes a value out again.
    fn remove<'a>(&'a self, tally: &mut Self::Tally<'a>);
    /// How many distinct values there are.
    fn distinct(tally: &Self::Tally<'_>) -> usize;
    /// The sum of the values, rounded once.
    fn sum(tally: &Self::Tally<'_>) -> f64;
    /// The value as a number.
    fn number(&self) -> f64;
}

impl Held for () {
    type Tally<'a> = ();

    fn of(value: Value) -> Option<Self> {
        (value == Value::None).then_some(())
    }

    fn bytes(&self) -> usize {
        0
    }

    fn add(&self, (): &mut ()) {}

    fn remove(&self, (): &mut ()) {}

    fn distinct((): &()) -> usize {
        0
    }

    fn sum((): &()) -> f64 {
        0.0
    }

    fn number(&self) -> f64 {
        0.0
    }
}

impl Held for f64 {
    type Tally<'a> = Expansion;

    fn of(value: Value) -> Option<Self> {
        match value {
            Value::Number(number) => Some(number),
            Value::None | Value::Tuple(_) => None,
        }
    }

    fn bytes(&self) -> usize {
        0
    }

    fn add(&self, tally: &mut Expansion) {
        tally.add(*self);
    }

    fn remove(&self, tally: &mut Expansion) {
        // The sum is exact, so taking a number out leaves what it was without it.
        tally.add(-*self);
    }

    fn distinct(_: &Expansion) -> usize {
        0
    }

    fn sum(tally: &Expansion) -> f64 {
        // Adding zero turns −0 into 0.
        tally.round() + 0.0
    }

    fn number(&self) -> f64 {
        *self
    }
}

impl Held for Box<[u8]> {
    type Tally<'a> = HashMap<&'a [u8], usize>;

    fn of(value: Value) -> Option<Self> {
        match value {
            Value::Tuple(tuple) => Some(tuple),
            Value::None | Value::Number(_) => None,
        }
    }

    fn bytes(&self) -> usize {
        self.len()
    }

    fn add<'a>(&'a self, tally: &mut Self::Tally<'a>) {
        *tally.entry(self).or_default() += 1;
    }

    fn remove<'a>(&'a self, tally: &mut Self::Tally<'a>) {
        if let Some(count) = tally.get_mut(&**self) {
            *count -= 1;
            if *count == 0 {
                tally.remove(&**self);
            }
        }
    }

    fn distinct(tally: &Self::Tally<'_>) -> usize {
        tally.len()
    }

    fn sum(_: &Self::Tally<'_>) -> f64 {
        0.0
    }

    fn number(&self) -> f64 {
        0.0
    }
}
