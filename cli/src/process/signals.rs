//! Ctrl-C: the first one ends in good order, the second one at once. SIGTERM and a closed terminal count the same.

use std::io;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// How urgently the user wants to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum Urgency {
    /// Not at all.
    #[default]
    None,
    /// In good order.
    Orderly,
    /// At once.
    Now,
}

/// Tells when the user wants to end.
#[derive(Debug, Clone)]
pub(crate) struct Interrupts(watch::Receiver<Urgency>);

impl Interrupts {
    /// Listens from now on; the default effect of the signals is gone.
    pub(crate) fn listen() -> io::Result<Self> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let (sender, receiver) = watch::channel(Urgency::None);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                    _ = hangup.recv() => {}
                }
                sender.send_modify(|urgency| {
                    *urgency = if *urgency == Urgency::None { Urgency::Orderly } else { Urgency::Now };
                });
            }
        });
        Ok(Self(receiver))
    }

    /// Waits until it is at least so urgent.
    pub(crate) async fn wanted(&self, urgency: Urgency) {
        if self.0.clone().wait_for(|now| *now >= urgency).await.is_err() {
            // The listener ends only with the runtime.
            std::future::pending::<()>().await;
        }
    }
}
