//! What requests cost as a bucket grows: the same loads at ten thousand, a million and ten million
//! objects. The first ten thousand are real; the others are rows alone, made in bulk, which is all
//! that a request for another object could meet.

use std::time::{Duration, Instant};

use anyhow::ensure;
use compat_tests::cluster::{Form, Server};

use super::client::{Step, Wants, Work};
use super::measured::Measured;
use super::plan::{KIB, Kind, Load};
use super::session::{BUCKET, Session};
use super::tables::{row, short};
use super::{Target, usage::Watched};

/// Objects with chunks; all numbers above are rows alone.
const REAL: usize = 10_000;

/// Their size.
const SIZE: usize = 4 * KIB;

/// Top-level folders.
const FOLDERS: usize = 10;

/// Each load of each stage: the best of so many rounds, of so many seconds.
const ROUNDS: usize = 3;
const SECONDS: f64 = 2.0;

/// New objects of a round, more than can be put in its time.
const NEW_OBJECTS: usize = 20_000;

/// The numbers of new objects, above those of all stages.
const FIRST_NEW: usize = 1_000_000_000;

/// What is measured at each stage.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Put,
    Get,
    Head,
    ListFlat,
    ListFolders,
    Delete,
}

impl Operation {
    const ALL: [(Self, &'static str); 6] = [
        (Self::Put, "PUT 4 KiB"),
        (Self::Get, "GET 4 KiB"),
        (Self::Head, "HEAD, any object"),
        (Self::ListFlat, "LIST, 1000 keys from anywhere"),
        (Self::ListFolders, "LIST with delimiter, 10 prefixes"),
        (Self::Delete, "DELETE"),
    ];

    fn load(self) -> Load {
        let (kind, clients) = match self {
            Self::Put => (Kind::Put, 16),
            Self::Get => (Kind::Get, 16),
            Self::Head => (Kind::Stat, 16),
            Self::ListFlat | Self::ListFolders => (Kind::List, 4),
            Self::Delete => (Kind::Delete, 16),
        };
        Load { kind, size: SIZE, clients }
    }
}

/// What was found at one number of objects.
struct Stage {
    objects: usize,
    /// The best round of each operation.
    best: Vec<Measured>,
    database_mib: u64,
    /// How long it took to make the rows.
    made_in: Duration,
}

/// Measures all stages on one server in the embedded form; answers the table.
pub(super) async fn measure(stages: &[usize]) -> anyhow::Result<String> {
    let server = Server::start(Form::Embedded);
    let target = Target {
        name: "embedded".to_owned(),
        address: server.address().to_owned(),
        signer: server.signer(),
        watched: Watched::default(),
    };
    let mut growth =
        Growth { session: Session::open(target, false).await?, new: FIRST_NEW, left: FIRST_NEW };
    let steps = (0..REAL).map(|number| growth.step("PUT", number)).collect();
    growth.session.finish(Work::Steps { steps, repeat: false }).await?;
    let (mut found, mut objects) = (Vec::new(), REAL);
    for stage in stages {
        ensure!(*stage >= objects, "the numbers of objects grow, from {REAL}");
        let started = Instant::now();
        if *stage > objects {
            make_rows(&server, objects, *stage);
        }
        objects = *stage;
        let made_in = started.elapsed();
        println!("{objects} objects (rows made in {} s)", made_in.as_secs());
        let best = growth.stage(objects).await?;
        let bytes = server.metadata("select pg_database_size(current_database())");
        let database_mib = bytes.trim().parse::<u64>()? >> 20;
        found.push(Stage { objects, best, database_mib, made_in });
    }
    Ok(table(&found))
}

fn make_rows(server: &Server, from: usize, until: usize) {
    let script = include_str!("rows.sql");
    server.metadata(&format!("\\set from {from}\n\\set until {until}\n{script}"));
}

struct Growth {
    session: Session,
    /// The number of the next new object.
    new: usize,
    /// The number of the first new object that is not deleted yet.
    left: usize,
}

impl Growth {
    /// The best round of each operation.
    async fn stage(&mut self, objects: usize) -> anyhow::Result<Vec<Measured>> {
        let mut best: Vec<Option<Measured>> = vec![None; Operation::ALL.len()];
        for _ in 0..ROUNDS {
            for ((operation, name), best) in Operation::ALL.into_iter().zip(&mut best) {
                let work = self.work(operation, objects);
                let measured = self.session.measure(operation.load(), work, SECONDS).await?;
                println!("{name:<33} {}", measured.line());
                match operation {
                    Operation::Put => self.new += measured.requests(),
                    Operation::Delete => self.left += measured.requests(),
                    _ => {}
                }
                if best.as_ref().is_none_or(|best| measured.cpu_us() < best.cpu_us()) {
                    *best = Some(measured);
                }
            }
        }
        Ok(best.into_iter().flatten().collect())
    }

