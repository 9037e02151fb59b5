//! Doorline from the outside: real sockets, the contract of the HTTP and command-line interface,
//! and nothing known of the inside. One program, so that it is linked once; each module is one
//! part of the contract.

mod admin;
mod admin_verbs;
mod built_in;
mod changes;
mod cli;
mod cli_books;
mod client;
mod demo;
mod documents;
mod door;
mod house;
mod judges;
mod keepalive;
mod limits;
mod logs;
mod merchant;
mod nginx;
mod operators;
mod orders;
mod orders_paid;
mod origin;
mod private;
mod program;
mod queue;
mod race;
mod refusals;
mod reload;
mod reload_roles;
mod reservations;
mod security;
mod shared;
mod shared_polls;
mod shared_ready;
mod shared_start;
mod shared_stock;
mod shopper_api;
#[path = "../../benches/reservations/stampede.rs"]
mod stampede;
mod stand_in;
mod stream;
mod switches;
mod vendor;
mod webhooks;
