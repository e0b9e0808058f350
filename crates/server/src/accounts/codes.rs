//! One-time codes: 6 digits, 5 minutes, 5 tries, in memory only. A restart forgets them, and people ask for a new one.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::Mutex,
};

use parlour_proto::{
    frames::AppId,
    ids::UnixMillis,
    problem::{Code, Problem},
};
use rand_core::RngCore as _;
use subtle::ConstantTimeEq as _;

use crate::{
    Rng,
    config::Limits,
    directory::HandleId,
    limits::{Buckets, Rate},
    sync::MutexExt as _,
};

const TRIES: u8 = 5;
/// Messages kept in the development outbox.
const OUTBOX: usize = 10_000;

struct Waiting {
    code: [u8; 6],
    until: UnixMillis,
    tries: u8,
}

/// What would have been sent by SMS.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct OutboxMessage {
    /// The app.
    pub app: String,
    /// The number.
    pub to: String,
    /// The code.
    pub code: String,
    /// When, milliseconds since 1970.
    pub time: u64,
}

/// All codes that wait to be proven.
pub struct Codes {
    waiting: Mutex<HashMap<HandleId, Waiting>>,
    per_number: Buckets<HandleId>,
    per_address: Buckets<IpAddr>,
    outbox: Option<Mutex<VecDeque<OutboxMessage>>>,
    life_ms: u64,
}

impl Codes {
    /// No code yet; each lives `life_ms`. `outbox`: keep what would be sent for looking at.
    pub fn new(limits: &Limits, outbox: bool, life_ms: u64) -> Self {
        Self {
            waiting: Mutex::default(),
            per_number: Buckets::new(Rate::per(limits.codes_per_number_per_hour, 3_600)),
            per_address: Buckets::new(Rate::per(limits.codes_per_address_per_hour, 3_600)),
            outbox: outbox.then(Mutex::default),
            life_ms,
        }
    }

    /// Makes a code and sends it; an earlier one is worth nothing from then on.
    ///
    /// # Errors
    /// `SlowDown`, `Unavailable` when there is no way to send it.
    pub fn send(
        &self,
        name: HandleId,
        (app, number): (&AppId, &str),
        source: Option<IpAddr>,
        now: UnixMillis,
        rng: &mut Rng,
    ) -> Result<(), Problem> {
        let Some(outbox) = &self.outbox else {
            return Err(Problem::new(Code::Unavailable, "this server can't send codes"));
        };
        if let Some(source) = source {
            self.per_address.take(source, now)?;
        }
        self.per_number.take(name, now)?;
        let code = draw(rng);
        let mut waiting = self.waiting.locked();
        waiting.retain(|_, waiting| now < waiting.until);
        waiting.insert(name, Waiting { code, until: now.plus_ms(self.life_ms), tries: TRIES });
        drop(waiting);
        let mut outbox = outbox.locked();
        if outbox.len() == OUTBOX {
            outbox.pop_front();
        }
        let code = String::from_utf8_lossy(&code).into_owned();
        outbox.push_back(OutboxMessage { app: app.to_string(), to: number.into(), code, time: now.0 });
        Ok(())
    }

    /// Proves a number by its code, once.
    ///
    /// # Errors
    /// `Expired` without a code in time, `TriesExhausted` after five wrong ones, else `NotAuthenticated`.
    pub fn prove(&self, name: &HandleId, code: &str, now: UnixMillis) -> Result<(), Problem> {
        let mut all = self.waiting.locked();
        let Some(waiting) = all.get_mut(name).filter(|waiting| now < waiting.until) else {
            return Err(Problem::new(Code::Expired, "no code is waiting for this number; ask for a new one"));
        };
        if waiting.tries == 0 {
            return Err(Problem::new(Code::TriesExhausted, "tried too often; ask for a new code"));
        }
        waiting.tries -= 1;
        let given: [u8; 6] = code.as_bytes().try_into().unwrap_or_default();
        if !bool::from(given.ct_eq(&waiting.code)) {
            let exhausted = waiting.tries == 0;
            let code = if exhausted { Code::TriesExhausted } else { Code::NotAuthenticated };
            return Err(Problem::new(code, "the code is wrong"));
        }
        all.remove(name);
        Ok(())
    }