    fn work(&self, operation: Operation, objects: usize) -> Work {
        // Of a prime's multiples no two among these are the same object.
        let any = |index: usize| index * 7919 % objects;
        let steps = match operation {
            Operation::Put => {
                let new = self.new..self.new + NEW_OBJECTS;
                new.map(|number| self.step("PUT", number)).collect()
            }
            Operation::Get => (0..2000).map(|index| self.step("GET", any(index) % REAL)).collect(),
            Operation::Head => (0..10_000).map(|index| self.step("HEAD", any(index))).collect(),
            Operation::ListFlat => (0..200).map(|index| self.list(any(index))).collect(),
            Operation::ListFolders => {
                let path = format!("{BUCKET}?list-type=2&delimiter=%2F");
                let wants = Wants::Elements("<CommonPrefixes>", FOLDERS);
                vec![Step::new(self.session.target(), "GET", &path, 0, wants)]
            }
            Operation::Delete => {
                (self.left..self.new).map(|number| self.step("DELETE", number)).collect()
            }
        };
        let repeat = !matches!(operation, Operation::Put | Operation::Delete);
        Work::Steps { steps, repeat }
    }

    fn step(&self, verb: &str, number: usize) -> Step {
        let (sent, wants) = match verb {
            "PUT" => (SIZE, Wants::Status(200)),
            "GET" => (0, Wants::Object(SIZE)),
            "HEAD" => (0, Wants::Head(SIZE)),
            _ => (0, Wants::Status(204)),
        };
        let path = format!("{BUCKET}/{}", key(number));
        Step::new(self.session.target(), verb, &path, sent, wants)
    }

    /// A page behind any object but one of the last folder, which may have too few behind it.
    fn list(&self, number: usize) -> Step {
        let number = if number % FOLDERS == FOLDERS - 1 { number - 1 } else { number };
        let after = key(number).replace('/', "%2F");
        let path = format!("{BUCKET}?list-type=2&start-after={after}");
        Step::new(self.session.target(), "GET", &path, 0, Wants::Elements("<Key>", 1000))
    }
}

/// The key of a number: folders in turn, and in them an order that follows nothing.
fn key(number: usize) -> String {
    format!("p{}/{:08x}", number % FOLDERS, number * 2_654_435_761 % (1 << 32))
}

fn table(stages: &[Stage]) -> String {
    let heads = stages.iter().map(|stage| format!("{} objects", stage.objects));
    let mut rows = vec![
        row(std::iter::once("CPU µs per request, p50 ms".to_owned()).chain(heads)),
        row(vec!["---".to_owned(); stages.len() + 1]),
    ];
    for (index, (_, name)) in Operation::ALL.iter().enumerate() {
        let cells = stages.iter().map(|stage| {
            let measured = &stage.best[index];
            let p50 = short(measured.p50().as_secs_f64() * 1e3);
            format!("{:.0} µs, {p50} ms", measured.cpu_us())
        });
        rows.push(row(std::iter::once((*name).to_owned()).chain(cells)));
    }
    let sizes = stages.iter().map(|stage| format!("{} MiB", stage.database_mib));
    rows.push(row(std::iter::once("size of the database".to_owned()).chain(sizes)));
    let times = stages.iter().map(|stage| format!("{} s", stage.made_in.as_secs()));
    rows.push(row(std::iter::once("rows made in".to_owned()).chain(times)));
    rows.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_the_rows() {
        assert_eq!([0, 1, 12].map(key), ["p0/00000000", "p1/9e3779b1", "p2/6a99b44c"]);
    }
}
