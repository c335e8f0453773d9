//! Clients of boto3 that load a cluster and know what must be there: `clients/python/soak.py`, told
//! what to do line by line.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use crate::clients::{folder, program};
use crate::cluster::{ACCESS_KEY, SECRET_KEY};

/// The running client program; killed when dropped.
#[derive(Debug)]
pub struct Load {
    child: Child,
    commands: ChildStdin,
    answers: Receiver<serde_json::Value>,
}

impl Load {
    /// Starts it and waits until that many clients run; requests go to all endpoints.
    ///
    /// # Panics
    /// When it can't be run.
    pub fn start(endpoints: &[String], clients: u32, seed: u64) -> Self {
        let mut command = Command::new(folder().join("newest/bin/python"));
        command.arg(program("python/soak.py"));
        command.env_clear().env("PATH", std::env::var_os("PATH").expect("PATH"));
        command.env("HOME", "/nonexistent").env("AWS_REGION", "us-east-1");
        command.env("AWS_DEFAULT_REGION", "us-east-1").env("AWS_EC2_METADATA_DISABLED", "true");
        command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        command.env("ENDPOINTS", endpoints.join(",")).env("SEED", seed.to_string());
        command.env("LANES", clients.to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("run compat-tests/install.sh");
        let commands = child.stdin.take().expect("its input");
        let answers = answers(child.stdout.take().expect("its output"));
        let load = Self { child, commands, answers };
        load.answers.recv().expect("a client program that is ready");
        load
    }

    /// Gives a command and waits for its answer.
    ///
    /// # Panics
    /// When the program is gone.
    pub fn tell(&mut self, command: &str) -> serde_json::Value {
        writeln!(self.commands, "{command}").expect("a running client program");
        self.answers.recv().expect("a running client program")
    }

    /// Lets it end.
    ///
    /// # Panics
    /// When it ends badly.
    pub fn finish(mut self) {
        writeln!(self.commands, "end").expect("a running client program");
        assert!(self.child.wait().expect("a child").success(), "the client program failed");
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // One that has ended is not harmed.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The lines of JSON; all others are shown as they come.
fn answers(output: ChildStdout) -> Receiver<serde_json::Value> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines() {
            let line = line.expect("its output");
            if line.starts_with('{') {
                let answer = serde_json::from_str(&line).expect("JSON");
                drop(sender.send(answer));
            } else {
                println!("soak: {line}");
            }
        }
    });
    receiver
}
