//! Every frame there and back, its bytes held by snapshots, limits, and rubbish.

use super::*;
use crate::frames::{
    Answer, Commit, EntryChange, MAX_BACKUP_CHUNK_BYTES, MAX_CODE_BYTES, MAX_ENTRY_CHANGES, MAX_FRAME_BYTES,
    MAX_HANDLE_BYTES, MAX_KEY_PACKAGE_BYTES, MAX_KEY_PACKAGES_PER_FRAME, MAX_KNOCK_BYTES, MAX_MESSAGE_BYTES,
    MAX_RELAY_BYTES, MAX_ROWS_PER_FRAME, MAX_VOIDS, MAX_WHISPER_BYTES, Pool, RELAY_SLOTS, Row, RowBody,
};
use crate::ids::{MemberKey, UnixMillis};
use proptest::prelude::*;

mod samples;
mod strategies;

use samples::{answers, pushes, requests, rows};
use strategies::{any_answer, any_problem, any_push, any_request, any_row};

fn malformed_with_id(frame: &[u8], id: u64) {
    let refused = decode_client(Bytes::copy_from_slice(frame)).unwrap_err();
    assert_eq!((refused.id, refused.problem.code), (id, Code::Malformed), "{refused:?}");
}

fn refused(request: Request) -> Code {
    let refused = decode_client(encode_client(&ClientFrame { id: 7, request })).unwrap_err();
    assert_eq!(refused.id, 7);
    refused.problem.code
}

fn server_refused(answer: Answer) -> Code {
    decode_server(encode_server(&ServerFrame::Answer { id: 7, result: Ok(answer) })).unwrap_err().code
}

// ---- bytes

#[test]
fn bytes_of_every_request_stay_the_same() {
    let mut lines = String::new();
    for (note, request) in requests() {
        let frame = ClientFrame { id: 7, request };
        let bytes = encode_client(&frame);
        lines.push_str(&format!("{}{note} {}\n", frame.request.name(), hex::encode(&bytes)));
        assert!(decode_client(bytes).unwrap() == frame, "{frame:?}");
    }
    crate::snapshot::check(include_str!("../../snapshots/client.hex"), &lines);
}

#[test]
fn bytes_of_every_answer_and_push_stay_the_same() {
    let mut lines = String::new();
    let answers = answers().into_iter().map(|answer| {
        let name = answer.as_ref().map_or("problem", Answer::name);
        (format!("answer_{name}"), ServerFrame::Answer { id: 7, result: answer })
    });
    let pushes = pushes().into_iter().map(|push| (format!("push_{}", push.name()), ServerFrame::Push(push)));
    for (name, frame) in answers.chain(pushes) {
        let bytes = encode_server(&frame);
        lines.push_str(&format!("{name} {}\n", hex::encode(&bytes)));
        assert!(decode_server(bytes).unwrap() == frame, "{frame:?}");
    }
    crate::snapshot::check(include_str!("../../snapshots/server.hex"), &lines);
}

#[test]
fn bytes_of_every_row_stay_the_same() {
    let mut lines = String::new();
    for row in rows() {
        let bytes = encode_row(&row);
        lines.push_str(&format!("{} {}\n", row.body.name(), hex::encode(&bytes)));
        assert!(decode_row(bytes.into()).unwrap() == row, "{row:?}");
    }
    crate::snapshot::check(include_str!("../../snapshots/rows.hex"), &lines);
}

#[test]
fn there_is_a_sample_of_every_kind() {
    let count = |names: Vec<&'static str>| names.into_iter().collect::<std::collections::BTreeSet<_>>().len();
    assert_eq!(count(requests().iter().map(|(_, request)| request.name()).collect()), 47);
    assert_eq!(count(answers().iter().flatten().map(Answer::name).collect()), 16);
    assert_eq!(count(pushes().iter().map(Push::name).collect()), 9);
    assert_eq!(count(rows().iter().map(|row| row.body.name()).collect()), 5);
}

