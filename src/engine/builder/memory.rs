//! How much a process remembers.

use super::SessionEngineBuilder;

impl<C> SessionEngineBuilder<C> {
    /// How many ended sessions this process remembers, 100,000 by default, about 150 bytes each. At
    /// the bound the one nearest its end is forgotten, with an event.
    pub const fn ended_capacity(mut self, capacity: usize) -> Self {
        self.ended_capacity = capacity;
        self
    }

    /// How many verified tokens this process remembers, 10,000 by default, about 1 kB each and its
    /// claims, of which 100 bytes are taken with the first; 0 remembers none, and more than 10,000,000 are refused. The signature of a token that is
    /// remembered is not checked again, nor are its claims decoded again: its requests share them.
    /// Everything else is asked anew: a session that ends is over at once. Many more are slower than
    /// few: what is seldom used is soon verified again.
    pub const fn verified_token_cache(mut self, capacity: usize) -> Self {
        self.verified_capacity = capacity;
        self
    }
}
