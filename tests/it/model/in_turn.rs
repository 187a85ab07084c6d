//! One request after the other, with several accounts turned on and off in between.