#[test]
fn one_encoding_of_a_row_serves_all_mailboxes() {
    for mut row in rows() {
        row.seq = 0;
        let once = encode_row(&row);
        row.seq = 300;
        let mut writer = RowsWriter::default();
        writer.push_encoded(300, &once);
        assert_eq!(writer.rows(), 1);
        assert_eq!(writer.finish(), encode_rows([&row]));
    }
}

// ---- what is refused

#[test]
fn a_refusal_names_the_request_where_it_can() {
    malformed_with_id(&[], 0);
    malformed_with_id(&[0xff], 0);
    malformed_with_id(&[0x08, 9], 9); // id 9, nothing else
    malformed_with_id(&[0x08, 9, 0xfa, 0x0f, 0], 9); // an unknown request
    malformed_with_id(&[0x08, 9, 0x12, 0], 9); // a send without its fields
    malformed_with_id(&[0x08, 9, 0x12, 5], 9); // cut off
    malformed_with_id(&[0x08, 9, 0x0b], 9); // a group
    malformed_with_id(&[0x82, 1, 0], 0); // id 0
    assert!(decode_client(Bytes::from_static(&[0x1a, 2, 0x08, 5])).is_ok(), "an acknowledgement needs no id");
}

#[test]
fn unknown_fields_are_ignored() {
    // apps, with an unknown field inside and one beside it
    let frame = Bytes::from_static(&[0x08, 7, 0x82, 1, 2, 0x78, 1, 0xfa, 0x3f, 1, 0]);
    assert_eq!(decode_client(frame).map(|frame| frame.request.name()), Ok("apps"));
}

#[test]
fn an_app_that_cannot_be_is_no_such_app() {
    // request_code { app: "No!", handle: "" }
    let frame = Bytes::from_static(&[0x08, 7, 0x8a, 1, 5, 0x0a, 3, b'N', b'o', b'!']);
    assert_eq!(decode_client(frame).map_err(|bad| bad.problem.code), Err(Code::NoSuchApp));
}

#[test]
fn what_passes_a_limit_is_refused() {
    let requests = requests();
    let sample = |name| requests.iter().find(|(_, request)| request.name() == name).unwrap().1.clone();
    let mut too_large = Vec::new();
    if let mut request @ Request::Send { .. } = sample("send") {
        let Request::Send { payload, .. } = &mut request else { return };
        *payload = vec![0; MAX_MESSAGE_BYTES + 1].into();
        too_large.push(request);
    }
    if let Request::Knock { room, knock_id, proof, .. } = sample("knock") {
        too_large.push(Request::Knock { room, knock_id, payload: vec![0; MAX_KNOCK_BYTES + 1].into(), proof });
    }
    let app = crate::frames::AppId::parse("den").unwrap();
    too_large.push(Request::RequestCode { app: app.clone(), handle: "a".repeat(MAX_HANDLE_BYTES + 1) });
    let code = "1".repeat(MAX_CODE_BYTES + 1);
    too_large.push(Request::ProveCode { app, handle: "a".into(), code });
    let package = |len: usize| crate::frames::KeyPackageUpload {
        key_package: vec![0; len].into(),
        member_key: MemberKey([0; 32]),
    };
    let publish = |packages| Request::PublishKeyPackages { pool: Pool::Door, packages };
    too_large.push(publish(vec![package(MAX_KEY_PACKAGE_BYTES + 1)]));
    too_large.push(publish(vec![package(1); MAX_KEY_PACKAGES_PER_FRAME + 1]));
    too_large.push(Request::AppendDeviceList { link: vec![0; 513].into() });
    too_large.push(Request::PutBackup { name: [0; 16], chunk: vec![0; MAX_BACKUP_CHUNK_BYTES + 1].into() });
    too_large.push(Request::Relay { payload: vec![0; MAX_RELAY_BYTES + 1].into() });
    if let Request::Whisper { room, send_key, .. } = sample("whisper") {
        too_large.push(Request::Whisper { room, send_key, payload: vec![0; MAX_WHISPER_BYTES + 1].into() });
    }
    too_large.push(Request::OpaqueLoginFinish { message: vec![0; 513].into() });
    let commit = |change: &dyn Fn(&mut Commit)| {
        let Request::Commit(mut commit) = sample("commit") else { panic!("a commit") };
        change(&mut commit);
        Request::Commit(commit)
    };
    let leave = EntryChange::Remove { member_key: MemberKey([1; 32]) };
    too_large.push(commit(&|commit| commit.changes = vec![leave.clone(); MAX_ENTRY_CHANGES + 1]));
    too_large.push(commit(&|commit| commit.voids = vec![1; MAX_VOIDS + 1]));
    too_large.push(commit(&|commit| commit.voids = vec![1; 100_000]));
    too_large.push(commit(&|commit| commit.payload = vec![0; MAX_FRAME_BYTES].into()));
    too_large.push(commit(&|commit| {
        let parts = vec![(MemberKey([1; 32]), Bytes::new()); MAX_ENTRY_CHANGES + 1];
        commit.welcome = Some(crate::frames::Welcome { shared: Bytes::new(), parts });
    }));
    for request in too_large {
        let shown = format!("{request:?}");
        let id_is_behind = encode_client(&ClientFrame { id: 7, request: request.clone() }).len() > MAX_FRAME_BYTES;
        if !id_is_behind {
            assert_eq!(refused(request), Code::TooLarge, "{shown}");
        }
    }
}

