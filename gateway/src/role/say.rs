//! What a command prints on standard output.
//!
//! `println!` panics when nobody reads any more, as in `sixfold job list | head`.

use anyhow::Context as _;
use std::fmt::Arguments;
use std::io::{ErrorKind, Write};

/// Prints a line: `say!("{count} nodes")?`.
macro_rules! say {
    ($($text:tt)*) => {
        $crate::role::say::line(&mut std::io::stdout().lock(), format_args!($($text)*))
    };
}
pub(super) use say;

/// Prints a line. A reader that has gone ends nothing: the command goes on and gives its exit code.
/// Anything else that keeps the line from being written is an error: an access key whose secret
/// nobody has seen must not look like a success.
pub(super) fn line(out: &mut impl Write, text: Arguments<'_>) -> anyhow::Result<()> {
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other.context("can't write to standard output"),
    }
}

#[cfg(test)]
mod tests {
    use super::line;
    use std::io::{ErrorKind, Write};

    struct Fails(ErrorKind);

    impl Write for Fails {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_has_gone_is_no_error_and_a_full_disk_is_one() {
        let mut out = Vec::new();
        line(&mut out, format_args!("{}", 6)).unwrap();
        assert_eq!(out, b"6\n");
        line(&mut Fails(ErrorKind::BrokenPipe), format_args!("lost")).unwrap();
        line(&mut Fails(ErrorKind::StorageFull), format_args!("lost")).unwrap_err();
    }
}
