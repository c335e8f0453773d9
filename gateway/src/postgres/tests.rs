//! With a real `initdb` and a real server.

use super::*;
use sqlx::{Connection, PgConnection};
use std::os::unix::fs::DirBuilderExt;
use std::time::{Duration, Instant};

/// A directory that the database's account can pass when the tests run as root.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        Self::with_mode(0o711)
    }

    fn with_mode(mode: u32) -> Self {
        let name = format!("sixfold-postgres-{:016x}", rand::random::<u64>());
        let dir = std::env::temp_dir().join(name);
        std::fs::DirBuilder::new().mode(mode).create(&dir).unwrap();
        Self(dir)
    }

    fn settings(&self) -> Settings {
        let mut settings = Settings::new(&self.0);
        settings.shared_buffers_mib = 16;
        settings
    }

    fn pid(&self) -> i32 {
        let file = self.0.join("postgres/data/postmaster.pid");
        std::fs::read_to_string(file).unwrap().lines().next().unwrap().parse().unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Ok(Some(sockets)) = sockets::recorded(&self.0.join("postgres")) {
            let _ = std::fs::remove_dir_all(sockets);
        }
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

async fn start(scratch: &Scratch) -> Result<Managed, PostgresError> {
    Managed::start(scratch.settings(), &CancellationToken::new()).await
}

fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

/// Starts a server and forgets it, as a killed sixfold does.
async fn orphan(scratch: &Scratch) -> i32 {
    let home = make_home(&scratch.0).unwrap();
    let never = CancellationToken::new();
    let cluster = Cluster::prepare(scratch.settings(), home, &never).await.unwrap();
    let postmaster = launch::launch(&cluster, &never).await.unwrap();
    launch::create_database(&cluster).await.unwrap();
    std::mem::forget(postmaster);
    scratch.pid()
}

async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}

#[tokio::test]
async fn it_starts_checks_stops_and_keeps_its_rows() {
    let scratch = Scratch::new();
    let managed = start(&scratch).await.unwrap();
    assert_eq!(url_of_running(&scratch.0).unwrap(), managed.url());
    let mut connection = connect(&managed.url()).await;
    checks::check(&mut connection).await.unwrap();
    sqlx::raw_sql("create table t (x int); insert into t values (7)")
        .execute(&mut connection)
        .await
        .unwrap();
    let listening: String =
        sqlx::query_scalar("show listen_addresses").fetch_one(&mut connection).await.unwrap();
    assert_eq!(listening, "", "no TCP");
    let sockets = managed.cluster.sockets.clone();
    managed.stop().await.unwrap();
    assert!(!sockets.exists(), "nothing is left behind");
    assert!(matches!(url_of_running(&scratch.0), Err(PostgresError::NotRunning { .. })));

    let managed = start(&scratch).await.unwrap();
    let x: i32 = sqlx::query_scalar("select x from t")
        .fetch_one(&mut connect(&managed.url()).await)
        .await
        .unwrap();
    assert_eq!(x, 7);
    managed.stop().await.unwrap();
}

#[tokio::test]
async fn a_second_one_on_the_same_directory_is_refused_by_name() {
    let scratch = Scratch::new();
    let home = make_home(&scratch.0).unwrap();
    let _lock = DirectoryLock::take(&home).unwrap();
    let error = start(&scratch).await.unwrap_err();
    assert!(
        matches!(&error, PostgresError::InUse { pid, .. } if *pid == std::process::id().to_string()),
        "{error}"
    );
}

#[tokio::test]
async fn a_killed_server_is_started_again_on_the_same_socket() {
    let scratch = Scratch::new();
    let managed = start(&scratch).await.unwrap();
    let killed = scratch.pid();
    kill(killed);
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let again = PgConnection::connect(&managed.url()).await;
        if again.is_ok() && scratch.pid() != killed {
            break;
        }
        assert!(Instant::now() < until, "not restarted: {again:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    managed.stop().await.unwrap();
}

/// The processes whose command line names the directory.
fn processes_on(dir: &Path) -> Vec<String> {
    let dir = dir.to_str().unwrap();
    let commands = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|process| {
        let command = std::fs::read(process.path().join("cmdline")).ok()?;
        Some(String::from_utf8_lossy(&command).replace('\0', " "))
    });
    commands.filter(|command| command.contains(dir) && command.contains(" -D ")).collect()
}

