//! The referee of the game: the pointer that reaches the ball first, in the order of the log, has caught it.

use fourways_shared::{
    Event, Filter,
    use_case::{
        self,
        pointer::{self, Caught, Pointer, ball, reaches},
    },
};

use super::{Due, Machine, Publication, Readers};

pub(super) struct Pointers {
    /// Number of the current ball.
    n: u32,
    caught: Option<Caught>,
}

impl Default for Pointers {
    fn default() -> Self {
        Self { n: 1, caught: None }
    }
}

impl Machine for Pointers {
    fn reads(&self) -> Vec<Filter> {
        [pointer::pointers(), pointer::game()].into_iter().flatten().map(|topic| (&topic).into()).collect()
    }

    fn apply(&mut self, event: &Event, _: u64) {
        if Some(&event.topic) == pointer::game().as_ref() {
            // Anybody may publish here; only the referee's own events count.
            if let Some(Caught { n, .. }) = use_case::read_if_from_server(event)
                && let Some(next) = n.checked_add(1)
            {
                (self.n, self.caught) = (next, None);
            }
            return;
        }
        if self.caught.is_some() {
            return;
        }
        let Some(Pointer { who, name, x, y }) = use_case::read(event) else { return };
        if reaches((x, y), ball(self.n)) {
            self.caught = Some(Caught { n: self.n, who, name });
        }
    }

    fn due(&mut self, _: u64, _: &mut Readers) -> Due {
        let say = self.caught.as_ref().and_then(|caught| {
            Publication::of(pointer::game(), caught).map(|say| say.once(&format!("ball-{}", caught.n)))
        });
        Due { says: say.into_iter().collect(), again: None }
    }
}
