//! What each subcommand builds and runs.
