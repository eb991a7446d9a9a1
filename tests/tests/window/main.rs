//! Window.

