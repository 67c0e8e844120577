//! What in the job file of a forward does not fit together, with its place.

use std::collections::BTreeSet;

use ureq::http::Uri;

use super::{
    deliver::Key,
    intake::Framing,
    params::{Body, Deliver, Listen, Order, Params, SpoolFolder},
    spool::MAX_BODY,
};
use crate::job::Invalid;

/// Headers that a job file cannot set.
const OWN_HEADERS: [&str; 9] = [
    "connection",
    "content-encoding",
    "content-length",
    "spool-first",
    "spool-id",
    "spool-last",
    "spool-numbers",
    "spool-records",
    "transfer-encoding",
];

impl Params {
    /// What does not fit together.
    pub(super) fn check(&self) -> Result<(), Invalid> {
        self.listen.check()?;
        self.spool.check()?;
        if self.delivers.is_empty() {
            return Err(Invalid::new("", "forward needs at least one <deliver>"));
        }
        let mut names = BTreeSet::new();
        for (at, deliver) in self.delivers.iter().enumerate() {
            let at = format!("deliver[{}]", at + 1);
            deliver.check(&at)?;
            if !names.insert(&deliver.name) {
                return Err(Invalid::new(
                    format!("{at}.name"),
                    format!(
                        "there are two delivers called `{}`; give each a name",
                        deliver.name
                    ),
                ));
            }
        }
        Ok(())
    }
}

impl Listen {
    fn check(&self) -> Result<(), Invalid> {
        let parts = self.address.rsplit_once(':');
        let port = parts.and_then(|(_, port)| port.parse::<u16>().ok());
        let has_host = parts.is_some_and(|(host, _)| !host.is_empty());
        if !has_host || port.is_none_or(|port| port == 0) {
            let text = format!(
                "`{}` is no address and port, such as 0.0.0.0:7000",
                self.address
            );
            return Err(Invalid::new("listen.address", text));
        }
        let max = self.max_record.0;
        if max == 0 || max > MAX_BODY as u64 {
            return Err(Invalid::new(
                "listen.max-record",
                "must be from 1 byte to 64M",
            ));
        }
        if self.framing == Framing::Line && self.key.is_some() {
            return Err(Invalid::new(
                "listen.key",
                "only framing `frame` has a login",
            ));
        }
        if self.framing == Framing::Frame && self.ack {
            return Err(Invalid::new(
                "listen.ack",
                "framing `frame` always acknowledges",
            ));
        }
        if self.key.as_deref().is_some_and(str::is_empty) {
            return Err(Invalid::new("listen.key", "is empty"));
        }
        if self.connections == 0 {
            return Err(Invalid::new("listen.connections", "must be at least 1"));
        }
        if self.timeout.0.is_zero() {
            return Err(Invalid::new("listen.timeout", "must be more than nothing"));
        }
        Ok(())
    }
}

impl SpoolFolder {
    fn check(&self) -> Result<(), Invalid> {
        if self.dir.is_empty() {
            return Err(Invalid::new("spool.dir", "names no folder"));
        }
        if self.segment.0 == 0 || self.segment.0 > 1 << 30 {
            return Err(Invalid::new("spool.segment", "must be from 1 byte to 1G"));
        }
        if self.quota.0 < 64 << 10 {
            return Err(Invalid::new("spool.quota", "must be at least 64K"));
        }
        Ok(())
    }
}

impl Deliver {
    fn check(&self, at: &str) -> Result<(), Invalid> {
        let wrong = |what: &str, why: String| Err(Invalid::new(format!("{at}.{what}"), why));
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let fits = (1..64).contains(&self.name.len()) && self.name.chars().all(plain);
        if !fits || self.name.starts_with('.') {
            let text = "1 to 63 letters, digits, `.`, `_` and `-`, the first of them no `.`";
            return wrong("name", text.to_owned());
        }
        if !self.url.starts_with("http://") && !self.url.starts_with("https://") {
            return wrong("url", "must begin with http:// or https://".to_owned());
        }
        if self.ca.is_some() && !self.url.starts_with("https://") {
            return wrong("ca", "only https:// has certificates".to_owned());
        }
        let Ok(url) = self.url.parse::<Uri>() else {
            return wrong("url", "is no URL".to_owned());
        };
        let place = url.authority().map_or("", |all| all.as_str());
        let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
        let port = place.rsplit_once([':', ']']).map_or("", |(_, port)| port);
        if !port.is_empty() && url.port_u16().is_none() {
            return wrong("url", format!("`{port}` is no port"));
        }
        self.check_order(at)?;
        if self.batch() == 0 || self.batch() > 100_000 {
            return wrong("batch", "must be from 1 to 100000".to_owned());
        }
        if self.body == Body::Record && self.batch() > 1 {
            return wrong(
                "batch",
                "body `record` holds one record: batch must be 1".to_owned(),
            );
        }
        if self.bytes.0 == 0 {
            return wrong("bytes", "must be at least 1".to_owned());
        }
        if self.timeout.0.is_zero() {
            return wrong("timeout", "must be more than nothing".to_owned());
        }
        if self.give_up == Some(0) {
            return wrong("give-up", "must be at least 1".to_owned());
        }
        self.check_headers(at)
    }

