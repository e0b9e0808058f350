//! What is written reads back, byte for byte the same as ever; what passes a bound, or is rubbish, is refused.

use super::*;
use crate::ids::Secret;
use bytes::Bytes;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

fn id(byte: u8) -> MessageId {
    MessageId([byte; 16])
}

fn content(body: Part) -> Content {
    Content::new([0xaa; 16], body)
}

fn introduction() -> Introduction {
    Introduction { door: Some(Secret([5; 32])), name: Some("Ada".into()), address: Some("ada@den".into()) }
}

fn picture(len_bytes: usize) -> Option<Picture> {
    Picture::new("image/webp", vec![9; len_bytes].into())
}

/// One of each kind, with all its fields.
fn samples() -> Vec<(&'static str, Content)> {
    let full = Content {
        replaces: Some(id(1)),
        topic: b"t".to_vec(),
        expires: Some(Expires::AfterReading { seconds: 60 }),
        in_reply_to: Some(id(2)),
        extensions: BTreeMap::from([
            (ExtensionName::Text("x".into()), ExtensionValue::new(vec![0x82, 0x01, 0x02]).unwrap()),
            (ExtensionName::Number(-1), ExtensionValue::new(vec![0xf6]).unwrap()),
            (ExtensionName::Number(300), ExtensionValue::new(vec![0x61, b'y']).unwrap()),
        ]),
        ..content(Part::Text(Text { format: TextFormat::Markdown, language: "de".into(), text: "*grüß*".into() }))
    };
    let reaction =
        |emoji: &str| Content { in_reply_to: Some(id(2)), ..content(Part::Reaction { emoji: emoji.into() }) };
    let reports = [Status::Unread, Status::Delivered, Status::Read, Status::Error, Status::Other(9)];
    let reports = reports.into_iter().map(|status| Report { message: id(3), status }).collect();
    vec![
        ("null", content(Part::Null)),
        ("text", content(Part::text("hello"))),
        ("text_full", full),
        ("expires_at", Content { expires: Some(Expires::At { unix_s: 1_900_000_000 }), ..content(Part::text("x")) }),
        ("reaction", reaction("❤️")),
        ("reaction_taken_back", reaction("")),
        ("delete", Content { replaces: Some(id(1)), ..content(Part::Delete) }),
        ("reports", content(Part::Reports(reports))),
        ("hello", content(Part::Control(Control::Hello(introduction())))),
        ("hello_bare", content(Part::Control(Control::Hello(Introduction::default())))),
        ("accept", content(Part::Control(Control::Accept(introduction())))),
        ("profile", content(Part::Control(Control::Profile { name: "Ada L.".into(), picture: None }))),
        ("group_title", content(Part::Control(Control::GroupTitle { title: "Choir".into() }))),
        ("group_picture", content(Part::Control(Control::GroupPicture { picture: picture(3) }))),
        ("leave", content(Part::Control(Control::Leave { request: Bytes::from_static(b"leave") }))),
        ("link", content(Part::Control(Control::DeviceListLink { link: Bytes::from_static(b"link") }))),
        ("unknown", content(Part::Control(Control::Unknown(999)))),
        ("profile_picture", content(Part::Control(Control::Profile { name: "Ada L.".into(), picture: picture(5) }))),
        ("own", content(Part::Own(Bytes::from_static(b"to my other devices")))),
        ("invitation", content(Part::Control(Control::Invitation { title: "Choir".into() }))),
        ("join", content(Part::Control(Control::Join { secret: Secret([6; 32]) }))),
    ]
}

#[test]
fn every_kind_reads_back_and_its_bytes_stay_the_same() {
    let mut lines = String::new();
    for (name, content) in samples() {
        let bytes = content.encode().unwrap();
        assert!(Content::decode(&bytes).unwrap() == content, "{name}");
        lines.push_str(&format!("{name} {}\n", hex::encode(bytes)));
    }
    crate::snapshot::check(include_str!("../../snapshots/content.hex"), &lines);
}

