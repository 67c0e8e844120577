//! Listings of folders on the server: bounded in lines and in the length of a line, names decoded and looked at before anybody
//! uses them, times brought to UTC.

use chrono::{NaiveDateTime, TimeDelta};
use suppaftp::{FtpError, Status};

use super::data::{Data, read};
use super::fault::Result;
use super::link::Link;
use super::listing::{Kind, Listed, Precision, fault_of_name, parse_list, parse_mlsd};
use super::params::Listing;
use super::session::Session;
use super::words::Words;
use crate::context::Context;
use crate::error::Error;

/// Entries that a folder may have.
const MOST_LINES: u64 = 2_000_000;
/// Bytes that a line may have: a name of 255 characters and many facts are far below it.
const LONGEST_LINE: usize = 16 << 10;

/// Refused names that are told one by one.
const MOST_REFUSED: usize = 100;

/// A folder's content.
#[derive(Default)]
pub(super) struct Content {
    pub(super) entries: Vec<Listed>,
    /// Names that cannot be used, and why.
    pub(super) refused: Vec<String>,
}

impl Session {
    /// What is in a folder that `wanted` takes; `None` when there is no such folder.
    pub(super) fn list(
        &mut self,
        cx: &Context,
        link: &Link,
        folder: &str,
        wanted: &dyn Fn(&Listed) -> bool,
    ) -> Result<Option<Content>> {
        if !self.enter(cx, folder)? {
            return Ok(None);
        }
        let offered = self.can("MLST") || self.can("MLSD") || link.listing == Listing::Mlsd;
        if offered && !self.plain_lists {
            self.choose_facts(cx)?;
            match self.read_listing(cx, link, folder, "MLSD", wanted) {
                Err(fault) if fault.is_unknown() && link.listing == Listing::Auto => {
                    self.plain_lists = true
                }
                other => return other.map(Some),
            }
        }
        self.plain_lists = true;
        let mut content = self.read_listing(cx, link, folder, "LIST", wanted)?;
        self.bring_to_utc(cx, link, folder, &mut content)?;
        Ok(Some(content))
    }

    /// Asks MLSD for no more than is looked at (RFC 3659, 7.9): long listings become a third as long. A server that does not know how lists all.
    fn choose_facts(&mut self, cx: &Context) -> Result<()> {
        if self.facts_chosen || !self.can("MLST") {
            return Ok(());
        }
        self.facts_chosen = true;
        let command = "OPTS MLST type;size;modify;";
        self.ask(cx, "choose what is listed", |ftp| {
            match ftp.custom_command(command, &[]) {
                Ok(_) | Err(FtpError::UnexpectedResponse(_)) => Ok(()),
                Err(error) => Err(error),
            }
        })
    }

    fn read_listing(
        &mut self,
        cx: &Context,
        link: &Link,
        folder: &str,
        command: &str,
        wanted: &dyn Fn(&Listed) -> bool,
    ) -> Result<Content> {
        let action = format!("list {folder}");
        let mut data = self.start(cx, &action, |ftp| {
            let (_, data) =
                ftp.custom_data_command(command, &[Status::AboutToSend, Status::AlreadyOpen])?;
            Ok(data)
        })?;
        let now = cx.now().naive_utc() + self.offset.unwrap_or_default();
        let mut content = Content::default();
        let mut take = |line: &[u8]| {
            let parse = |line: &str| {
                if command == "MLSD" {
                    parse_mlsd(line)
                } else {
                    parse_list(line, now)
                }
            };
            take_line(link.words, line, parse, wanted, &mut content);
        };
        match self.read_lines(cx, &action, &mut data, &mut take) {
            Ok(()) => self.finish(cx, &action, data)?,
            Err(fault) => return Err(self.give_up(data, fault)),
        }
        Ok(content)
    }

    /// Calls `take` for each line, without its end.
    fn read_lines(
        &mut self,
        cx: &Context,
        action: &str,
        data: &mut Data,
        take: &mut dyn FnMut(&[u8]),
    ) -> Result<()> {
        let mut piece = vec![0; 64 << 10];
        let (mut rest, mut lines) = (Vec::new(), 0_u64);
        loop {
            let length = self.patient(cx, action, || read(data, &mut piece))?;
            if length == 0 {
                if !rest.is_empty() {
                    take(&rest);
                }
                return Ok(());
            }
            for part in piece[..length].split_inclusive(|byte| *byte == b'\n') {
                rest.extend_from_slice(part);
                if let Some(line) = rest.strip_suffix(b"\n") {
                    take(line.strip_suffix(b"\r").unwrap_or(line));
                    rest.clear();
                    lines += 1;
                }
            }
            if rest.len() > LONGEST_LINE || lines > MOST_LINES {
                let what = if lines > MOST_LINES {
                    "is too long to be true"
                } else {
                    "has a line too long to be true"
                };
                return Err(Error::Data(format!("{action}: the listing {what}")).into());
            }
        }
    }

