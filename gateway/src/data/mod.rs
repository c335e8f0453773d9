//! An object's bytes: a body on one side, chunks on nodes on the other. Knows no SQL.
