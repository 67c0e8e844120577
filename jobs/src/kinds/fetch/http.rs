//! Requests, by `ureq`. Each is made in a thread of its own, which hands the answer on piece by piece, so that the job beats while
//! it waits, and hears of a stop at once.

use std::io::Read as _;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use ureq::Body;
use ureq::http::{HeaderMap, Response, header};
use ureq::tls::TlsConfig;

use super::links::Address;
use super::memory::Validators;
use super::params::Get;
use super::redirects::{Way, leads_on};
use crate::context::Context;
use crate::error::Error;
use crate::roots;

/// Bytes of a piece.
const PIECE: usize = 128 << 10;
/// Pieces that may wait to be written.
const AHEAD: usize = 8;
/// How long a wait lasts at most before the job beats.
const TICK: Duration = Duration::from_millis(200);
/// The most bytes that an index page may have.
const LONGEST_PAGE: usize = 64 << 20;

/// What requests of one `<get>` are made with.
pub(super) struct Client {
    agent: ureq::Agent,
    /// Of the job file, credentials among them: for the server that it names alone.
    headers: Vec<(String, String)>,
}

/// A request, wherever it is led.
struct Question {
    agent: ureq::Agent,
    way: Way,
    /// For the server where it begins alone.
    headers: Vec<(String, String)>,
    /// For every server: conditions and ranges.
    further: Vec<(&'static str, String)>,
}

/// The beginning of an answer.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) validators: Validators,
    /// Bytes that follow; unknown when they come packed.
    pub(super) length: Option<u64>,
    /// Of a part: where it begins, and how long the whole is.
    pub(super) range: Option<(u64, Option<u64>)>,
}

/// An answer on its way.
enum News {
    Head(Head),
    Bytes(Vec<u8>),
    Failed(Error),
    End,
}

/// The bytes of an answer.
pub(super) struct Flow {
    news: Receiver<News>,
    what: String,
}

impl Client {
    /// As the parameters say.
    ///
    /// # Errors
    /// When certificates cannot be read.
    pub(super) fn new(cx: &Context, get: &Get) -> Result<Client, Error> {
        let roots = roots::trusted(get.ca.as_ref().map(|ca| cx.path(ca)).as_deref())?;
        let silence = Some(get.timeout.0);
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .timeout_resolve(silence)
            .timeout_connect(silence)
            .timeout_send_request(silence)
            .timeout_recv_response(silence)
            .timeout_per_read(silence)
            .http_status_as_error(false)
            // [`Question::answer`] does it: what goes to whom is decided here
            .max_redirects(0)
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .user_agent(concat!("procctl/", env!("CARGO_PKG_VERSION")))
            .build()
            .into();
        let mut headers: Vec<(String, String)> = get
            .headers
            .iter()
            .map(|header| (header.name.clone(), header.value.clone()))
            .collect();
        if let Some(token) = &get.bearer {
            headers.push(("authorization".to_owned(), format!("Bearer {token}")));
        }
        if let Some(user) = &get.user {
            let account = format!("{user}:{}", get.password.as_deref().unwrap_or_default());
            let account = base64::engine::general_purpose::STANDARD.encode(account);
            headers.push(("authorization".to_owned(), format!("Basic {account}")));
        }
        Ok(Client { agent, headers })
    }

