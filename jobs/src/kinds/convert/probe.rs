//! What `jobs check` tells of a convert job: whether its input is there, can be decoded, and has the columns asked for.

use std::io::Read;

use encoding_rs::Encoding;

use super::columns::Mapping;
use super::params::{Params, Settings};
use crate::context::Context;
use crate::data::{Compression, Reading, Record, Step};
use crate::error::Error;
use crate::input::{Inbox, Input};
use crate::job::Report;

/// Bytes of a file that are looked at.
const SAMPLE: u64 = 1 << 20;
/// Encodings that are tried for one that fits, the more telling ones first.
const CANDIDATES: [&Encoding; 6] = [
    encoding_rs::UTF_8,
    encoding_rs::GB18030,
    encoding_rs::BIG5,
    encoding_rs::SHIFT_JIS,
    encoding_rs::EUC_KR,
    encoding_rs::WINDOWS_1252,
];

/// Looks at the input folder and its first file; changes nothing.
pub(super) fn look(
    cx: &Context,
    inbox: &Inbox,
    params: &Params,
    settings: &Settings,
    report: &mut Report,
) -> Result<(), Error> {
    if !cx.disk().look(&inbox.dir)?.is_some_and(|meta| meta.folder) {
        report.problem(
            "input.dir",
            format_args!("there is no folder {}", inbox.dir.display()),
        );
        return Ok(());
    }
    let inputs = inbox.ready(cx, |name| params.input.pattern.matches(name))?;
    report.note(format_args!(
        "{}: {} files to convert",
        inbox.dir.display(),
        inputs.len()
    ));
    let Some(first) = inputs.first() else {
        return Ok(());
    };
    look_at_encoding(cx, first, settings, report)?;
    look_at_rows(cx, first, settings, report)
}

fn look_at_encoding(
    cx: &Context,
    input: &Input,
    settings: &Settings,
    report: &mut Report,
) -> Result<(), Error> {
    let file = cx.disk().open(&input.path)?;
    let unpacked = Compression::of(&input.name)
        .0
        .unpack(file)
        .map_err(Error::io("unpack", &input.path))?;
    let mut sample = Vec::new();
    if unpacked.take(SAMPLE).read_to_end(&mut sample).is_err() {
        return Ok(()); // the rows will tell what is broken
    }
    let fits = |encoding: &&'static Encoding| decodes(encoding, &sample);
    let own = Encoding::for_bom(&sample)
        .map(|(encoding, _)| encoding)
        .or(settings.encoding)
        .unwrap_or(encoding_rs::UTF_8);
    if !fits(&own) {
        let better = CANDIDATES
            .iter()
            .find(|candidate| fits(candidate))
            .map(|encoding| encoding.name());
        let hint = better.map_or(String::new(), |name| format!("; it could be {name}"));
        report.problem(
            "format.encoding",
            format_args!("{} is not {}{hint}", input.name, own.name()),
        );
    }
    Ok(())
}

/// Whether the bytes are valid in an encoding, a character cut off at the end aside.
fn decodes(encoding: &'static Encoding, bytes: &[u8]) -> bool {
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let mut text = vec![0; 16 << 10];
    let mut rest = bytes;
    while !rest.is_empty() {
        let (result, read, _) = decoder.decode_to_utf8_without_replacement(rest, &mut text, false);
        if matches!(result, encoding_rs::DecoderResult::Malformed(..)) {
            return false;
        }
        rest = &rest[read..];
    }
    true
}

fn look_at_rows(
    cx: &Context,
    input: &Input,
    settings: &Settings,
    report: &mut Report,
) -> Result<(), Error> {
    let reading = Reading {
        encoding: settings.encoding,
        ..Reading::of(settings.layout.clone(), &input.name)
    };
    let mut rows = match reading.open(cx.disk().open(&input.path)?) {
        Ok(rows) => rows,
        Err(error) => {
            report.problem("format", format_args!("{}: {error}", input.name));
            return Ok(());
        }
    };
    let mut mapping = Mapping::new(
        settings.targets.clone().unwrap_or_default(),
        settings.na.clone(),
    );
    let (mut record, mut good, mut bad) = (Record::new(), 0, 0);
    for _ in 0..1000 {
        let step = rows.read(&mut record);
        mapping.learn(rows.columns());
        match step {
            Ok(Step::Row) if mapping.take(&record).is_ok() => good += 1,
            Ok(Step::Row | Step::Bad(_)) => bad += 1,
            Ok(Step::End) => break,
            Err(error) => {
                report.problem("format", format_args!("{}: {error}", input.name));
                break;
            }
        }
    }
    report.note(format_args!(
        "{}: columns {}",
        input.name,
        rows.columns().join(", ")
    ));
    report.note(format_args!(
        "{}: of its first rows {good} are good and {bad} bad",
        input.name
    ));
    for name in mapping.missing() {
        report.problem(
            "column",
            format_args!("{} has no column {name}", input.name),
        );
    }
    Ok(())
}
