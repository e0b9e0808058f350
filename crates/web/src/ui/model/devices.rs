//! The account's devices as the screens know them, and what this device does for another one that wants to be among them.
//!
//! | offer | what happens | next |
//! |---|---|---|
//! | none | somebody adds a device | `Preparing` |
//! | `Preparing` | the code is there | `Shown` |
//! | `Shown` | a device that knows the code asks | `Asked` |
//! | `Asked` | yes | `Linking` |
//! | `Linking` | it is on the account's list | `Linked` |
//! | `Shown`, `Asked`, `Linking` | the code is void | `Ended` |
//! | any | closed; the engine failed | none |

use parlour_client::api::{Device, Event, IdentityId, LinkEnd};
use parlour_proto::ids::{DeviceId, UnixMillis};

/// How many digits a code has.
pub const CODE_DIGITS: usize = 12;

/// What is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Devices {
    /// All of them, this one among them; empty until it was read.
    pub all: Vec<Device>,
    /// Devices that nobody here has linked, until somebody here says that they are theirs.
    pub unknown: Vec<DeviceId>,
    /// Another device is being added.
    pub offer: Option<Offer>,
    /// How far the history is that comes from another device.
    pub coming: Option<Progress>,
    /// How far it is that goes to another one; kept when it is all there.
    pub going: Option<(DeviceId, Progress)>,
}

/// Where the adding of a device stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Offer {
    /// The code is on its way.
    Preparing,
    /// It is on the screen.
    Shown {
        /// To be typed.
        code: String,
        /// To be scanned.
        scan: String,
        /// So long it is good.
        until: UnixMillis,
    },
    /// A device of this name knows it.
    Asked(String),
    /// It may, and is being written on the account's list.
    Linking(String),
    /// It is one of the account's.
    Linked(String),
    /// Nothing came of it.
    Ended(LinkEnd),
}

/// So many of so many messages; of none as long as nobody knows how many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Messages that are there.
    pub done: u64,
    /// All of them.
    pub of: u64,
}

impl Progress {
    /// Whether all is there.
    pub fn is_over(self) -> bool {
        self.done >= self.of
    }
}

impl Devices {
    /// Takes in an event; whether it was about devices.
    pub fn apply(&mut self, event: &Event) -> bool {
        match event {
            // The devices of a linked account are others.
            Event::Devices { identity: IdentityId(0), devices, new } => {
                self.set(devices.clone());
                self.unknown.extend(new.filter(|new| !self.unknown.contains(new)));
            }
            Event::LinkAsked { name } => {
                if matches!(self.offer, Some(Offer::Shown { .. })) {
                    self.offer = Some(Offer::Asked(name.clone()));
                }
            }
            Event::LinkEnded { why } => self.end_offer(*why),
            Event::History { to: None, done, of } => {
                let progress = Progress { done: *done, of: *of };
                self.coming = (!progress.is_over()).then_some(progress);
            }
            Event::History { to: Some(device), done, of } => {
                self.going = Some((*device, Progress { done: *done, of: *of }));
            }
            _ => return false,
        }
        true
    }

    /// All devices, as just read: this one first, then the newest.
    pub fn set(&mut self, mut devices: Vec<Device>) {
        devices.sort_by_key(|device| (!device.this, std::cmp::Reverse(device.added), device.id));
        self.unknown.retain(|unknown| devices.iter().any(|device| device.id == *unknown));
        self.all = devices;
    }

    /// The others.
    pub fn others(&self) -> impl Iterator<Item = &Device> {
        self.all.iter().filter(|device| !device.this)
    }

    /// The newest of those that nobody here knows.
    pub fn newest_unknown(&self) -> Option<&Device> {
        self.others().find(|device| self.unknown.contains(&device.id))
    }

    /// The engine was asked for a code.
    pub fn prepare_offer(&mut self) {
        self.offer = Some(Offer::Preparing);
        self.going = None;
    }

    /// It has given one.
    pub fn show_offer(&mut self, code: String, scan: String, until: UnixMillis) {
        if self.offer == Some(Offer::Preparing) {
            self.offer = Some(Offer::Shown { code, scan, until });
        }
    }

