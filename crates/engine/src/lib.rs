//! haechi-engine
