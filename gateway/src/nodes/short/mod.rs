//! Short calls to a remote node: puts and gets of one small cell travel on a stream that stays
//! open, and are answered in any order. As a gRPC call of its own each would cost several times as
//! much as what it carries.
//!
//! Nothing waits for company: what is queued when the stream is free leaves at once, and in one go.
//! The stream ends with its connection, or when the node stops. What is unanswered then fails at
//! once, and the next call opens another stream. How long an answer may take is the callers' to
//! say; a call that was given up keeps its place until the node has answered it.

use crate::telemetry::trace;
use futures::Stream;
use sixfold_proto::chunks::{NodeError, SHORT_CALLS_AT_ONCE};
use sixfold_proto::node_v1::node_client::NodeClient;
use sixfold_proto::node_v1::short_answer::Answer;
use sixfold_proto::node_v1::short_call::Call;
use sixfold_proto::node_v1::{ShortAnswer, ShortCall};
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tonic::transport::Channel;
use tonic::{Code, Request, Status, Streaming};

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NoAnswer {
    /// The node's version has no short calls: to be asked in a call of its own.
    Unknown,
    /// The call failed, or the stream did.
    Failed(NodeError),
}

impl From<Status> for NoAnswer {
    fn from(status: Status) -> Self {
        match status.code() {
            Code::Unimplemented => Self::Unknown,
            _ => Self::Failed(status.into()),
        }
    }
}

/// One stream of calls to a node, opened when it is first needed.
pub(super) struct ShortCalls {
    client: NodeClient<Channel>,
    open: Mutex<Option<Open>>,
    /// See [`NoAnswer::Unknown`]. A node of another version registers anew, and is called anew.
    are_unknown: AtomicBool,
}

/// The way to the stream that is open.
#[derive(Clone)]
struct Open {
    queue: mpsc::Sender<ShortCall>,
    unanswered: Arc<Unanswered>,
}

impl ShortCalls {
    pub(super) fn new(client: NodeClient<Channel>) -> Self {
        Self { client, open: Mutex::default(), are_unknown: AtomicBool::new(false) }
    }

    /// Makes a call; `request` makes the request that opens a stream.
    pub(super) async fn ask(
        &self,
        call: Call,
        request: impl FnOnce(Queue) -> Request<Queue>,
    ) -> Result<Answer, NoAnswer> {
        if self.are_unknown.load(Ordering::Relaxed) {
            return Err(NoAnswer::Unknown);
        }
        let Open { queue, unanswered } = self.open(request);
        let (number, answer) = unanswered.expect().await?;
        // As many calls fit in as there are places. A closed queue means that the end has come,
        // which brings the answer.
        let trace = trace::context().map(|span| span.to_short().into()).unwrap_or_default();
        let _ = queue.try_send(ShortCall { number, call: Some(call), trace });
        let answer = answer.await.unwrap_or_else(|_| Err(broken()));
        if answer == Err(NoAnswer::Unknown) {
            self.are_unknown.store(true, Ordering::Relaxed);
        }
        answer
    }

    /// How many calls of the stream that is open have no answer.
    #[cfg(test)]
    fn unanswered(&self) -> usize {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.as_ref().map_or(0, |open| open.unanswered.table().calls.len())
    }

    /// The stream that is open, or a new one.
    fn open(&self, request: impl FnOnce(Queue) -> Request<Queue>) -> Open {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = open.as_ref().filter(|open| open.is_usable()) {
            return open.clone();
        }
        let (queue, waiting) = mpsc::channel(SHORT_CALLS_AT_ONCE);
        let unanswered = Arc::new(Unanswered::new());
        let request = request(Queue { waiting, unanswered: Arc::clone(&unanswered) });
        tokio::spawn(exchange(self.client.clone(), request, Arc::clone(&unanswered)));
        open.insert(Open { queue, unanswered }).clone()
    }
}

impl Open {
    fn is_usable(&self) -> bool {
        !self.queue.is_closed() && !self.unanswered.places.is_closed()
    }
}

