//! Values of any length, piece by piece (SQLGetData). A driver that does not end a piece as the standard says is told, as nobody
//! knows then how much it wrote.

use super::fault::Trouble;
use odbc_api::CursorRow;
use odbc_api::buffers::Indicator;
use odbc_api::handles::CDataMut;
use odbc_api::parameter::{Binary, CElement, Text, VarCell, VarKind, WideText};

/// How many units a piece has, its end included.
const PIECE: usize = 4096;

/// The buffers of a row's values, used again and again.
#[derive(Debug)]
pub(super) struct Pieces {
    wide: Vec<u16>,
    bytes: Vec<u8>,
}

impl Pieces {
    pub(super) fn new() -> Self {
        Pieces {
            wide: vec![0; PIECE],
            bytes: vec![0; PIECE],
        }
    }

    /// The column's text in UTF-16; `None` is NULL.
    pub(super) fn wide(
        &mut self,
        row: &mut CursorRow<'_>,
        number: u16,
    ) -> Result<Option<Vec<u16>>, Trouble> {
        whole::<WideText>(row, number, &mut self.wide)
    }

    /// The column's text in bytes.
    pub(super) fn text(
        &mut self,
        row: &mut CursorRow<'_>,
        number: u16,
    ) -> Result<Option<Vec<u8>>, Trouble> {
        whole::<Text>(row, number, &mut self.bytes)
    }

    /// The column's bytes.
    pub(super) fn bytes(
        &mut self,
        row: &mut CursorRow<'_>,
        number: u16,
    ) -> Result<Option<Vec<u8>>, Trouble> {
        whole::<Binary>(row, number, &mut self.bytes)
    }
}

fn whole<K>(
    row: &mut CursorRow<'_>,
    number: u16,
    piece: &mut [K::Element],
) -> Result<Option<Vec<K::Element>>, Trouble>
where
    K: VarKind,
    for<'a> VarCell<&'a mut [K::Element], K>: CElement + CDataMut,
{
    let room = piece.len() - K::TERMINATING_ZEROES;
    let mut value = Vec::new();
    loop {
        if let Some(last) = piece.last_mut() {
            *last = K::ZERO;
        }
        let mut target =
            VarCell::<&mut [K::Element], K>::from_buffer(&mut *piece, Indicator::NoTotal);
        row.get_data(number, &mut target)?;
        let left = match target.indicator() {
            Indicator::Null => return Ok(None),
            Indicator::Length(bytes) => bytes / size_of::<K::Element>(),
            Indicator::NoTotal => usize::MAX,
        };
        if left <= room {
            value.extend_from_slice(&piece[..left]);
            return Ok(Some(value));
        }
        if piece[room..].iter().any(|end| *end != K::ZERO) {
            let why = "the driver does not end its pieces of a long value";
            return Err(Trouble::Damaged(usize::from(number) - 1, why.to_owned()));
        }
        value.extend_from_slice(&piece[..room]);
    }
}
