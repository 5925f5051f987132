//! haechi-rules