/// Opens the stream and hands out the answers until its end.
async fn exchange(
    mut client: NodeClient<Channel>,
    request: Request<Queue>,
    unanswered: Arc<Unanswered>,
) {
    let why = match client.short(request).await {
        Ok(answers) => unanswered.hand_out(answers.into_inner()).await,
        Err(status) => status.into(),
    };
    unanswered.end(&why);
}

/// The calls of one stream that wait for their answer, sent or not.
struct Unanswered {
    /// Closed when the stream has ended.
    places: Arc<Semaphore>,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    next_number: u64,
    calls: HashMap<u64, Waiting>,
    /// Why there will be no more answers.
    ended: Option<NoAnswer>,
}

struct Waiting {
    reply: oneshot::Sender<Result<Answer, NoAnswer>>,
    _place: OwnedSemaphorePermit,
}

impl Unanswered {
    fn new() -> Self {
        let places = Arc::new(Semaphore::new(SHORT_CALLS_AT_ONCE));
        Self { places, table: Mutex::default() }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a place; answers the number of a call and where its answer will come.
    async fn expect(&self) -> Result<(u64, oneshot::Receiver<Result<Answer, NoAnswer>>), NoAnswer> {
        let place = Arc::clone(&self.places).acquire_owned().await;
        let mut table = self.table();
        let (Ok(place), None) = (place, &table.ended) else {
            return Err(table.ended.clone().unwrap_or_else(broken));
        };
        let (reply, answer) = oneshot::channel();
        let number = table.next_number;
        table.next_number += 1;
        table.calls.insert(number, Waiting { reply, _place: place });
        Ok((number, answer))
    }

    /// Whether somebody still waits for the answer to a call that was not sent yet.
    fn is_wanted(&self, number: u64) -> bool {
        let mut table = self.table();
        let is_wanted = table.calls.get(&number).is_some_and(|call| !call.reply.is_closed());
        if !is_wanted {
            table.calls.remove(&number);
        }
        is_wanted
    }

    /// Hands out answers; answers why there are no more.
    async fn hand_out(&self, mut answers: Streaming<ShortAnswer>) -> NoAnswer {
        loop {
            let answer = match answers.message().await {
                Ok(Some(answer)) => answer,
                Ok(None) => return broken(),
                Err(status) => return status.into(),
            };
            let Some(Waiting { reply, .. }) = self.table().calls.remove(&answer.number) else {
                continue;
            };
            // Whoever has gone away does not want to know.
            let _ = reply.send(match answer.answer {
                Some(Answer::Failure(failure)) => Err(NoAnswer::Failed(failure.into())),
                Some(answer) => Ok(answer),
                None => Err(NoAnswer::Failed(another_answer())),
            });
        }
    }

    /// Fails what is unanswered and whatever would come.
    fn end(&self, why: &NoAnswer) {
        let mut table = self.table();
        table.ended = Some(why.clone());
        self.places.close();
        for (_, Waiting { reply, .. }) in table.calls.drain() {
            let _ = reply.send(Err(why.clone()));
        }
    }
}

/// What the stream sends: the calls that wait, but for those that were given up.
pub(super) struct Queue {
    waiting: mpsc::Receiver<ShortCall>,
    unanswered: Arc<Unanswered>,
}

impl Stream for Queue {
    type Item = ShortCall;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<ShortCall>> {
        loop {
            let Some(call) = ready!(self.waiting.poll_recv(context)) else {
                return Poll::Ready(None);
            };
            if self.unanswered.is_wanted(call.number) {
                return Poll::Ready(Some(call));
            }
        }
    }
}

fn broken() -> NoAnswer {
    let text = "the stream ended before the answer".to_owned();
    NoAnswer::Failed(NodeError::Unavailable(text))
}

/// A node that answers like this is of a later version or has a fault.
pub(super) fn another_answer() -> NodeError {
    NodeError::Invalid("a short call was answered like another one".to_owned())
}

#[cfg(test)]
mod tests;
