//! The waiting room: its pages and what they show.
