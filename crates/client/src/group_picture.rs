//! A group's picture: said like its title, by who may change it; the newest in the room counts.

use crate::api::{ConversationId, IntentId, Picture, Reply};
use crate::engine::{Engine, Load};
use crate::own::{Note, Place};
use crate::rows::{LAZY, encode, prefix};
use crate::state::{Saying, StoredPicture};
use rand_core::CryptoRngCore;

fn picture_key(identity: u16, conversation: &ConversationId) -> Vec<u8> {
    let mut key = prefix(LAZY, b'i', identity);
    key.extend(conversation.0);
    key
}

impl Engine {
    pub(crate) fn change_group_picture(
        &mut self,
        intent: IntentId,
        conversation: ConversationId,
        picture: Option<&Picture>,
        rng: &mut dyn CryptoRngCore,
    ) {
        let changed = self.group_room(conversation).and_then(|room| {
            let saying = Saying::Picture { picture: picture.map(StoredPicture::new) };
            self.may_say(conversation, &saying)?;
            self.say(conversation, saying, Some(room), 0, rng);
            self.set_group_picture(conversation, picture);
            Ok(Reply::Ok)
        });
        self.done(intent, changed);
    }

    pub(crate) fn set_group_picture(&mut self, conversation: ConversationId, picture: Option<&Picture>) {
        let stored = picture.map(StoredPicture::new);
        let digest = stored.as_ref().map(StoredPicture::digest);
        let key = picture_key(self.s.number, &conversation);
        if let Some(c) = self.s.conversations.get_mut(&conversation).filter(|c| c.is_group && c.picture != digest) {
            c.picture = digest;
            self.put_row(key, stored.as_ref().map(encode));
            self.tell_conversation(conversation);
        }
    }

    /// `GroupPicture`.
    pub(crate) fn group_picture(&mut self, intent: IntentId, conversation: ConversationId) {
        self.load_group_picture(conversation, Load::Picture(intent));
    }

    pub(crate) fn load_group_picture(&mut self, conversation: ConversationId, load: Load) {
        self.load_rows(picture_key(self.s.number, &conversation), load);
    }

    pub(crate) fn forget_group_picture(&mut self, conversation: ConversationId) {
        self.put_row(picture_key(self.s.number, &conversation), None);
    }

    // ---- own devices

    /// The pictures of groups are read, to be told.
    pub(crate) fn ask_for_group_pictures(&mut self) {
        let with_picture = self.s.conversations.iter().filter(|(_, c)| c.picture.is_some());
        let with_picture: Vec<ConversationId> = with_picture.map(|(id, _)| *id).collect();
        for conversation in with_picture {
            self.load_group_picture(conversation, Load::GroupFace(None, conversation));
        }
    }

    pub(crate) fn tell_group_picture(
        &mut self,
        conversation: ConversationId,
        picture: Option<StoredPicture>,
        rng: &mut dyn CryptoRngCore,
    ) {
        if let Some((place, picture)) = self.place_of(conversation).zip(picture) {
            self.say_own(&Note::GroupFace { place, picture }, rng);
        }
    }

    pub(crate) fn hear_group_picture(&mut self, place: &Place, picture: &StoredPicture) {
        let Some(conversation) = self.find_place(place) else { return };
        // What was said in the room itself is newer.
        if self.s.conversations.get(&conversation).is_some_and(|c| c.picture.is_none()) {
            self.set_group_picture(conversation, picture.shown().as_ref());
        }
    }
}
