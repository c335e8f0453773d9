//! Which nodes get an extent's chunks: a consistent-hash ring. Pure.
