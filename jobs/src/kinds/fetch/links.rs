//! Addresses, the names they give to files, and the links of an index page. Pure. The URLs are parsed by the `url` crate.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use percent_encoding::percent_decode_str;
use regex::Regex;
use url::Url;

/// The address of something on a server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Address(Url);

impl Address {
    /// Reads one.
    ///
    /// # Errors
    /// Why it is none that can be fetched.
    pub(super) fn parse(text: &str) -> Result<Address, String> {
        let url = Url::parse(text).map_err(|error| format!("not a URL: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("`{}:` is neither http: nor https:", url.scheme()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(
                "an account belongs into `user` and `password`, not into the URL".to_owned(),
            );
        }
        Ok(Address(url))
    }

    /// All of it, secrets and all.
    pub(super) fn text(&self) -> &str {
        self.0.as_str()
    }

    /// As it may be shown: what follows the path may be a secret.
    pub(super) fn shown(&self) -> String {
        format!("{}{}", self.0.origin().ascii_serialization(), self.0.path())
    }

    /// Where a server leads that was asked for this address.
    ///
    /// # Errors
    /// Why that is no place to fetch from, without what may be secret in it.
    pub(super) fn lead(&self, location: &str) -> Result<Address, String> {
        let mut url = self
            .0
            .join(location)
            .map_err(|error| format!("not a URL: {error}"))?;
        url.set_fragment(None);
        Address::parse(url.as_str())
    }

    /// Whether what goes there and back is encrypted.
    pub(super) fn is_encrypted(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// Whether both have the same scheme, host and port.
    pub(super) fn is_on_the_server_of(&self, other: &Address) -> bool {
        self.0.origin() == other.0.origin()
    }

    /// The name that its path ends in.
    ///
    /// # Errors
    /// Why it cannot be a file's.
    pub(super) fn name(&self) -> Result<String, &'static str> {
        let last = self
            .0
            .path_segments()
            .and_then(Iterator::last)
            .unwrap_or_default();
        let name = percent_decode_str(last)
            .decode_utf8()
            .map_err(|_| "it is not UTF-8")?;
        fault_of_name(&name).map_or(Ok(name.into_owned()), Err)
    }
}

/// Why a name may not be given to a file; `None` when it may.
pub(super) fn fault_of_name(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("it is empty")
    } else if name.contains(['/', '\r', '\n', '\0']) || name == "." || name == ".." {
        Some("it would leave its folder, or carries a line end or a zero byte")
    } else if name.starts_with('.') {
        Some("names with a leading dot are for files that are not complete")
    } else if name.len() > 255 {
        Some("it is longer than file systems take")
    } else {
        None
    }
}

/// Where the links of a page lead on the same server, without doubles.
pub(super) fn links(page: &Address, html: &str) -> BTreeSet<Address> {
    static HREF: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r#"(?i)\bhref\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))"#)
            .expect("the expression is fixed")
    });
    let targets = HREF.captures_iter(html).filter_map(|found| {
        let target = found.get(1).or(found.get(2)).or(found.get(3))?;
        let mut url = page
            .0
            .join(&target.as_str().trim().replace("&amp;", "&"))
            .ok()?;
        url.set_fragment(None);
        (url.origin() == page.0.origin()).then_some(Address(url))
    });
    targets.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::parse(text).unwrap()
    }

    #[test]
    fn names_come_from_the_path() {
        assert_eq!(
            address("https://h/a/b%20c.json?key=secret").name().unwrap(),
            "b c.json"
        );
        assert_eq!(address("https://h/%E7%AB%99.csv").name().unwrap(), "站.csv");
        assert_eq!(address("https://h/a?key=secret").shown(), "https://h/a");
        for bad in [
            "http://h/",
            "http://h/a/",
            "http://h/%2e%2e%2fx",
            "http://h/a%0ab",
            "http://h/.x",
            "http://h/%ff",
        ] {
            assert!(address(bad).name().is_err(), "{bad}");
        }
        for bad in [
            "",
            "x",
            "ftp://h/a",
            "file:///etc/passwd",
            "http://u:p@h/a",
            "http://",
        ] {
            assert!(Address::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn links_lead_nowhere_but_to_the_same_server() {
        let html = r#"<a href="a.csv">a</a> <A HREF='/x/b.csv?v=1&amp;w=2#top'>b</A> <a href=c.csv>c</a> <a href="a.csv">again</a>
            <a href="https://evil.example/d.csv">d</a> <a href="javascript:alert(1)">e</a> <a href="../../../etc/f.csv">f</a> <a href="//h:81/g">g</a>"#;
        let found: Vec<String> = links(&address("http://h/dir/"), html)
            .into_iter()
            .map(|link| link.text().to_owned())
            .collect();
        assert_eq!(
            found,
            [
                "http://h/dir/a.csv",
                "http://h/dir/c.csv",
                "http://h/etc/f.csv",
                "http://h/x/b.csv?v=1&w=2"
            ]
        );
    }
}
