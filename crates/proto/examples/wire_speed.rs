//! How long the frames that are sent most take, each way: `cargo run --release -p parlour-proto --example wire_speed`.

#![expect(clippy::print_stdout, reason = "it is a program that prints")]

use bytes::Bytes;
use parlour_proto::frames::{Answer, ClientFrame, Push, Request, Row, RowBody, ServerFrame};
use parlour_proto::ids::{MessageId, RoomId, Secret, UnixMillis};
use parlour_proto::wire;
use std::hint::black_box;
use std::time::Instant;

const PAYLOAD_BYTES: usize = 450;
const ROUNDS: u32 = 200_000;
const ROWS: usize = 100;

fn main() {
    let payload = Bytes::from(vec![0xab; PAYLOAD_BYTES]);
    let send = ClientFrame {
        id: 70_000,
        request: Request::Send {
            room: RoomId([1; 16]),
            message_id: MessageId([2; 16]),
            send_key: Secret([3; 32]),
            tag: [4; 32],
            payload: payload.clone(),
        },
    };
    let ack = ClientFrame { id: 0, request: Request::Ack { seq: 70_000 } };
    let time = UnixMillis(1_790_000_000_000);
    let accepted = ServerFrame::Answer {
        id: 70_000,
        result: Ok(Answer::Accepted { room_seq: 70_000, time, stamp: [5; 32], closed: vec![] }),
    };
    let body = RowBody::Message { message_id: MessageId([2; 16]), tag: [4; 32], stamp: [5; 32], payload };
    let row = Row { seq: 70_000, room: RoomId([1; 16]), room_seq: 70_000, time, body };
    let one = vec![row.clone()];
    let many = vec![row; ROWS];

    both("send", 1, || wire::encode_client(&send), wire::decode_client);
    both("ack", 1, || wire::encode_client(&ack), wire::decode_client);
    both("accepted", 1, || wire::encode_server(&accepted), wire::decode_server);
    both("rows, 1", 1, || wire::encode_rows(&one), wire::decode_server);
    both("rows, 100, each", ROWS, || wire::encode_rows(&many), wire::decode_server);
    let pushed = ServerFrame::Push(Push::Rows(many));
    both("rows, 100, each, as a frame", ROWS, || wire::encode_server(&pushed), wire::decode_server);
}

fn both<T, E: std::fmt::Debug>(
    name: &str,
    per_round: usize,
    encode: impl Fn() -> Bytes,
    decode: impl Fn(Bytes) -> Result<T, E>,
) {
    let bytes = encode();
    let writing = ns(per_round, || drop(black_box(encode())));
    let reading = ns(per_round, || drop(black_box(decode(black_box(bytes.clone())))));
    assert!(decode(bytes.clone()).is_ok(), "{name} reads back");
    println!("{name:28} {:6} bytes   write {writing:5.0} ns   read {reading:5.0} ns", bytes.len());
}

fn ns(per_round: usize, work: impl Fn()) -> f64 {
    let rounds = ROUNDS / per_round as u32;
    let start = Instant::now();
    for _ in 0..rounds {
        work();
    }
    start.elapsed().as_nanos() as f64 / f64::from(rounds) / per_round as f64
}
