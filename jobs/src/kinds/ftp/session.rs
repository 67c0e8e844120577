//! One logged-in connection to the server, and what can be asked of it. Every wait has a limit: answers within the link's
//! `timeout`, data by ticks of which a job's beats and its wish to stop are heard in between.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::NaiveDateTime;
use suppaftp::{FtpResult, RustlsFtpStream, Status};

use super::fault::{Fault, Result};
use super::link::Cuts;
use super::swift::Ahead;
use crate::context::Context;

/// How long a wait for data lasts at most before the job beats and hears of a stop.
pub(super) const TICK: Duration = Duration::from_millis(250);

/// A connection that is quiet for longer may be gone without a fault of anybody.
const IDLE: Duration = Duration::from_secs(10);

/// A logged-in connection.
pub(super) struct Session {
    pub(super) ftp: RustlsFtpStream,
    pub(super) features: HashSet<String>,
    /// The folder that the login led to.
    pub(super) base: String,
    /// The folder that it is in.
    pub(super) at: Option<String>,
    /// The command that opens data connections; none where the server opens them.
    pub(super) opener: Option<&'static str>,
    /// A data connection was opened by it.
    pub(super) opened: bool,
    /// What was asked for before its turn.
    pub(super) ahead: Ahead,
    /// PASV may take the place of EPSV.
    pub(super) flexible: bool,
    pub(super) timeout: Duration,
    pub(super) number: u64,
    pub(super) cuts: Arc<Cuts>,
    /// Nothing more can be asked.
    pub(super) broken: bool,
    /// MLSD was refused although it was offered, or is not wanted.
    pub(super) plain_lists: bool,
    /// The server was told which facts of files MLSD should list.
    pub(super) facts_chosen: bool,
    /// When the server answered last.
    pub(super) heard: Instant,
    /// Room for bytes on their way.
    pub(super) piece: Vec<u8>,
    /// How far LIST's times lie ahead of UTC, once known.
    pub(super) offset: Option<chrono::TimeDelta>,
}

impl Session {
    /// Whether the server offers something.
    pub(super) fn can(&self, feature: &str) -> bool {
        self.features.contains(feature)
    }

    /// A path of the job file, from the root: relative ones begin where the login led to.
    pub(super) fn whole(&self, path: &str) -> String {
        let path = path.trim_end_matches('/');
        match path.strip_prefix('/') {
            Some(rest) => format!("/{rest}"),
            None if path.is_empty() => "/".to_owned(),
            None => format!("{}/{path}", self.base.trim_end_matches('/')),
        }
    }

    /// Whether another step can begin with it.
    pub(super) fn is_fit(&self) -> bool {
        !self.broken && self.ahead.is_quiet()
    }

    /// Whether it has been quiet for so long that the server may have hung up meanwhile.
    pub(super) fn lay_idle(&self) -> bool {
        self.heard.elapsed() > IDLE
    }

    /// Asks, waits for the answer, and says what was asked if it is not the right one.
    pub(super) fn ask<T>(
        &mut self,
        cx: &Context,
        action: &str,
        question: impl FnOnce(&mut RustlsFtpStream) -> FtpResult<T>,
    ) -> Result<T> {
        cx.checkpoint()?;
        if !self.ahead.is_quiet() {
            // the replies to come would be taken for the answer to this
            self.broken = true;
            let why = io::Error::other("the connection is in the midst of something else");
            return Err(Fault::broken(action, why));
        }
        let step = cx.step(
            "wait for the server",
            self.timeout * 3 + Duration::from_secs(5),
        );
        let answer = question(&mut self.ftp);
        drop(step);
        if answer.is_ok() {
            self.heard = Instant::now();
        }
        answer.map_err(|error| {
            let fault = Fault::of(action, error);
            self.broken |= fault.broken;
            stopped_or(cx, fault)
        })
    }

