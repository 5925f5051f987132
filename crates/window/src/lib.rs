//! haechi-window
