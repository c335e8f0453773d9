//! Logs: set up once, readable on a terminal, JSON elsewhere.
