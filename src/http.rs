//! The one HTTP client (and one for the machine's own services), and the adapters that let the SDKs of AWS and Azure use it.
//! TLS by rustls with ring; proxies by `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`; certificate authorities of the system (or
//! `SSL_CERT_FILE`), and those of `ca_file`.

pub mod aws;
pub mod azure;
pub mod retry;
pub mod send;
pub mod warm;

use std::error::Error;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use azure_core::Bytes;

use crate::error::{Failure, Kind};

/// A host that does not even answer the handshake is given up after this; the SDKs try again.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest answer that is read, in bytes: far above twenty values of 64 KiB with their escapes.
const MAX_ANSWER: usize = 8 * 1024 * 1024;
/// One attempt of one request, connection included.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(15);

/// Makes the client. `ca_pem` holds certificate authorities to add to the system's.
///
/// # Errors
/// [`Kind::Input`] for a CA file without a certificate, [`Kind::Unavailable`] where TLS cannot be set up.
pub fn client(ca_pem: Option<(&str, &[u8])>) -> Result<reqwest::Client, Failure> {
    // The first of several calls installs it; every later one finds it there, which is what is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
    #[allow(clippy::disallowed_methods, reason = "this is the one place that makes a client")]
    let mut builder = reqwest::Client::builder()
        .http1_only()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT);
    if let Some((path, pem)) = ca_pem {
        let wrong = || {
            Failure::new(Kind::Input, format!("the CA file `{path}` holds no certificate that can be read"))
                .help("give a PEM file with `-----BEGIN CERTIFICATE-----` blocks")
        };
        let certificates = reqwest::Certificate::from_pem_bundle(pem).map_err(|_| wrong())?;
        if certificates.is_empty() {
            return Err(wrong());
        }
        builder = builder.tls_certs_merge(certificates);
    }
    builder.build().map_err(|error| {
        if let Some((path, _)) = ca_pem {
            return Failure::new(Kind::Input, format!("the CA file `{path}` cannot be used: {}", causes(&error)))
                .help("check that every certificate in it is a whole one");
        }
        Failure::new(Kind::Unavailable, format!("couldn't set up TLS: {}", causes(&error)))
            .help("check that the system has a CA bundle, or name one in SSL_CERT_FILE")
    })
}

/// A client for what answers on the machine itself, such as its metadata service: no proxy could reach that.
///
/// # Errors
/// [`Kind::Unavailable`] where TLS cannot be set up.
pub fn direct() -> Result<reqwest::Client, Failure> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    #[allow(clippy::disallowed_methods, reason = "this room makes the clients")]
    let builder = reqwest::Client::builder().http1_only().redirect(reqwest::redirect::Policy::none()).no_proxy();
    builder.connect_timeout(CONNECT_TIMEOUT).build().map_err(|error| {
        Failure::new(Kind::Unavailable, format!("couldn't set up TLS: {}", causes(&error)))
            .help("check that the system has a CA bundle, or name one in SSL_CERT_FILE")
    })
}

/// The chain of causes on one line, without one that its wrapper already says. For transport errors only: what a server
/// answered is never part of them.
#[must_use]
pub fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let part = cause.to_string();
        if !text.contains(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        next = cause.source();
    }
    text
}

/// The body of an answer, cut off where it is longer than any that these services give, so that it cannot be read.
///
/// # Errors
/// What the transport says.
pub async fn body(mut answer: reqwest::Response) -> Result<Bytes, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_ANSWER {
            break;
        }
    }
    Ok(body.into())
}

/// The client as the AWS SDK wants it.
#[derive(Clone, Debug)]
pub struct AwsHttp(reqwest::Client);

impl AwsHttp {
    /// Shares the connections of the client.
    #[must_use]
    pub fn new(client: reqwest::Client) -> Self {
        Self(client)
    }
}

impl HttpClient for AwsHttp {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for AwsHttp {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = self.0.clone();
        HttpConnectorFuture::new(async move {
            let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
            let (parts, sent) = request.into_parts();
            let Some(bytes) = sent.bytes().map(<[u8]>::to_vec) else {
                return Err(ConnectorError::user("a streaming body cannot be sent".into()));
            };
            let sent = client.request(parts.method, parts.uri.to_string()).headers(parts.headers).body(bytes).send();
            let answer = sent.await.map_err(failed)?;
            let mut response = http::Response::builder().status(answer.status());
            if let Some(headers) = response.headers_mut() {
                headers.clone_from(answer.headers());
            }
            let body = body(answer).await.map_err(failed)?;
            let response = response.body(SdkBody::from(body)).map_err(|error| ConnectorError::user(error.into()))?;
            HttpResponse::try_from(response).map_err(|error| ConnectorError::user(error.into()))
        })
    }
}

/// Tells the SDK what it may try again: everything but a request that could not be built. The URL is left out, because
/// the caller names the object better.
fn failed(error: reqwest::Error) -> ConnectorError {
    let error = error.without_url();
    if error.is_builder() {
        ConnectorError::user(error.into())
    } else if error.is_timeout() {
        ConnectorError::timeout(error.into())
    } else {
        ConnectorError::io(error.into())
    }
}