#[test]
fn rights_and_pools_that_are_not_known_are_refused() {
    let Some((_, Request::Commit(mut commit))) = requests().into_iter().find(|(_, r)| r.name() == "commit") else {
        panic!("a commit")
    };
    commit.changes = vec![EntryChange::Add {
        member_key: MemberKey([1; 32]),
        grant: Bytes::new(),
        rights: crate::frames::Rights(8),
    }];
    assert_eq!(refused(Request::Commit(commit)), Code::Malformed);
    // publish_key_packages { pool: 9 }
    malformed_with_id(&[0x08, 7, 0x82, 2, 2, 0x08, 9], 7);
}

#[test]
fn a_frame_of_millions_of_empty_elements_is_refused_before_it_is_decoded() {
    for field in [4u8, 32] {
        let inner = [0x32, 0].repeat(1_000_000); // a million empty entry changes
        let mut frame = vec![0x08, 7];
        prost::encoding::encode_key(u32::from(field), prost::encoding::WireType::LengthDelimited, &mut frame);
        prost::encoding::encode_varint(inner.len() as u64, &mut frame);
        frame.extend(inner);
        let refused = decode_client(frame.into()).unwrap_err();
        assert_eq!((refused.id, refused.problem.code), (7, Code::TooLarge));
    }
    let many = vec![rows().remove(0); MAX_ROWS_PER_FRAME + 1];
    assert_eq!(decode_server(encode_rows(&many)).unwrap_err().code, Code::TooLarge);
}

#[test]
fn a_server_is_not_believed_either() {
    let Some(Answer::Claimed(claimed)) = answers().into_iter().flatten().find(|answer| answer.name() == "claimed")
    else {
        panic!("a claim")
    };
    let mut many = claimed.clone();
    many.devices = vec![claimed.devices[0].clone(); 65];
    assert_eq!(server_refused(Answer::Claimed(many)), Code::TooLarge);
    let mut long = claimed;
    long.view.links = vec![Bytes::new(); 1025];
    assert_eq!(server_refused(Answer::Claimed(long)), Code::TooLarge);
    // A slot that cannot be; a payload that no client could have sent.
    assert_eq!(server_refused(Answer::Relay { slot: RELAY_SLOTS }), Code::Malformed);
    let relayed = Push::Relay { payload: vec![0; MAX_RELAY_BYTES + 1].into() };
    let room = crate::ids::RoomId([1; 16]);
    let whispered = Push::Whisper { room, payload: vec![0; MAX_WHISPER_BYTES + 1].into() };
    for push in [relayed, whispered] {
        assert_eq!(decode_server(encode_server(&ServerFrame::Push(push))).unwrap_err().code, Code::TooLarge);
    }
    // A push with a request's id; an unknown body.
    assert_eq!(decode_server(Bytes::from_static(&[0x08, 7, 0x4a, 0])).unwrap_err().code, Code::Malformed);
    assert_eq!(decode_server(Bytes::from_static(&[0xfa, 0x0f, 0])).unwrap_err().code, Code::Malformed);
    // A problem's sentence is cut, an unknown code is kept as unknown.
    let problem = Problem::new(Code::Internal, "ä".repeat(2000));
    let read = decode_server(encode_server(&ServerFrame::Answer { id: 1, result: Err(problem) })).unwrap();
    assert!(matches!(read, ServerFrame::Answer { result: Err(problem), .. } if problem.detail.len() == 1024));
    // problem { code: 4000 }
    let read = decode_server(Bytes::from_static(&[0x08, 1, 0x22, 3, 0x08, 0xa0, 0x1f])).unwrap();
    assert!(matches!(read, ServerFrame::Answer { result: Err(problem), .. } if problem.code == Code::Unknown));
}

