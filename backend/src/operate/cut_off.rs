//! A server that is cut from the order tells its clients to go to another one, which may not be.

use std::time::Duration;

use fourways_log::engine::OrderFigures;

use super::rehearsal::Share;

/// Time for which a server must have been cut from the order before it sends its clients away. An election in the
/// cluster takes less, and concerns all servers alike.
const PATIENCE: Duration = Duration::from_secs(30);

/// The look-out of one server, which the server's sweeper owns.
pub(crate) struct CutOff {
    share: Share,
    /// True if the clients were told since the order could last be reached.
    is_told: bool,
}

impl CutOff {
    pub(crate) const fn new(share: Share) -> Self {
        Self { share, is_told: false }
    }

    /// Tells every stream and socket to reconnect, spread as in a drain, if the order has not been reached for half a
    /// minute; once for each time that it can't be. To be called about once a second.
    pub(crate) fn look(&mut self) {
        let Some(OrderFigures { is_cut, behind, .. }) = self.share.engine.order() else { return };
        if !is_cut {
            self.is_told = false;
        } else if behind >= PATIENCE && !self.is_told {
            self.is_told = true;
            let told = self.share.begin();
            tracing::warn!(told, "cut from the order: streams and sockets are told to reconnect");
        }
    }
}
