//! The admin address: probes for everybody, metrics for those that may.

use super::Refusal;
use super::health::{Health, text};
use crate::metrics::Scrape;
use http::{Request, Response, StatusCode, header};
use s3s::Body;
use sixfold_proto::scrape::ScrapeAccess;

/// Answers at the admin address.
pub struct Admin {
    health: Health,
    scrape: Scrape,
    access: ScrapeAccess,
}

impl Admin {
    /// Probes tell reasons here.
    pub fn new(health: &Health, scrape: Scrape, access: ScrapeAccess) -> Self {
        if access.is_closed() {
            tracing::warn!(
                "others reach the admin address, and there is no http.admin_token: metrics are \
                 shown to nobody"
            );
        }
        Self { health: health.with_reasons(), scrape, access }
    }

    /// Answers one request. Whoever looks for S3 here is told so in S3's words: a bare 404 reads to
    /// clients as a bucket that does not exist.
    pub async fn answer<B>(&self, request: &Request<B>) -> Response<Body> {
        match request.uri().path() {
            "/metrics" => self.metrics(request, self.scrape.text()).await,
            "/minio/v2/metrics/cluster" => self.metrics(request, self.scrape.minio_text()).await,
            _ => self.health.answer(request).unwrap_or_else(no_s3),
        }
    }

    async fn metrics<B>(
        &self,
        request: &Request<B>,
        shown: impl Future<Output = String>,
    ) -> Response<Body> {
        let authorization = request.headers().get(header::AUTHORIZATION);
        if !self.access.admits(authorization.map(http::HeaderValue::as_bytes)) {
            let line = if self.access.is_closed() {
                "metrics are shown on loopback only, until http.admin_token is set\n"
            } else {
                "metrics need the header Authorization: Bearer TOKEN\n"
            };
            return text(StatusCode::UNAUTHORIZED, line);
        }
        text(StatusCode::OK, shown.await)
    }
}

fn no_s3() -> Response<Body> {
    let message = "This is the admin address; S3 is served at the other address.";
    Refusal::invalid_request(message).into_response()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_admin_address_says_that_it_is_not_s3() {
        let answer = super::no_s3();
        assert_eq!(answer.status(), 400);
        assert_eq!(answer.headers()["content-type"], "application/xml");
    }
}
