//! Databases that go on, go back and come again, over a drive that takes copy numbers.

use super::*;
use proptest::prelude::*;

/// A database's history: its marks, oldest first.
#[derive(Clone, Debug, Default)]
struct Database(Vec<Mark>);

impl Database {
    fn bump(&mut self) {
        let number = self.0.len() as u64 + 1;
        self.0.push(Mark { number, tag: Uuid::new_v4() });
    }

    fn answer(&self, asked: &[Mark], released: u64) -> Witnessed {
        let known = asked.iter().filter(|mark| self.0.contains(mark)).copied().collect();
        let (mark, released) = (*self.0.last().unwrap(), CopyNumber(released));
        Witnessed { mark, known, released }
    }

    fn ask(&self, marks: &Marks, highest: u64) -> Marks {
        marks.after(&self.answer(&marks.all(), 0), CopyNumber(highest))
    }
}

fn kept(marks: &Marks) -> u64 {
    marks.memory().kept.0
}

#[test]
fn f14_what_a_restored_database_does_not_know_is_kept_until_the_newer_one_is_back() {
    let mut database = Database::default();
    database.bump();
    let mut marks = database.ask(&Marks::default(), 10);
    let backup = database.clone();
    for highest in [20, 30] {
        database.bump();
        marks = database.ask(&marks, highest);
        assert_eq!(kept(&marks), 0, "it only goes on");
    }
    let mut restored = backup;
    marks = restored.ask(&marks, 35);
    assert_eq!(kept(&marks), 35, "all that was made until then");
    // The counter catches up and passes the old one: it is not forgotten for that.
    for highest in [36, 40, 50, 60] {
        restored.bump();
        marks = restored.ask(&marks, highest);
        assert_eq!(kept(&marks), 35);
    }
    // The newer one is back: what was written under the restored one is kept now.
    marks = database.ask(&marks, 61);
    assert_eq!(kept(&marks), 61);
    let released = marks.after(&database.answer(&marks.all(), 61), CopyNumber(70));
    assert_eq!(kept(&released), 0, "an operator gave it up");
}

proptest! {
    /// Whatever happens to the database: as long as the last mark seen of some history is unknown
    /// to it, what was made under that is kept.
    #[test]
    fn f14_nothing_made_under_a_lost_history_is_ever_let_go(
        steps in proptest::collection::vec((0..4_u8, 0..6_usize), 1..60),
    ) {
        let mut databases = vec![Database::default()];
        databases[0].bump();
        let (mut current, mut highest, mut marks) = (0, 0, Marks::default());
        // The last mark seen of each history, and the highest number when it was seen.
        let mut seen: Vec<(Mark, u64)> = Vec::new();
        for (step, which) in steps {
            match step {
                0 => databases[current].bump(),
                1 => databases.push(databases[current].clone()),
                2 => current = which % databases.len(),
                _ => highest += 10,
            }
            let database = &databases[current];
            marks = database.ask(&marks, highest);
            let now = *database.0.last().unwrap();
            seen.retain(|(mark, _)| !database.0.contains(mark));
            let unknown = seen.iter().map(|(_, highest)| *highest).max().unwrap_or(0);
            prop_assert!(kept(&marks) >= unknown, "{} < {unknown}", kept(&marks));
            seen.push((now, highest));
            prop_assert_eq!(Marks::parse(&marks.to_text()), Some(marks.clone()));
        }
    }
}

#[test]
fn a_damaged_note_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("marks");
    assert_eq!(Marks::load(directory.path()).unwrap(), Marks::default());
    for text in
        ["", "sixfold marks 2\n", "sixfold marks 1\nmark 1 x\n", "sixfold marks 1\nlost 1\n"]
    {
        std::fs::write(&path, text).unwrap();
        assert!(Marks::load(directory.path()).is_err(), "{text}");
    }
}

#[test]
fn a_drive_remembers_over_restarts() {
    let directory = tempfile::tempdir().unwrap();
    let open = || Store::open(directory.path(), crate::store::StoreOptions::default()).unwrap();
    let (mut database, mut other) = (Database::default(), Database::default());
    database.bump();
    other.bump();
    let store = open();
    assert_eq!(store.memory(), Memory::default());
    store.witness(&database.answer(&store.marks(), 0)).unwrap();
    store.inner.take_copy().unwrap();
    drop(store);
    let store = open();
    assert_eq!(store.marks(), database.0);
    let memory = store.witness(&other.answer(&store.marks(), 0)).unwrap();
    assert_eq!((memory, store.marks().len()), (store.memory(), 2));
    assert!(memory.kept > CopyNumber(0));
}
