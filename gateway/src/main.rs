//! The program `sixfold`: which role runs is the first argument.

use std::process::ExitCode;

/// Cells and stripes are hundreds of kilobytes and live for milliseconds. The system's allocator
/// gives their pages back to the kernel each time, which clears them anew; this one keeps them
/// for some seconds.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    sixfold::role::main()
}
