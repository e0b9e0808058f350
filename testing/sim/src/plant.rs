//! Bugs that are planted to see whether they are found. They stand in the wrappers around server and engines: nothing of them
//! can be in a program that people use.

/// A planted bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plant {
    /// After a crash the server does not resume the deliveries that were under way.
    LostDelivery,
    /// A mailbox deletes rows beyond what was acknowledged.
    AckTooMany,
    /// The server answers before rows of mailboxes are durable: a crash undoes the last of them.
    NotDurable,
    /// A message that is sent once more is taken for another one.
    DedupeOff,
    /// The server deletes nothing that is over.
    SweepOff,
    /// Pushed rows come in the wrong order.
    OrderReversed,
    /// Some pushed rows never come, though what follows does.
    RowLost,
    /// A device shows before it has written.
    ShownBeforeWritten,
    /// A device acknowledges before it has written.
    AckedBeforeWritten,
    /// A device's disk says that it has written what it has not.
    DiskLies,
    /// A device's clock stands still for what is over.
    ExpiryOff,
    /// A device hands the server what it should not see.
    PlainText,
    /// A device tells the server of one account what another one is.
    LinkTold,
}

impl Plant {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::LostDelivery,
        Self::AckTooMany,
        Self::NotDurable,
        Self::DedupeOff,
        Self::SweepOff,
        Self::OrderReversed,
        Self::RowLost,
        Self::ShownBeforeWritten,
        Self::AckedBeforeWritten,
        Self::DiskLies,
        Self::ExpiryOff,
        Self::PlainText,
        Self::LinkTold,
    ];
}
