//! Bytes as a peer that means harm would send them, for a fuzzer: nothing makes the decoder fall, no length passes its limit, no name
//! leads out of its folder, and what was understood says the same again.

use super::{
    fields::Fields,
    frame::{DATA_HEAD, HEADER, Header, MAX_PACK, Stage, TAG, Type},
    message::{Message, unpack},
    name::Name,
};

/// Takes bytes for what comes over a connection, before the login and after it.
///
/// # Panics
/// When something is let through that should not be.
pub fn probe(bytes: &[u8]) {
    for stage in [Stage::Greeting, Stage::Open] {
        let mut rest = bytes;
        while let Some((head, tail)) = rest.split_first_chunk::<HEADER>() {
            let Ok(header) = Header::decode(*head, stage) else {
                break;
            };
            assert!(header.length <= MAX_PACK, "a frame without a limit");
            let length = header.length.min(tail.len());
            frame(header, &tail[..length]);
            let tag = if stage == Stage::Open && header.kind != Type::Data {
                TAG
            } else {
                0
            };
            rest = tail.get(header.length + tag..).unwrap_or_default();
        }
    }
}

fn frame(header: Header, payload: &[u8]) {
    match header.kind {
        Type::Unknown => {}
        Type::Data => {
            let mut fields = Fields::new(&payload[..payload.len().min(DATA_HEAD)]);
            if let (Ok(_), Ok(offset)) = (fields.u32(), fields.u64()) {
                // what is not the next byte of a file is refused where it lands
                let _end = offset.checked_add(u64::try_from(header.length).unwrap_or(0));
            }
        }
        Type::Pack => {
            let length = unpack(payload).map_or(0, |files| {
                files.iter().map(|file| file.bytes.len()).sum::<usize>()
            });
            assert!(length <= payload.len(), "more bytes than came");
        }
        kind => {
            if let Ok(message) = Message::decode(kind, payload) {
                says_the_same_again(&message);
                if let Message::Offer(offers) = &message {
                    offers.iter().for_each(|offer| stays_inside(&offer.name));
                }
            }
        }
    }
}

fn says_the_same_again(message: &Message) {
    let mut payload = Vec::new();
    let kind = message.encode(&mut payload);
    let again = Message::decode(kind, &payload);
    assert_eq!(again.as_ref(), Ok(message), "another meaning");
}

fn stays_inside(name: &str) {
    if let Ok(name) = Name::new(name) {
        let text = name.as_str();
        assert!(
            !text.starts_with('/')
                && !text.contains('\0')
                && text.split('/').all(|part| part != ".."),
            "{text:?} leads out of its folder"
        );
    }
}
