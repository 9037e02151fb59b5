//! Something of ours that serves in the background on a loopback port of its own.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A `T` that serves on an address of its own until it is shut down. All of `T` can be asked
/// through it while it runs.
#[derive(Debug)]
pub struct Running<T> {
    served: T,
    address: SocketAddr,
    cancel: CancellationToken,
    tasks: TaskTracker,
}

impl<T: Clone> Running<T> {
    /// Binds a free port of 127.0.0.1 and runs what `serve` makes of a clone of `served`.
    ///
    /// # Errors
    /// When no port can be bound.
    pub(crate) async fn start<F, S>(served: T, serve: S) -> io::Result<Self>
    where
        S: FnOnce(T, TcpListener, CancellationToken) -> F,
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (cancel, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(serve(served.clone(), listener, cancel.clone()));
        tasks.close();
        Ok(Self {
            served,
            address,
            cancel,
            tasks,
        })
    }
}

impl<T> Running<T> {
    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Base URL, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops serving and waits until nothing of it runs any more. What it served stays readable
    /// through clones.
    pub async fn shutdown(self) {
        self.cancel.cancel();
        self.tasks.wait().await;
    }
}

impl<T> std::ops::Deref for Running<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.served
    }
}
