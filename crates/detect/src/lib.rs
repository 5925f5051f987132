//! Sigma detections over Arrow batches, all rules at once.
//!
//! A [`Plan`] is compiled from all rules; a [`Detector`] runs it over the batches that the decoder makes and says which rule matched
//! which row. Nothing is decided twice that can be decided once: a question that many rules ask is one predicate, a value that many events
//! carry is matched once, and a rule is looked at only when something that it cannot do without has happened.
//!
//! ```text
//!            rules                                          batch: a column of texts per field
//!              │ lower                                                  │ field by field
//!              ▼                                                        ▼
//!  trees over numbered predicates                    cache: value ─▶ predicates that it satisfies
//!     │           │           │                                   hit │         │ miss
//!     │           │           └─▶ a matcher per field ────────────────┼─────────▼
//!     │           │                 whole value     hash map          │   fold, find literals,
//!     │           │                 starts, ends    sorted lists      │   then check what hangs on them:
//!     │           │                 contains        rare windows      │   pattern, case, regex
//!     │           │                 numbers         sorted            │         │
//!     │           │                 networks        by length         │         │
//!     │           │                                                   ▼         ▼
//!     │           │                                          sets of predicates, sorted by row
//!     │           │                                                        │ row by row
//!     │           │                                                        ▼
//!     │           └─▶ triggers: predicate ─▶ the rules ─────▶ mark what holds, gather the rules that wait for it
//!     │               whose rarest need it is                 and whose logsource covers the row's class
//!     │                                                                    │
//!     └─▶ programs: conditions, flat in memory ─────────────▶ decide these rules by the marks; tests of whole rows
//!                                                             and tests that were put off are made now
//!                                                                          ▼
//!                                                                  hits (row, rule)
//! ```
//!
//! A rule's *need* is a set of predicates of which one must hold for the rule to match; the rarest such set is where the rule
//! waits (`necessary`, `triggers`). A test is *put off* when it would be satisfied too often or cost too much to be made for every value,
//! such as a search for two letters, in a rule that has something rarer to wait for (`predicate`). Keywords have a matcher per set of
//! rules that look at an event, and no cache: all values of an event are many, and most never come again. Nearly all events hold no keyword at
//! all, and never get that far: a [`KeywordSieve`] looks through an event as a whole, before its values are made a column.
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
//! - **Dates.** A part of a date is that of UTC. What counts as a date says `moment`; anything else compares with nothing.
//! - **Keywords** are patterns over a whole value, any value of the event: one that is found anywhere in it begins and ends with `*`.
//! - **Logsource.** A rule looks at a row when it covers any of the logsources of the row's class.
//!
//! # What it costs
//! A value that the cache knows costs a hash and a comparison. A new one costs a walk over its windows, and checks where a
//! literal was found; all of it is linear in the value, regexes too. A row costs what its values satisfy, plus the rules that wait
//! for that, plus the few rules that only say what an event is not ([`Plan::ungated_rules`]). Nothing is allocated per event.
//! Memory is the plan (shared), and per detector the cache (bounded), scratch in proportion to the largest batch, and the regexes' own.
//!
//! Measured on one core of a busy machine with 103,541 Windows events (244 MB) and the 3,755 public rules that load: 0.4 s, about half
//! of what decoding them takes; 0.4 s with ten times the rules, their literals varied; 0.6 s without a cache. 20,000 events whose
//! long values are all distinct (54 MB): 0.45 s.

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
mod moment;
mod necessary;
mod needles;
mod networks;
mod numbers;
mod plan;
mod predicate;
mod profile;
mod program;
mod rarity;
mod regexes;
mod row_test;
mod sieve;
mod stamps;
mod times;
mod triggers;
mod window;

pub use detector::{Detector, Hit, Hits};
pub use error::{CompileError, CompileErrorReason, DetectError};
pub use plan::{Plan, PlanSize};
pub use profile::{FieldCost, Profile, RuleCost};
pub use sieve::{KeywordSieve, Passing};
