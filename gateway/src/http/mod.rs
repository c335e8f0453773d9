//! The way of a request before and after s3s: listener, layers, health.
