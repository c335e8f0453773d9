//! The lease that this process holds while it may write chunks.