    fn check_order(&self, at: &str) -> Result<(), Invalid> {
        let wrong = |what: &str, why: &str| Err(Invalid::new(format!("{at}.{what}"), why));
        let workers = self.workers();
        if workers == 0 || workers > 256 {
            return wrong("workers", "must be from 1 to 256");
        }
        if self.order == Order::Strict && workers > 1 {
            let text = "order `strict` has one request at a time: workers must be 1, or order `key` or `none`";
            return wrong("workers", text);
        }
        match (&self.key, self.order) {
            (None, Order::Key) => wrong("key", "order `key` needs it"),
            (Some(_), Order::Strict | Order::None) => wrong("key", "only order `key` has one"),
            (Some(key), Order::Key) => match key.parse::<Key>() {
                Ok(_) => Ok(()),
                Err(why) => wrong("key", &why),
            },
            (None, Order::Strict | Order::None) => Ok(()),
        }
    }

    fn check_headers(&self, at: &str) -> Result<(), Invalid> {
        for (n, header) in self.headers.iter().enumerate() {
            let wrong = |why: String| Err(Invalid::new(format!("{at}.header[{}]", n + 1), why));
            let name = header.name.parse::<ureq::http::HeaderName>().is_ok();
            let value = header.value.parse::<ureq::http::HeaderValue>().is_ok();
            if !name || !value {
                return wrong("is no header of HTTP".to_owned());
            }
            let ours = |known: &&&str| known.eq_ignore_ascii_case(&header.name);
            if let Some(known) = OWN_HEADERS.iter().find(ours) {
                return wrong(format!("`{known}` is written by the job itself"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use jobfile::JobFile;

    use super::*;

    fn read(listen: &str, spool: &str, deliver: &str) -> Result<Params, String> {
        let text = format!(
            r#"<forward><listen address="0.0.0.0:7000" {listen}/><spool dir="s" {spool}/>{deliver}</forward>"#
        );
        let file = JobFile::from_text(Path::new("a.xml"), text.as_bytes()).unwrap();
        let params: Params = file.params().map_err(|problems| problems.to_string())?;
        params
            .check()
            .map_err(|invalid| format!("{}: {}", invalid.at, invalid.message))?;
        Ok(params)
    }

    #[test]
    fn what_does_not_fit_is_told_with_its_place() {
        let one = r#"<deliver url="http://h/"/>"#;
        read("", "", one).unwrap();
        read("framing='frame' key='x'", "sync='200ms'", one).unwrap();
        for (listen, spool, deliver, place) in [
            ("key='x'", "", one, "listen.key"),
            ("max-record='65M'", "", one, "listen.max-record"),
            ("", "sync='never'", one, "never"),
            ("", "quota='1K'", one, "spool.quota"),
            ("", "", "", "deliver"),
            (
                "",
                "",
                "<deliver url='http://h/'/><deliver url='http://i/'/>",
                "deliver[2].name",
            ),
            ("", "", "<deliver url='ftp://h/'/>", "deliver[1].url"),
            (
                "",
                "",
                "<deliver url='http://u:p@h:99999/'/>",
                "deliver[1].url",
            ),
            ("", "", "<deliver url='http://h:x/'/>", "deliver[1].url"),
            (
                "",
                "",
                "<deliver url='http://h/' workers='2'/>",
                "deliver[1].workers",
            ),
            (
                "",
                "",
                "<deliver url='http://h/' order='key'/>",
                "deliver[1].key",
            ),
            (
                "",
                "",
                "<deliver url='http://h/' order='key' key='('/>",
                "deliver[1].key",
            ),
            (
                "",
                "",
                "<deliver url='http://h/' key='a'/>",
                "deliver[1].key",
            ),
            (
                "",
                "",
                "<deliver url='http://h/' body='record' batch='2'/>",
                "deliver[1].batch",
            ),
            (
                "",
                "",
                "<deliver url='http://h/'><header name='a b' value='c'/></deliver>",
                "header[1]",
            ),
            (
                "",
                "",
                "<deliver url='http://h/'><header name='Content-Length' value='5'/></deliver>",
                "header[1]",
            ),
            (
                "",
                "",
                "<deliver url='http://h/' ca='ca.pem'/>",
                "deliver[1].ca",
            ),
            (
                "",
                "",
                "<deliver name='..' url='http://h/'/>",
                "deliver[1].name",
            ),
        ] {
            let error = read(listen, spool, deliver).unwrap_err();
            assert!(error.contains(place), "{error}");
        }
    }

    #[test]
    fn segments_fit_into_the_quota() {
        let one = r#"<deliver url="http://h/"/>"#;
        assert_eq!(
            read("", "quota='1M'", one).unwrap().spool.segment_bytes(),
            128 << 10
        );
        assert_eq!(read("", "", one).unwrap().spool.segment_bytes(), 64 << 20);
    }
}
