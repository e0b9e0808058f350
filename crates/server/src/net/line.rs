//! What a socket talks over: frames in and out, nothing of how they travel. A [`WebSocketStream`] is one; a simulated network
//! brings its own.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::{Sink, Stream};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Error, Message},
};

use super::io::Io;

/// The line is of no use any more.
#[derive(Clone, Copy, Debug)]
pub struct Broken;

/// What came over a line.
#[derive(Debug)]
pub enum Came {
    /// A frame.
    Frame(Bytes),
    /// A sign of life.
    Life,
    /// Text, which no frame is.
    Text,
    /// More than a frame may hold.
    TooLarge,
    /// What is no message.
    Garbage,
    /// The other end is gone.
    End,
}

/// A line to one client.
pub trait Line: Send + Unpin + 'static {
    /// Whether it takes another frame.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>>;

    /// Hands a frame over, to be sent when it is flushed.
    ///
    /// # Errors
    /// When the line is broken.
    fn send(&mut self, frame: Bytes) -> Result<(), Broken>;

    /// Asks for a sign of life.
    ///
    /// # Errors
    /// When the line is broken.
    fn ping(&mut self) -> Result<(), Broken>;

    /// Sends what was handed over.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>>;

    /// Sends what was handed over, and closes.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// What comes next.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Came>;
}

impl Line for WebSocketStream<Io> {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        Sink::poll_ready(Pin::new(self), cx).map_err(|_| Broken)
    }

    fn send(&mut self, frame: Bytes) -> Result<(), Broken> {
        match Pin::new(self).start_send(Message::Binary(frame)) {
            // What does not fit into the socket's buffers waits in the WebSocket's.
            Ok(()) => Ok(()),
            Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(()),
            Err(_) => Err(Broken),
        }
    }

    fn ping(&mut self) -> Result<(), Broken> {
        Pin::new(self).start_send(Message::Ping(Bytes::new())).map_err(|_| Broken)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        Sink::poll_flush(Pin::new(self), cx).map_err(|_| Broken)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        Sink::poll_close(Pin::new(self), cx).map(|_| ())
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Came> {
        let message = std::task::ready!(Stream::poll_next(Pin::new(self), cx));
        Poll::Ready(match message {
            Some(Ok(Message::Binary(frame))) => Came::Frame(frame),
            Some(Ok(Message::Text(_))) => Came::Text,
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Came::Life,
            Some(Err(Error::Capacity(_))) => Came::TooLarge,
            Some(Err(Error::Protocol(_) | Error::Utf8(_))) => Came::Garbage,
            Some(Ok(Message::Close(_)) | Err(_)) | None => Came::End,
        })
    }
}
