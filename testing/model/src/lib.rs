//! The order of a room and of a mailbox, checked exhaustively: every interleaving of what clients, server, network and
//! disk can do, within the bounds that a model states, and not a sample of them.
//!
//! What decides is the product's own: [`parlour_server::rooms::order`], [`parlour_server::mailboxes::window`] and
//! [`parlour_client::order`] are called here as the server and the engine call them. What stands around them here
//! (MLS, the store, sockets) is as small as it can be: a commit is good for one epoch, a store keeps a prefix of what it
//! was given, a socket keeps its order or breaks.
//!
//! - [`room`]: the epoch protocol. Who commits, what is lost, what comes twice, void rows of an insider.
//! - [`mailbox`]: cursor, acknowledgement, hand-over from the queue to the socket.
//! - [`reach`]: "eventually", which the checker's own `eventually` does not decide where paths join.
//!
//! Each model takes a planted fault, and the tests hold that it is found; a model that finds nothing shows nothing.

pub mod mailbox;
pub mod reach;
pub mod room;
