//! How time passes: all work until nobody has anything to do, then the clock goes on to what happens next.

use parlour_client::api::{Failure, Input, Intent, IntentId, Reply};
use parlour_proto::ids::UnixMillis;
use rand_core::SeedableRng as _;

use super::World;

impl World {
    /// What a home says to something that needs no network; `None` if its process is not running, or died over it.
    pub(crate) fn query(&mut self, home: usize, intent: Intent) -> Option<Result<Reply, Failure>> {
        self.homes[home].engine.as_ref()?;
        let (id, starts) = (self.homes[home].intent(intent), self.homes[home].starts);
        while self.run_home(home) && self.homes[home].starts == starts {
            if let Some(answer) = self.homes[home].answers.remove(&id) {
                return Some(answer);
            }
        }
        None
    }

    /// Starts an intent, and lets the world go on until it is answered, at most so long.
    pub(crate) fn ask(&mut self, home: usize, intent: Intent, most_ms: u64) -> Option<Result<Reply, Failure>> {
        self.homes[home].engine.as_ref()?;
        let (id, starts) = (self.homes[home].intent(intent), self.homes[home].starts);
        self.wait(home, id, starts, most_ms)
    }

    /// Waits for an intent's answer.
    pub(crate) fn wait(
        &mut self,
        home: usize,
        id: IntentId,
        starts: u64,
        most_ms: u64,
    ) -> Option<Result<Reply, Failure>> {
        let end = self.now() + most_ms;
        loop {
            self.settle();
            if let Some(answer) = self.homes[home].answers.remove(&id) {
                return Some(answer);
            }
            if self.homes[home].starts != starts || self.homes[home].engine.is_none() || !self.step(end) {
                return None;
            }
        }
    }

    /// Works until nobody has anything to do at this instant.
    fn settle(&mut self) {
        for _ in 0..1_000_000 {
            let mut worked = self.run_server();
            for home in 0..self.homes.len() {
                worked |= self.run_home(home);
            }
            if !worked {
                return;
            }
        }
        self.faults.push("the world never comes to rest".to_owned());
    }

    /// Goes on to the next thing that happens, if that is before `end`.
    fn step(&mut self, end: u64) -> bool {
        let mut next = self.happenings.keys().next().map(|(at, _)| *at);
        let mut sooner = |at: Option<u64>| next = next.into_iter().chain(at).min();
        sooner(self.clock.next());
        for home in &self.homes {
            sooner(home.start_at);
            if home.engine.is_some() {
                sooner(home.wake_ms());
            }
        }
        let Some(next) = next.filter(|next| *next <= end) else {
            self.clock.set(end);
            return false;
        };
        self.clock.set(next);
        let now = self.now();
        while let Some(entry) = self.happenings.first_entry().filter(|entry| entry.key().0 <= now) {
            let happening = entry.remove();
            self.happen(happening);
        }
        for home in 0..self.homes.len() {
            if self.homes[home].start_at.is_some_and(|at| at <= now) {
                self.start_home(home);
            }
            let it = &mut self.homes[home];
            if it.engine.is_some() && it.wake_ms().is_some_and(|at| at <= now) {
                it.wake = None;
                it.inputs.push_back(Input::Tick);
            }
        }
        true
    }

    /// Lets so much time pass.
    pub(crate) fn run_for(&mut self, ms: u64) {
        let end = self.now() + ms;
        self.settle();
        while self.step(end) {
            self.settle();
        }
        self.settle();
    }

    /// All sleep, the server too, and wake up so much later.
    pub(crate) fn leap(&mut self, ms: u64) {
        let to = self.now() + ms;
        self.slept_ms += ms;
        let mut rng = parlour_server::Rng::seed_from_u64(to);
        self.keys.rotate(UnixMillis(to), &mut rng).expect("no file is touched");
        for home in 0..self.homes.len() {
            self.break_links(home);
        }
        self.clock.set(to);
        for home in &mut self.homes {
            home.inputs.push_back(Input::Tick);
        }
        self.settle();
    }
}
