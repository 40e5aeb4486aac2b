//! Reactors that really run, with real sockets, in the process of the test: what no single file shows.

mod backlog;
mod balance;
mod by_hand;
mod calls;
mod handover;
mod house;
mod last_orders;
mod moves;
mod stalled;
