//! Fsm.
