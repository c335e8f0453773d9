//! One token, one tracker, one deadline.
