//! Sixfold: an S3-compatible object store. The modules in reading order.

#![cfg_attr(not(test), deny(clippy::print_stdout, reason = "role/say.rs survives a closed pipe"))]

pub mod config;
pub mod role;

pub mod auth;
pub mod http;
pub mod s3;

pub mod data;
pub mod erasure;
pub mod nodes;
pub mod placement;

pub mod jobs;
pub mod lease;
pub mod meta;
pub mod postgres;

pub mod app;
mod chance;
mod clock;
pub mod metrics;
mod points;
pub mod pressure;
pub mod shutdown;
#[cfg(test)]
#[cfg(feature = "simulation")]
mod simulation;
pub mod telemetry;
mod xml;