#[test]
fn the_drafts_own_reading_of_our_bytes_is_a_text_part() {
    // [salt, null, h'', null, null, {}, [1, "", 1, "text/plain;charset=utf-8", 'hi']]
    let bytes = content(Part::text("hi")).encode().unwrap();
    let text = hex::encode(b"text/plain;charset=utf-8");
    assert_eq!(
        hex::encode(bytes),
        format!("018750{}f640f6f6a085016001781 8{text}426869", "aa".repeat(16)).replace(' ', "")
    );
}

#[test]
fn bounds_hold_when_writing() {
    let too_long = [
        content(Part::text("a".repeat(MAX_TEXT_BYTES + 1))),
        content(Part::Reaction { emoji: "a".repeat(MAX_EMOJI_BYTES + 1) }),
        content(Part::Reports(vec![Report { message: id(1), status: Status::Read }; MAX_REPORTS + 1])),
        content(Part::Control(Control::Leave { request: vec![0; MAX_CONTROL_BYTES + 1].into() })),
        content(Part::Own(vec![0; MAX_OWN_BYTES + 1].into())),
        Content { topic: vec![0; MAX_TOPIC_BYTES + 1], ..content(Part::Null) },
    ];
    for content in too_long {
        assert!(matches!(content.encode(), Err(ContentError::TooLong(_))), "{content:?}");
    }
    assert!(content(Part::text("a".repeat(MAX_TEXT_BYTES))).encode().is_ok());
}