/// Begins to start a server, gives it up once `is_there`, and finds nothing left running.
async fn interrupted(scratch: &Scratch, is_there: impl Fn() -> bool) {
    let stop = CancellationToken::new();
    let starting = Managed::start(scratch.settings(), &stop);
    let interrupting = async {
        while !is_there() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stop.cancel();
    };
    let (started, ()) = tokio::join!(starting, interrupting);
    assert!(matches!(started, Err(PostgresError::Interrupted)), "{started:?}");
    assert_eq!(processes_on(&scratch.0), Vec::<String>::new());
}

#[tokio::test]
async fn an_interrupted_start_leaves_nothing_running() {
    let scratch = Scratch::new();
    let made = scratch.0.join("postgres/data.new");
    interrupted(&scratch, || made.join("PG_VERSION").exists()).await;
    start(&scratch).await.unwrap().stop().await.unwrap();
    let pid_file = scratch.0.join("postgres/data/postmaster.pid");
    interrupted(&scratch, || pid_file.exists()).await;
    start(&scratch).await.unwrap().stop().await.unwrap();
}

#[tokio::test]
async fn after_a_kill_of_everything_it_recovers() {
    let scratch = Scratch::new();
    kill(orphan(&scratch).await);
    let managed = start(&scratch).await.unwrap();
    connect(&managed.url()).await;
    managed.stop().await.unwrap();
}

#[tokio::test]
async fn an_orphan_is_stopped_and_replaced() {
    let scratch = Scratch::new();
    let old = orphan(&scratch).await;
    let managed = start(&scratch).await.unwrap();
    assert_ne!(scratch.pid(), old);
    connect(&managed.url()).await;
    managed.stop().await.unwrap();
}

#[tokio::test]
async fn a_process_that_took_the_number_over_is_left_alone() {
    let scratch = Scratch::new();
    start(&scratch).await.unwrap().stop().await.unwrap();
    let file = scratch.0.join("postgres/data/postmaster.pid");
    let mut stranger = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    std::fs::write(&file, format!("{}\n/elsewhere\n", stranger.id())).unwrap();
    let managed = start(&scratch).await.unwrap();
    assert!(stranger.try_wait().unwrap().is_none(), "the stranger was signalled");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    managed.stop().await.unwrap();
}

#[tokio::test]
async fn a_socket_path_that_does_not_fit_is_refused() {
    let scratch = Scratch::new();
    let mut settings = scratch.settings();
    let long = scratch.0.join("x".repeat(100));
    std::fs::create_dir(&long).unwrap();
    settings.runtime_dir = Some(long);
    let error = Managed::start(settings, &CancellationToken::new()).await.unwrap_err();
    assert!(matches!(error, PostgresError::PathTooLong { .. }), "{error}");
}

/// Only root runs the database as somebody else; for others there is nothing to test.
#[tokio::test]
async fn a_directory_that_the_database_account_cannot_pass_is_named() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let scratch = Scratch::with_mode(0o700);
    let error = start(&scratch).await.unwrap_err();
    assert!(
        matches!(&error, PostgresError::Unreachable { component, .. } if *component == scratch.0),
        "{error}"
    );
    assert!(error.to_string().contains("chmod o+x"), "{error}");
}

#[tokio::test]
async fn a_server_that_loses_writes_is_refused() {
    let mut connection = connect(&testing::database().await).await;
    let error = checks::check(&mut connection).await.unwrap_err();
    assert!(error.to_string().contains("fsync is 'off'"), "{error}");
}

/// Two DIRs beside the database's, as places for copies.
fn places(scratch: &Scratch) -> Vec<Place> {
    let candidates = ["a", "b"].map(|name| {
        let dir = scratch.0.join(name);
        match std::fs::create_dir(&dir) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => panic!("{error}"),
            _ => set_mode(&dir, 0o711).unwrap(),
        }
        let seat = seat_at(&dir);
        Candidate { dir, device: 1, seat }
    });
    choose(&candidates, 1, CopyPolicy::Always)
}

/// A start with copies, the commits of which wait for one.
async fn start_copied(scratch: &Scratch, renew_after: u64) -> Managed {
    let managed = start(scratch).await.unwrap();
    let patience = Duration::from_secs(60);
    let protection = managed.keep_copies(places(scratch), renew_after, patience).await;
    assert!(protection.is_required, "{protection:?}");
    managed
}

