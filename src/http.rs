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
    let mut builder = builder();
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
        no_tls(&error)
    })
}

/// A client for what answers on the machine itself, such as its metadata service: no proxy could reach that.
///
/// # Errors
/// [`Kind::Unavailable`] where TLS cannot be set up.
pub fn direct() -> Result<reqwest::Client, Failure> {
    builder().no_proxy().build().map_err(|error| no_tls(&error))
}

fn builder() -> reqwest::ClientBuilder {
    // The first of several calls installs it; every later one finds it there, which is what is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
    #[allow(clippy::disallowed_methods, reason = "this is the one place that makes a client")]
    let builder = reqwest::Client::builder();
    builder.http1_only().redirect(reqwest::redirect::Policy::none()).connect_timeout(CONNECT_TIMEOUT)
}

fn no_tls(error: &reqwest::Error) -> Failure {
    Failure::new(Kind::Unavailable, format!("couldn't set up TLS: {}", causes(error)))
        .help("check that the system has a CA bundle, or name one in SSL_CERT_FILE")
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
