//! Asking a provider for a document.

use std::time::Duration;

use async_trait::async_trait;
use http::HeaderMap;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, AGE, AUTHORIZATION, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE,
    HeaderValue, IF_NONE_MATCH,
};
use pipe_core::{Error, ErrorKind, Result, SecretReader, SecretSource};
use pipe_http::{HttpResponse, ServerAddress};
use zeroize::Zeroizing;

use super::endpoint::Endpoints;
use super::settings::{ProviderSettings, TTL_RANGE};

/// One request, answered or not.
#[async_trait]
pub(super) trait Fetch: Send + Sync + 'static {
    async fn get(&self, url: &str, etag: Option<&HeaderValue>) -> Result<HttpResponse>;
}

/// Fetches through HTTP.
pub(super) struct HttpFetch {
    endpoints: Endpoints,
    /// What to present, and to whom alone.
    bearer: Option<(SecretReader, Vec<ServerAddress>)>,
}

impl HttpFetch {
    pub(super) fn new(endpoints: &Endpoints, settings: &ProviderSettings) -> Self {
        let max_body = settings.max_document.min(settings.http.max_body);
        let http = settings.http.clone().with_max_body(max_body);
        let bearer = settings.bearer.as_ref().map(SecretSource::reader);
        let bearer = bearer.map(|bearer| (bearer, settings.named_servers()));
        Self { endpoints: endpoints.with_http(http), bearer }
    }

    async fn authorization(&self, server: &ServerAddress) -> Result<Option<HeaderValue>> {
        let Some((bearer, servers)) = &self.bearer else { return Ok(None) };
        if !servers.contains(server) {
            return Ok(None);
        }
        let token = bearer.read().await?;
        let text = Zeroizing::new([b"Bearer ", token.expose()].concat());
        let mut value = HeaderValue::from_bytes(&text).map_err(|_| {
            Error::new(ErrorKind::ConfigInvalid, "`bearer` cannot stand in a header")
        })?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    /// Makes the client of this URL, so that faults of the HTTP settings show early.
    pub(super) fn prepare(&self, url: &str) -> Result<()> {
        self.endpoints.endpoint(url).map(drop)
    }
}

#[async_trait]
impl Fetch for HttpFetch {
    async fn get(&self, url: &str, etag: Option<&HeaderValue>) -> Result<HttpResponse> {
        let endpoint = self.endpoints.endpoint(url)?;
        let authorization = self.authorization(endpoint.client.address()).await?;
        let mut request = endpoint.get();
        let headers = request.headers_mut();
        let json = "application/json, application/jwk-set+json";
        headers.insert(ACCEPT, HeaderValue::from_static(json));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if let Some(authorization) = authorization {
            headers.insert(AUTHORIZATION, authorization);
        }
        if let Some(etag) = etag {
            headers.insert(IF_NONE_MATCH, etag.clone());
        }
        endpoint.client.send(request).await
    }
}

/// The body, if it can be a JSON object. `what` is what was asked for.
pub(super) fn object(response: HttpResponse, what: &'static str) -> Result<Zeroizing<Vec<u8>>> {
    let refused = |why: &'static str| {
        Error::new(ErrorKind::Unexpected, format!("{what} {why}")).hint(
            "check `issuer`, `keys.discovery` and `keys.jwks_uri`, and what stands before the provider",
        )
    };
    if response.status != 200 {
        let error = response.error(format!("the provider did not answer with {what}"));
        // Whoever is at the right address fails with this as well.
        return Err(if response.status == 500 { failed(&error) } else { error });
    }
    if response.headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return Err(refused("is compressed, though that was not asked for"));
    }
    if !may_be_json(&response.headers) {
        return Err(refused("has a content type that is not JSON"));
    }
    if response.body.trim_ascii_start().first() != Some(&b'{') {
        return Err(refused("is not a JSON object"));
    }
    Ok(response.body)
}

fn failed(error: &Error) -> Error {
    let failed = Error::new(ErrorKind::Unavailable, error.message().to_owned())
        .with("status", 500)
        .hint("try again; if it lasts, read the provider's log");
    match error.retry_after() {
        Some(delay) => failed.retry_in(delay),
        None => failed,
    }
}

