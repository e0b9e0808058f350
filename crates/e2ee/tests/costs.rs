//! What operations write and weigh. Run with `--nocapture` to see the figures.

#![expect(clippy::print_stdout, reason = "the figures are for people to read")]

mod kit;

use std::time::Instant;

use kit::{Device, all_follow, group_of};
use parlour_e2ee::{Change, Group, Update};

/// Bytes one message writes at the sender and at a receiver, after enough epochs to fill the past.
fn message_costs(members: u8) -> (usize, usize) {
    let (mut devices, mut log) = group_of(members);
    for index in 0..4 {
        let by = index % devices.len();
        let pending = devices[by].commit(Change::update(Update::KeepMemberKey));
        let row = log.commit(&pending);
        all_follow(&mut devices, &row);
    }
    devices[0].crash();
    let mut worst = (0, 0);
    for round in 0..40 {
        let id = devices[0].random_id();
        let mut rng = devices[0].rng.clone();
        let started = Instant::now();
        let sealed = devices[0].group().seal_message(&[round; 300], id, &mut rng).expect("sealed");
        let sealing = started.elapsed();
        let written = devices[0].save();
        let row = log.message(&(sealed, id));
        let started = Instant::now();
        devices[1].group().process(&row.bytes, &row.meta).expect("processed");
        let reading = started.elapsed();
        let read = devices[1].save();
        worst = (worst.0.max(written), worst.1.max(read));
        if round == 39 {
            println!(
                "{members} members: 300 B become {} B; sealed in {sealing:?}, read in {reading:?}",
                row.bytes.len()
            );
        }
    }
    println!("{members} members: a message writes at most {} B at the sender, {} B at a receiver", worst.0, worst.1);
    println!("{members} members: {} B of rows", devices[0].disk.bytes());
    let rows = devices[0].disk.clone();
    let started = Instant::now();
    Group::load(rows).expect("rows read");
    println!("{members} members: loaded in {:?}", started.elapsed());
    worst
}

#[test]
fn a_message_writes_little_in_a_room_of_two() {
    let (sent, read) = message_costs(2);
    assert!(sent <= 4096 && read <= 4096, "{sent} {read}");
}

#[test]
fn a_message_writes_little_in_a_room_of_thirty_two() {
    let (sent, read) = message_costs(32);
    assert!(sent <= 4096 && read <= 4096, "{sent} {read}");
}

#[test]
fn a_welcome_weighs_its_shared_part_once() {
    let (mut devices, mut log) = group_of(8);
    let packages = (20..24).map(|id| Device::new(id, id).key_package()).collect();
    let started = Instant::now();
    let pending = devices[0].commit(Change::add(packages));
    println!("4 added in {:?}: commit {} B, {:?}", started.elapsed(), pending.commit.len(), pending.welcome);
    let welcome = pending.welcome.as_ref().unwrap();
    assert_eq!(welcome.parts.len(), 4);
    assert!(welcome.parts.iter().all(|part| part.bytes.len() < 1300), "{:?}", welcome.parts);
    let row = log.commit(&pending);
    let started = Instant::now();
    devices[1].follow(&row);
    println!("followed in {:?}", started.elapsed());
}
