//! Profiles: how somebody wants to be seen, told end-to-end to those they talk to.
//!
//! A conversation notes which profile was told in it last; one that is open and behind is told the newest. So people who are
//! let in later, groups joined later and people away meanwhile all get it, a few conversations at a time. To somebody who has
//! not accepted yet nothing goes but the name in the hello of the first message: no picture.

use crate::api::{ConversationId, Event, Failure, IntentId, Picture, Reply};
use crate::engine::{Engine, Load};
use crate::messages::Pair;
use crate::rows::{LAZY, decode, encode, prefix};
use crate::state::{Saying, Standing, StoredPicture};
use parlour_proto::content::{MAX_DISPLAY_NAME_CHARS, clean_name};
use parlour_proto::frames::AccountRef;
use parlour_proto::ids::Digest;
use rand_core::CryptoRngCore;

/// In so many conversations at a time a profile is on its way: each holds the picture, encrypted.
const MOST_AT_ONCE: usize = 8;
impl StoredPicture {
    pub(crate) fn new(picture: &Picture) -> Self {
        StoredPicture { media_type: picture.media_type().to_owned(), image: picture.image().clone() }
    }

    /// As a picture, if it still is one.
    pub(crate) fn shown(&self) -> Option<Picture> {
        Picture::new(&self.media_type, self.image.clone())
    }

    pub(crate) fn digest(&self) -> Digest {
        Digest::of(&[self.media_type.as_bytes(), &self.image].concat())
    }
}

fn picture_key(identity: u16, account: &AccountRef) -> Vec<u8> {
    let mut key = prefix(LAZY, b'f', identity);
    key.extend(account.account.0);
    key.extend(account.app.as_str().as_bytes());
    key
}

impl Engine {
    pub(crate) fn set_name(&mut self, intent: IntentId, name: &str, rng: &mut dyn CryptoRngCore) {
        let picture = self.me().and_then(|me| me.picture.as_ref()?.shown());
        self.set_profile(intent, name, picture, rng);
    }

    pub(crate) fn set_profile(
        &mut self,
        intent: IntentId,
        name: &str,
        picture: Option<Picture>,
        rng: &mut dyn CryptoRngCore,
    ) {
        let name = clean_name(name).unwrap_or_default();
        if name.chars().count() > MAX_DISPLAY_NAME_CHARS {
            let why = format!("a name has at most {MAX_DISPLAY_NAME_CHARS} characters");
            return self.done(intent, Err(Failure::BadInput(why)));
        }
        let picture = picture.as_ref().map(StoredPicture::new);
        if let Some(me) = self.s.identity.get_mut(&()) {
            let same = me.name == name
                && me.picture.as_ref().map(StoredPicture::digest) == picture.as_ref().map(StoredPicture::digest);
            if !same {
                me.name = name;
                me.picture = picture;
                me.profile += 1;
            }
        }
        self.share_settings(rng);
        self.again = true;
        self.done(intent, Ok(Reply::Ok));
    }

    /// Tells the newest profile where it was not told.
    pub(crate) fn settle_profiles(&mut self, rng: &mut dyn CryptoRngCore) {
        let Some(newest) = self.me().map(|me| me.profile).filter(|profile| *profile > 0) else { return };
        let behind = self.s.conversations.iter();
        let behind =
            behind.filter(|(_, c)| matches!(c.standing, Standing::Open) && !c.is_own && c.profile_sent < newest);
        let behind: Vec<ConversationId> = behind.map(|(id, _)| *id).collect();
        if behind.is_empty() {
            return;
        }
        let telling = self.s.outgoing.iter().filter(|(_, item)| matches!(item.saying, Saying::Profile)).count();
        let untold = |engine: &Self, id: ConversationId| {
            let queued = engine
                .s
                .outgoing_of(id)
                .any(|(_, item)| matches!(item.saying, Saying::Profile) && item.sealed.is_none());
            !queued && engine.best_room(id).is_some()
        };
        let next = behind.into_iter().filter(|id| untold(self, *id)).take(MOST_AT_ONCE.saturating_sub(telling));
        for conversation in next.collect::<Vec<_>>() {
            self.say(conversation, Saying::Profile, None, 0, rng);
        }
    }

    /// Something was encrypted that tells the profile as it is now.
    pub(crate) fn profile_told(&mut self, conversation: ConversationId, saying: &Saying, hello: bool) {
        let Some((newest, bare)) = self.me().map(|me| (me.profile, me.picture.is_none())) else { return };
        let told = matches!(saying, Saying::Profile) || (hello && bare);
        if told && let Some(c) = self.s.conversations.get_mut(&conversation) {
            c.profile_sent = newest;
        }
    }

    pub(crate) fn hear_profile(
        &mut self,
        conversation: ConversationId,
        from: &AccountRef,
        name: String,
        picture: Option<Picture>,
    ) {
        let picture = picture.as_ref().map(StoredPicture::new);
        let digest = picture.as_ref().map(StoredPicture::digest);
        let Some(contact) = self.s.contacts.get_mut(from) else { return };
        contact.name = Some(name).filter(|name| !name.is_empty());
        if contact.picture != digest {
            contact.picture = digest;
            self.put_row(picture_key(self.s.number, from), picture.as_ref().map(encode));
        }
        self.tell(Event::Profile(self.show_member(from)));
        self.tell_conversation(conversation);
    }

    pub(crate) fn forget_picture(&mut self, account: &AccountRef) {
        if let Some(contact) = self.s.contacts.get_mut(account)
            && contact.picture.take().is_some()
        {
            self.put_row(picture_key(self.s.number, account), None);
        }
    }

    /// `Picture`: one's own, or somebody else's.
    pub(crate) fn picture(&mut self, intent: IntentId, of: Option<AccountRef>) {
        let own = || self.me().and_then(|me| me.picture.as_ref()?.shown());
        match of {
            Some(account) if self.me().is_none_or(|me| me.account != account) => {
                self.load_rows(picture_key(self.s.number, &account), Load::Picture(intent));
            }
            _ => self.done(intent, Ok(Reply::Picture(own()))),
        }
    }

    pub(crate) fn load_face(&mut self, account: AccountRef) {
        self.load_rows(picture_key(self.s.number, &account), Load::Face(account));
    }

    /// Keeps a picture that another own device knew.
    pub(crate) fn put_face(&mut self, account: &AccountRef, picture: &StoredPicture) {
        if picture.shown().is_none() {
            return;
        }
        if let Some(contact) = self.s.contacts.get_mut(account) {
            contact.picture = Some(picture.digest());
            self.put_row(picture_key(self.s.number, account), Some(encode(picture)));
            self.tell(Event::Profile(self.show_member(account)));
        }
    }

    pub(crate) fn on_picture_rows(&mut self, intent: IntentId, rows: &[Pair]) {
        let stored = rows.first().and_then(|(_, row)| decode::<StoredPicture>(row).ok());
        self.done(intent, Ok(Reply::Picture(stored.and_then(|stored| stored.shown()))));
    }
}