    /// The one who asked may.
    pub fn confirm_offer(&mut self) {
        if let Some(Offer::Asked(name)) = &self.offer {
            self.offer = Some(Offer::Linking(name.clone()));
        }
    }

    /// The one who asked is on the account's list.
    pub fn offer_was_taken(&mut self) {
        if let Some(Offer::Linking(name)) = &self.offer {
            self.offer = Some(Offer::Linked(name.clone()));
        }
    }

    /// What was on the screen is void.
    pub fn end_offer(&mut self, why: LinkEnd) {
        if matches!(self.offer, Some(Offer::Shown { .. } | Offer::Asked(_) | Offer::Linking(_))) {
            self.offer = Some(Offer::Ended(why));
        }
    }

    /// Nobody looks at it any more; whether the engine must be told.
    pub fn close_offer(&mut self) -> bool {
        let offer = self.offer.take();
        matches!(offer, Some(Offer::Preparing | Offer::Shown { .. } | Offer::Asked(_)))
    }
}

/// The digits of a code that was typed, pasted or scanned, at most [`CODE_DIGITS`]: what a scanned one begins with
/// (`parlour:…/482719356021`) falls away, and so does what stands between digits.
pub fn digits_in(text: &str) -> String {
    let tail = text.rsplit(['/', '#', '=']).next().unwrap_or_default();
    tail.chars().filter(char::is_ascii_digit).take(CODE_DIGITS).collect()
}