    /// Forgets what has expired, and numbers and addresses that may ask as often as ever.
    pub fn forget(&self, now: UnixMillis) {
        self.waiting.locked().retain(|_, waiting| now < waiting.until);
        self.per_number.forget(now);
        self.per_address.forget(now);
        self.outbox(now);
    }

    /// What would have been sent within a code's life, oldest first; `None` when the outbox is off.
    pub fn outbox(&self, now: UnixMillis) -> Option<Vec<OutboxMessage>> {
        let mut outbox = self.outbox.as_ref()?.locked();
        outbox.retain(|message| now.0 < message.time.saturating_add(self.life_ms));
        Some(outbox.iter().cloned().collect())
    }
}

/// Six digits, each code as likely as any other.
fn draw(rng: &mut Rng) -> [u8; 6] {
    const TOP: u32 = u32::MAX - u32::MAX % 1_000_000;
    let mut number = loop {
        let drawn = rng.next_u32();
        if drawn < TOP {
            break drawn % 1_000_000;
        }
    };
    let mut code = [0; 6];
    for digit in code.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
    code
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{NOON, rng};

    const NAME: HandleId = HandleId([1; 32]);
    const LIFE_MS: u64 = 300_000;

    fn codes() -> Codes {
        Codes::new(&Limits::default(), true, LIFE_MS)
    }

    fn send(codes: &Codes, seed: u64) -> String {
        let app = AppId::parse("bell").unwrap();
        codes.send(NAME, (&app, "+4930123456"), None, NOON, &mut rng(seed)).unwrap();
        codes.outbox(NOON).unwrap().pop().unwrap().code
    }

    #[test]
    fn a_code_works_once_and_for_five_minutes() {
        let codes = codes();
        let code = send(&codes, 1);
        assert!(codes.prove(&NAME, &code, NOON).is_ok());
        assert_eq!(codes.prove(&NAME, &code, NOON).unwrap_err().code, Code::Expired);
        let code = send(&codes, 2);
        assert_eq!(codes.prove(&NAME, &code, NOON.plus_ms(LIFE_MS)).unwrap_err().code, Code::Expired);
    }

    #[test]
    fn after_five_wrong_tries_the_right_code_is_wrong_too() {
        let codes = codes();
        let code = send(&codes, 1);
        for _ in 0..4 {
            assert_eq!(codes.prove(&NAME, "abcdef", NOON).unwrap_err().code, Code::NotAuthenticated);
        }
        assert_eq!(codes.prove(&NAME, "", NOON).unwrap_err().code, Code::TriesExhausted);
        assert_eq!(codes.prove(&NAME, &code, NOON).unwrap_err().code, Code::TriesExhausted);
    }

    #[test]
    fn what_is_over_is_forgotten() {
        let codes = codes();
        let app = AppId::parse("bell").unwrap();
        let source = Some(std::net::IpAddr::from([203, 0, 113, 7]));
        codes.send(NAME, (&app, "+4930123456"), source, NOON, &mut rng(1)).unwrap();
        let held = || (codes.waiting.locked().len(), codes.per_number.len(), codes.per_address.len());
        codes.forget(NOON.plus_ms(1));
        assert_eq!(held(), (1, 1, 1));
        codes.forget(NOON.plus_ms(LIFE_MS));
        assert_eq!((held().0, codes.outbox.as_ref().unwrap().locked().len()), (0, 0));
        codes.forget(NOON.plus_ms(3_600_000));
        assert_eq!(held(), (0, 0, 0), "a network address is remembered for an hour at most");
    }

    #[test]
    fn a_number_gets_five_codes_an_hour() {
        let codes = codes();
        for seed in 0..5 {
            send(&codes, seed);
        }
        let app = AppId::parse("bell").unwrap();
        let refused = codes.send(NAME, (&app, "+49"), None, NOON, &mut rng(9)).unwrap_err();
        assert_eq!(refused.code, Code::SlowDown);
    }
}
