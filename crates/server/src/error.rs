//! Why the domain did not do what was asked: a problem for the peer, or a fault of ours that the peer learns little of.

use parlour_proto::problem::{Code, Problem};
use parlour_store::StoreError;

/// A request that was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The peer is told as it is.
    #[error(transparent)]
    Problem(#[from] Problem),
    /// The store could not.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A stored record does not decode.
    #[error("a stored {0} is damaged")]
    Damaged(&'static str),
}

impl Refused {
    /// What the peer learns.
    pub fn problem(self) -> Problem {
        match self {
            Self::Problem(problem) => problem,
            Self::Store(StoreError::Full) => {
                Problem::new(Code::Full, "the server's disk is full; reading goes on, try again later")
                    .retry_after_ms(30_000)
            }
            Self::Store(StoreError::Busy) => {
                Problem::new(Code::SlowDown, "the server is busy; try again").retry_after_ms(500)
            }
            Self::Store(StoreError::Closed) => {
                Problem::new(Code::Unavailable, "the server is stopping; try again").retry_after_ms(1_000)
            }
            Self::Store(error) => {
                tracing::error!(%error, "store");
                Problem::new(Code::Unavailable, "the server could not store it; try again").retry_after_ms(2_000)
            }
            Self::Damaged(what) => {
                tracing::error!(what, "damaged record");
                Problem::new(Code::Internal, "a fault inside the server; it was logged")
            }
        }
    }
}

/// A refusal with a code and a sentence.
pub(crate) fn refuse<T>(code: Code, detail: &str) -> Result<T, Refused> {
    Err(Problem::new(code, detail).into())
}
