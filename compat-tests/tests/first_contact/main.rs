//! What a person meets first: starts that work, starts that are refused and say why, keys, TLS,
//! and stops. Each test starts the program as they would.
// Waiting for processes blocks, and nothing else runs beside it.
#![allow(clippy::disallowed_methods)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod credentials;
mod lost_drives;
mod place;
mod refused;
mod starts;
mod stops;
mod tls;
