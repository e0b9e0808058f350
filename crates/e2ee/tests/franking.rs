//! A message can be reported, only as it was sent, and nobody can send one that could not be.

mod kit;

use kit::{Device, account, group_of};
use parlour_e2ee::{Evidence, FrankingError, Invalid, Processed, Report, verify_report};

fn report() -> (Report, [u8; 32]) {
    let (mut devices, mut log) = group_of(2);
    let row = log.message(&devices[1].seal("something unpleasant"));
    let message = devices[0].message(&row);
    (Report { content: message.content, evidence: message.evidence }, devices[1].keys.signing_public())
}

#[test]
fn a_report_shows_who_sent_it() {
    let (report, device) = report();
    let shown = verify_report(&report, &device).unwrap();
    assert_eq!((shown.account, shown.device), (account(2), [2; 16]));
}

#[test]
fn sender_and_receiver_hold_the_same_evidence() {
    let (mut devices, mut log) = group_of(2);
    let sealed = devices[0].seal("hello");
    let row = log.message(&sealed);
    let received = devices[1].message(&row).evidence;
    assert_eq!(received, sealed.0.evidence);
    assert_eq!(Evidence::from_bytes(&received.to_bytes()), Some(received));
}

#[test]
fn no_part_of_a_report_can_be_changed() {
    let (good, device) = report();
    type Tampering = fn(&mut Report);
    let changes: [(Tampering, FrankingError); 9] = [
        (|r| r.content[0] ^= 1, FrankingError::Tag),
        (|r| r.content.push(0), FrankingError::Tag),
        (|r| r.evidence.salt[0] ^= 1, FrankingError::Tag),
        (|r| r.evidence.tag[0] ^= 1, FrankingError::Tag),
        (|r| r.evidence.signature[0] ^= 1, FrankingError::Signature),
        (|r| r.evidence.room[0] ^= 1, FrankingError::Signature),
        (|r| r.evidence.epoch += 1, FrankingError::Signature),
        (|r| r.evidence.message_id[0] ^= 1, FrankingError::Signature),
        (|r| r.evidence.credential = vec![1, 2, 3].into(), FrankingError::Malformed),
    ];
    for (change, error) in changes {
        let mut changed = good.clone();
        change(&mut changed);
        assert_eq!(verify_report(&changed, &device), Err(error));
    }
    let other = Device::new(9, 9).keys.signing_public();
    assert_eq!(verify_report(&good, &other), Err(FrankingError::Credential));
}

#[test]
fn a_message_with_another_tag_is_refused() {
    let (mut devices, mut log) = group_of(2);
    let mut row = log.message(&devices[1].seal("hello"));
    row.meta.tag.as_mut().unwrap()[0] ^= 1;
    assert!(matches!(devices[0].read(&row), Processed::Invalid(Invalid::Franking(FrankingError::Tag))));
}
