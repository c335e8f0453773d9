//! Sixfold: an S3-compatible object store. The modules in reading order.

pub mod config;
pub mod role;

pub mod http;
pub mod auth;
pub mod s3;

pub mod data;
pub mod erasure;
pub mod placement;
pub mod nodes;

pub mod meta;
pub mod lease;
pub mod jobs;
pub mod postgres;

pub mod app;
pub mod metrics;
pub mod shutdown;
pub mod telemetry;
