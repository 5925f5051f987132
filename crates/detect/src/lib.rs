//! Sigma detections over Arrow batches, all rules at once.
//!
//! A [`Plan`] is compiled from all rules; a [`Detector`] runs it over the batches that the decoder makes and says which rule matched
//! which row. Nothing is decided twice that can be decided once: a question that many rules ask is one predicate, a value that many events
//! carry is matched once, and a rule is looked at only when something that it cannot do without has happened.
//!
//! ```text
//!            rules                                                  batch: a column of texts per field
//!              │  lower                                                │  field by field
//!              ▼                                                      ▼
//!  trees over numbered predicates                      ┌── cache: value → predicates it satisfies ──┐
//!     │           │           │                        │        hit │                  │ miss       │
//!     │           │           └─▶ per field one ───────┼────────────┼──▶ matcher ◀─────┘            │
//!     │           │               matcher              │            │    ├ whole value   hash map    │
//!     │           │                                    │            │    ├ starts, ends  sorted list │
//!     │           │                                    │            │    ├ contains      automaton   │
//!     │           │                                    │            │    │   └ then: pattern, regex, case
//!     │           │                                    │            │    ├ numbers       sorted      │
//!     │           │                                    │            │    └ networks      by length   │
//!     │           │                                    └────────────┼───────────────────────────────┘
//!     │           │                                                 ▼  row by row
//!     │           └─▶ triggers: predicate → rules ──────▶ mark what holds; gather the rules that wait for it,
//!     │               whose rarest need it is             if their logsource covers the row's class
//!     │                                                             │
//!     └─▶ programs: conditions, flat ───────────────────▶ decide those rules by the marks
//!                                                                   ▼
//!                                                         hits (row, rule)
//! ```
//!
//! # What a rule means here
//! - **Case.** Text is compared without case by Unicode simple case folding, one character to one character, rule and value alike
//!   (`ß` = `ẞ`, `ς` = `Σ`, but `ß` ≠ `ss`). `cased` compares as it stands. A regex says itself what it wants.
//! - **Several values.** A field with several values passes a test when any of them does. Two tests of the same field may be passed by
//!   two different values.
//! - **Absent, null, empty.** A text, regex, number, network or field-reference test passes on a value only, never on a null or an
//!   absent field. The empty text is a value; `''` and `*` match it. `null` holds when the field is absent or has a null among its values;
//!   `exists` holds when the field is there, null or not, an empty array too. A negation (`neq`, `not`) is the plain opposite, so
//!   it holds when the field is absent.
//! - **Numbers.** A value is a number when it is spelled as a decimal one, whole; anything else compares with nothing. **Networks.**
//!   An IPv4-mapped IPv6 address is the IPv4 address; a zone is ignored; an address with a port is no address.
//! - **Keywords** are found anywhere in any value of the event.
//! - **Logsource.** A rule looks at a row when it covers any of the logsources of the row's class.
//!
//! # What it costs
//! A value that the cache knows costs a hash and a comparison. A new one costs one pass of its field's automaton, and checks where a
//! literal was found; every part is linear in the value, regexes too. A row costs what its values satisfy, plus the rules that wait
//! for that, plus the few rules that only say what an event is not ([`Plan::ungated_rules`]). Nothing is allocated per event.
//! Memory is the plan (shared), and per detector the cache (bounded), scratch in proportion to the largest batch, and the regexes' own.

mod affix;
mod cache;
mod columns;
mod detector;
mod error;
mod fold;
mod glob;
mod lower;
mod mandatory;
mod matcher;
mod necessary;
mod needles;
mod networks;
mod numbers;
mod plan;
mod predicate;
mod program;
mod rarity;
mod row_test;
mod stamps;
mod triggers;
mod window;

pub use detector::{Detector, Hit, Hits};
pub use error::{CompileError, CompileErrorReason, DetectError};
pub use plan::{Plan, PlanSize};
