//! A server that leads to another place: what is fetched from there, and what it is not told.

use std::fs;
use std::io::Write;

use super::{good, run, scripted};
use crate::lab::Lab;

/// Answers with the request itself.
fn echo(request: &str, out: &mut impl Write) -> std::io::Result<()> {
    write!(
        out,
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nETag: \"e\"\r\nConnection: close\r\n\r\n{request}",
        request.len()
    )
}

fn lead(location: &str, out: &mut impl Write) -> std::io::Result<()> {
    write!(
        out,
        "HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
}

/// The address of a server that leads `/here` to `/f.csv`, `/away` to another server, and others into the wild.
fn leading() -> String {
    let other = scripted(|_, request, out| echo(request, out)).replace("127.0.0.1", "localhost");
    scripted(move |_, request, out| {
        let path = request.split(' ').nth(1).unwrap_or_default();
        match path {
            "/here" => lead("/f.csv", out),
            "/away" => lead(&format!("{other}/f.csv"), out),
            "/round" => lead("/about", out),
            "/about" => lead("round", out),
            "/secret" => lead("ftp://u:hunter2@h/x", out),
            "/f.csv" => echo(request, out),
            longer => lead(&format!("{longer}x"), out),
        }
    })
}

#[test]
fn headers_and_credentials_stay_with_the_server_they_are_meant_for() {
    let (lab, url) = (Lab::new(), leading());
    let told = |path: &str, account: &str| {
        let header = "<header name=\"X-Api-Key\" value=\"hunter2\"/>";
        let file = format!("{}{}.txt", &path[1..], account.len());
        good(
            &lab,
            &format!("<get url=\"{url}{path}\" file=\"{file}\" to=\"in\" {account}>{header}</get>"),
        );
        fs::read_to_string(lab.path("in").join(file)).unwrap()
    };
    for account in ["bearer=\"hunter3\"", "user=\"me\" password=\"hunter3\""] {
        let here = told("/here", account);
        assert!(here.contains("x-api-key: hunter2"), "{here}");
        assert!(here.contains("authorization: b"), "{here}");
        let away = told("/away", account);
        assert!(away.starts_with("get /f.csv http/1.1"), "{away}");
        for secret in ["x-api-key", "hunter", "authorization", "cookie"] {
            assert!(!away.contains(secret), "{away}");
        }
    }
}

#[test]
fn conditions_come_along() {
    let (lab, url) = (Lab::new(), leading());
    let content = format!("<get url=\"{url}/away\" file=\"f.csv\" to=\"in\"/>");
    good(&lab, &content);
    good(&lab, &content);
    let again = fs::read_to_string(lab.path("in/f.csv")).unwrap();
    assert!(again.contains("if-none-match: \"e\""), "{again}");
}

#[test]
fn circles_and_endless_ways_are_told() {
    let (lab, url) = (Lab::new(), leading());
    for (path, words) in [
        ("round", "leads back to"),
        ("longer", "more than 10 times"),
        ("secret", "neither http: nor https:"),
    ] {
        let output = run(&lab, &format!("<get url=\"{url}/{path}\" to=\"in\"/>"));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(65), "{said}");
        assert!(said.contains(words) && !said.contains("hunter"), "{said}");
    }
}
