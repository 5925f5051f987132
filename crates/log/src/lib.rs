//! haechi-log
