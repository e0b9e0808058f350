//! Values as CBOR by position: a trait, its implementations for what every type is made of, and two macros which write
//! both directions from one list of fields, so that a field cannot be forgotten in one of them.

use minicbor::{Decoder, Encoder};
use zeroize::Zeroizing;

/// Where values are written.
pub(super) type Out = Encoder<Vec<u8>>;
/// Where they are read from.
pub(super) type In<'b> = Decoder<'b>;

/// A value that can be sent.
pub trait Wire: Sized {
    /// Writes it.
    fn put(&self, out: &mut Out);
    /// Reads it; `None` when something else is there.
    fn take(input: &mut In<'_>) -> Option<Self>;
}

/// Writing into memory cannot fail.
pub(super) fn written<T, E>(result: Result<T, E>) {
    debug_assert!(result.is_ok());
}

macro_rules! plain {
    ($($type:ty: $write:ident $read:ident,)*) => {$(
        impl Wire for $type {
            fn put(&self, out: &mut Out) {
                written(out.$write(*self));
            }
            fn take(input: &mut In<'_>) -> Option<Self> {
                input.$read().ok()
            }
        }
    )*};
}

plain! { bool: bool bool, u8: u8 u8, u16: u16 u16, u32: u32 u32, u64: u64 u64, }

impl Wire for String {
    fn put(&self, out: &mut Out) {
        written(out.str(self));
    }
    fn take(input: &mut In<'_>) -> Option<Self> {
        input.str().ok().map(str::to_owned)
    }
}

impl Wire for Zeroizing<String> {
    fn put(&self, out: &mut Out) {
        written(out.str(self));
    }
    fn take(input: &mut In<'_>) -> Option<Self> {
        String::take(input).map(Zeroizing::new)
    }
}

/// Bytes are one string, not a list of numbers.
impl Wire for Vec<u8> {
    fn put(&self, out: &mut Out) {
        written(out.bytes(self));
    }
    fn take(input: &mut In<'_>) -> Option<Self> {
        input.bytes().ok().map(<[u8]>::to_vec)
    }
}

impl<const N: usize> Wire for [u8; N] {
    fn put(&self, out: &mut Out) {
        written(out.bytes(self));
    }
    fn take(input: &mut In<'_>) -> Option<Self> {
        input.bytes().ok()?.try_into().ok()
    }
}

impl<T: Wire> Wire for Option<T> {
    fn put(&self, out: &mut Out) {
        match self {
            None => written(out.null()),
            Some(value) => value.put(out),
        }
    }
    fn take(input: &mut In<'_>) -> Option<Self> {
        if input.datatype().ok()? == minicbor::data::Type::Null {
            return input.null().ok().map(|()| None);
        }
        T::take(input).map(Some)
    }
}

impl<T: Wire> Wire for Box<T> {
    fn put(&self, out: &mut Out) {
        (**self).put(out);
    }
    fn take(input: &mut In<'_>) -> Option<Self> {
        T::take(input).map(Box::new)
    }
}

impl<T: Wire, E: Wire> Wire for Result<T, E> {
    fn put(&self, out: &mut Out) {
        self.is_ok().put(out);
        match self {
            Ok(value) => value.put(out),
            Err(error) => error.put(out),
        }
    }
    fn take(input: &mut In<'_>) -> Option<Self> {
        Some(if bool::take(input)? { Ok(T::take(input)?) } else { Err(E::take(input)?) })
    }
}

impl<A: Wire, B: Wire> Wire for (A, B) {
    fn put(&self, out: &mut Out) {
        self.0.put(out);
        self.1.put(out);
    }
    fn take(input: &mut In<'_>) -> Option<Self> {
        Some((A::take(input)?, B::take(input)?))
    }
}

/// Lists of what is not a byte. (A blanket implementation would meet `Vec<u8>`.)
macro_rules! lists {
    ($($item:ty),* $(,)?) => {$(
        impl Wire for Vec<$item> {
            fn put(&self, out: &mut Out) {
                $crate::bus::codec::written(out.array(self.len() as u64));
                self.iter().for_each(|item| item.put(out));
            }
            fn take(input: &mut In<'_>) -> Option<Self> {
                let len = input.array().ok()??;
                (0..len).map(|_| Wire::take(input)).collect()
            }
        }
    )*};
}

/// A struct, by its fields; a tuple struct by names for its fields.
macro_rules! wire_struct {
    ($type:ident $({ $($field:ident),* })? $(( $($bind:ident),* ))?) => {
        impl $crate::bus::codec::Wire for $type {
            fn put(&self, out: &mut $crate::bus::codec::Out) {
                let $type $({ $($field),* })? $(( $($bind),* ))? = self;
                $($($field.put(out);)*)?
                $($($bind.put(out);)*)?
            }
            fn take(input: &mut $crate::bus::codec::In<'_>) -> Option<Self> {
                $($(let $field = $crate::bus::codec::Wire::take(input)?;)*)?
                $($(let $bind = $crate::bus::codec::Wire::take(input)?;)*)?
                Some($type $({ $($field),* })? $(( $($bind),* ))?)
            }
        }
    };
}

/// An enum, by a number for each variant and its fields.
macro_rules! wire_enum {
    ($type:ident { $($tag:literal $variant:ident $({ $($field:ident),* })? $(( $($bind:ident),* ))?),* $(,)? }) => {
        impl $crate::bus::codec::Wire for $type {
            fn put(&self, out: &mut $crate::bus::codec::Out) {
                match self {
                    $($type::$variant $({ $($field),* })? $(( $($bind),* ))? => {
                        $crate::bus::codec::Wire::put(&($tag as u8), out);
                        $($($crate::bus::codec::Wire::put($field, out);)*)?
                        $($($crate::bus::codec::Wire::put($bind, out);)*)?
                    })*
                }
            }
            fn take(input: &mut $crate::bus::codec::In<'_>) -> Option<Self> {
                Some(match <u8 as $crate::bus::codec::Wire>::take(input)? {
                    $($tag => {
                        $($(let $field = $crate::bus::codec::Wire::take(input)?;)*)?
                        $($(let $bind = $crate::bus::codec::Wire::take(input)?;)*)?
                        $type::$variant $({ $($field),* })? $(( $($bind),* ))?
                    })*
                    _ => return None,
                })
            }
        }
    };
}

pub(super) use {lists, wire_enum, wire_struct};
