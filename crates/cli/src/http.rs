//! The port that ops look at: `/metrics`, `/healthz`, `/readyz`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;

use haechi_engine::{Health, Metrics};
use tiny_http::{Header, Request, Response, Server};

/// Serves until the process ends.
///
/// # Errors
/// When the address cannot be bound.
pub(crate) fn serve(
    address: SocketAddr,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
) -> anyhow::Result<SocketAddr> {
    let server = Server::http(address).map_err(|error| {
        anyhow::anyhow!(
            "cannot listen on {address}: {error}; change `http.listen` or free the port"
        )
    })?;
    let bound = server.server_addr().to_ip().unwrap_or(address);
    thread::Builder::new()
        .name("http".to_owned())
        .spawn(move || {
            for request in server.incoming_requests() {
                answer(request, &metrics, &health);
            }
        })?;
    Ok(bound)
}

fn answer(request: Request, metrics: &Metrics, health: &Health) {
    let path = request.url().split('?').next().unwrap_or_default();
    let (status, body) = match path {
        "/metrics" => (200, metrics.render()),
        "/healthz" => match health.stuck().as_slice() {
            [] => (200, "ok\n".to_owned()),
            stuck => (
                503,
                format!("the loop of worker(s) {stuck:?} does not turn\n"),
            ),
        },
        "/readyz" if health.ready() => (200, "ready\n".to_owned()),
        "/readyz" => (
            503,
            "not yet assigned, or still restoring from the exchange\n".to_owned(),
        ),
        _ => (404, "try /metrics, /healthz or /readyz\n".to_owned()),
    };
    let mut response = Response::from_string(body).with_status_code(status);
    if let Ok(header) =
        Header::from_bytes("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
    {
        response = response.with_header(header);
    }
    if let Err(error) = request.respond(response) {
        tracing::debug!(%error, "an http client went away");
    }
}
