//! What is known of the values in a window that moves over a group's events.

use hashbrown::HashMap;

use super::value::Value;
use crate::frame::{Bytes, FrameError, corrupt};
use crate::rollup::{Expansion, usable_number};
use crate::snapshot::{Kind, put_bytes};

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
    /// Chunks of a snapshot that hold groups of events with such values.
    const KIND: Kind;
    /// Appends the value, for a snapshot.
    fn save(&self, bytes: &mut Vec<u8>);
    /// Reads what [`Held::save`] wrote.
    fn load(bytes: &mut Bytes<'_>) -> Result<Self, FrameError>;
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

    const KIND: Kind = Kind::Groups;

    fn save(&self, _: &mut Vec<u8>) {}

    fn load(_: &mut Bytes<'_>) -> Result<Self, FrameError> {
        Ok(())
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

    const KIND: Kind = Kind::GroupsOfNumbers;

    fn save(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.to_le_bytes());
    }

    fn load(bytes: &mut Bytes<'_>) -> Result<Self, FrameError> {
        let number = f64::from_le_bytes(bytes.array("number")?);
        usable_number(number).ok_or_else(|| corrupt("a value that is no usable number"))
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

    const KIND: Kind = Kind::GroupsOfTuples;

    fn save(&self, bytes: &mut Vec<u8>) {
        put_bytes(bytes, self);
    }

    fn load(bytes: &mut Bytes<'_>) -> Result<Self, FrameError> {
        let len = bytes.count("tuple")?;
        Ok(bytes.take(len, "tuple")?.into())
    }
}
