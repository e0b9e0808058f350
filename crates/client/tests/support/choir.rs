//! Ada's group, with Ben in it (both know each other).

use super::{World, group};
use parlour_client::api::*;

pub struct Choir {
    pub w: World,
    pub ada: usize,
    pub ben: usize,
    pub at_ada: ConversationId,
    pub at_ben: ConversationId,
}

impl Choir {
    pub fn new(seed: u64) -> Self {
        let (w, users, groups) = group(seed, 2);
        Self { w, ada: users[0], ben: users[1], at_ada: groups[0], at_ben: groups[1] }
    }

    pub fn add(&mut self, address: &str) -> Result<Reply, Failure> {
        let members = vec![Target::Address(address.to_owned())];
        let reply = self.w.ask(self.ada, Intent::AddMembers { conversation: self.at_ada, members });
        self.w.run_for(3_000);
        reply
    }

    pub fn link(&mut self, approve: bool, uses: u32) -> GroupLink {
        let intent = Intent::CreateGroupLink { conversation: self.at_ada, approve, uses, ttl_s: 3_600 };
        match self.w.ask(self.ada, intent) {
            Ok(Reply::GroupLink(link)) => link,
            other => panic!("{other:?}"),
        }
    }
}
