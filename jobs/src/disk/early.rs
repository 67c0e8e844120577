//! Brings what is written of a long file to the disk while the rest is still being written, so that the sync at its end has
//! little left to wait for. A thread waits for the disk; whoever writes does not.

use std::fs::File;
use std::io;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

/// So many bytes are written before the disk is reminded of them.
pub(super) const STRIDE: usize = 16 << 20;

/// The thread that waits for the disk.
pub(super) struct Early {
    reminders: SyncSender<()>,
    thread: JoinHandle<io::Result<()>>,
}

impl Early {
    /// Starts it.
    ///
    /// # Errors
    /// When there is no descriptor or no thread left.
    pub(super) fn start(file: &File) -> io::Result<Early> {
        let file = file.try_clone()?;
        let (reminders, reminded) = sync_channel(1);
        let thread = thread::Builder::new()
            .name("sync".to_owned())
            // the first error is the last: the kernel tells it once, and a second sync would prove nothing
            .spawn(move || reminded.into_iter().try_for_each(|()| file.sync_data()))?;
        Ok(Early { reminders, thread })
    }

    /// Reminds the disk of what has been written. One that is still busy with the last time is left alone.
    pub(super) fn remind(&self) {
        let _busy = self.reminders.try_send(());
    }

    /// Ends the thread.
    ///
    /// # Errors
    /// What the disk could not keep.
    pub(super) fn end(self) -> io::Result<()> {
        drop(self.reminders);
        self.thread.join().unwrap_or_else(|_| {
            Err(io::Error::other(
                "the thread that waits for the disk has failed",
            ))
        })
    }
}
