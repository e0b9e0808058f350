//! What the other own devices were told lately, and one of them could not read: it is told once more, as it is by now.

use crate::api::ConversationState;
use crate::engine::Engine;
use crate::own::{Note, Place, Shared, SharedConversation};
use crate::rows::{decode, encode};
use bytes::Bytes;
use parlour_proto::frames::AccountRef;
use parlour_proto::ids::UnixMillis;

/// What a note was about, without what it said of it; `None`: it has a way of its own to be asked for (pages, pictures).
pub(crate) fn about(note: &[u8]) -> Option<Bytes> {
    let about = match decode::<Note>(note).ok()? {
        Note::Settings { .. } => Note::Settings {
            name: String::new(),
            picture: None,
            profile: 0,
            delivered: false,
            read: false,
            typing: false,
        },
        Note::Contacts { contacts } => {
            Note::Contacts { contacts: contacts.into_iter().map(|shared| only_account(shared.account)).collect() }
        }
        Note::Conversations { conversations } => Note::Conversations {
            conversations: conversations.into_iter().map(|shared| only_place(shared.place)).collect(),
        },
        Note::Draft { place, .. } => Note::Draft { place, text: None },
        Note::Backup { .. } => Note::Backup { public: Bytes::new(), key: None },
        Note::History { .. } | Note::Face { .. } | Note::GroupFace { .. } => return None,
        short => short,
    };
    Some(encode(&about).into())
}

fn only_account(account: AccountRef) -> Shared {
    Shared {
        account,
        root: [0; 32],
        links: Vec::new(),
        addresses: Vec::new(),
        name: None,
        door: None,
        given: None,
        befriended: false,
        blocked: false,
        verified: false,
    }
}

fn only_place(place: Place) -> SharedConversation {
    SharedConversation {
        place,
        is_group: false,
        members: Vec::new(),
        title: String::new(),
        closed: false,
        room: None,
        open_there: false,
        next_order: 0,
        unread: 0,
        read_up_to: 0,
        newest: None,
        last_activity: UnixMillis(0),
        kept: false,
    }
}

impl Engine {
    /// The same as it is now; empty: there is nothing left to tell.
    pub(crate) fn retold(&mut self, about: &[u8]) -> Vec<Note> {
        let Ok(about) = decode::<Note>(about) else { return Vec::new() };
        match about {
            Note::Settings { .. } => self.settings_note().into_iter().collect(),
            Note::Contacts { contacts } => {
                let shared = contacts.into_iter().filter_map(|shared| self.shared(&shared.account));
                shared.map(|shared| Note::Contacts { contacts: vec![shared] }).collect()
            }
            Note::Conversations { conversations } => {
                let ids = conversations.into_iter().filter_map(|shared| self.find_place(&shared.place));
                let shared = ids.filter_map(|id| self.shared_conversation(id));
                shared.map(|shared| Note::Conversations { conversations: vec![shared] }).collect()
            }
            Note::Draft { place, .. } => {
                let draft = self.find_place(&place).and_then(|id| self.s.drafts.get(&id));
                vec![Note::Draft { place, text: draft.map(|draft| draft.text.clone()) }]
            }
            Note::Backup { .. } => self.backup_note().into_iter().collect(),
            Note::Guest { .. } | Note::Joining { .. } | Note::Link { .. } => self.coming_notes(),
            Note::Showing { device, .. } => {
                let shown = self.show_devices().into_iter().find(|shown| shown.id == device);
                shown.map(|shown| Note::Showing { device, showing: shown.showing }).into_iter().collect()
            }
            // Not what was taken up again since.
            Note::Dropped { place, declined } => {
                let standing = self.find_place(&place).and_then(|id| self.standing(id));
                let is_so = matches!(standing, None | Some(ConversationState::Closed));
                is_so.then_some(Note::Dropped { place, declined }).into_iter().collect()
            }
            Note::KeptAll { place, .. } => {
                let kept = self.find_place(&place).and_then(|id| self.s.conversations.get(&id)).map(|c| c.kept);
                kept.map(|keep| Note::KeptAll { place, keep }).into_iter().collect()
            }
            as_it_was => vec![as_it_was],
        }
    }
}