    /// As [`Session::ask`], where a refusal is an answer, too: `None`.
    pub(super) fn lenient<T>(
        &mut self,
        cx: &Context,
        action: &str,
        question: impl FnOnce(&mut RustlsFtpStream) -> FtpResult<T>,
    ) -> Result<Option<T>> {
        match self.ask(cx, action, question) {
            Ok(answer) => Ok(Some(answer)),
            Err(fault) if fault.is_refusal() => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// Goes into a folder; `false` when there is none.
    pub(super) fn enter(&mut self, cx: &Context, folder: &str) -> Result<bool> {
        if self.at.as_deref() == Some(folder) {
            return Ok(true);
        }
        let action = format!("enter the folder {folder}");
        let entered = self.lenient(cx, &action, |ftp| ftp.cwd(folder))?.is_some();
        self.at = entered.then(|| folder.to_owned());
        Ok(entered)
    }

    /// Makes a folder and those above it.
    pub(super) fn make_folders(&mut self, cx: &Context, folder: &str) -> Result<()> {
        if self.enter(cx, folder)? {
            return Ok(());
        }
        if let Some((parent, _)) = folder.rsplit_once('/')
            && !parent.is_empty()
        {
            self.make_folders(cx, parent)?;
        }
        let action = format!("make the folder {folder}");
        match self.ask(cx, &action, |ftp| ftp.mkdir(folder)) {
            // somebody else may have made it meanwhile
            Err(fault) if fault.is_refusal() && !self.enter(cx, folder)? => Err(fault),
            Err(fault) if !fault.is_refusal() => Err(fault),
            _ => Ok(()),
        }
    }

    /// When a file was last written, in UTC; `None` when the server does not tell.
    pub(super) fn time_of(&mut self, cx: &Context, path: &str) -> Result<Option<NaiveDateTime>> {
        if !self.can("MDTM") {
            return Ok(None);
        }
        self.lenient(cx, &format!("ask for the time of {path}"), |ftp| {
            ftp.mdtm(path)
        })
    }

    /// Sets the time of a file's last write, where the server lets one; in UTC.
    pub(super) fn set_time(&mut self, cx: &Context, path: &str, time: NaiveDateTime) -> Result<()> {
        if !self.can("MFMT") {
            return Ok(());
        }
        let command = format!("MFMT {} {path}", time.format("%Y%m%d%H%M%S"));
        let set = self.lenient(cx, &format!("set the time of {path}"), |ftp| {
            ftp.custom_command(&command, &[Status::File, Status::CommandOk])
        })?;
        if set.is_none() {
            log::debug!("{path}: the server does not let its time be set");
        }
        Ok(())
    }

    /// Removes a file; one that is gone already is fine.
    pub(super) fn remove(&mut self, cx: &Context, path: &str) -> Result<()> {
        match self.ask(cx, &format!("delete {path} on the server"), |ftp| {
            ftp.rm(path)
        }) {
            Err(fault) if fault.is_refusal() && self.size(cx, path)?.is_some() => Err(fault),
            Err(fault) if !fault.is_refusal() => Err(fault),
            _ => Ok(()),
        }
    }

    /// Gives a file another name; one that is there is replaced.
    pub(super) fn rename(&mut self, cx: &Context, from: &str, to: &str) -> Result<()> {
        let action = format!("rename {from} to {to} on the server");
        match self.ask(cx, &action, |ftp| ftp.rename(from, to)) {
            // some servers rename over nothing
            Err(fault)
                if fault.is_refusal()
                    && self.size(cx, from)?.is_some()
                    && self.size(cx, to)?.is_some() =>
            {
                self.remove(cx, to)?;
                self.ask(cx, &action, |ftp| ftp.rename(from, to))
            }
            other => other,
        }
    }
}

impl Drop for Session {
    /// Says goodbye, but does not wait for long to hear it back.
    fn drop(&mut self) {
        if self.is_fit() {
            let control = self.ftp.get_ref();
            let limited = control
                .set_read_timeout(Some(TICK))
                .and_then(|()| control.set_write_timeout(Some(TICK)));
            drop(control);
            if limited.is_ok() {
                // a server that is gone hears nothing
                let _heard = self.ftp.quit();
            }
        }
        self.cuts.leave(self.number);
    }
}

/// A connection that broke because the job is to stop is no fault of the server.
pub(super) fn stopped_or(cx: &Context, fault: Fault) -> Fault {
    match cx.checkpoint() {
        Err(stopped) if fault.broken => stopped.into(),
        _ => fault,
    }
}
