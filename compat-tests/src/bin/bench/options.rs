//! What the command line asks for.

use std::path::PathBuf;

use anyhow::{Context as _, bail, ensure};
use compat_tests::cluster::Form;
use compat_tests::raw::Signer;

use super::Target;
use super::plan::Matrix;
use super::usage::Watched;

pub(super) const USAGE: &str = "\
bench [run] [--quick] [--little] [--rounds N] [--seconds S] [--matrix none|usual|full] [--only TEXT]
            [--form embedded|separate] [--peer NAME=URL,key,secret,pid[+pid…]]… [--out FOLDER]
bench growth [--objects N,N…] [--chunks N] [--out FOLDER]
bench profile [--seconds S] --out FOLDER
";

/// What the program does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Measures what requests cost.
    Run,
    /// Measures what follows the number of objects, connections and chunks.
    Growth,
    /// Lets perf look at the hot paths.
    Profile,
}

pub(super) struct Options {
    pub(super) mode: Mode,
    /// How often each load with a mark runs; the best counts.
    pub(super) rounds: usize,
    /// How long a load with a mark runs.
    pub(super) seconds: f64,
    pub(super) matrix: Matrix,
    /// Has smaller objects, so that servers built without optimisation are done in time, too.
    pub(super) little: bool,
    /// Leaves out loads whose name lacks this text.
    pub(super) only: Option<String>,
    pub(super) forms: Vec<Form>,
    pub(super) peers: Vec<Target>,
    /// The numbers of objects at which growth is measured.
    pub(super) objects: Vec<usize>,
    /// How many chunks a node is given.
    pub(super) chunks: usize,
    /// Where `performance.json`, `.svg` and `.md` are written.
    pub(super) out: Option<PathBuf>,
}

impl Options {
    fn usual() -> Self {
        Self {
            mode: Mode::Run,
            rounds: 5,
            seconds: 2.0,
            matrix: Matrix::Usual,
            little: false,
            only: None,
            forms: Form::ALL.to_vec(),
            peers: Vec::new(),
            objects: vec![10_000, 1_000_000],
            chunks: 100_000,
            out: None,
        }
    }

    /// Reads them; what isn't understood is an error that names it.
    pub(super) fn read(arguments: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        let mut options = Self::usual();
        let mut arguments = arguments.peekable();
        if let Some(mode) = arguments.next_if(|argument| !argument.starts_with('-')) {
            options.mode = mode_of(&mode)?;
        }
        while let Some(argument) = arguments.next() {
            let mut value =
                || arguments.next().with_context(|| format!("{argument} needs a value\n{USAGE}"));
            match argument.as_str() {
                "--quick" => {
                    options.rounds = 1;
                    options.seconds = 0.5;
                    options.matrix = Matrix::Sample;
                }
                "--little" => options.little = true,
                "--rounds" => options.rounds = value()?.parse().context("--rounds")?,
                "--seconds" => options.seconds = value()?.parse().context("--seconds")?,
                "--matrix" => options.matrix = matrix(&value()?)?,
                "--only" => options.only = Some(value()?),
                "--form" => options.forms = vec![form(&value()?)?],
                "--objects" => options.objects = numbers(&value()?)?,
                "--chunks" => options.chunks = value()?.parse().context("--chunks")?,
                "--peer" => options.peers.push(peer(&value()?)?),
                "--out" => options.out = Some(value()?.into()),
                other => bail!("unknown argument {other}\n{USAGE}"),
            }
        }
        ensure!(options.rounds > 0 && options.seconds > 0.0, "no rounds, or no time for them");
        Ok(options)
    }

    /// Whether a load of that name is to run.
    pub(super) fn wants(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| name.contains(only.as_str()))
    }
}

fn mode_of(text: &str) -> anyhow::Result<Mode> {
    Ok(match text {
        "run" => Mode::Run,
        "growth" => Mode::Growth,
        "profile" => Mode::Profile,
        other => bail!("unknown mode {other}\n{USAGE}"),
    })
}

/// `N,N…`
fn numbers(text: &str) -> anyhow::Result<Vec<usize>> {
    text.split(',').map(str::parse).collect::<Result<_, _>>().context("--objects N,N…")
}

fn matrix(text: &str) -> anyhow::Result<Matrix> {
    Ok(match text {
        "none" => Matrix::None,
        "usual" => Matrix::Usual,
        "full" => Matrix::Full,
        other => bail!("--matrix none, usual or full, not {other}"),
    })
}

fn form(text: &str) -> anyhow::Result<Form> {
    Ok(match text {
        "embedded" => Form::Embedded,
        "separate" => Form::Separate,
        other => bail!("--form embedded or separate, not {other}"),
    })
}

/// `NAME=URL,key,secret,pid[+pid…]`
fn peer(text: &str) -> anyhow::Result<Target> {
    let (name, rest) = text.split_once('=').context("--peer NAME=URL,key,secret,pids")?;
    let [url, key, secret, pids] = rest.split(',').collect::<Vec<_>>()[..] else {
        bail!("--peer {name}=URL,key,secret,pids");
    };
    let address = url.strip_prefix("http://").context("a peer's URL begins with http://")?;
    let roots = pids.split('+').map(str::parse).collect::<Result<_, _>>();
    Ok(Target {
        name: name.to_owned(),
        address: address.trim_end_matches('/').to_owned(),
        signer: Signer::new(key, secret),
        watched: Watched { roots: roots.context("a peer's process ids")? },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> anyhow::Result<Options> {
        Options::read(text.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_are_read() {
        let options = read("run --quick --rounds 2 --form embedded --only GET").unwrap();
        assert_eq!((options.rounds, options.forms), (2, vec![Form::Embedded]));
        assert_eq!(read("growth --objects 10,200").unwrap().objects, [10, 200]);
        let peer = read("--peer g=http://127.0.0.1:1/,key,secret,7+8").unwrap().peers.remove(0);
        assert_eq!((peer.address.as_str(), &peer.watched.roots[..]), ("127.0.0.1:1", &[7, 8][..]));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for wrong in
            ["--fast", "--rounds", "--rounds 0", "--form none", "--peer x=y", "--matrix x", "x"]
        {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