/// How long the answer may be used, as far as the server says (RFC 9111 5.2.2.1).
pub(super) fn lifetime(headers: &HeaderMap) -> Option<Duration> {
    let directives = headers.get_all(CACHE_CONTROL);
    let mut directives = directives
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim);
    let age = headers.get(AGE).and_then(|age| age.to_str().ok()?.trim().parse().ok()).unwrap_or(0);
    let seconds = directives.find_map(|directive| {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        match name.to_ascii_lowercase().as_str() {
            "no-cache" | "no-store" => Some(0),
            "max-age" => {
                let value = value.trim_matches('"');
                let is_number =
                    !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
                // All digits and yet no number: larger than any.
                is_number.then(|| value.parse().unwrap_or(u64::MAX))
            }
            _ => None,
        }
    })?;
    Some(Duration::from_secs(seconds.saturating_sub(age)).clamp(TTL_RANGE.0, TTL_RANGE.1))
}

/// Static hosting calls JSON text, or says nothing; a login page says that it is HTML.
fn may_be_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE) else { return true };
    let essence = value.to_str().unwrap_or("-").split(';').next().unwrap_or_default();
    let essence = essence.trim().to_ascii_lowercase();
    matches!(
        essence.as_str(),
        "application/json" | "text/json" | "text/plain" | "application/octet-stream"
    ) || (essence.starts_with("application/") && essence.ends_with("+json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    use http::header::HeaderName;

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn the_server_says_how_long_within_bounds() {
        for (value, seconds) in [
            ("max-age=300", Some(300)),
            ("public, max-age=300, must-revalidate", Some(300)),
            ("Max-Age=\"300\"", Some(300)),
            ("max-age=0", Some(60)),
            ("max-age=1", Some(60)),
            ("no-store", Some(60)),
            ("no-cache, max-age=300", Some(60)),
            ("max-age=99999999", Some(86_400)),
            ("max-age=99999999999999999999999", Some(86_400)),
            ("max-age=-1", None),
            ("max-age=x", None),
            ("max-age", None),
            ("s-maxage=300", None),
            ("", None),
        ] {
            let found = lifetime(&headers(&[(CACHE_CONTROL, value)]));
            assert_eq!(found.map(|found| found.as_secs()), seconds, "{value}");
        }
        let aged = headers(&[(CACHE_CONTROL, "max-age=300"), (AGE, "100")]);
        assert_eq!(lifetime(&aged), Some(Duration::from_secs(200)));
    }

    /// F3
    #[test]
    fn what_is_no_json_object_with_status_200_is_refused_without_its_words() {
        let html = headers(&[(CONTENT_TYPE, "text/html; charset=utf-8")]);
        let gzip = headers(&[(CONTENT_ENCODING, "gzip")]);
        let image = headers(&[(CONTENT_TYPE, "image/png")]);
        for (status, headers, body) in [
            (200, html, "{\"canary\":1}"),
            (200, image, "{\"canary\":1}"),
            (200, gzip, "{\"canary\":1}"),
            (200, HeaderMap::new(), "<html>canary"),
            (200, HeaderMap::new(), "[\"canary\"]"),
            (200, HeaderMap::new(), "\u{feff}{\"canary\":1}"),
            (200, HeaderMap::new(), ""),
            (201, HeaderMap::new(), "{\"canary\":1}"),
            (204, HeaderMap::new(), ""),
            (302, headers_of_a_redirect(), "{\"canary\":1}"),
            (304, HeaderMap::new(), ""),
            (500, HeaderMap::new(), "{\"canary\":1}"),
        ] {
            let response = HttpResponse::new(status, headers, body);
            let error = object(response, "the key set").unwrap_err();
            assert!(!format!("{error:?}").contains("canary"), "{error:?}");
        }
    }

    #[test]
    fn a_provider_that_fails_is_told_from_one_that_is_none() {
        for (status, kind) in [
            (204, ErrorKind::Unexpected),
            (500, ErrorKind::Unavailable),
            (503, ErrorKind::Unavailable),
            (429, ErrorKind::RateLimited),
        ] {
            let headers = headers(&[(http::header::RETRY_AFTER, "7")]);
            let response = HttpResponse::new(status, headers, "");
            let error = object(response, "the key set").unwrap_err();
            assert_eq!(error.kind(), kind, "{status}");
            assert_eq!(error.context("status"), Some(&*status.to_string()));
            assert_eq!(error.retry_after(), Some(Duration::from_secs(7)), "{status}");
        }
    }

    fn headers_of_a_redirect() -> HeaderMap {
        headers(&[(http::header::LOCATION, "http://169.254.169.254/canary")])
    }

    #[test]
    fn json_is_known_by_each_of_its_names() {
        for name in [
            "application/json",
            "application/json; charset=utf-8",
            "Application/JWK-Set+JSON",
            "text/plain",
            "application/octet-stream",
        ] {
            let response = HttpResponse::new(200, headers(&[(CONTENT_TYPE, name)]), " {}");
            assert!(object(response, "the key set").is_ok(), "{name}");
        }
    }
}
