//! Instants before which no session counts.
