//! haechi-decode
