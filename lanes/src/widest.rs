//! Work compiled for the widest vectors that the processor at hand has.

/// Work whose `run`, and all that it calls, is inlined into a function compiled for wide vectors.
pub(crate) trait Work {
    type Output;

    /// Does the work. To be marked `#[inline(always)]`: what isn't inlined is compiled for the
    /// vectors that every processor of the architecture has.
    fn run(self) -> Self::Output;
}

/// Runs `work` with the widest vectors that it gains from and that the processor has.
pub(crate) fn run<W: Work>(work: W) -> W::Output {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected as has;
        if has!("avx512f") && has!("avx512vl") && has!("avx512bw") {
            // SAFETY: the processor has what the function is compiled for.
            #[allow(unsafe_code)] // Has no safe form: the check is at run time.
            return unsafe { run_avx512(work) };
        }
        if has!("avx2") {
            // SAFETY: the processor has what the function is compiled for.
            #[allow(unsafe_code)] // Has no safe form: the check is at run time.
            return unsafe { run_avx2(work) };
        }
    }
    work.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512bw")]
fn run_avx512<W: Work>(work: W) -> W::Output {
    work.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn run_avx2<W: Work>(work: W) -> W::Output {
    work.run()
}
