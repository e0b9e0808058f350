//! The order of effects, the timer, failing rows: with an engine of a few lines instead of the real one.

use super::*;
use crate::rows::{MemoryRows, Row};
use crate::runner::{IntentError, Stopped};
use parlour_client::api::{Changes, Effect, Event, Input, Intent, Reply, Status};
use parlour_proto::ids::UnixMillis;
use rand_core::CryptoRngCore;
use std::collections::VecDeque;
use std::sync::Mutex;

/// Answers an intent only after a transaction, a load of what it wrote, and a tick of the timer.
#[derive(Default)]
struct Toy {
    effects: VecDeque<Effect>,
    asked: Option<parlour_client::api::IntentId>,
    loaded: bool,
}

impl Core for Toy {
    fn handle(&mut self, input: Input, now: UnixMillis, _: &mut dyn CryptoRngCore) {
        match input {
            Input::Intent(id, Intent::Status) => {
                self.asked = Some(id);
                let load = Effect::Load { token: 1, prefix: b"k".to_vec() };
                let write = Effect::Commit(Changes(vec![(b"key".to_vec(), Some(b"value".to_vec()))]));
                self.effects.extend([load, write]);
            }
            Input::Intent(id, _) => {
                let replies = (0..3000).map(|_| Effect::Notify(offline()));
                self.effects.extend(replies);
                self.effects.push_back(Effect::Notify(Event::Done(id, Ok(Reply::Ok))));
            }
            Input::Loaded { token: 1, rows } => {
                assert_eq!(rows, [(b"key".to_vec(), b"value".to_vec())]);
                self.loaded = true;
                self.effects.push_back(Effect::WakeAt(now.plus_ms(20)));
            }
            Input::Tick if self.loaded => {
                self.loaded = false;
                let id = self.asked.take().unwrap();
                self.effects.push_back(Effect::Notify(Event::Done(id, Ok(Reply::Status(Status::default())))));
            }
            _ => {}
        }
    }

    fn poll(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }
}

fn offline() -> Event {
    let identity = parlour_client::api::IdentityId(0);
    Event::Connection { identity, state: parlour_client::api::Connection::Offline }
}

/// Rows whose commits crash.
struct Crashing;

impl Rows for Crashing {
    fn load(&mut self, _: &[u8]) -> Result<Vec<Row>, RowsError> {
        Ok(Vec::new())
    }
    fn commit(&mut self, _: &Changes) -> Result<(), RowsError> {
        Err(RowsError::Crashed)
    }
}

fn nowhere() -> Endpoint {
    Endpoint::parse("ws://127.0.0.1:1", None).unwrap()
}

async fn start(rows: impl Rows + 'static) -> (Runner, Events) {
    Runner::start_with(Box::new(rows), nowhere(), (), |_| Ok(Toy::default())).await.unwrap()
}

#[tokio::test]
async fn an_engine_loads_what_it_has_just_written_and_is_woken() {
    let (runner, _events) = start(MemoryRows::new()).await;
    assert!(matches!(runner.intent(Intent::Status).await, Ok(Reply::Status(_))));
    runner.stop().await;
}

#[tokio::test]
async fn failing_rows_end_the_runner_with_their_reason() {
    let (runner, _events) = start(Crashing).await;
    let failed = runner.intent(Intent::Status).await;
    assert!(matches!(failed, Err(IntentError::Stopped(Stopped::Rows(_)))), "{failed:?}");
    assert!(matches!(runner.intent(Intent::Status).await, Err(IntentError::Stopped(Stopped::Rows(_)))));
    runner.stop().await;
}

#[tokio::test]
async fn a_slow_reader_of_events_holds_the_engine_and_loses_nothing() {
    let (runner, mut events) = start(MemoryRows::new()).await;
    let pending = runner.submit(Intent::Sync).await.unwrap();
    let mut count = 0;
    let reader = async {
        while events.recv().await.is_some() {
            count += 1;
            if count == 3000 {
                break;
            }
        }
    };
    let (done, ()) = tokio::join!(pending.done(), reader);
    assert!(matches!(done, Ok(Reply::Ok)));
    assert_eq!(count, 3000);
}

#[tokio::test]
async fn a_runner_stops_although_nobody_reads_its_events() {
    let (runner, _events) = start(MemoryRows::new()).await;
    let _pending = runner.submit(Intent::Sync).await.unwrap();
    runner.stop().await;
}

#[tokio::test]
async fn what_is_held_is_let_go_when_the_engine_has_ended() {
    struct Told(Arc<Mutex<bool>>);
    impl Drop for Told {
        fn drop(&mut self) {
            *self.0.lock().unwrap() = true;
        }
    }
    let dropped = Arc::new(Mutex::new(false));
    let held = Told(dropped.clone());
    let open = |_: &mut dyn Rows| Ok(Toy::default());
    let (runner, events) = Runner::start_with(Box::new(MemoryRows::new()), nowhere(), held, open).await.unwrap();
    drop(events);
    assert!(!*dropped.lock().unwrap());
    runner.stop().await;
    assert!(*dropped.lock().unwrap());
}

#[tokio::test]
async fn an_engine_that_does_not_open_says_why() {
    let open = |_: &mut dyn Rows| Err::<Toy, _>(StartError::Engine("from the future".to_owned()));
    let started = Runner::start_with(Box::new(MemoryRows::new()), nowhere(), (), open).await;
    assert!(matches!(started.err(), Some(StartError::Engine(_))));
}
