//! The nodes as the gateway sees them: where they are, how they are, how to call them.

mod directory;

pub use directory::Directory;
