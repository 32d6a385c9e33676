//! Calls under way, which all who wait for the same answer share.

use std::collections::HashMap;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{Shared, WeakShared};

use crate::Result;

type Call<V> = Pin<Box<dyn Future<Output = Result<V>> + Send>>;

/// At most one call for each key. Only those who wait keep a call going: with the last of them it
/// is dropped.
pub(super) struct Flights<K, V>(Mutex<State<K, V>>);

struct State<K, V> {
    under_way: HashMap<K, UnderWay<V>>,
    /// Tells a call from an earlier one for the same key.
    last: u64,
}

struct UnderWay<V> {
    number: u64,
    call: WeakShared<Call<V>>,
}

/// A share of a call.
pub(super) struct Ticket<'a, K: Eq + Hash, V: Clone> {
    flights: &'a Flights<K, V>,
    key: &'a K,
    number: u64,
    call: Option<Shared<Call<V>>>,
}

impl<K: Clone + Eq + Hash, V: Clone> Flights<K, V> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(State { under_way: HashMap::new(), last: 0 }))
    }

    /// Joins the call for this key, or begins one.
    pub(super) fn join<'a>(
        &'a self,
        key: &'a K,
        begin: impl FnOnce() -> Call<V>,
    ) -> Ticket<'a, K, V> {
        let mut state = self.state();
        if let Some(under_way) = state.under_way.get(key)
            && let Some(call) = under_way.call.upgrade()
        {
            let number = under_way.number;
            return Ticket { flights: self, key, number, call: Some(call) };
        }
        state.last += 1;
        let number = state.last;
        let call = begin().shared();
        // A call that has not been polled can always be downgraded.
        if let Some(weak) = call.downgrade() {
            state.under_way.insert(key.clone(), UnderWay { number, call: weak });
        }
        Ticket { flights: self, key, number, call: Some(call) }
    }

    pub(super) fn is_under_way(&self, key: &K) -> bool {
        // Its last share may be this one, which is not to be dropped under the lock.
        let call = self.state().under_way.get(key).and_then(|flight| flight.call.upgrade());
        call.is_some()
    }

    /// Those who wait for this call go on waiting, but nobody joins them any more, and their answer
    /// is not kept. `meanwhile` happens at the same moment.
    pub(super) fn leave(&self, key: &K, meanwhile: impl FnOnce()) {
        let mut state = self.state();
        state.under_way.remove(key);
        meanwhile();
    }

    /// As `leave`, for every call.
    pub(super) fn leave_all(&self, meanwhile: impl FnOnce()) {
        let mut state = self.state();
        state.under_way.clear();
        meanwhile();
    }

    fn state(&self) -> MutexGuard<'_, State<K, V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Clone + Eq + Hash, V: Clone> Ticket<'_, K, V> {
    /// The call's answer.
    pub(super) async fn wait(&mut self) -> Result<V> {
        match self.call.as_mut() {
            Some(call) => call.await,
            None => std::future::pending().await,
        }
    }

    /// Ends the call, and keeps its answer unless something changed since it began. Only the first
    /// of those who waited gets to it.
    pub(super) fn land(&self, keep: impl FnOnce()) {
        let mut state = self.flights.state();
        let is_current =
            state.under_way.get(self.key).is_some_and(|flight| flight.number == self.number);
        if is_current {
            state.under_way.remove(self.key);
            keep();
        }
    }
}

/// The last to go takes the call with him.
impl<K: Eq + Hash, V: Clone> Drop for Ticket<'_, K, V> {
    fn drop(&mut self) {
        // Outside of the lock: a call may do anything when it is dropped.
        self.call = None;
        let mut state = self.flights.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ours = state.under_way.get(self.key).filter(|flight| flight.number == self.number);
        let other_share = ours.map(|flight| flight.call.upgrade());
        if let Some(None) = other_share {
            state.under_way.remove(self.key);
        }
        drop(state);
        drop(other_share);
    }
}
