//! Connections opened ahead of need: while a login waits for one host, name resolution, TCP and TLS to the next one are
//! done. A connection that is late delays nothing, because a request that finds none opens its own.

use std::time::Duration;

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::header::USER_AGENT;

/// What is not there by then is not needed any more.
const WITHIN: Duration = Duration::from_secs(10);
/// For those who find the request in the log of a service and wonder.
const AGENT: &str = concat!("envsync/", env!("CARGO_PKG_VERSION"), " (opens a connection ahead of need)");

/// Starts to open a connection for each URL in the pool of the client, by a `GET` without credentials whose answer is
/// thrown away; failures are for the request that needs the host. A host behind a proxy is left out. Must run inside a
/// tokio runtime; what is unfinished ends with it.
pub fn warm(client: &reqwest::Client, urls: Vec<String>) {
    let proxies = Matcher::from_env();
    for url in urls.into_iter().filter(|url| is_direct(&proxies, url)) {
        let request = client.get(url).header(USER_AGENT, AGENT).timeout(WITHIN);
        tokio::spawn(async move {
            if let Ok(answer) = request.send().await {
                // To its end, else the connection could not be used again.
                let _ = super::body(answer).await;
            }
        });
    }
}

fn is_direct(proxies: &Matcher, url: &str) -> bool {
    url.parse().is_ok_and(|url: http::Uri| proxies.intercept(&url).is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_behind_a_proxy_is_left_out() {
        let proxies = Matcher::builder().https("http://proxy:3128").no("internal.example.com,10.0.0.0/8").build();
        let rows = [
            ("https://sts.eu-central-1.amazonaws.com/", false),
            ("https://sts.internal.example.com/", true),
            ("https://10.1.2.3/", true),
            ("http://localhost:1/", true),
            ("no url", false),
        ];
        for (url, direct) in rows {
            assert_eq!(is_direct(&proxies, url), direct, "{url}");
        }
        assert!(is_direct(&Matcher::builder().build(), "https://login.microsoftonline.com/"));
    }
}
