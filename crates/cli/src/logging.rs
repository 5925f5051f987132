//! What haechi says about itself: text on a terminal, one JSON object a line otherwise; always on stderr.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Installs the subscriber. `HAECHI_LOG` overrides `default` (e.g. `info`).
pub(crate) fn init(default: &str) {
    let filter = EnvFilter::try_from_env("HAECHI_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    // A second initialisation can only come from a test that runs two commands in one process: the first one stays.
    let _ = if std::io::stderr().is_terminal() {
        builder.with_target(false).compact().try_init()
    } else {
        builder.json().flatten_event(true).try_init()
    };
}
