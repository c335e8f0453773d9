//! The statements on the way to PostgreSQL, read off the wire: each message is a letter, a length
//! and a content. `Parse` gives a statement its name, `Bind` runs it by that name, `Query` runs a
//! text; `ReadyForQuery` ends the answer.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is lost of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// It does not arrive, and the connection ends.
    Statement,
    /// It is carried out, and the connection ends without the answer.
    Answer,
    /// It is carried out, and the connection stays open and silent.
    AnswerSilently,
}

/// What becomes of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Passed,
    /// It is not forwarded, and the connection stays.
    Kept,
    /// It is not forwarded, and the connection ends.
    Lost,
}

/// What is to be lost, and what was sent.
#[derive(Debug, Default)]
pub(super) struct Statements(Mutex<Watched>);

#[derive(Debug, Default)]
struct Watched {
    sent: Vec<String>,
    rules: Vec<Rule>,
    lost: usize,
}

/// Statements that hold a text, and what is lost of them.
#[derive(Debug)]
struct Rule {
    text: String,
    loss: Loss,
    is_once: bool,
}

impl Statements {
    pub(super) fn lose(&self, text: &str, loss: Loss, is_once: bool) {
        self.lock().rules.push(Rule { text: text.to_owned(), loss, is_once });
    }

    pub(super) fn lose_nothing(&self) -> usize {
        let mut watched = self.lock();
        watched.rules.clear();
        std::mem::take(&mut watched.lost)
    }

    pub(super) fn take_sent(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().sent)
    }

    /// A statement is sent: what of it is to be lost.
    fn send(&self, statement: &str) -> Option<Loss> {
        let mut watched = self.lock();
        watched.sent.push(statement.to_owned());
        let at = watched.rules.iter().position(|rule| statement.contains(&rule.text))?;
        let loss = watched.rules[at].loss;
        if watched.rules[at].is_once {
            watched.rules.remove(at);
        }
        watched.lost += 1;
        Some(loss)
    }

    fn lock(&self) -> MutexGuard<'_, Watched> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The statements of one connection.
pub(super) struct Session<'a> {
    statements: &'a Statements,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The texts of prepared statements by name.
    prepared: HashMap<Vec<u8>, String>,
    from_client: Messages,
    from_server: Messages,
    loss: Option<Loss>,
}

impl<'a> Session<'a> {
    pub(super) fn of(statements: &'a Statements) -> Self {
        let mut state = State::default();
        // The first message has no letter.
        state.from_client.is_first = true;
        Self { statements, state: Mutex::new(state) }
    }

    /// The client sends a piece.
    pub(super) fn sends(&self, piece: &[u8]) -> Fate {
        let mut state = self.lock();
        state.from_client.add(piece);
        while let Some((letter, content)) = state.from_client.next() {
            let statement = match letter {
                b'P' => {
                    let (name, rest) = until_nul(&content);
                    let text = String::from_utf8_lossy(until_nul(rest).0).into_owned();
                    state.prepared.insert(name.to_vec(), text);
                    continue;
                }
                b'B' => {
                    let (_portal, rest) = until_nul(&content);
                    state.prepared.get(until_nul(rest).0).cloned().unwrap_or_default()
                }
                b'Q' => String::from_utf8_lossy(until_nul(&content).0).into_owned(),
                _ => continue,
            };
            if let Some(loss) = self.statements.send(&statement) {
                state.loss = Some(loss);
            }
        }
        if state.loss == Some(Loss::Statement) { Fate::Lost } else { Fate::Passed }
    }

    /// The server sends a piece.
    pub(super) fn receives(&self, piece: &[u8]) -> Fate {
        let mut state = self.lock();
        state.from_server.add(piece);
        let mut is_answered = false;
        while let Some((letter, _)) = state.from_server.next() {
            is_answered |= letter == b'Z';
        }
        match state.loss {
            None => Fate::Passed,
            Some(Loss::Answer) if is_answered => Fate::Lost,
            Some(_) => Fate::Kept,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes as they come, taken out as messages.
#[derive(Default)]
struct Messages {
    bytes: Vec<u8>,
    is_first: bool,
}

impl Messages {
    fn add(&mut self, piece: &[u8]) {
        self.bytes.extend_from_slice(piece);
    }

    /// The next whole message: its letter, 0 for the first one, and its content.
    fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        let head = usize::from(!self.is_first);
        let length = self.bytes.get(head..head + 4)?;
        let length = u32::from_be_bytes(length.try_into().expect("four bytes")) as usize;
        let end = head + length;
        let content = self.bytes.get(head + 4..end)?.to_vec();
        let letter = if self.is_first { 0 } else { self.bytes[0] };
        self.bytes.drain(..end);
        self.is_first = false;
        Some((letter, content))
    }
}

/// The bytes before the first NUL, and those behind it.
fn until_nul(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    (&bytes[..end], bytes.get(end + 1..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::{Fate, Loss, Session, Statements};

    fn message(letter: u8, content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(content.len() + 4).unwrap().to_be_bytes();
        [&[letter][..], &length, content].concat()
    }

    /// A connection that has begun and prepared `s1`.
    fn prepared(statements: &Statements) -> Session<'_> {
        let session = Session::of(statements);
        let start = message(0, &[0, 3, 0, 0, 0]);
        assert_eq!(session.sends(&start[1..]), Fate::Passed);
        assert_eq!(session.sends(&message(b'P', b"s1\0select f($1)\0")), Fate::Passed);
        session
    }

    #[test]
    fn a_prepared_statement_is_known_by_its_name_however_it_is_cut() {
        let statements = Statements::default();
        let session = prepared(&statements);
        statements.lose("f(", Loss::Statement, true);
        let bind = message(b'B', b"\0s1\0rest");
        assert_eq!(session.sends(&bind[..7]), Fate::Passed);
        assert_eq!(session.sends(&bind[7..]), Fate::Lost);
        assert_eq!(statements.take_sent(), ["select f($1)"]);
        assert_eq!(statements.lose_nothing(), 1);
        assert_eq!(prepared(&statements).sends(&bind), Fate::Passed);
    }

    #[test]
    fn an_answer_is_lost_when_it_is_whole() {
        let statements = Statements::default();
        let session = prepared(&statements);
        assert_eq!(session.receives(&message(b'Z', b"I")), Fate::Passed);
        statements.lose("commit", Loss::Answer, true);
        assert_eq!(session.sends(&message(b'Q', b"commit\0")), Fate::Passed);
        assert_eq!(session.receives(&message(b'C', b"COMMIT\0")), Fate::Kept);
        assert_eq!(session.receives(&message(b'Z', b"I")), Fate::Lost);
    }
}
