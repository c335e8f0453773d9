//! The compose file's own command lines, as processes: confined as their containers would be.

use super::compose::{Stage, root, services, stages, texts, variables, yaml};
use super::{ACCOUNT, make_secrets};
use compat_tests::cluster::{Postgres, Process, binary, free_address, is_ready};
use compat_tests::raw::{Request, Signer};
use serde_json::Value;
use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long all of it may take to be healthy on a busy machine.
const PATIENCE: Duration = Duration::from_mins(2);

/// Binds what may be written, and secrets and programs to where the container has them, then makes
/// the rest of the tree read-only and gives up every right. Arguments: the secrets, the programs, how
/// many folders may be written, these, the command.
const CONFINE: &str = r#"
set -eu
secrets=$1 programs=$2 count=$3; shift 3
mount -t tmpfs tmpfs /run
mkdir /run/secrets
mount --bind "$secrets" /run/secrets
for _ in $(seq "$count"); do mount --bind "$1" "$1"; shift; done
mount --bind "$programs" /usr/local/bin
mount -o remount,bind,ro /
exec setpriv --reuid 10001 --regid 10001 --clear-groups --no-new-privs --bounding-set -all \
  --inh-caps -all -- "$@"
"#;

/// Where containers have their secrets.
const SECRETS: &str = "/run/secrets";

/// The folders that stand for secrets and volumes, and the addresses that stand for containers.
struct Stand {
    folder: TempDir,
    compose: Value,
    stages: BTreeMap<String, Stage>,
    addresses: BTreeMap<String, (String, String)>,
}

impl Stand {
    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("sixfold-docker-").tempdir().unwrap();
        let compose = yaml("docker/compose.yaml");
        let addresses = services(&compose).keys();
        let addresses =
            addresses.map(|name| (name.clone(), (free_address(), free_address()))).collect();
        let stand = Self { folder, compose, stages: stages(), addresses };
        open(stand.folder.path());
        stand
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn service(&self, name: &str) -> &Value {
        &services(&self.compose)[name]
    }

    /// What a container sees under that name, on this machine.
    fn here(&self, name: &str, text: &str) -> String {
        let (first, second) = &self.addresses[name];
        let volume = self.path(&format!("volume-{name}")).display().to_string();
        let secrets = self.path("secrets").display().to_string();
        let secrets = if is_root() { SECRETS } else { &secrets };
        text.replace(SECRETS, secrets)
            .replace("/var/lib/sixfold", &volume)
            .replace(&format!("http://{name}:9100"), &format!("http://{first}"))
            .replace("0.0.0.0:9100", first)
            .replace("0.0.0.0:9000", first)
            .replace("0.0.0.0:9001", second)
            .replace("0.0.0.0:9101", second)
    }

    /// Runs `words` as the service's container would.
    fn command(&self, name: &str, words: &[String]) -> Command {
        let service = self.service(name);
        let stage = &self.stages[service["build"]["target"].as_str().unwrap()];
        let words = words.iter().map(|word| self.here(name, word));
        let mut command = self.confined(&self.volumes(name));
        command
            .args(words)
            .current_dir("/")
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin");
        for (variable, value) in stage.variables().into_iter().chain(variables(service)) {
            command.env(variable, self.here(name, &value));
        }
        command
    }

