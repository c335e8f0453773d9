//! What a start says: where everything is, and lines to paste for three clients. Secrets only on
//! a terminal, and only when they were made just now.

use super::root::Root;
use crate::config::Source;
use crate::role::say::say;
use std::fmt::Write;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::Path;

/// What there is to say.
pub(super) struct Announcement<'a> {
    pub(super) address: SocketAddr,
    pub(super) admin_address: SocketAddr,
    pub(super) is_tls: bool,
    pub(super) region: &'a str,
    pub(super) root: &'a Root,
    pub(super) root_file: &'a Path,
    pub(super) metadata: &'a str,
    pub(super) master_key: &'a Path,
}

impl Announcement<'_> {
    /// Prints it. The server serves whether anybody reads it or not.
    pub(super) fn print(&self) {
        let text = self.text(std::io::stdout().is_terminal());
        let _ = say!("{text}");
    }

    fn text(&self, is_terminal: bool) -> String {
        let scheme = if self.is_tls { "https" } else { "http" };
        let endpoint = format!("{scheme}://{}", reachable(self.address));
        let access_key = &self.root.access_key;
        let shows_secret = self.root.is_new && is_terminal;
        let secret = if shows_secret { self.root.secret.expose() } else { "\"$SECRET\"" };
        let region = self.region;
        let mut text = String::new();
        let _ = writeln!(text, "\nSixfold {} is ready.", env!("CARGO_PKG_VERSION"));
        let _ = writeln!(text, "  S3       {endpoint}   region {region}");
        let _ = writeln!(text, "  health   http://{}/health/ready", reachable(self.admin_address));
        let _ = writeln!(text, "  metadata {}", self.metadata);
        let master_key = self.master_key.display();
        let _ = writeln!(text, "  seal     {master_key} (copied nowhere: keep a copy elsewhere)");
        let _ = writeln!(text, "  key      {access_key}");
        if shows_secret {
            let _ = writeln!(text, "  secret   {secret}");
            let _ = writeln!(text, "           shown once; kept in {}", self.root_file.display());
        } else {
            let _ = writeln!(text, "  secret   {}", self.where_secret());
            let shell = self.shell();
            let _ = writeln!(text, "\nthe secret, for the lines below:\n  SECRET={shell}");
        }
        let _ = write!(
            text,
            "\naws:
  export AWS_ACCESS_KEY_ID={access_key} AWS_SECRET_ACCESS_KEY={secret} AWS_REGION={region}
  aws --endpoint-url {endpoint} s3 mb s3://photos
mc:
  mc alias set sixfold {endpoint} {access_key} {secret}
rclone:
  rclone config create sixfold s3 provider=Other endpoint={endpoint} region={region} \\
    access_key_id={access_key} secret_access_key={secret}
"
        );
        text
    }

    fn where_secret(&self) -> String {
        match &self.root.given_by {
            Some(source) => format!("as given by {source}"),
            None => format!("in {}", self.root_file.display()),
        }
    }

    /// How a shell finds the secret without it being shown.
    fn shell(&self) -> String {
        match &self.root.given_by {
            Some(Source::Environment(name)) => format!("\"${name}\""),
            Some(Source::SecretFile(name)) => format!("\"$(cat \"${name}\")\""),
            Some(_) => "'the one in the settings'".to_owned(),
            None => {
                let file = std::path::absolute(self.root_file);
                let file = file.unwrap_or_else(|_| self.root_file.to_owned());
                format!(r#""$(sed -n 's/.*"secret_key": "\(.*\)".*/\1/p' '{}')""#, file.display())
            }
        }
    }
}

/// An address that a client on this machine can use.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => ([127, 0, 0, 1], v4.port()).into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => ([127, 0, 0, 1], v6.port()).into(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::Announcement;
    use crate::auth::seal::Secret;
    use crate::config::Source;
    use crate::role::root::Root;
    use std::path::Path;

    fn text(is_new: bool, is_terminal: bool) -> String {
        text_of(is_new, is_terminal, None)
    }

    fn text_of(is_new: bool, is_terminal: bool, given_by: Option<Source>) -> String {
        let root = Root {
            access_key: "AKID".to_owned(),
            secret: Secret::new("canary-secret"),
            is_new,
            given_by,
        };
        let announcement = Announcement {
            address: "0.0.0.0:9000".parse().unwrap(),
            admin_address: "127.0.0.1:9001".parse().unwrap(),
            is_tls: false,
            region: "us-east-1",
            root: &root,
            root_file: Path::new("data/meta/root.json"),
            metadata: "PostgreSQL",
            master_key: Path::new("data/meta/master.key"),
        };
        announcement.text(is_terminal)
    }

    #[test]
    fn the_lines_find_a_secret_that_is_not_shown() {
        let stored = text(false, true);
        assert!(stored.contains("SECRET=\"$(sed -n "), "{stored}");
        assert!(stored.contains("AWS_SECRET_ACCESS_KEY=\"$SECRET\""), "{stored}");
        let variable = Some(Source::Environment("MINIO_ROOT_PASSWORD".to_owned()));
        let given = text_of(false, true, variable);
        assert!(given.contains("SECRET=\"$MINIO_ROOT_PASSWORD\""), "{given}");
        let file = Some(Source::SecretFile("SIXFOLD_ROOT_SECRET_KEY_FILE".to_owned()));
        let given = text_of(false, true, file);
        assert!(given.contains("$(cat \"$SIXFOLD_ROOT_SECRET_KEY_FILE\")"), "{given}");
    }

    #[test]
    fn a_secret_is_shown_once_and_on_a_terminal_only() {
        assert!(text(true, true).contains("canary-secret"));
        for (is_new, is_terminal) in [(true, false), (false, true), (false, false)] {
            let text = text(is_new, is_terminal);
            assert!(!text.contains("canary-secret"), "{text}");
            assert!(text.contains("data/meta/root.json"), "{text}");
            assert!(text.contains("http://127.0.0.1:9000"), "{text}");
        }
    }
}
