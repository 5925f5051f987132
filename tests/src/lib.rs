//! haechi tests
