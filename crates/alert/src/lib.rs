//! haechi-alert
