//! What a node does with the calls of a stream, right and wrong ones.

use crate::conformance::{cells, name};
use crate::rpc::tests::{NODE, header, node, request};
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt, TryStreamExt};
use sixfold_proto::chunks::{Chunks, NodeError};
use sixfold_proto::name::{ChunkName, LeaseId};
use sixfold_proto::node_v1::node_client::NodeClient;
use sixfold_proto::node_v1::short_answer::Answer;
use sixfold_proto::node_v1::short_call::Call;
use sixfold_proto::node_v1::{PutHeader, ShortAnswer, ShortCall, ShortGet, ShortPut};
use std::collections::BTreeMap;
use tonic::Status;
use tonic::transport::Channel;

fn put(name: ChunkName, size: usize) -> ShortPut {
    let cell = cells(name, size, size, 0).remove(0);
    ShortPut { header: Some(header(name, LeaseId(1))), cell: Some(cell.into()) }
}

fn get(name: ChunkName, cell: u32) -> Call {
    Call::Get(ShortGet { name: Some(name.into()), cell, node_number: NODE })
}

fn numbered(calls: Vec<Option<Call>>) -> impl Stream<Item = ShortCall> + Send + 'static {
    stream::iter((1..).zip(calls).map(|(number, call)| ShortCall {
        number,
        call,
        trace: Bytes::new(),
    }))
}

async fn exchange(
    channel: &Channel,
    calls: impl Stream<Item = ShortCall> + Send + 'static,
) -> BoxStream<'static, Result<ShortAnswer, Status>> {
    let limit = 2 * sixfold_proto::MAX_MESSAGE_BYTES;
    let mut client = NodeClient::new(channel.clone()).max_encoding_message_size(limit);
    client.short(request(calls)).await.unwrap().into_inner().boxed()
}

async fn by_number(
    answers: BoxStream<'static, Result<ShortAnswer, Status>>,
) -> BTreeMap<u64, Result<Answer, NodeError>> {
    let result = |answer: ShortAnswer| match answer.answer.unwrap() {
        Answer::Failure(failure) => (answer.number, Err(failure.into())),
        answered => (answer.number, Ok(answered)),
    };
    answers.map_ok(result).try_collect().await.unwrap()
}

#[tokio::test]
async fn each_call_is_answered_and_fails_alone() {
    let (_directory, store, channel) = node().await;
    let (first, second, absent) = (name(1, 1, 1), name(1, 2, 1), name(1, 3, 1));
    let other_node = PutHeader { node_number: 4, ..header(absent, LeaseId(1)) };
    let other_registration = PutHeader { registration: 7, ..header(absent, LeaseId(1)) };
    let with = |header| Some(Call::Put(ShortPut { header, ..put(absent, 10) }));
    let wrong = vec![
        None,
        with(None),
        with(Some(other_node)),
        with(Some(other_registration)),
        with(Some(PutHeader { name: None, ..other_node })),
        with(Some(PutHeader { name: None, ..header(absent, LeaseId(1)) })),
        Some(Call::Put(ShortPut { cell: None, ..put(absent, 10) })),
        Some(get(absent, 0)),
        Some(Call::Get(ShortGet { name: None, cell: 0, node_number: NODE })),
        Some(Call::Get(ShortGet { name: Some(first.into()), cell: 0, node_number: 4 })),
        Some(get(first, u32::MAX)),
    ];
    let wrong_count = wrong.len();
    let good = [first, second].map(|name| Some(Call::Put(put(name, 1000))));
    let calls = numbered([wrong, good.into()].concat());
    let answers = by_number(exchange(&channel, calls).await).await;
    let failed = answers.values().map(|answer| answer.clone().err()).collect::<Vec<_>>();
    let is_invalid = |error: &Option<NodeError>| matches!(error, Some(NodeError::Invalid(_)));
    let is_another = |error: &Option<NodeError>| matches!(error, Some(NodeError::WrongNode(_)));
    let expected = "IIWWWIINIWI..";
    for (error, expected) in failed.iter().zip(expected.chars()) {
        let is_right = match expected {
            'I' => is_invalid(error),
            'W' => is_another(error),
            'N' => *error == Some(NodeError::NotFound),
            _ => error.is_none(),
        };
        assert!(is_right, "{expected}: {failed:?}");
    }
    assert_eq!(failed.len(), expected.len());
    assert_eq!(failed.len(), wrong_count + 2);
    assert_eq!(store.condition().unwrap().chunk_count, 2);
    let read = exchange(&channel, numbered(vec![Some(get(second, 0)), Some(get(second, 1))])).await;
    let read = by_number(read).await;
    let cell = cells(second, 1000, 1000, 0).remove(0);
    assert_eq!(read[&1], Ok(Answer::Get(cell.into())));
    assert!(matches!(read[&2], Err(NodeError::Damaged(_))), "{:?}", read[&2]);
}

#[tokio::test]
async fn many_puts_share_a_stream_and_come_back() {
    let (_directory, store, channel) = node().await;
    let names = (0..1000).map(|number| name(2, number, 0)).collect::<Vec<_>>();
    let size = |at: usize| 1 + at * 16;
    let puts = names.iter().enumerate().map(|(at, &name)| Some(Call::Put(put(name, size(at)))));
    let answers = by_number(exchange(&channel, numbered(puts.collect())).await).await;
    assert_eq!(answers.len(), names.len());
    let mut copies = BTreeMap::new();
    for (number, answer) in answers {
        let Ok(Answer::Put(reply)) = answer else { panic!("{answer:?}") };
        copies.insert(reply.copy_number, number);
    }
    assert_eq!(copies.len(), names.len());
    let gets = numbered(names.iter().map(|&name| Some(get(name, 0))).collect());
    let answers = by_number(exchange(&channel, gets).await).await;
    for (at, &name) in names.iter().enumerate() {
        let cell = cells(name, size(at), size(at), 0).remove(0);
        assert_eq!(answers[&(at as u64 + 1)], Ok(Answer::Get(cell.into())));
    }
    assert_eq!(store.condition().unwrap().chunk_count, names.len() as u64);
}

#[tokio::test]
async fn f33_a_message_that_is_too_large_ends_the_stream_and_nothing_else() {
    let (_directory, store, channel) = node().await;
    let (small, large) = (name(3, 1, 1), name(3, 2, 1));
    let too_large = sixfold_proto::MAX_MESSAGE_BYTES + 1;
    let calls = numbered(vec![
        Some(Call::Put(put(small, 100))),
        Some(Call::Put(put(large, too_large))),
        Some(Call::Put(put(large, 100))),
    ]);
    let answers = by_number(exchange(&channel, calls.chain(stream::pending())).await).await;
    assert_eq!(answers.keys().collect::<Vec<_>>(), [&1]);
    assert!(answers[&1].is_ok());
    assert!(store.stat(small).await.is_ok());
    assert_eq!(store.stat(large).await, Err(NodeError::NotFound));
}