    /// Brings LIST's times from the server's zone to UTC: by the zone that the job file names, else by what MDTM says of one file.
    fn bring_to_utc(
        &mut self,
        cx: &Context,
        link: &Link,
        folder: &str,
        content: &mut Content,
    ) -> Result<()> {
        if link.zone.is_none() && self.offset.is_none() {
            let known = content.entries.iter().find_map(|entry| {
                let stamp = entry
                    .stamp
                    .filter(|stamp| stamp.precision == Precision::Minute)?;
                (entry.kind == Kind::File).then_some((entry, stamp))
            });
            if let Some((entry, stamp)) = known
                && let Some(exact) = self.time_of(cx, &below(folder, &entry.name))?
            {
                self.offset = Some(quarters(stamp.at - exact));
            }
        }
        let offset = self.offset.unwrap_or_default();
        for stamp in content
            .entries
            .iter_mut()
            .filter_map(|entry| entry.stamp.as_mut())
        {
            stamp.at = match &link.zone {
                Some(zone) => zone
                    .instants(stamp.at)
                    .earliest()
                    .map_or(stamp.at, |at| at.naive_utc()),
                None => stamp.at - offset,
            };
        }
        Ok(())
    }

    /// How long a file is; `None` when there is none.
    pub(super) fn size(&mut self, cx: &Context, path: &str) -> Result<Option<u64>> {
        let size = self.lenient(cx, &format!("ask for the size of {path}"), |ftp| {
            ftp.size(path)
        })?;
        Ok(size.map(|size| size as u64))
    }

    /// Size and time of a file as they are now.
    pub(super) fn look(
        &mut self,
        cx: &Context,
        path: &str,
    ) -> Result<Option<(u64, Option<NaiveDateTime>)>> {
        let Some(size) = self.size(cx, path)? else {
            return Ok(None);
        };
        Ok(Some((size, self.time_of(cx, path)?)))
    }
}

/// Adds a line's entry, unless its name cannot be used.
pub(super) fn take_line(
    words: Words,
    line: &[u8],
    parse: impl Fn(&str) -> Option<Listed>,
    wanted: &dyn Fn(&Listed) -> bool,
    content: &mut Content,
) {
    let readable = words.read(line);
    let shown = readable
        .clone()
        .unwrap_or_else(|| String::from_utf8_lossy(line).into_owned());
    let Some(entry) = parse(&shown) else { return };
    if matches!(entry.name.as_str(), "." | "..") || entry.kind == Kind::Other {
        return;
    }
    let fault = match readable {
        None => Some("it is no text in the encoding of the server"),
        Some(_) => fault_of_name(&entry.name),
    };
    let name = entry.name.clone();
    // what a pattern takes is judged by the name's last part, so that a strange one is told of, not passed over
    let judged = Listed {
        name: last_part(&entry.name).to_owned(),
        ..entry
    };
    if !wanted(&judged) {
        return;
    }
    match fault {
        None => content.entries.push(judged),
        Some(why) if content.refused.len() < MOST_REFUSED => {
            content.refused.push(format!("{:?}: {why}", name));
        }
        Some(_) => {}
    }
}

fn last_part(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// The path of something in a folder.
pub(super) fn below(folder: &str, name: &str) -> String {
    format!("{}/{name}", folder.trim_end_matches('/'))
}

/// A difference between two clocks, to the quarter of an hour that zones keep to.
fn quarters(difference: TimeDelta) -> TimeDelta {
    TimeDelta::minutes(
        (difference.num_minutes()
            + if difference < TimeDelta::zero() {
                -7
            } else {
                7
            })
            / 15
            * 15,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_quarters_of_hours() {
        for (seconds, minutes) in [
            (8 * 3600 - 45, 480),
            (-5 * 3600 - 59, -300),
            (19_800, 330),
            (0, 0),
            (-59, 0),
        ] {
            assert_eq!(
                quarters(TimeDelta::seconds(seconds)),
                TimeDelta::minutes(minutes),
                "{seconds}"
            );
        }
    }

    #[test]
    fn paths_are_put_together() {
        assert_eq!(below("/", "a"), "/a");
        assert_eq!(below("/b", "a"), "/b/a");
    }
}