async fn commits(managed: &Managed, count: i32) {
    let mut connection = connect(&managed.url()).await;
    let insert = "insert into t select coalesce(max(x), 0) + 1 from t";
    for _ in 0..count {
        sqlx::query(insert).execute(&mut connection).await.unwrap();
    }
}

async fn rows(managed: &Managed) -> i64 {
    let count = sqlx::query_scalar("select count(*) from t");
    count.fetch_one(&mut connect(&managed.url()).await).await.unwrap()
}

/// Waits for something, for two minutes at most.
async fn wait_until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let until = Instant::now() + Duration::from_mins(2);
    while !is_so().await {
        assert!(Instant::now() < until, "{what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn make_table(managed: &Managed) {
    let mut connection = connect(&managed.url()).await;
    sqlx::raw_sql("create table t (x int)").execute(&mut connection).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_database_is_made_anew_from_its_newest_copy() {
    let scratch = Scratch::new();
    let dirs = places(&scratch).into_iter().map(|place| place.dir).collect::<Vec<_>>();
    let never = CancellationToken::new();
    let error = recover(scratch.settings(), &dirs, &never).await.unwrap_err();
    assert!(matches!(error, PostgresError::NoCopy { .. }), "{error}");

    let managed = start_copied(&scratch, 1 << 30).await;
    make_table(&managed).await;
    commits(&managed, 50).await;
    let mut connection = connect(&managed.url()).await;
    let kind: (bool, bool, bool) = sqlx::query_as(
        "select rolsuper, rolcreatedb, rolreplication from pg_roles where rolname = 'sixfold_copy'",
    )
    .fetch_one(&mut connection)
    .await
    .unwrap();
    assert_eq!(kind, (false, false, true), "the receivers may replicate and nothing else");
    managed.stop().await.unwrap();
    let data = scratch.0.join("postgres/data");
    let error = recover(scratch.settings(), &dirs, &never).await.unwrap_err();
    assert!(matches!(error, PostgresError::DatabaseThere { .. }), "{error}");
    std::fs::remove_dir_all(scratch.0.join("postgres")).unwrap();
    assert!(!is_there(&scratch.0) && !copies_at(&dirs).is_empty());

    let done = recover(scratch.settings(), &dirs, &never).await.unwrap();
    assert!(dirs.contains(&done.dir), "{done:?}");
    assert!(data.exists());
    // The copies go on with the database that was made from one of them, and it can be lost again.
    let managed = start_copied(&scratch, 1 << 30).await;
    assert_eq!(rows(&managed).await, 50);
    commits(&managed, 10).await;
    managed.stop().await.unwrap();
    std::fs::remove_dir_all(scratch.0.join("postgres")).unwrap();
    recover(scratch.settings(), &dirs, &never).await.unwrap();
    let managed = start(&scratch).await.unwrap();
    assert_eq!(rows(&managed).await, 60);
    managed.stop().await.unwrap();
}

/// Waits until both copies have everything.
async fn wait_for_copies(managed: &Managed) {
    let mut connection = connect(&managed.url()).await;
    wait_until("a copy lags", async || {
        let caught_up = "select count(*)
                         from pg_stat_replication where state = 'streaming'
                         and flush_lsn >= pg_current_wal_flush_lsn()";
        let caught_up: i64 =
            sqlx::query_scalar(caught_up).fetch_one(&mut connection).await.unwrap();
        caught_up == 2
    })
    .await;
}

/// Whether each of these DIRs has a copy of all that the database has synced.
async fn are_whole(managed: &Managed, dirs: &[PathBuf]) -> bool {
    let synced = "select pg_walfile_name(pg_current_wal_flush_lsn())";
    let synced: String =
        sqlx::query_scalar(synced).fetch_one(&mut connect(&managed.url()).await).await.unwrap();
    dirs.iter().all(|dir| {
        let copies = copies::find(std::slice::from_ref(dir));
        copies.first().is_some_and(|newest| newest.end.0.name() >= synced)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_copy_is_passed_over() {
    let scratch = Scratch::new();
    let dirs = places(&scratch).into_iter().map(|place| place.dir).collect::<Vec<_>>();
    let managed = start_copied(&scratch, 1 << 30).await;
    wait_until("there are not two copies", async || copies_at(&dirs).len() == 2).await;
    make_table(&managed).await;
    commits(&managed, 20).await;
    wait_for_copies(&managed).await;
    managed.stop().await.unwrap();
    std::fs::remove_dir_all(scratch.0.join("postgres")).unwrap();
    let never = CancellationToken::new();
    for (number, copy) in copies::find(&dirs).into_iter().enumerate() {
        let file = copy.base.join("global/pg_filenode.map");
        let mut bytes = std::fs::read(&file).unwrap();
        bytes[40] ^= 1;
        std::fs::write(&file, bytes).unwrap();
        let done = recover(scratch.settings(), &dirs, &never).await;
        if number == 1 {
            let error = done.unwrap_err();
            assert!(matches!(&error, PostgresError::NoGoodCopy { dir, .. } if *dir == copy.dir));
            return;
        }
        assert_ne!(done.unwrap().dir, copy.dir);
        let managed = start(&scratch).await.unwrap();
        assert_eq!(rows(&managed).await, 20);
        managed.stop().await.unwrap();
        std::fs::remove_dir_all(scratch.0.join("postgres")).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_whose_files_are_gone_are_begun_anew() {
    let scratch = Scratch::new();
    let dirs = places(&scratch).into_iter().map(|place| place.dir).collect::<Vec<_>>();
    let managed = start_copied(&scratch, 1 << 30).await;
    make_table(&managed).await;
    wait_until("there are not two copies", async || copies_at(&dirs).len() == 2).await;
    commits(&managed, 20).await;
    // Only what was received is missed: the log up to a base backup is in it.
    wait_for_copies(&managed).await;
    // All of one, and of the other what was received.
    std::fs::remove_dir_all(dirs[0].join("meta-copy")).unwrap();
    let received = dirs[1].join("meta-copy/postgres/1/wal");
    for file in std::fs::read_dir(&received).unwrap().flatten() {
        std::fs::remove_file(file.path()).unwrap();
    }
    // A receiver that fails over it before it is missed asks for all of it again.
    wait_until("there are not two whole copies again", async || are_whole(&managed, &dirs).await)
        .await;
    // The directory itself.
    let base = copies::find(&dirs[1..]).remove(0).base;
    std::fs::remove_dir_all(base.with_file_name("wal")).unwrap();
    wait_until("the second copy is not begun anew", async || {
        let is_newer = |copy: &copies::CopyFound| copy.base.parent() != base.parent();
        copies::find(&dirs[1..]).iter().any(is_newer)
    })
    .await;
    commits(&managed, 20).await;
    wait_for_copies(&managed).await;
    managed.stop().await.unwrap();
    std::fs::remove_dir_all(scratch.0.join("postgres")).unwrap();
    recover(scratch.settings(), &dirs, &CancellationToken::new()).await.unwrap();
    let managed = start(&scratch).await.unwrap();
    assert_eq!(rows(&managed).await, 40);
    managed.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_backup_is_renewed_and_the_log_before_it_dropped() {
    let scratch = Scratch::new();
    let managed = start_copied(&scratch, 16 << 20).await;
    make_table(&managed).await;
    let wal = scratch.0.join("a/meta-copy/postgres/1/wal");
    let first = wal.join("000000010000000000000001");
    let mut connection = connect(&managed.url()).await;
    wait_until("the log before a newer base backup is still there", async || {
        let switch = "insert into t values (1); select pg_switch_wal()";
        sqlx::raw_sql(switch).execute(&mut connection).await.unwrap();
        let bases = std::fs::read_dir(wal.parent().unwrap()).unwrap().flatten();
        let bases = bases.filter(|entry| entry.file_name().to_str().unwrap().starts_with("base-0"));
        let names: Vec<_> = bases.map(|entry| entry.file_name()).collect();
        names.len() == 1
            && names[0].to_str().unwrap() > "base-000000010000000000000003"
            && !first.exists()
    })
    .await;
    managed.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_another_database_is_left_alone() {
    let scratch = Scratch::new();
    start_copied(&scratch, 1 << 30).await.stop().await.unwrap();
    std::fs::remove_dir_all(scratch.0.join("postgres")).unwrap();
    let managed = start(&scratch).await.unwrap();
    let patience = Duration::from_secs(2);
    let protection = managed.keep_copies(places(&scratch), 1 << 30, patience).await;
    assert!(!protection.is_required, "{protection:?}");
    managed.stop().await.unwrap();
    let dirs = [scratch.0.join("a"), scratch.0.join("b")];
    assert!(!copies_at(&dirs).is_empty());
}