#[test]
fn a_payload_is_not_copied() {
    let row = Row {
        body: RowBody::Message {
            message_id: crate::ids::MessageId([1; 16]),
            tag: [2; 32],
            stamp: [3; 32],
            payload: vec![4; 1000].into(),
        },
        ..rows().remove(0)
    };
    let frame = encode_rows([&row]);
    let inside = frame.as_ptr_range();
    let Ok(ServerFrame::Push(Push::Rows(read))) = decode_server(frame.clone()) else { panic!("rows") };
    let RowBody::Message { payload, .. } = &read[0].body else { panic!("a message") };
    assert!(inside.contains(&payload.as_ptr()));
}

#[test]
fn logs_show_no_handle_code_or_payload() {
    for (_, request) in requests() {
        let shown = format!("{:?}", ClientFrame { id: 7, request });
        assert!(!["canary", "424242", "420042", "+49"].iter().any(|secret| shown.contains(secret)), "{shown}");
        assert!(shown.len() < 200, "{shown}");
    }
    for push in pushes() {
        let shown = format!("{:?}", ServerFrame::Push(push));
        assert!(!shown.contains("canary") && shown.len() < 200, "{shown}");
    }
    assert!(!format!("{:?}", Answer::Relay { slot: 420_042 }).contains("42"));
    let time = format!("{:?}", UnixMillis(5));
    assert!(!time.is_empty());
}

proptest! {
    #[test]
    fn any_request_reads_back(id in 1u64.., request in any_request()) {
        let frame = ClientFrame { id, request };
        prop_assert!(decode_client(encode_client(&frame)).as_ref() == Ok(&frame), "{:?}", frame);
    }

    #[test]
    fn any_answer_reads_back(id in any::<u64>(), result in prop_oneof![any_answer().prop_map(Ok), any_problem().prop_map(Err)]) {
        let frame = ServerFrame::Answer { id, result };
        prop_assert!(decode_server(encode_server(&frame)).as_ref() == Ok(&frame), "{:?}", frame);
    }

    #[test]
    fn any_push_reads_back(push in any_push()) {
        let frame = ServerFrame::Push(push);
        prop_assert!(decode_server(encode_server(&frame)).as_ref() == Ok(&frame), "{:?}", frame);
    }

    #[test]
    fn rows_are_written_as_protobuf_writes_them(rows in proptest::collection::vec(any_row(), 0..5)) {
        let slow = schema::ServerFrame { id: 0, body: Some(server::put_push(&Push::Rows(rows.clone()))) };
        prop_assert_eq!(encode_rows(&rows), slow.encode_to_vec());
        for row in &rows {
            prop_assert_eq!(encode_row(row), server::put_row(row).encode_to_vec());
        }
    }

    #[test]
    fn bytes_from_anywhere_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let bytes = Bytes::from(bytes);
        let _ = decode_client(bytes.clone());
        let _ = decode_server(bytes.clone());
        let _ = decode_row(bytes);
    }

    #[test]
    fn changed_requests_never_panic(request in any_request(), changes in changes()) {
        let _ = decode_client(changed(encode_client(&ClientFrame { id: 7, request }), &changes));
    }

    #[test]
    fn changed_answers_never_panic(answer in any_answer(), push in any_push(), changes in changes()) {
        let _ = decode_server(changed(encode_server(&ServerFrame::Answer { id: 7, result: Ok(answer) }), &changes));
        let _ = decode_server(changed(encode_server(&ServerFrame::Push(push)), &changes));
    }
}

