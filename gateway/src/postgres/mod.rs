//! A PostgreSQL of our own: found, initialised, started, adopted, stopped.
