//! The root pair from its making to its replacement, and the commands that ask a running server.

use crate::place::{Place, answer, json, refusal, sixfold};
use compat_tests::cluster::Process;
use compat_tests::raw::{Request, Signer};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const MINIO_USER: &str = "minio-root";
const MINIO_PASSWORD: &str = "minio-password-1";

#[tokio::test(flavor = "multi_thread")]
async fn the_root_pair_is_made_kept_and_replaced() {
    let place = Place::new();
    let made = tokio::task::block_in_place(|| shown_once(&place));

    let mut process = place.start(&mut place.server());
    assert!(!process.log_tail().contains(&made.secret), "{}", process.log_tail());
    let random = Signer::new(&made.access_key, &made.secret);
    place.send(&random, Request::put("/before")).await.expect_status(200);
    commands(&place, &made.access_key).await;
    assert!(process.stop().success());

    let mut with_minio = place.server();
    with_minio.env("MINIO_ROOT_USER", MINIO_USER).env("MINIO_ROOT_PASSWORD", MINIO_PASSWORD);
    with_minio.env("S3_BUCKET", "at-the-start");
    let mut process = place.start(&mut with_minio);
    let log = process.log_tail();
    assert!(log.contains("MINIO_ROOT_USER") && log.contains("replaced"), "{log}");
    assert!(!log.contains(MINIO_PASSWORD), "{log}");
    assert!(!place.data().join("meta/root.json").exists(), "it is no longer true");
    let minio = Signer::new(MINIO_USER, MINIO_PASSWORD);
    place.send(&minio, Request::head("/at-the-start")).await.expect_status(200);
    place.send(&minio, Request::head("/before")).await.expect_status(200);
    let old = place.send(&random, Request::get("/before")).await;
    assert_eq!(old.outcome(), (403, "InvalidAccessKeyId".to_owned()));
    assert!(process.stop().success());

    let file = place.path("secret");
    std::fs::write(&file, "secret-in-a-file\n").unwrap();
    let mut with_file = place.server();
    with_file.env("SIXFOLD_ROOT_ACCESS_KEY", "sixfold-root");
    with_file.env("SIXFOLD_ROOT_SECRET_KEY_FILE", &file).env("S3_BUCKET", "at-the-start");
    let mut process = place.start(&mut with_file);
    let ours = Signer::new("sixfold-root", "secret-in-a-file");
    place.send(&ours, Request::head("/at-the-start")).await.expect_status(200);
    let old = place.send(&minio, Request::get("/before")).await;
    assert_eq!(old.outcome(), (403, "InvalidAccessKeyId".to_owned()));
    assert!(process.stop().success());
}

/// A root pair.
struct Pair {
    access_key: String,
    secret: String,
}

/// The first start, on a terminal: the secret is shown, and kept for its owner alone.
fn shown_once(place: &Place) -> Pair {
    let server = place.server();
    let words = std::iter::once(server.get_program()).chain(server.get_args());
    let line = words.map(|word| format!("'{}'", word.to_str().unwrap())).collect::<Vec<_>>();
    let mut terminal = Command::new("script");
    terminal.args(["-qefc", &format!("exec {}", line.join(" ")), "/dev/null"]);
    terminal.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    let mut terminal = place.start(&mut terminal);
    let file = place.data().join("meta/root.json");
    let kept: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    let text = |name: &str| kept[name].as_str().unwrap().to_owned();
    let pair = Pair { access_key: text("access_key"), secret: text("secret_key") };
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let until = Instant::now() + Duration::from_secs(20);
    while !terminal.log_tail().contains("shown once") {
        assert!(Instant::now() < until, "{}", terminal.log_tail());
        std::thread::sleep(Duration::from_millis(50));
    }
    let log = terminal.log_tail();
    for part in [&pair.access_key, &pair.secret, "mc alias set", "rclone config create"] {
        assert!(log.contains(part), "{part:?} is not in {log}");
    }
    end(&mut terminal);
    pair
}

/// Ends the server below `script`, which then ends by itself.
fn end(terminal: &mut Process) {
    let pid = terminal.pid();
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let child = children.split_whitespace().next().expect("a child of script");
    assert!(Command::new("kill").args(["-TERM", child]).status().unwrap().success());
    let status = terminal.wait(Duration::from_mins(1));
    assert!(status.success(), "{status}: {}", terminal.log_tail());
}

