//! Job definitions: parsed with places, checked all at once, never run while being checked.