fn changes() -> impl Strategy<Value = Vec<(prop::sample::Index, u8)>> {
    proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)
}

/// Some bytes replaced, and cut at the place of the last change if that byte is even.
fn changed(bytes: Bytes, changes: &[(prop::sample::Index, u8)]) -> Bytes {
    let mut bytes = bytes.to_vec();
    for (at, to) in changes {
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = *to;
            if to % 16 == 0 {
                bytes.truncate(at);
            }
        }
    }
    bytes.into()
}

/// Message, field and number of each field in the hand-written schema.
fn fields_of_the_schema() -> std::collections::BTreeSet<String> {
    let mut fields = Vec::new();
    let mut owners = std::collections::BTreeMap::new();
    let (mut item, mut number) = ("", None);
    let schema =
        [include_str!("schema.rs"), include_str!("schema/rows.rs"), include_str!("schema/holdings.rs")].concat();
    let schema = schema.replace("pub(in crate::wire) ", "pub(super) ");
    for line in schema.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("pub(super) struct ").or(line.strip_prefix("pub(super) enum ")) {
            item = rest.split([' ', '{']).next().unwrap();
        } else if let Some((_, rest)) = line.split_once("oneof = \"") {
            owners.insert(rest.split('"').next().unwrap(), item);
        } else if let Some((_, rest)) = line.split_once("tag = \"") {
            number = Some(rest.split('"').next().unwrap());
        } else if let Some(number) = number.take() {
            let name = line.trim_start_matches("pub ").split([':', '(']).next().unwrap();
            fields.push((item, name, number));
        }
    }
    let owner = |item| owners.get(item).copied().unwrap_or(item);
    fields.iter().map(|(item, name, number)| format!("{}.{}={number}", owner(item), snake(name))).collect()
}

fn snake(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.extend(c.to_lowercase());
    }
    out
}

/// The same of the listing in the document.
fn fields_of_the_listing(document: &str) -> std::collections::BTreeSet<String> {
    let listing = document.split("```proto").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let code: Vec<&str> = listing.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let code = code.join("\n").replace('{', " { ").replace('}', " } ").replace(';', " ; ");
    let words: Vec<&str> = code.split_whitespace().skip_while(|word| *word != "message").collect();
    let mut message = "";
    let mut fields = std::collections::BTreeSet::new();
    for at in 1..words.len() {
        match words[at] {
            "=" => drop(fields.insert(format!("{message}.{}={}", words[at - 1], words[at + 1]))),
            name if words[at - 1] == "message" => message = name,
            _ => {}
        }
    }
    fields
}

#[test]
fn the_listing_in_the_document_is_the_schema() {
    let listing = fields_of_the_listing(include_str!("../../../../docs/protocol.md"));
    assert!(listing.len() > 150);
    assert_eq!(listing, fields_of_the_schema());
}

#[test]
fn the_largest_frames_that_are_allowed_pass() {
    let rows = vec![rows().remove(0); MAX_ROWS_PER_FRAME];
    assert!(decode_server(encode_rows(&rows)).is_ok());
    let key = MemberKey([1; 32]);
    let add = EntryChange::Add { member_key: key, grant: vec![0; 128].into(), rights: crate::frames::Rights::ALL };
    let Some((_, Request::Commit(mut commit))) = requests().into_iter().find(|(_, r)| r.name() == "commit") else {
        panic!("a commit")
    };
    commit.changes = vec![add; MAX_ENTRY_CHANGES];
    commit.voids = vec![u64::MAX; MAX_VOIDS];
    let parts = vec![(key, Bytes::from(vec![0; 1200])); MAX_ENTRY_CHANGES];
    commit.welcome = Some(crate::frames::Welcome { shared: vec![0; 500_000].into(), parts });
    let frame = encode_client(&ClientFrame { id: 7, request: Request::Commit(commit) });
    assert!(frame.len() < MAX_FRAME_BYTES);
    assert!(decode_client(frame).is_ok());
}
