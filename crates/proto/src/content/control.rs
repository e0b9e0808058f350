//! Parts that engines send to engines: introductions, titles, leaving. Never shown as a message.
//!
//! Inside a single part of disposition `session` and type `application/vnd.parlour.control`, as CBOR `[kind, {key: value}]`:
//!
//! | kind | | keys |
//! |---|---|---|
//! | 1 | hello | 1 door token, 2 name, 3 address |
//! | 2 | accept | the same |
//! | 3 | profile | 2 name, 5 picture's media type, 6 picture |
//! | 4 | group title | 2 title |
//! | 5 | leave | 4 request |
//! | 6 | device list link | 4 link |
//! | 10 | invitation to a group | 2 title |
//! | 11 | join by a group's link | 4 secret |
//! | 12 | group picture | 5 media type, 6 picture |
//!
//! Unknown keys are ignored; an unknown kind reads as [`Control::Unknown`].

use crate::ids::Secret;
use bytes::Bytes;
use std::fmt;

/// From engine to engine.
#[derive(Clone, PartialEq, Eq)]
pub enum Control {
    /// With a first message: who I am, as I say.
    Hello(Introduction),
    /// A request is accepted; from now on the door token spares the other side the door.
    Accept(Introduction),
    /// How I want to be seen from now on, whole.
    Profile {
        /// After [`clean_name`](super::clean_name); empty takes it back.
        name: String,
        /// Without one, an earlier one is taken back.
        picture: Option<Picture>,
    },
    /// The group's new title.
    GroupTitle {
        /// After [`clean_name`](super::clean_name); empty takes it back.
        title: String,
    },
    /// The group's new picture.
    GroupPicture {
        /// Without one, an earlier one is taken away.
        picture: Option<Picture>,
    },
    /// Somebody wants out: any member may commit the removal.
    Leave {
        /// Signed by the own leaf key (`e2ee`: `LeaveRequest`).
        request: Bytes,
    },
    /// A new link of my device list.
    DeviceListLink {
        /// As in [`device_list`](crate::device_list).
        link: Bytes,
    },
    /// Whoever gets it is asked into a group of the sender's.
    Invitation {
        /// Of the group, as the sender says; after [`clean_name`](super::clean_name).
        title: String,
    },
    /// The sender has a link to a group of the receiver's.
    Join {
        /// Of the link.
        secret: Secret,
    },
    /// Of a newer version: ignored.
    Unknown(u16),
}

/// What somebody tells about themselves; nobody has checked name and address.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Introduction {
    /// A door token of the sender's account, for the receiver.
    pub door: Option<Secret>,
    /// After [`clean_name`](super::clean_name).
    pub name: Option<String>,
    /// `handle@app`, after [`clean_name`](super::clean_name).
    pub address: Option<String>,
}

/// The largest picture of a profile, bytes.
pub const MAX_PICTURE_BYTES: usize = 32 * 1024;
/// What a picture may be: still pictures that hold nothing that runs.
pub const PICTURE_TYPES: [&str; 3] = ["image/jpeg", "image/png", "image/webp"];

/// A small picture of somebody. Nothing here looks into it: whoever makes one leaves out what a camera wrote beside it.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    media_type: &'static str,
    image: Bytes,
}

impl Picture {
    /// A picture of one of [`PICTURE_TYPES`], of 1 to [`MAX_PICTURE_BYTES`] bytes; `None` if it is something else.
    pub fn new(media_type: &str, image: Bytes) -> Option<Self> {
        let media_type = PICTURE_TYPES.into_iter().find(|known| *known == media_type)?;
        (1..=MAX_PICTURE_BYTES).contains(&image.len()).then_some(Self { media_type, image })
    }

    /// One of [`PICTURE_TYPES`].
    pub fn media_type(&self) -> &'static str {
        self.media_type
    }

    /// The encoded image, bytes.
    pub fn image(&self) -> &Bytes {
        &self.image
    }
}

impl Control {
    pub(super) fn kind(&self) -> u16 {
        match self {
            Control::Hello(_) => 1,
            Control::Accept(_) => 2,
            Control::Profile { .. } => 3,
            Control::GroupTitle { .. } => 4,
            Control::Leave { .. } => 5,
            Control::DeviceListLink { .. } => 6,
            Control::Invitation { .. } => 10,
            Control::Join { .. } => 11,
            Control::GroupPicture { .. } => 12,
            Control::Unknown(kind) => *kind,
        }
    }

    /// The control of a kind, from what its map held.
    pub(super) fn from_fields(kind: u16, fields: Fields) -> Option<Self> {
        let Fields { door, name, address, bytes, media_type, image } = fields;
        Some(match kind {
            1 => Control::Hello(Introduction { door, name, address }),
            2 => Control::Accept(Introduction { door, name, address }),
            3 => Control::Profile { name: name.unwrap_or_default(), picture: picture(media_type, image) },
            4 => Control::GroupTitle { title: name.unwrap_or_default() },
            5 => Control::Leave { request: bytes? },
            6 => Control::DeviceListLink { link: bytes? },
            10 => Control::Invitation { title: name.unwrap_or_default() },
            11 => Control::Join { secret: Secret::try_from(&bytes?[..]).ok()? },
            12 => Control::GroupPicture { picture: picture(media_type, image) },
            other => Control::Unknown(other),
        })
    }

    /// What its map holds.
    pub(super) fn fields(&self) -> Fields {
        let text = |text: &String| super::clean_name(text);
        match self {
            Control::Hello(intro) | Control::Accept(intro) => Fields {
                door: intro.door.clone(),
                name: intro.name.as_ref().and_then(text),
                address: intro.address.as_ref().and_then(text),
                ..Fields::default()
            },
            Control::Profile { name, picture } => Fields { name: text(name), ..Fields::of(picture.as_ref()) },
            Control::GroupPicture { picture } => Fields::of(picture.as_ref()),
            Control::GroupTitle { title } | Control::Invitation { title } => {
                Fields { name: text(title), ..Fields::default() }
            }
            Control::Join { secret } => Fields { bytes: Some(secret.0.to_vec().into()), ..Fields::default() },
            Control::Leave { request } => Fields { bytes: Some(request.clone()), ..Fields::default() },
            Control::DeviceListLink { link } => Fields { bytes: Some(link.clone()), ..Fields::default() },
            Control::Unknown(_) => Fields::default(),
        }
    }
}

fn picture(media_type: Option<String>, image: Option<Bytes>) -> Option<Picture> {
    media_type.zip(image).and_then(|(media_type, image)| Picture::new(&media_type, image))
}

/// The values of a control's map.
#[derive(Default)]
pub(super) struct Fields {
    pub(super) door: Option<Secret>,
    pub(super) name: Option<String>,
    pub(super) address: Option<String>,
    pub(super) bytes: Option<Bytes>,
    pub(super) media_type: Option<String>,
    pub(super) image: Option<Bytes>,
}

impl Fields {
    fn of(picture: Option<&Picture>) -> Self {
        Self {
            media_type: picture.map(|picture| picture.media_type.to_owned()),
            image: picture.map(|picture| picture.image.clone()),
            ..Self::default()
        }
    }
}

/// Keys of the map.
pub(super) const DOOR: u8 = 1;
pub(super) const NAME: u8 = 2;
pub(super) const ADDRESS: u8 = 3;
pub(super) const BYTES: u8 = 4;
pub(super) const MEDIA_TYPE: u8 = 5;
pub(super) const IMAGE: u8 = 6;

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Control({})", self.kind())
    }
}

impl fmt::Debug for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Picture(..)")
    }
}

impl fmt::Debug for Introduction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Introduction(..)")
    }
}
