//! Who waits for the store to take something, so that the user is told when work stands still because
//! of it, and when it goes on.

use std::sync::{Arc, Mutex, PoisonError};

use quaero_store::StoreError;
use tokio::sync::broadcast;

use crate::monitor::Event;

/// Everybody that waits. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Waiting {
    state: Arc<Mutex<State>>,
    events: broadcast::Sender<Event>,
}

#[derive(Default)]
struct State {
    waiters: usize,
    why: Option<StoreError>,
}

/// One that waits, until it is dropped.
pub(crate) struct Waiter(Waiting);

impl Waiting {
    pub(crate) fn new(events: broadcast::Sender<Event>) -> Self {
        Self { state: Arc::default(), events }
    }

    /// Something cannot be written at present. The first to say so is heard.
    pub(crate) fn begin(&self, why: &StoreError) -> Waiter {
        self.change(|state| {
            state.waiters += 1;
            (state.waiters == 1).then(|| state.why.insert(why.clone()).clone())
        });
        Waiter(self.clone())
    }

    /// What is waited for, if anything is.
    pub(crate) fn why(&self) -> Option<StoreError> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).why.clone()
    }

    /// Tells of a change while nothing else can change, so that the last word is true.
    fn change(&self, change: impl FnOnce(&mut State) -> Option<StoreError>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let began = change(&mut state);
        let ended = state.waiters == 0 && state.why.take().is_some();
        if began.is_some() || ended {
            // Without a listener there is nobody to tell.
            let _ = self.events.send(Event::Waits(began));
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.0.change(|state| {
            state.waiters -= 1;
            None
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_waits_and_the_last_that_goes_on_are_told() {
        let (events, mut told) = broadcast::channel(8);
        let waiting = Waiting::new(events);
        let first = waiting.begin(&StoreError::Full);
        let second = waiting.begin(&StoreError::InUse);
        drop(first);
        assert!(matches!(waiting.why(), Some(StoreError::Full)));
        drop(second);
        assert!(waiting.why().is_none());
        assert!(matches!(told.try_recv(), Ok(Event::Waits(Some(StoreError::Full)))));
        assert!(matches!(told.try_recv(), Ok(Event::Waits(None))));
        assert!(told.try_recv().is_err(), "nothing else is told");
        drop(waiting.begin(&StoreError::InUse));
        assert!(matches!(told.try_recv(), Ok(Event::Waits(Some(StoreError::InUse)))));
    }
}