    /// As root: the account of the images, without rights, on a tree that can't be written but for
    /// `volumes`. Without root there are no rights to give up; then it is a plain command.
    fn confined(&self, volumes: &[PathBuf]) -> Command {
        let programs = binary("sixfold").parent().unwrap().to_owned();
        if !is_root() {
            let mut command = Command::new("/usr/bin/env");
            command.arg(format!("PATH={}:/usr/bin:/bin", programs.display()));
            return command;
        }
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "/bin/sh", "-c", CONFINE, "confine"]);
        command
            .arg(self.path("secrets"))
            .arg(programs)
            .arg(volumes.len().to_string())
            .args(volumes);
        command
    }

    /// The folders that the service may write.
    fn volumes(&self, name: &str) -> Vec<PathBuf> {
        let has_volume = !texts(&self.service(name)["volumes"]).is_empty();
        has_volume.then(|| self.path(&format!("volume-{name}"))).into_iter().collect()
    }

    /// Starts the service: its image's program with its command.
    fn start(&self, name: &str) -> Process {
        let service = self.service(name);
        let stage = &self.stages[service["build"]["target"].as_str().unwrap()];
        let mut words = stage.list("ENTRYPOINT");
        words.extend(texts(&service["command"]));
        for volume in self.volumes(name) {
            std::fs::create_dir(&volume).unwrap();
            if is_root() {
                chown(&volume, Some(10001), Some(10001)).unwrap();
            }
        }
        Process::start(name, &mut self.command(name, &words), &self.path(&format!("{name}.log")))
    }

    /// Whether the image's own check says that the service is well.
    fn is_healthy(&self, name: &str) -> bool {
        let service = self.service(name);
        let stage = &self.stages[service["build"]["target"].as_str().unwrap()];
        let mut words = stage.health_check();
        if words[0] == "sixfold-node" {
            // In its container it is alone with the default port.
            words.extend(["--listen".to_owned(), self.addresses[name].0.clone()]);
        }
        self.command(name, &words).output().unwrap().status.success()
    }

    fn wait_until_healthy(&self, name: &str, process: &mut Process) {
        let until = Instant::now() + PATIENCE;
        while !self.is_healthy(name) {
            assert!(process.ended().is_none(), "{name} ended: {}", process.log_tail());
            assert!(Instant::now() < until, "{name} is not healthy: {}", process.log_tail());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The secrets of the compose file, with the address of this test's database in the URLs.
    fn prepare_secrets(&self, postgres: &Postgres) {
        let folder = self.path("secrets");
        make_secrets(&folder);
        open(&folder);
        let query = postgres.url().split_once('?').unwrap().1.to_owned();
        for name in ["owner.url", "node.url"] {
            let file = folder.join(name);
            let url = std::fs::read_to_string(&file).unwrap();
            let url = url.replace("@postgres:5432/", "@localhost:5432/");
            std::fs::remove_file(&file).unwrap();
            std::fs::write(&file, format!("{url}?{query}")).unwrap();
        }
        if !is_root() {
            // Only below /run/secrets is it taken as containers get it.
            let private = std::fs::Permissions::from_mode(0o600);
            std::fs::set_permissions(folder.join("master.key"), private).unwrap();
        }
    }

    /// Runs the image's script of the first start on this test's database.
    fn make_owner(&self, postgres: &Postgres) -> Output {
        let sockets = postgres.url().split_once("?host=").unwrap().1.to_owned();
        let mut script = Command::new(root().join("docker/postgres/owner.sh"));
        script.env("PGHOST", sockets);
        script.env("OWNER_PASSWORD_FILE", self.path("secrets/owner.password"));
        script.output().unwrap()
    }
}

fn is_root() -> bool {
    uid() == 0
}

fn uid() -> u32 {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").unwrap().uid()
}

fn open(folder: &Path) {
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// The processes' own view: the account, no rights, and none to be had.
fn check_confinement(process: &Process) {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.pid())).unwrap();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let user = ACCOUNT.split(':').next().unwrap();
    assert!(field("Uid:").iter().all(|uid| uid == user), "{status}");
    assert!(
        field("CapEff:")
            .iter()
            .chain(&field("CapBnd:"))
            .all(|set| set.trim_matches('0').is_empty())
    );
    assert_eq!(field("NoNewPrivs:"), ["1"]);
}

fn create_key(stand: &Stand) -> Signer {
    let words = ["sixfold", "key", "create", "--name", "alice", "--json"].map(str::to_owned);
    let output = stand.command("admin", &words).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let key: Value = serde_json::from_slice(&output.stdout).unwrap();
    let field = |name: &str| key[name].as_str().unwrap().to_owned();
    Signer::new(&field("access_key"), &field("secret_key"))
}

#[tokio::test]
async fn the_command_lines_of_the_compose_file_start_a_cluster() {
    let stand = Stand::new();
    let postgres = Postgres::start(&stand.path("postgres"));
    stand.prepare_secrets(&postgres);
    let owner = stand.make_owner(&postgres);
    assert!(owner.status.success(), "{}", String::from_utf8_lossy(&owner.stderr));

    let mut migrate = stand.start("migrate");
    assert!(migrate.wait(PATIENCE).success(), "{}", migrate.log_tail());
    let mut nodes: Vec<_> =
        (1..=6).map(|n| (format!("node{n}"), stand.start(&format!("node{n}")))).collect();
    for (name, process) in &mut nodes {
        stand.wait_until_healthy(name, process);
    }
    let mut gateways: Vec<_> =
        ["gateway1", "gateway2"].map(|name| (name, stand.start(name))).into();
    for (name, process) in &mut gateways {
        stand.wait_until_healthy(name, process);
        assert!(is_ready(&stand.addresses[*name].1));
    }
    if is_root() {
        nodes.iter().map(|(_, process)| process).for_each(check_confinement);
        gateways.iter().map(|(_, process)| process).for_each(check_confinement);
        let touch = ["touch", "/usr/local/bin/x", "/etc/x"].map(str::to_owned);
        assert!(!stand.command("gateway1", &touch).output().unwrap().status.success());
    }

    let signer = create_key(&stand);
    let [one, other] = ["gateway1", "gateway2"].map(|name| stand.addresses[name].0.clone());
    let send = |request: Request, address: String| {
        let wire = request.sign(&signer, &address);
        async move { wire.send(&address).await }
    };
    send(Request::put("/photos"), one.clone()).await.expect_status(200);
    send(Request::put("/photos/a").body("six"), one).await.expect_status(200);
    let got = send(Request::get("/photos/a"), other).await;
    assert_eq!((got.status, got.body.as_slice()), (200, b"six".as_slice()));

    for (name, process) in &mut gateways {
        assert!(process.stop().success(), "{name}: {}", process.log_tail());
    }
    for (name, process) in &mut nodes {
        assert!(process.stop().success(), "{name}: {}", process.log_tail());
        assert!(!stand.is_healthy(name), "{name} has stopped");
    }
}
