//! What `jobs check` tells of a convert job: whether its input is there, can be decoded, and has the columns asked for.

use std::io::Read;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::Encoding;

use super::columns::Mapping;
use super::params::Params;
use super::settings::Settings;
use crate::context::Context;
use crate::data::{Compression, Record, Step};
use crate::error::Error;
use crate::input::{Inbox, Input};
use crate::job::{Count, Report};

/// Bytes of a file that are looked at.
const SAMPLE: u64 = 1 << 20;
/// Files that are looked at.
const FILES: usize = 20;
/// Encodings that are tried where the guess does not fit, the more telling ones first.
const CANDIDATES: [&Encoding; 6] = [
    encoding_rs::UTF_8,
    encoding_rs::GB18030,
    encoding_rs::BIG5,
    encoding_rs::SHIFT_JIS,
    encoding_rs::EUC_KR,
    encoding_rs::WINDOWS_1252,
];

/// Looks at the input folder and the first files in it; changes nothing.
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
    let count = Count(u64::try_from(inputs.len()).unwrap_or(u64::MAX), "file");
    report.note(format_args!("{}: {count} to convert", inbox.dir.display()));
    for input in inputs.iter().take(FILES).filter(|_| settings.is_text()) {
        cx.checkpoint()?;
        look_at_encoding(cx, input, settings, params.input.max_bad, report)?;
    }
    match inputs.first() {
        Some(first) => look_at_rows(cx, first, settings, report),
        None => Ok(()),
    }
}

fn look_at_encoding(
    cx: &Context,
    input: &Input,
    settings: &Settings,
    max_bad: u64,
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
    let own = Encoding::for_bom(&sample)
        .map(|(encoding, _)| encoding)
        .or(settings.encoding())
        .unwrap_or(encoding_rs::UTF_8);
    let declares = sample.starts_with(b"<?xml") && settings.encoding().is_none();
    let undecoded = if declares { 0 } else { undecoded(own, &sample) };
    if undecoded > max_bad {
        let hint = suggest(&sample).map_or(String::new(), |encoding| {
            format!(
                "; it could be encoding=\"{}\"",
                encoding.name().to_lowercase()
            )
        });
        report.problem(
            "format.encoding",
            format_args!("{} is not {}{hint}", input.name, own.name()),
        );
    } else if undecoded > 0 {
        let lines = Count(undecoded, "line");
        report.note(format_args!(
            "{}: {lines} that {} does not decode, within max-bad",
            input.name,
            own.name()
        ));
    }
    Ok(())
}

/// The encoding that the bytes are most likely in: the guess of browsers, if it fits.
fn suggest(sample: &[u8]) -> Option<&'static Encoding> {
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(sample, true);
    // What chardetng calls GBK may hold characters that GB18030 alone has; the decoder is the same.
    let guess = match detector.guess(None, Utf8Detection::Allow) {
        guess if guess == encoding_rs::GBK => encoding_rs::GB18030,
        guess => guess,
    };
    let mut all = std::iter::once(guess).chain(CANDIDATES);
    all.find(|encoding| decodes(encoding, sample))
}

/// How many lines are not valid in an encoding. Where a byte of a line feed can be part of another character, all counts as one.
fn undecoded(encoding: &'static Encoding, bytes: &[u8]) -> u64 {
    if decodes(encoding, bytes) {
        return 0;
    }
    let bad = bytes
        .split(|byte| *byte == b'\n')
        .filter(|line| encoding.is_ascii_compatible() && !decodes(encoding, line));
    u64::try_from(bad.count()).unwrap_or(u64::MAX).max(1)
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
    let reading = settings.reading(&input.name);
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
    let mut first_bad = None;
    for _ in 0..1000 {
        let step = rows.read(&mut record);
        mapping.learn(rows.columns());
        let fault = match step {
            Ok(Step::Row) => mapping.take(&record).err(),
            Ok(Step::Bad(fault)) => Some(*fault),
            Ok(Step::End) => break,
            Err(error) => {
                report.problem("format", format_args!("{}: {error}", input.name));
                break;
            }
        };
        good += u64::from(fault.is_none());
        bad += u64::from(fault.is_some());
        first_bad = first_bad.or(fault);
    }
    let columns = rows.columns().join(", ");
    report.note(format_args!("{}: columns {columns}", input.name));
    let ending = first_bad.map_or(String::new(), |fault| format!(", the first one {fault}"));
    report.note(format_args!(
        "{}: of its first rows {good} are good and {bad} bad{ending}",
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
