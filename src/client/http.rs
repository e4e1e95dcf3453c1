//! HTTP(S), with connections that are used again.
//!
//! Rules:
//! 1. Only what is asked for is sent: no cookies, no compression. A redirect is followed at most five times and never from
//!    https to http, and little is read of what comes with it.
//! 2. Nothing waits for ever: connecting, silence and the whole of a body each have their time.
//! 3. 404 and 403 mean that a file is not there: stores of objects answer 403 for what does not exist.

use std::sync::Arc;
use trustroot_core::text::escape;
use ureq::Agent;
use ureq::http::{Response, Uri};
use ureq::tls::{RootCerts, TlsConfig, TlsProvider};
use ureq::unversioned::transport::DefaultConnector;

use crate::limits::Limits;
use crate::redirects;
use crate::resolver::Remembering;
use crate::source::{Body, FetchError, Source, broken};

/// How much of an answer is held at once, in bytes: its whole head fits, or is refused, and a root mostly.
const BUFFER: usize = 16 << 10;

/// A server, and the folder on it.
#[derive(Debug)]
pub(crate) struct Http {
    base: String,
    agent: Agent,
    limits: Limits,
}

impl Http {
    pub(crate) fn new(base: &str, limits: &Limits) -> Result<Self, &'static str> {
        let uri: Uri = base.parse().map_err(|_| "it is no URL")?;
        let host = uri.authority().map(|authority| authority.as_str()).unwrap_or_default();
        if uri.host().is_none_or(str::is_empty) {
            return Err("it names no host");
        }
        if host.contains('@') {
            return Err("a name or password in a URL would be shown and logged");
        }
        if uri.query().is_some() || base.contains('#') {
            return Err("it has a query or a fragment");
        }
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .root_certs(RootCerts::PlatformVerifier)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .build();
        let config = Agent::config_builder()
            .https_only(base.starts_with("https://"))
            .http_status_as_error(false)
            // Followed here: what comes with a redirect would be read without an end.
            .max_redirects(0)
            // A head that fills the buffer is called too long, and not broken off.
            .max_response_header_size(BUFFER - 1)
            .user_agent(concat!("trustroot/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls)
            .timeout_resolve(Some(limits.connect))
            .timeout_connect(Some(limits.connect))
            .timeout_send_request(Some(limits.silence))
            .timeout_recv_response(Some(limits.silence))
            .timeout_per_read(Some(limits.silence))
            .input_buffer_size(BUFFER)
            .output_buffer_size(4 << 10)
            .max_idle_connections(16)
            .max_idle_connections_per_host(16)
            .build();
        let agent = Agent::with_parts(config, DefaultConnector::default(), Remembering::default());
        Ok(Self { base: base.trim_end_matches('/').to_owned(), agent, limits: limits.clone() })
    }
}

impl Http {
    /// One request and the head of its answer.
    fn asked(&self, url: &str, from: u64, most: u64) -> Result<Response<ureq::Body>, FetchError> {
        let mut request = self.agent.get(url).config().timeout_recv_body(Some(self.limits.body(most))).build();
        if from > 0 {
            request = request.header("Range", format!("bytes={from}-"));
        }
        request.call().map_err(|error| match error {
            ureq::Error::Io(error) => broken(&error),
            ureq::Error::Timeout(_) => FetchError::Slow,
            error => FetchError::Io(escape(&error.to_string())),
        })
    }

    /// The answer at the end of all redirects.
    fn followed(&self, mut url: String, from: u64, most: u64) -> Result<Response<ureq::Body>, FetchError> {
        for _ in 0..=redirects::MOST {
            let response = self.asked(&url, from, most)?;
            let location = response.headers().get("location");
            let Some(location) = location.filter(|_| matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308))
            else {
                return Ok(response);
            };
            let to = location.to_str().ok().and_then(|location| redirects::resolved(&url, location));
            let to = to.filter(|to| !authority(to).contains('@'));
            url = to.ok_or_else(|| {
                FetchError::Io("it leads to what is no server's address, or from https to http".to_owned())
            })?;
            spent(response);
        }
        Err(FetchError::Io("too many redirects".to_owned()))
    }
}

/// The part of a URL that names the server.
fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?']).next().unwrap_or_default()
}

/// Reads an answer to its end, within reason, so that the connection can be used again.
fn spent(response: Response<ureq::Body>) {
    let _ = response.into_body().into_with_config().limit(BUFFER as u64).read_to_vec();
}

/// A path as it stands in a URL: what may not stand there is percent-encoded, what is encoded already stays.
fn in_url(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let bytes = path.as_bytes();
    for (i, byte) in bytes.iter().enumerate() {
        let encoded = || bytes.get(i + 1..i + 3).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit));
        let stays =
            byte.is_ascii_alphanumeric() || b"-._~/!$&'()*+,;=:@".contains(byte) || (*byte == b'%' && encoded());
        if stays {
            out.push(char::from(*byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

impl Source for Http {
    fn name(&self) -> String {
        escape(&self.base)
    }

    fn open(&self, path: &str, from: u64, most: u64) -> Result<Body, FetchError> {
        let url = format!("{}/{}", self.base, in_url(path));
        let response = self.followed(url, from, most)?;
        let status = response.status().as_u16();
        let starts = |value: &str| value.strip_prefix("bytes ")?.split('-').next()?.parse::<u64>().ok();
        let from = match status {
            200 => 0,
            206 if from > 0 => {
                let range = response.headers().get("content-range").and_then(|value| value.to_str().ok());
                match range.and_then(starts) {
                    Some(start) if start == from => start,
                    _ => return Err(FetchError::Io("it sends another part than was asked for".to_owned())),
                }
            }
            403 | 404 => {
                spent(response);
                return Err(FetchError::Missing);
            }
            status => return Err(FetchError::Status(status)),
        };
        let body = response.into_body();
        if body.content_length().is_some_and(|length| length > most) {
            return Err(FetchError::TooLong(most));
        }
        // One byte more shows that there is more.
        let bytes = body.into_with_config().limit(most.saturating_add(1)).reader();
        Ok(Body { from, bytes: Box::new(bytes) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_in_urls() {
        assert_eq!(in_url("a b/c?d#e"), "a%20b/c%3Fd%23e");
        assert_eq!(in_url("1.%2Fx.json"), "1.%2Fx.json");
        assert_eq!(in_url("100%/ä"), "100%25/%C3%A4");
    }

    #[test]
    fn addresses_that_are_refused() {
        for bad in
            ["https://", "https://user:secret@example.org/", "https://example.org/?a=b", "https://example.org/#x"]
        {
            assert!(Http::new(bad, &Limits::default()).is_err(), "{bad}");
        }
    }
}
