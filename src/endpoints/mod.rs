//! What the layer answers itself.

mod params;
