//! haechi benches
