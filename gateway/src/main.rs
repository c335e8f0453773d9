//! The program `sixfold`: which role runs is the first argument.

use std::process::ExitCode;

fn main() -> ExitCode {
    sixfold::role::main()
}