/// Each command of administration against the running server.
async fn commands(place: &Place, root: &str) {
    let data = place.data();
    let at = |words: &[&str]| {
        let mut command = sixfold();
        command.args(words).arg("--dir").arg(&data);
        command
    };
    let status = json(&mut at(&["status", "--json"]));
    assert_eq!(
        (status["nodes_up"].as_u64(), status["nodes_registered"].as_u64()),
        (Some(6), Some(6))
    );
    assert!(answer(&mut at(&["status"])).contains("6 of 6 up"));
    let nodes = json(&mut at(&["node", "list", "--json"]));
    assert!(nodes.as_array().unwrap().iter().all(|node| node["state"] == "active"), "{nodes}");
    assert_eq!(nodes.as_array().unwrap().len(), 6);
    assert_eq!(answer(&mut at(&["node", "list"])).lines().count(), 7);
    assert!(answer(sixfold().arg("version")).starts_with("sixfold "));
    assert!(json(sixfold().args(["version", "--json"]))["version"].is_string());
    // A variable that happens to be set does not send a command elsewhere.
    let mut wrong = sixfold();
    wrong.args(["status", "--dir"]).arg(place.folder.path());
    wrong.env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none");
    let refused = refusal(&mut wrong);
    assert!(refused.contains("--meta-dir") && !refused.contains("127.0.0.1:1"), "{refused}");
    settings(&data);

    let alt = json(&mut at(&["key", "create", "--name", "alt", "--json"]));
    let text = |name: &str| alt[name].as_str().unwrap().to_owned();
    assert_eq!((text("display_name").as_str(), text("owner_id").len()), ("alt", 64));
    let key = text("access_key");
    let signer = Signer::new(&key, &text("secret_key"));
    place.send(&signer, Request::put("/alts-own")).await.expect_status(200);
    let other = place.send(&signer, Request::get("/before")).await;
    assert_eq!(other.outcome(), (403, "AccessDenied".to_owned()));
    let stray = place.path("stray.key");
    std::fs::write(&stray, "ab".repeat(32)).unwrap();
    std::fs::set_permissions(&stray, std::fs::Permissions::from_mode(0o600)).unwrap();
    let mut sealed = at(&["key", "create", "--name", "stray"]);
    let refused = refusal(sealed.arg("--master-key-file").arg(&stray));
    assert!(refused.contains("this master key is not the one"), "{refused}");
    for words in [&["key", "create", "--name", "root"][..], &["key", "delete", root]] {
        let refused = refusal(&mut at(words));
        assert!(refused.contains("SIXFOLD_ROOT_ACCESS_KEY"), "{refused}");
    }
    let listed = answer(&mut at(&["key", "list"]));
    assert!(listed.contains(&key) && listed.contains(root), "{listed}");
    assert!(!listed.contains(&text("secret_key")), "{listed}");
    let listed = json(&mut at(&["key", "list", "--json"]));
    assert_eq!(listed.as_array().unwrap().len(), 2, "{listed}");

    assert!(answer(&mut at(&["key", "delete", &key])).contains(&key));
    let again = refusal(&mut at(&["key", "delete", &key]));
    assert!(again.contains(&format!("no access key {key}")), "{again}");
    let until = Instant::now() + Duration::from_secs(15);
    while place.send(&signer, Request::get("/")).await.code() != "InvalidAccessKeyId" {
        assert!(Instant::now() < until, "a deleted key still works");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// `config show` names each value's origin.
fn settings(data: &Path) {
    let file = data.join("settings.toml");
    std::fs::write(&file, "[http]\nmax_requests = 9\n[s3]\nregion = \"eu-1\"\n").unwrap();
    let mut show = sixfold();
    show.args(["config", "show", "--json", "--address", "127.0.0.1:1", "--config"]).arg(&file);
    show.env("SIXFOLD_REGION", "eu-2").env("DATABASE_URL", "postgres://u:canary@h/d");
    let shown = json(&mut show);
    let find = |name: &str| {
        let found = shown.as_array().unwrap().iter().find(|entry| entry["name"] == name).unwrap();
        let text = |field: &str| found[field].as_str().unwrap().to_owned();
        (text("value"), text("source"))
    };
    assert_eq!(find("http.address"), ("127.0.0.1:1".to_owned(), "flag --address".to_owned()));
    assert_eq!(find("s3.region"), ("eu-2".to_owned(), "environment SIXFOLD_REGION".to_owned()));
    assert_eq!(find("http.max_requests"), ("9".to_owned(), format!("file {}", file.display())));
    assert_eq!(find("nodes.tokens"), ("150".to_owned(), "default".to_owned()));
    assert_eq!(find("database.url").0, "(hidden)");
    assert!(!shown.to_string().contains("canary"));
    assert!(answer(sixfold().args(["config", "show"])).contains("us-east-1"));
}
