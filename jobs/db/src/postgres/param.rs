//! Parameters as text, to be understood by the server as the statement needs them; and values of a few types that come
//! in binary, where there is no other way to get them.

use super::fault::Trouble;
use crate::{Cell, form};
use std::error::Error as StdError;
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{Format, FromSql, IsNull, ToSql, Type, to_sql_checked};

/// A cell on its way to the server.
pub(super) struct Given<'a>(pub(super) Cell<'a>);

/// The driver logs parameters when it is told to: they may be secret.
impl std::fmt::Debug for Given<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

impl ToSql for Given<'_> {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        let Some(text) = self.0 else {
            return Ok(IsNull::Yes);
        };
        out.extend_from_slice(text);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}

/// A value as it came, in binary.
struct Raw<'a>(&'a [u8]);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Raw(raw))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// The written forms of a binary row.
pub(super) fn written(
    row: &tokio_postgres::Row,
    types: &[Type],
) -> Result<Vec<Option<Vec<u8>>>, Trouble> {
    let cell = |(index, known): (usize, &Type)| {
        let Ok(Some(Raw(raw))) = row.try_get::<_, Option<Raw<'_>>>(index) else {
            return Ok(None);
        };
        write(known, raw).map(Some).ok_or_else(|| {
            Trouble::Unfit(format!(
                "a statement with parameters that is no SELECT cannot return {known}; cast it to text"
            ))
        })
    };
    types.iter().enumerate().map(cell).collect()
}

/// The written form of a binary value; `None` for a type that this side does not know in binary.
fn write(kind: &Type, raw: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    match *kind {
        Type::BOOL => out.push(if raw == [0] { b'0' } else { b'1' }),
        Type::INT2 => {
            form::write_integer(&mut out, i16::from_be_bytes(raw.try_into().ok()?).into())
        }
        Type::INT4 => {
            form::write_integer(&mut out, i32::from_be_bytes(raw.try_into().ok()?).into())
        }
        Type::INT8 => form::write_integer(&mut out, i64::from_be_bytes(raw.try_into().ok()?)),
        Type::OID => form::write_integer(&mut out, u32::from_be_bytes(raw.try_into().ok()?).into()),
        Type::FLOAT8 => form::write_float(&mut out, f64::from_be_bytes(raw.try_into().ok()?)),
        Type::BYTEA => form::write_hex(&mut out, raw),
        Type::TEXT
        | Type::VARCHAR
        | Type::BPCHAR
        | Type::NAME
        | Type::JSON
        | Type::XML
        | Type::UNKNOWN => {
            out.extend_from_slice(raw);
        }
        _ => return None,
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_values_get_their_written_form() {
        let text =
            |kind: &Type, raw: &[u8]| write(kind, raw).map(|text| String::from_utf8(text).unwrap());
        assert_eq!(
            text(&Type::INT4, &[255, 255, 255, 254]).as_deref(),
            Some("-2")
        );
        assert_eq!(text(&Type::BOOL, &[1]).as_deref(), Some("1"));
        assert_eq!(
            text(&Type::FLOAT8, &1.5_f64.to_be_bytes()).as_deref(),
            Some("1.5")
        );
        assert_eq!(text(&Type::BYTEA, &[0, 255]).as_deref(), Some("00ff"));
        assert_eq!(text(&Type::INT8, &[1]), None);
        assert_eq!(text(&Type::NUMERIC, &[1]), None);
        assert_eq!(format!("{:?}", Given(Some(b"secret"))), "…");
    }
}