    /// Asks for something; the answer's beginning, and the rest on its way.
    ///
    /// # Errors
    /// [`Error::Unreachable`] when there is no answer, [`Error::Stopped`].
    pub(super) fn ask(
        &self,
        cx: &Context,
        address: &Address,
        further: &[(&'static str, String)],
    ) -> Result<(Head, Flow), Error> {
        let question = Question {
            agent: self.agent.clone(),
            way: Way::new(address.clone()),
            headers: self.headers.clone(),
            further: further.to_vec(),
        };
        let (tell, news) = sync_channel(AHEAD);
        let what = format!("fetch {}", address.shown());
        let body = move || {
            let told = pass_on(question, &tell);
            // whoever does not listen any more has what he wanted, or has stopped
            let _heard = tell.send(told.map_or_else(News::Failed, |()| News::End));
        };
        thread::Builder::new()
            .name("fetch".to_owned())
            .spawn(body)
            .map_err(|error| Error::Internal(format!("start a thread: {error}")))?;
        let flow = Flow { news, what };
        match flow.hear(cx)? {
            News::Head(head) => Ok((head, flow)),
            News::Failed(error) => Err(error),
            News::Bytes(_) | News::End => {
                Err(Error::Internal("an answer without a beginning".to_owned()))
            }
        }
    }

    /// A whole page of text.
    ///
    /// # Errors
    /// As [`Client::ask`], and for what is no success or too long.
    pub(super) fn page(&self, cx: &Context, address: &Address) -> Result<String, Error> {
        let (head, flow) = self.ask(cx, address, &[])?;
        if head.status != 200 {
            return Err(refusal(address, head.status));
        }
        let mut page = Vec::new();
        while let Some(bytes) = flow.next(cx)? {
            page.extend_from_slice(&bytes);
            if page.len() > LONGEST_PAGE {
                return Err(Error::Data(format!(
                    "{}: the index page is too long to be one",
                    address.shown()
                )));
            }
        }
        Ok(String::from_utf8_lossy(&page).into_owned())
    }
}

impl Flow {
    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub(super) fn next(&self, cx: &Context) -> Result<Option<Vec<u8>>, Error> {
        match self.hear(cx)? {
            News::Bytes(bytes) => Ok(Some(bytes)),
            News::End => Ok(None),
            News::Failed(error) => Err(error),
            News::Head(_) => Err(Error::Internal("an answer that begins twice".to_owned())),
        }
    }

    fn hear(&self, cx: &Context) -> Result<News, Error> {
        loop {
            match self.news.recv_timeout(TICK) {
                Ok(news) => {
                    cx.checkpoint()?;
                    return Ok(news);
                }
                Err(RecvTimeoutError::Timeout) => cx.checkpoint()?,
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Error::Internal(format!(
                        "{}: its thread is gone",
                        self.what
                    )));
                }
            }
        }
    }
}

impl Question {
    /// The answer of the server that it is led to in the end.
    fn answer(&mut self) -> Result<Response<Body>, Error> {
        loop {
            let mut request = self.agent.get(self.way.place().text());
            let own = self.headers.iter().filter(|_| self.way.is_at_home());
            for (name, value) in own {
                request = request.header(name, value);
            }
            for (name, value) in &self.further {
                request = request.header(*name, value);
            }
            let response = request.call().map_err(|error| self.failed(error))?;
            let location = response.headers().get(header::LOCATION);
            let Some(location) = location.filter(|_| leads_on(response.status().as_u16())) else {
                return Ok(response);
            };
            let location = String::from_utf8_lossy(location.as_bytes()).into_owned();
            self.way.go_on(&location, !self.headers.is_empty())?;
            log::debug!("asks for {}", self.way.shown());
        }
    }

    fn failed(&self, error: impl std::error::Error + Send + Sync + 'static) -> Error {
        Error::Unreachable {
            what: format!("fetch {}", self.way.shown()),
            source: Some(Box::new(error)),
        }
    }
}

/// Makes the request and hands on what comes.
fn pass_on(mut question: Question, tell: &SyncSender<News>) -> Result<(), Error> {
    let response = question.answer()?;
    let head = Head {
        status: response.status().as_u16(),
        validators: Validators {
            etag: text(response.headers(), &header::ETAG),
            last_modified: text(response.headers(), &header::LAST_MODIFIED),
        },
        length: text(response.headers(), &header::CONTENT_LENGTH)
            .and_then(|length| length.parse().ok()),
        range: text(response.headers(), &header::CONTENT_RANGE)
            .as_deref()
            .and_then(content_range),
    };
    if tell.send(News::Head(head)).is_err() {
        return Ok(());
    }
    let mut body = response.into_body().into_reader();
    loop {
        let mut piece = vec![0; PIECE];
        let length = body
            .read(&mut piece)
            .map_err(|error| question.failed(error))?;
        piece.truncate(length);
        if length == 0 || tell.send(News::Bytes(piece)).is_err() {
            return Ok(());
        }
    }
}

fn text(headers: &HeaderMap, name: &header::HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// `bytes 100-199/200`, `bytes 100-199/*`
fn content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, whole) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (start, _) = range.split_once('-')?;
    Some((start.trim().parse().ok()?, whole.trim().parse().ok()))
}

/// What an answer means that is no success.
pub(super) fn refusal(address: &Address, status: u16) -> Error {
    let what = format!("{}: the server answers {status}", address.shown());
    match status {
        304 => Error::Data(format!(
            "{what}, not modified, though it was not asked whether there is another version"
        )),
        401 | 403 | 407 => Error::Permission(what),
        408 | 425 | 429 | 500..=599 => Error::TryAgain(what),
        _ => Error::Data(what),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read() {
        assert_eq!(content_range("bytes 100-199/200"), Some((100, Some(200))));
        assert_eq!(content_range("bytes 0-1/*"), Some((0, None)));
        for bad in ["", "bytes", "bytes x-1/2", "bytes */200", "100-199/200"] {
            assert_eq!(content_range(bad), None, "{bad}");
        }
    }
}
