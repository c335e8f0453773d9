//! The only place where metrics are declared.
