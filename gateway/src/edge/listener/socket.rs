//! Makes the listening socket with the options a gateway wants.

use std::io;
use std::net::TcpListener;

use socket2::{Domain, Protocol, Socket, Type};

use super::ListenerConfig;

/// Binds and listens, non-blocking. `SO_REUSEADDR` lets a restart bind while connections of the
/// process before it still linger.
pub(super) fn bind(config: &ListenerConfig) -> io::Result<TcpListener> {
    let address = config.address;
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if config.reuse_port {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(config.backlog)?;
    Ok(socket.into())
}
