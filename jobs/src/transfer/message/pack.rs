//! Packs: small files that travel together in one frame. Pure.

use super::super::{
    fields::{Fields, Malformed},
    proof::Digest,
};

/// A small file in a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Packed<'a> {
    pub(crate) id: u32,
    pub(crate) hash: Digest,
    pub(crate) bytes: &'a [u8],
}

/// Writes a small file into a pack that is being made; the count of a pack stands before its first file.
pub(crate) fn put_packed(out: &mut Vec<u8>, file: &Packed<'_>) {
    out.extend_from_slice(&file.id.to_le_bytes());
    out.extend_from_slice(&file.hash);
    let length = u32::try_from(file.bytes.len()).expect("a file in a pack is small");
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(file.bytes);
}

/// The files of a pack.
pub(crate) fn unpack(payload: &[u8]) -> Result<Vec<Packed<'_>>, Malformed> {
    let mut fields = Fields::new(payload);
    let files = fields.list(40, |fields| {
        let (id, hash) = (fields.u32()?, fields.array()?);
        let length = usize::try_from(fields.u32()?).map_err(|_| Malformed("a file is too long"))?;
        Ok(Packed {
            id,
            hash,
            bytes: fields.bytes(length)?,
        })
    })?;
    fields.end()?;
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packs_come_back() {
        let files = [
            Packed {
                id: 1,
                hash: [1; 32],
                bytes: b"",
            },
            Packed {
                id: 2,
                hash: [2; 32],
                bytes: b"xyz",
            },
        ];
        let mut payload = vec![2, 0];
        files.iter().for_each(|file| put_packed(&mut payload, file));
        assert_eq!(unpack(&payload).unwrap(), files);
        assert!(unpack(&payload[..payload.len() - 1]).is_err());
        payload[0] = 3;
        assert!(unpack(&payload).is_err());
    }
}
