//! OpenMLS's errors, sorted into what every member sees and what may be only us.

use openmls::framing::errors::{MessageDecryptionError, SecretTreeError};
use openmls::prelude::{ApplyUpdatePathError, ProcessMessageError, StageCommitError, ValidationError};

use super::{Invalid, Processed, Repair};
use crate::group::GroupError;
use crate::store::StoreError;

/// `held`: whether we hold the keys of the row's epoch.
pub(super) fn classify(error: ProcessMessageError<StoreError>, held: bool) -> Result<Processed, GroupError> {
    Ok(match error {
        ProcessMessageError::StorageError(error) => return Err(error.into()),
        ProcessMessageError::ValidationError(error) => validation(error, held),
        ProcessMessageError::InvalidCommit(error) => commit(error),
        ProcessMessageError::GroupStateError(_) => Processed::NeedsRepair(Repair::Removed),
        ProcessMessageError::IncompatibleWireFormat
        | ProcessMessageError::UnauthorizedExternalApplicationMessage
        | ProcessMessageError::UnauthorizedExternalCommitMessage
        | ProcessMessageError::UnsupportedProposalType => Processed::Invalid(Invalid::Framing),
        ProcessMessageError::LibraryError(_) => Processed::Invalid(Invalid::Commit),
    })
}

fn validation(error: ValidationError, held: bool) -> Processed {
    match error {
        ValidationError::UnableToDecrypt(error) => decryption(error, held),
        ValidationError::NoPastEpochData => Processed::NeedsRepair(Repair::EpochGone),
        ValidationError::WrongGroupId => Processed::Invalid(Invalid::WrongRoom),
        ValidationError::WrongEpoch => Processed::Invalid(Invalid::Epoch),
        ValidationError::InvalidSignature | ValidationError::UnknownMember => Processed::Invalid(Invalid::Signature),
        ValidationError::WrongWireFormat
        | ValidationError::UnencryptedApplicationMessage
        | ValidationError::InvalidSenderType
        | ValidationError::MissingConfirmationTag => Processed::Invalid(Invalid::Framing),
        // Leaves and key packages inside a commit.
        _ => Processed::Invalid(Invalid::Commit),
    }
}

fn decryption(error: MessageDecryptionError, held: bool) -> Processed {
    match error {
        MessageDecryptionError::SecretTreeError(SecretTreeError::SecretReuseError) => Processed::Duplicate,
        MessageDecryptionError::SecretTreeError(SecretTreeError::TooDistantInThePast) if !held => {
            Processed::NeedsRepair(Repair::EpochGone)
        }
        MessageDecryptionError::GenerationOutOfBound
        | MessageDecryptionError::SecretTreeError(
            SecretTreeError::TooDistantInThePast | SecretTreeError::IndexOutOfBounds,
        ) => Processed::NeedsRepair(Repair::GenerationGone),
        _ => Processed::Invalid(Invalid::Unreadable),
    }
}

fn commit(error: StageCommitError) -> Processed {
    match error {
        // Encrypted for each member apart: the others may read theirs.
        StageCommitError::UpdatePathError(
            ApplyUpdatePathError::UnableToDecrypt
            | ApplyUpdatePathError::PathMismatch
            | ApplyUpdatePathError::MissingCiphertext
            | ApplyUpdatePathError::MissingSender
            // A path secret of a wrong length ends up here.
            | ApplyUpdatePathError::LibraryError(_)
            | ApplyUpdatePathError::MissingOwnLeaf,
        )
        | StageCommitError::MissingDecryptionKey
        | StageCommitError::OwnKeyNotFound => Processed::NeedsRepair(Repair::PathSecret),
        StageCommitError::OwnCommitMismatch => Processed::OldCopy,
        _ => Processed::Invalid(Invalid::Commit),
    }
}
