//! `jobs post URL`: sends standard input to a URL; alarms by `<notify url="…">` go this way.
//! Kept here so that the supervisor stays free of HTTP and TLS.

use std::{
    io::{self, Read as _},
    time::Duration,
};

use ureq::tls::{RootCerts, TlsConfig};

use crate::error::Error;

/// Alarms are short; more than this is not one.
const LIMIT: u64 = 1 << 20;
/// How long all of it may take.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Posts standard input.
///
/// # Errors
/// [`Error::Unreachable`] when there is no answer, or one that is not a success.
pub(super) fn post(url: &str) -> Result<(), Error> {
    let given = match url {
        "-" => std::env::var("PROCCTL_POST_URL").map_err(|_| Error::Unreachable {
            what: "post to a URL: PROCCTL_POST_URL holds none".to_owned(),
            source: None,
        })?,
        url => url.to_owned(),
    };
    let url = given.as_str();
    let mut body = Vec::new();
    io::stdin()
        .lock()
        .take(LIMIT)
        .read_to_end(&mut body)
        .map_err(Error::io("read", "standard input"))?;
    let json = body.trim_ascii_start().first() == Some(&b'{');
    let kind = if json {
        "application/json"
    } else {
        "text/plain; charset=utf-8"
    };
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(TIMEOUT))
        .tls_config(
            TlsConfig::builder()
                .root_certs(RootCerts::PlatformVerifier)
                .build(),
        )
        .user_agent(concat!("procctl/", env!("CARGO_PKG_VERSION")))
        .build()
        .into();
    match agent.post(url).header("content-type", kind).send(&body[..]) {
        Ok(_) => Ok(()),
        Err(error) => Err(Error::Unreachable {
            what: format!("post to {}", host(url)),
            source: Some(Box::new(error)),
        }),
    }
}

/// The part of a URL that may be shown: tokens of webhooks stand in its path.
fn host(url: &str) -> &str {
    let start = url.find("://").map_or(0, |at| at + 3);
    let end = url[start..]
        .find(['/', '?', '#'])
        .map_or(url.len(), |at| start + at);
    let host = &url[start..end];
    host.rsplit_once('@').map_or(host, |(_, host)| host)
}

#[cfg(test)]
mod tests {
    use super::host;

    #[test]
    fn only_the_host_is_shown() {
        assert_eq!(
            host("https://u:p@h.example:8080/hook/TOKEN?x=1"),
            "h.example:8080"
        );
        assert_eq!(host("nonsense"), "nonsense");
    }
}
