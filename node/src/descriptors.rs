//! How many files and connections this process may have open at once.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Enough for every chunk and connection under way. Some systems allow a billion, which costs
/// programs that go through all descriptors when they start a child.
const ENOUGH: u64 = 65_536;

/// Of so many descriptors one may be a connection of a listener; the others are for chunks'
/// files, the database and nodes.
const PER_CONNECTION: u64 = 2;

/// Raises the limit of open files as far as the system allows it. To be called at start.
pub fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    let target = limit.maximum.unwrap_or(ENOUGH).min(ENOUGH);
    if limit.current.is_none_or(|current| current >= target) {
        return;
    }
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(target), ..limit }) {
        tracing::warn!(%error, "the limit of open files can't be raised to {target}");
    }
}

/// How many connections a listener may take that is set to take `wanted`: whoever opens
/// connections must not be able to take the files from under the chunks.
pub fn connections(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile).current;
    let allowed = share(limit, wanted);
    if allowed < wanted {
        tracing::warn!(
            connections = allowed,
            "with at most {} open files, only {allowed} of {wanted} connections are taken at \
             once: raise the limit (ulimit -n, LimitNOFILE=)",
            limit.unwrap_or_default()
        );
    }
    allowed
}

fn share(limit: Option<u64>, wanted: usize) -> usize {
    let most = limit
        .map_or(usize::MAX, |limit| usize::try_from(limit / PER_CONNECTION).unwrap_or(usize::MAX));
    wanted.min(most).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_chunks() {
        assert_eq!(share(Some(1024), 4096), 512);
        assert_eq!(share(Some(65_536), 4096), 4096);
        assert_eq!(share(None, 4096), 4096);
        assert_eq!(share(Some(1), 4096), 1);
    }

    #[test]
    fn the_limit_is_as_high_as_the_system_allows() {
        raise_limit();
        let limit = getrlimit(Resource::Nofile);
        let allowed = limit.maximum.unwrap_or(ENOUGH).min(ENOUGH);
        assert!(limit.current.is_none_or(|current| current >= allowed), "{limit:?}");
    }
}