/// Digits as they are read aloud: `482 719 356 021`.
pub fn in_threes(digits: &str) -> String {
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && at % 3 == 0 {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

/// Where a caret that stood behind so many digits stands when they are [`in_threes`].
pub fn caret_behind(digits: usize) -> usize {
    digits + digits.saturating_sub(1) / 3
}

/// Browser and system, as the browser says of itself: to suggest a name for this device.
pub fn browser_and_system(user_agent: &str) -> (&'static str, &'static str) {
    let first = |known: &[(&str, &'static str)]| {
        known.iter().find(|(mark, _)| user_agent.contains(mark)).map(|(_, name)| *name)
    };
    let browsers = [
        ("Edg", "Edge"),
        ("OPR/", "Opera"),
        ("SamsungBrowser", "Samsung Internet"),
        ("Firefox", "Firefox"),
        ("FxiOS", "Firefox"),
        ("CriOS", "Chrome"),
        ("Chrom", "Chrome"),
        ("Safari", "Safari"),
    ];
    let systems = [
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS", "Mac"),
        ("CrOS", "ChromeOS"),
        ("Linux", "Linux"),
    ];
    (first(&browsers).unwrap_or_default(), first(&systems).unwrap_or_default())
}

/// Whether a device's name sounds like something for one hand.
pub fn is_handheld(name: &str) -> bool {
    let name = name.to_lowercase();
    ["phone", "ipad", "android", "handy", "tablet"].iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use parlour_client::api::Showing;

    fn device(n: u8, added: u64) -> Device {
        Device {
            id: DeviceId([n; 16]),
            name: format!("device {n}"),
            this: n == 1,
            added: UnixMillis(added),
            seen: None,
        }
    }

    fn shown() -> Devices {
        let mut devices = Devices::default();
        devices.prepare_offer();
        devices.show_offer("482719356021".to_owned(), "482719356021".to_owned(), UnixMillis(9));
        devices
    }

    fn asked() -> Devices {
        let mut devices = shown();
        assert!(devices.apply(&Event::LinkAsked { name: "New".to_owned() }));
        devices
    }

    #[test]
    fn an_offer_that_is_taken_goes_its_way() {
        let mut devices = asked();
        assert_eq!(devices.offer, Some(Offer::Asked("New".to_owned())));
        devices.confirm_offer();
        devices.offer_was_taken();
        assert_eq!(devices.offer, Some(Offer::Linked("New".to_owned())));
        // The relay's end is nobody's business any more.
        devices.apply(&Event::LinkEnded { why: LinkEnd::Gone });
        assert_eq!(devices.offer, Some(Offer::Linked("New".to_owned())));
        assert!(!devices.close_offer());
    }

    #[test]
    fn a_void_code_is_not_on_the_screen_any_more() {
        for mut devices in [shown(), asked()] {
            devices.apply(&Event::LinkEnded { why: LinkEnd::WrongCode });
            assert_eq!(devices.offer, Some(Offer::Ended(LinkEnd::WrongCode)));
            assert!(!devices.close_offer());
        }
        assert!(shown().close_offer() && asked().close_offer());
    }

    #[test]
    fn who_asks_while_no_code_is_shown_is_not_heard() {
        let mut devices = Devices::default();
        devices.apply(&Event::LinkAsked { name: "New".to_owned() });
        assert_eq!(devices.offer, None);
        devices.show_offer("1".to_owned(), "1".to_owned(), UnixMillis(9));
        assert_eq!(devices.offer, None, "it was closed before the code came");
    }

    #[test]
    fn a_device_that_nobody_here_linked_stays_unknown_until_it_is_gone() {
        let mut devices = Devices::default();
        let all = vec![device(2, 20), device(1, 10), device(3, 30)];
        devices.apply(&Event::Devices { identity: IdentityId(0), devices: all.clone(), new: Some(DeviceId([3; 16])) });
        assert_eq!(devices.all.iter().map(|device| device.id.0[0]).collect::<Vec<_>>(), [1, 3, 2]);
        devices.apply(&Event::Devices { identity: IdentityId(0), devices: all, new: None });
        assert_eq!(devices.newest_unknown().map(|device| device.id.0[0]), Some(3));
        devices.apply(&Event::Devices { identity: IdentityId(0), devices: vec![device(1, 10)], new: None });
        assert_eq!((devices.newest_unknown(), devices.unknown.len()), (None, 0));
    }

    #[test]
    fn history_that_has_come_is_not_shown_and_history_that_has_gone_is() {
        let mut devices = Devices::default();
        devices.apply(&Event::History { to: None, done: 1, of: 2 });
        assert_eq!(devices.coming, Some(Progress { done: 1, of: 2 }));
        devices.apply(&Event::History { to: None, done: 2, of: 2 });
        assert_eq!(devices.coming, None);
        devices.apply(&Event::History { to: Some(DeviceId([3; 16])), done: 2, of: 2 });
        assert!(devices.going.is_some_and(|(_, progress)| progress.is_over()));
    }

    #[test]
    fn a_code_is_read_however_it_comes() {
        for text in
            ["482719356021", " 482 719 356 021\n", "482-719-356-021", "parlour:link/482719356021", "v1#482.719.356.021"]
        {
            assert_eq!(digits_in(text), "482719356021", "{text}");
        }
        assert_eq!(digits_in("482 719 356 0219"), "482719356021");
        assert_eq!((digits_in("48 2x").as_str(), digits_in("").as_str()), ("482", ""));
    }

    #[test]
    fn digits_stand_in_threes_and_the_caret_keeps_its_place() {
        assert_eq!(in_threes("482719356021"), "482 719 356 021");
        assert_eq!((in_threes("482"), in_threes("4827")), ("482".to_owned(), "482 7".to_owned()));
        for digits in 0..=12 {
            let text = in_threes(&"1".repeat(digits));
            assert_eq!(caret_behind(digits), text.len(), "{digits}");
        }
    }

    #[test]
    fn browsers_are_told_apart() {
        let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
        let edge = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0";
        let phone = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1";
        let pixel = "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36";
        assert_eq!(browser_and_system(firefox), ("Firefox", "Linux"));
        assert_eq!(browser_and_system(edge), ("Edge", "Windows"));
        assert_eq!(browser_and_system(phone), ("Safari", "iPhone"));
        assert_eq!(browser_and_system(pixel), ("Chrome", "Android"));
        assert!(is_handheld("Safari on iPhone") && !is_handheld("Firefox on Linux"));
    }
}
