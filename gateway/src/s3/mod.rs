//! What S3 says: operations, and the pure rules they follow. Nothing else knows S3's words.