#[test]
fn bounds_hold_when_reading() {
    // A text of 64 KiB and one byte, a nest of arrays, a map that claims to be huge.
    let text = content(Part::text("a".repeat(MAX_TEXT_BYTES))).encode().unwrap();
    let at = text.len() - MAX_TEXT_BYTES - 5;
    assert_eq!(text[at..at + 5], [0x5a, 0, 1, 0, 0]);
    let mut longer = text.clone();
    longer[at + 4] = 1;
    longer.push(b'a');
    assert_eq!(Content::decode(&longer), Err(ContentError::TooLong("text")));
    assert_eq!(ExtensionValue::new([vec![0x81; 40], vec![0]].concat()), Err(ContentError::TooLong("nesting")));
    let mut huge = content(Part::Null).encode().unwrap();
    let map = huge.iter().rposition(|byte| *byte == 0xa0).unwrap();
    huge.splice(map..=map, [0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    assert_eq!(Content::decode(&huge), Err(ContentError::TooLong("list of extensions")));
    assert_eq!(Content::decode(&vec![1; MAX_CONTENT_BYTES + 1]), Err(ContentError::TooLong("message")));
}

#[test]
fn extensions_are_one_whole_item_each() {
    for wrong in [&[][..], &[0x01, 0x02], &[0x82, 0x01], &[0x9f, 0xff], &[0xff], &[0x18]] {
        assert!(ExtensionValue::new(wrong.to_vec()).is_err(), "{wrong:?}");
    }
    for right in [&[0x01][..], &[0xc1, 0x1a, 0, 0, 0, 1], &[0xa1, 0x01, 0x82, 0xf5, 0xfb, 0, 0, 0, 0, 0, 0, 0, 0]] {
        assert!(ExtensionValue::new(right.to_vec()).is_ok(), "{right:?}");
    }
}

#[test]
fn parts_of_newer_versions_read_as_unsupported() {
    let head = [&[1, 0x87, 0x50][..], &[0xaa; 16], &[0xf6, 0x40, 0xf6, 0xf6, 0xa0]].concat();
    let multi = [&head[..], &[0x85, 1, 0x60, 3, 0, 0x82, 0x83, 1, 0x60, 0, 0x83, 1, 0x60, 0]].concat();
    assert!(Content::decode(&multi).unwrap().body == Part::Unsupported { content_type: String::new() });
    let image = [&head[..], &[0x85, 6, 0x60, 1, 0x69], b"image/png", &[0x41, 0]].concat();
    let body = Content::decode(&image).unwrap().body;
    assert!(body == Part::Unsupported { content_type: "image/png".into() });
    assert_eq!(content(body).encode(), Err(ContentError::Malformed));
}

#[test]
fn unknown_keys_and_kinds_of_control_are_ignored() {
    // Control [1, {2: "Ada", 77: [1, 2]}] and [999, {1: 5}].
    for (inner, wanted) in [
        (
            &[0x82, 1, 0xa2, 2, 0x63, b'A', b'd', b'a', 0x18, 77, 0x82, 1, 2][..],
            Control::Hello(Introduction { name: Some("Ada".into()), ..Introduction::default() }),
        ),
        (&[0x82, 0x19, 0x03, 0xe7, 0xa1, 1, 5], Control::Unknown(999)),
    ] {
        let mut bytes = content(Part::Control(Control::Unknown(7))).encode().unwrap();
        bytes.truncate(bytes.len() - 4); // the byte string of [7, {}]
        bytes.push(0x40 + inner.len() as u8);
        bytes.extend(inner);
        assert!(Content::decode(&bytes).unwrap().body == Part::Control(wanted));
    }
}

#[test]
fn the_secret_of_a_join_has_its_length() {
    for len in [0, 31, 33] {
        let other = Control::Leave { request: vec![6; len].into() };
        let mut bytes = content(Part::Control(other)).encode().unwrap();
        let at = bytes.windows(2).position(|pair| pair == [0x82, 5]).unwrap();
        bytes[at + 1] = 11;
        assert!(Content::decode(&bytes).is_err(), "{len}");
    }
}

#[test]
fn names_are_cleaned_on_both_ways() {
    let shouting = content(Part::Control(Control::Profile { name: "  A\u{202e}da\n".into(), picture: None }));
    let read = Content::decode(&shouting.encode().unwrap()).unwrap();
    assert!(read.body == Part::Control(Control::Profile { name: "Ada".into(), picture: None }));
}

#[test]
fn a_picture_is_small_and_of_a_kind_that_does_nothing() {
    assert!(picture(MAX_PICTURE_BYTES).is_some());
    assert!(picture(0).is_none() && picture(MAX_PICTURE_BYTES + 1).is_none());
    assert!(Picture::new("image/svg+xml", vec![1].into()).is_none());
    // A picture of another kind by a newer version: the name still comes.
    let mut bytes =
        content(Part::Control(Control::Profile { name: "Ada".into(), picture: picture(3) })).encode().unwrap();
    let at = bytes.windows(10).position(|part| part == b"image/webp").unwrap();
    bytes[at..at + 10].copy_from_slice(b"image/avif");
    let body = Content::decode(&bytes).unwrap().body;
    assert!(body == Part::Control(Control::Profile { name: "Ada".into(), picture: None }));
}

#[test]
fn logs_show_no_text_and_no_name() {
    for (_, content) in samples() {
        let shown = format!("{content:?} {:?}", content.body);
        assert!(!["hello", "grüß", "Ada", "Choir"].iter().any(|canary| shown.contains(canary)), "{shown}");
    }
}

fn any_id() -> impl Strategy<Value = MessageId> {
    any::<[u8; 16]>().prop_map(MessageId)
}

fn any_name() -> impl Strategy<Value = String> {
    "\\PC{1,40}".prop_filter_map("nothing left", |name| clean_name(&name))
}

fn any_introduction() -> impl Strategy<Value = Introduction> {
    (option::of(any::<[u8; 32]>()), option::of(any_name()), option::of(any_name()))
        .prop_map(|(door, name, address)| Introduction { door: door.map(Secret), name, address })
}

fn any_part() -> impl Strategy<Value = Part> {
    let report =
        (any_id(), any::<u8>()).prop_map(|(message, status)| Report { message, status: Status::from_number(status) });
    prop_oneof![
        Just(Part::Null),
        Just(Part::Delete),
        ("[a-z]{0,8}", ".{0,200}", any::<bool>()).prop_map(|(language, text, markdown)| {
            let format = if markdown { TextFormat::Markdown } else { TextFormat::Plain };
            Part::Text(Text { format, language, text })
        }),
        ".{0,16}".prop_map(|emoji| Part::Reaction { emoji }),
        vec(report, 0..40).prop_map(Part::Reports),
        any_introduction().prop_map(|intro| Part::Control(Control::Hello(intro))),
        any_introduction().prop_map(|intro| Part::Control(Control::Accept(intro))),
        (any_name(), 0usize..300)
            .prop_map(|(name, len)| Part::Control(Control::Profile { name, picture: picture(len) })),
        any_name().prop_map(|title| Part::Control(Control::GroupTitle { title })),
        vec(any::<u8>(), 0..300).prop_map(|b| Part::Control(Control::Leave { request: b.into() })),
        vec(any::<u8>(), 0..300).prop_map(|b| Part::Control(Control::DeviceListLink { link: b.into() })),
        any_name().prop_map(|title| Part::Control(Control::Invitation { title })),
        any::<[u8; 32]>().prop_map(|secret| Part::Control(Control::Join { secret: Secret(secret) })),
        (12u16..).prop_map(|kind| Part::Control(Control::Unknown(kind))),
    ]
}

fn any_content() -> impl Strategy<Value = Content> {
    let name = prop_oneof![any::<i64>().prop_map(ExtensionName::Number), "\\PC{1,20}".prop_map(ExtensionName::Text)];
    let value = prop_oneof![
        any::<u8>().prop_map(|n| vec![0x18, n]),
        vec(any::<u8>(), 0..20).prop_map(|b| [vec![0x40 + b.len() as u8], b].concat()),
        Just(vec![0xa1, 0x01, 0x81, 0xf6]),
    ];
    let value = value.prop_map(|cbor| ExtensionValue::new(cbor).unwrap());
    let expires = prop_oneof![
        any::<u32>().prop_map(|seconds| Expires::AfterReading { seconds }),
        any::<u32>().prop_map(|unix_s| Expires::At { unix_s }),
    ];
    let ids = (option::of(any_id()), option::of(any_id()));
    (any::<[u8; 16]>(), ids, vec(any::<u8>(), 0..20), option::of(expires), btree_map(name, value, 0..4), any_part())
        .prop_map(|(salt, (replaces, in_reply_to), topic, expires, extensions, body)| Content {
            salt,
            replaces,
            topic,
            expires,
            in_reply_to,
            extensions,
            body,
        })
}

proptest! {
    #[test]
    fn any_content_reads_back(content in any_content()) {
        let bytes = content.encode().unwrap();
        let read = Content::decode(&bytes).unwrap();
        prop_assert!(read == content);
        prop_assert_eq!(read.encode().unwrap(), bytes);
    }

    #[test]
    fn bytes_from_anywhere_never_panic(bytes in vec(any::<u8>(), 0..400)) {
        let _ = Content::decode(&bytes);
        let _ = Content::decode(&[&[1, 0x87, 0x50][..], &bytes].concat());
        let _ = ExtensionValue::new(bytes);
    }

    #[test]
    fn changed_bytes_never_panic(content in any_content(), at in any::<prop::sample::Index>(), to in any::<u8>(), cut in any::<prop::sample::Index>()) {
        let mut bytes = content.encode().unwrap();
        let at = at.index(bytes.len());
        bytes[at] = to;
        if let Ok(read) = Content::decode(&bytes) {
            let _ = read.encode();
        }
        bytes.truncate(cut.index(bytes.len()));
        prop_assert!(Content::decode(&bytes).is_err());
    }
}
