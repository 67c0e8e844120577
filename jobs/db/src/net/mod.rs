//! What backends that speak to servers share: sockets with time limits, TLS, an input buffer, the stop signs of a
//! connection. Knows no database's protocol.

mod inbox;
mod socket;
mod tls;
mod watch;

pub(crate) use inbox::Inbox;
pub(crate) use socket::{Address, Socket, is_timeout};
pub(crate) use tls::Guard;
pub(crate) use watch::Watch;
