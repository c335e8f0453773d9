//! The runs: many seeds without bugs, each bug with the seeds that find it.

use super::tables::{BUGS, Bug, CRASH_POINTS};
use super::{Outcome, run, run_through};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Seeds of a run of all tests.
const SEEDS: usize = 200;

/// Seeds that a bug may take to be found.
const SEEDS_OF_A_BUG: u64 = 200;

/// Seeds that a crash point may take to be passed.
const SEEDS_OF_A_POINT: u64 = 40;

/// A number that the one who runs the tests gave.
fn given(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect(name))
}

/// Works on all of `items`, on as many threads as there are cores.
fn on_all_cores<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = work(item);
                    results.lock().unwrap().push(result);
                }
            });
        }
    });
    results.into_inner().unwrap()
}

/// What is wrong with a run, with all that happened before.
fn fault(seed: u64, outcome: &Outcome) -> Option<String> {
    if outcome.wrong.is_empty() {
        return None;
    }
    let wrong = outcome.wrong.join("\n  ");
    Some(format!("seed {seed}, to be seen again by SIXFOLD_SEED={seed} make simulate:\n  {wrong}"))
}

/// `SIXFOLD_SEED` shows one run; otherwise so many seeds as `SIXFOLD_SEEDS` says.
#[test]
fn every_seed_keeps_the_invariants() {
    if let Some(seed) = given("SIXFOLD_SEED") {
        let outcome = run(seed, &[]);
        outcome.trace.iter().for_each(|line| println!("{line}"));
        assert_eq!(fault(seed, &outcome), None);
        return;
    }
    let first = given("SIXFOLD_FIRST_SEED").unwrap_or(1);
    let count = given("SIXFOLD_SEEDS").unwrap_or(SEEDS as u64);
    let seeds = (first..first + count).collect::<Vec<_>>();
    let began = Instant::now();
    let runs = on_all_cores(&seeds, |&seed| {
        let outcome = run(seed, &[]);
        let fault = fault(seed, &outcome);
        if let Some(fault) = &fault {
            println!("{fault}");
        }
        (fault, outcome.crashed, outcome.operations, outcome.lasted)
    });
    let faults = runs.iter().filter_map(|run| run.0.clone()).collect::<Vec<_>>();
    let operations = runs.iter().map(|run| run.2).sum::<usize>();
    let lasted = runs.iter().map(|run| run.3).sum::<Duration>();
    let mut crashed = BTreeMap::<_, u32>::new();
    for (point, count) in runs.iter().flat_map(|run| &run.1) {
        *crashed.entry(*point).or_default() += count;
    }
    println!(
        "{count} seeds, {operations} operations, {lasted:?} of their time, in {:?}",
        began.elapsed()
    );
    println!("crashes: {crashed:?}");
    assert!(faults.is_empty(), "{} of {count} seeds:\n{}", faults.len(), faults.join("\n"));
    let rare = CRASH_POINTS.iter().filter(|point| !crashed.contains_key(*point));
    let never = on_all_cores(&rare.collect::<Vec<_>>(), |&&point| passes(point).err());
    let never = never.into_iter().flatten().collect::<Vec<_>>();
    assert!(never.is_empty(), "{}", never.join("\n"));
}

/// Looks for a seed in which a process crashes at a point that is seldom passed.
fn passes(point: &'static str) -> Result<(), String> {
    for seed in 1..=SEEDS_OF_A_POINT {
        let outcome = run_through(seed, &[], Some(point));
        if let Some(fault) = fault(seed, &outcome) {
            return Err(format!("with crashes at {point} only, {fault}"));
        }
        if outcome.crashed.contains_key(point) {
            println!("{point}: a crash with seed {seed}");
            return Ok(());
        }
    }
    Err(format!("no process crashed at {point}"))
}

/// The jobs with crash points at their steps. A check has none: its state is in rows, a step at a
/// time, and its own tests break it off at each.
const JOBS: [&str; 7] =
    ["collect", "end_leases", "expire_uploads", "heal", "move", "rebalance", "sweep"];

/// For each step of each job a run in which a process dies just there, and nowhere else. It is
/// started again and two others run the same job meanwhile; all invariants hold.
#[test]
fn f34_a_job_that_dies_at_any_step_is_run_again() {
    let is_step = |point: &&&str| {
        let job = point.split_once('.').map_or("", |(job, _)| job);
        JOBS.contains(&job)
    };
    let steps = CRASH_POINTS.iter().filter(is_step).collect::<Vec<_>>();
    assert_eq!(steps.len(), 16);
    let wrong = on_all_cores(&steps, |&&step| passes(step).err());
    let wrong = wrong.into_iter().flatten().collect::<Vec<_>>();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_seed_happens_again() {
    on_all_cores(&[1, 2, 3, 8], |&seed| {
        let (first, second) = (run(seed, &[]), run(seed, &[]));
        let differs = first.trace.iter().zip(&second.trace).find(|(first, second)| first != second);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!(first.hash, second.hash, "seed {seed}");
        assert!(first.trace.len() > 100);
    });
}

/// The seed that finds a bug, and what it finds.
fn find(bug: &Bug) -> Option<(u64, String)> {
    let most = given("SIXFOLD_SEEDS").unwrap_or(SEEDS_OF_A_BUG);
    let seeds = std::iter::once(bug.seed).chain(1..=most);
    seeds.into_iter().find_map(|seed| {
        let wrong = run(seed, &[bug.name]).wrong;
        Some((seed, wrong.first()?.clone()))
    })
}

#[test]
fn every_planted_bug_is_found() {
    let only = std::env::var("SIXFOLD_BUG").ok();
    let bugs = BUGS.iter().filter(|bug| only.as_ref().is_none_or(|only| only == bug.name));
    let not_found = on_all_cores(&bugs.collect::<Vec<_>>(), |bug| {
        let began = Instant::now();
        let found = find(bug);
        println!("{}: {found:?} in {:?}", bug.name, began.elapsed());
        found.is_none().then_some(bug.name)
    });
    let not_found = not_found.into_iter().flatten().collect::<Vec<_>>();
    assert!(not_found.is_empty(), "not found: {not_found:?}");
}

/// The names between `before` and a quotation mark, in all code of this crate.
fn names_in_code(before: &str) -> BTreeSet<String> {
    fn collect(folder: &Path, before: &str, names: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, before, names);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let pieces = text.split(before).skip(1).filter_map(|rest| rest.split_once('"'));
            names.extend(pieces.map(|(name, _)| name.to_owned()));
        }
    }
    let mut names = BTreeSet::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), before, &mut names);
    names.retain(|name| name.contains('.') && !name.contains(' '));
    names
}

/// The tables, the code and the page name the same points and bugs.
#[test]
fn tables_code_and_page_agree() {
    let mut points = names_in_code("crash_point!(\"");
    points.extend(names_in_code("node_crashes(\""));
    assert_eq!(points, CRASH_POINTS.iter().map(ToString::to_string).collect());
    let bugs = names_in_code("is_planted(\"");
    assert_eq!(bugs, BUGS.iter().map(|bug| bug.name.to_owned()).collect());
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/simulation.md");
    let page = std::fs::read_to_string(page).unwrap();
    for point in CRASH_POINTS {
        assert!(page.contains(&format!("`{point}`")), "{point}");
    }
    for bug in BUGS {
        let row = format!("| `{}` | {} |", bug.name, bug.what);
        assert!(page.contains(&row), "the page lacks the row:\n{row}");
    }
}
