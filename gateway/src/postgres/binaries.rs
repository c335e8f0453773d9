//! Where the programs `initdb` and `postgres` are.

use super::error::PostgresError;
use std::path::{Path, PathBuf};
use tokio::process::Command;

/// The versions that Sixfold is tested with, newest first: the order in which they are taken.
const MAJORS: [u32; 4] = [18, 17, 16, 15];

/// The programs of one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Binaries {
    /// Their directory.
    pub(super) dir: PathBuf,
    /// Their version.
    pub(super) major: u32,
}

impl Binaries {
    /// The newest usable version, or the one that made the data.
    pub(super) async fn find(
        given: Option<&Path>,
        needed: Option<u32>,
    ) -> Result<Self, PostgresError> {
        let dirs = given.map_or_else(usual_dirs, |dir| vec![dir.to_owned()]);
        let mut found = Vec::new();
        for dir in dirs {
            if let Some(major) = major_in(&dir).await {
                found.push(Self { dir, major });
            }
        }
        let seen = || describe(&found);
        choose(&found, needed).ok_or_else(|| match needed {
            Some(major) => PostgresError::OtherMajor { major, seen: seen() },
            None => PostgresError::NoBinaries { seen: seen() },
        })
    }

    /// A program: in the directory, or beside the real `postgres` where that is a link to it.
    pub(super) fn program(&self, name: &str) -> PathBuf {
        let here = self.dir.join(name);
        if here.is_file() {
            return here;
        }
        let real = self.dir.join("postgres").canonicalize();
        let beside = real.ok().map(|real| real.with_file_name(name));
        beside.filter(|beside| beside.is_file()).unwrap_or(here)
    }
}

fn choose(found: &[Binaries], needed: Option<u32>) -> Option<Binaries> {
    MAJORS
        .into_iter()
        .filter(|major| needed.is_none_or(|needed| needed == *major))
        .find_map(|major| found.iter().find(|binaries| binaries.major == major))
        .cloned()
}

fn describe(found: &[Binaries]) -> String {
    if found.is_empty() {
        return "looked in PATH and the usual places".to_owned();
    }
    let each = found.iter().map(|b| format!("{} in {}", b.major, b.dir.display()));
    format!("found {}", each.collect::<Vec<_>>().join(", "))
}

fn usual_dirs() -> Vec<PathBuf> {
    // PATH is how programs are found, not a setting of ours.
    let path = std::env::var_os("PATH").unwrap_or_default();
    let packaged = MAJORS.into_iter().flat_map(|major| {
        [
            format!("/usr/lib/postgresql/{major}/bin"),
            format!("/usr/lib/postgresql{major}/bin"),
            format!("/usr/pgsql-{major}/bin"),
            format!("/opt/homebrew/opt/postgresql@{major}/bin"),
            format!("/usr/local/opt/postgresql@{major}/bin"),
        ]
    });
    std::env::split_paths(&path)
        .chain(packaged.map(PathBuf::from))
        .chain(["/usr/local/pgsql/bin", "/usr/libexec/postgresql"].map(PathBuf::from))
        .collect()
}

/// The version of a directory that holds both programs.
async fn major_in(dir: &Path) -> Option<u32> {
    if !dir.join("initdb").is_file() || !dir.join("postgres").is_file() {
        return None;
    }
    let output = Command::new(dir.join("postgres")).arg("--version").output().await.ok()?;
    parse_version(&String::from_utf8_lossy(&output.stdout))
}

/// `postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)` is 15.
fn parse_version(line: &str) -> Option<u32> {
    let version = line.split_once("(PostgreSQL) ")?.1;
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        let debian = "postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)\n";
        assert_eq!(parse_version(debian), Some(15));
        assert_eq!(parse_version("postgres (PostgreSQL) 18beta2"), Some(18));
        assert_eq!(parse_version("postgres (EnterpriseDB) 15"), None);
    }

    #[test]
    fn programs_are_found_beside_what_links_lead_to() {
        let temporary = tempfile::tempdir().unwrap();
        let [real, links] = ["real", "links"].map(|name| temporary.path().join(name));
        [&real, &links].into_iter().for_each(|dir| std::fs::create_dir(dir).unwrap());
        ["postgres", "pg_x"].iter().for_each(|name| std::fs::write(real.join(name), "").unwrap());
        std::os::unix::fs::symlink(real.join("postgres"), links.join("postgres")).unwrap();
        let found = Binaries { dir: links.clone(), major: 15 };
        assert_eq!(found.program("postgres"), links.join("postgres"));
        assert_eq!(found.program("pg_x"), real.canonicalize().unwrap().join("pg_x"));
        assert_eq!(found.program("pg_y"), links.join("pg_y"), "an error names this one");
    }

    #[tokio::test]
    async fn data_of_another_version_say_how_to_go_on() {
        let empty = tempfile::tempdir().unwrap();
        let dir = empty.path();
        let error = |needed| async move {
            Binaries::find(Some(dir), needed).await.unwrap_err().to_string()
        };
        let [none, other] = [error(None).await, error(Some(14)).await];
        assert!(none.contains("no PostgreSQL 15 to 18"), "{none}");
        for part in ["made by PostgreSQL 14", "postgresql-14", "docs/postgresql-upgrade.md"] {
            assert!(other.contains(part), "{other}");
        }
    }

    #[test]
    fn the_newest_is_taken_unless_data_need_another() {
        let at = |major| Binaries { dir: format!("/{major}").into(), major };
        let found = [at(14), at(15), at(17), at(19)];
        assert_eq!(choose(&found, None), Some(at(17)));
        assert_eq!(choose(&found, Some(15)), Some(at(15)));
        assert_eq!(choose(&found, Some(16)), None);
        assert_eq!(choose(&found, Some(14)), None);
    }
}
