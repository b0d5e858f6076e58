//! Traces for an OpenTelemetry collector: a span for each request, and within it a span for each append.
//!
//! A request's span ends with the head of its answer. The span of a stream would otherwise stay open for hours, and no
//! collector shows a span before it ends.

use std::str::FromStr;

use actix_web::{
    Error,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::{Version, header::HeaderMap},
    middleware::Next,
};
use opentelemetry::{
    propagation::{Extractor, TextMapPropagator as _},
    trace::TracerProvider as _,
};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::{Resource, propagation::TraceContextPropagator, trace::SdkTracerProvider};
use tracing::{Instrument as _, field::Empty};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::{Layer, filter::LevelFilter, filter::Targets, registry::LookupSpan};

/// The `tracing` target of all spans that are sent; nothing else is sent.
pub(crate) const TARGET: &str = "fourways::traces";

/// Address of a collector that accepts OTLP over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collector(String);

/// The error for a text that is not the address of a collector.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not the address of a collector; allowed are http addresses, as in http://127.0.0.1:4318")]
pub struct NoCollector(String);

impl FromStr for Collector {
    type Err = NoCollector;

    /// Parses an address; one without a path gets the path that OTLP defines (`/v1/traces`).
    fn from_str(text: &str) -> Result<Self, NoCollector> {
        let bad = || NoCollector(text.to_owned());
        let url = reqwest::Url::parse(text).map_err(|_| bad())?;
        // The HTTP client of the exporter has no TLS; a collector is usually a neighbour.
        if url.scheme() != "http" || url.host().is_none() {
            return Err(bad());
        }
        Ok(Self(match url.path() {
            "/" => format!("{}v1/traces", url.as_str()),
            _ => url.to_string(),
        }))
    }
}

/// The exporter of spans. Owned by `main`, which keeps it until the server has ended; dropping it waits until the
/// remaining spans are sent.
#[derive(Debug)]
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// Starts sending spans to a collector. Must be called outside of a runtime, because the exporter has a thread of
    /// its own. `OTEL_TRACES_SAMPLER` (OpenTelemetry environment variable specification) sets the share of traces that
    /// is sent; by default all are.
    ///
    /// # Errors
    /// If the exporter can't be built.
    pub fn to(collector: &Collector) -> anyhow::Result<Self> {
        fourways_client::tls::ready();
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpJson)
            .with_endpoint(&collector.0)
            .build()?;
        let resource = Resource::builder().with_service_name(env!("CARGO_PKG_NAME")).build();
        Ok(Self(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build()))
    }

    /// Returns the layer that takes spans from `tracing`.
    pub fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: tracing::Subscriber + for<'a> LookupSpan<'a>,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.0.tracer(env!("CARGO_PKG_NAME")))
            .with_location(false)
            .with_threads(false)
            .with_filter(Targets::new().with_target(TARGET, LevelFilter::DEBUG))
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        if let Err(error) = self.0.shutdown() {
            tracing::warn!(%error, "the last traces could not be sent");
        }
    }
}

/// Wraps a request in a span (OpenTelemetry semantic conventions for HTTP servers), a child of the span that its
/// `traceparent` names (W3C Trace Context). The span has no query, which may contain a ticket.
pub(crate) async fn request(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let route = request.match_pattern();
    let name = match &route {
        Some(route) => format!("{} {route}", request.method()),
        None => request.method().to_string(),
    };
    let span = tracing::debug_span!(
        target: TARGET,
        "request",
        otel.name = name,
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = request.method().as_str(),
        http.route = route.as_deref(),
        url.path = request.path(),
        network.protocol.version = version(request.version()),
        http.response.status_code = Empty,
    );
    let parent = TraceContextPropagator::new().extract(&Headers(request.headers()));
    // The span is disabled if no subscriber wants it; then it needs no parent.
    drop(span.set_parent(parent));
    let answered = next.call(request).instrument(span.clone()).await;
    let status = match &answered {
        Ok(response) => response.status(),
        Err(error) => error.as_response_error().status_code(),
    };
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
    answered
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "2",
        Version::HTTP_10 => "1.0",
        _ => "1.1",
    }
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(actix_http::header::HeaderName::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Collector;

    #[test]
    fn an_address_without_a_path_gets_the_usual_one() {
        let read = |text: &str| text.parse().map(|Collector(url)| url).ok();
        assert_eq!(read("http://127.0.0.1:4318").as_deref(), Some("http://127.0.0.1:4318/v1/traces"));
        assert_eq!(read("http://otel/own/path").as_deref(), Some("http://otel/own/path"));
        for bad in ["127.0.0.1:4318", "https://otel:4318", "file:///tmp", ""] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
