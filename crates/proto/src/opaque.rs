//! Passwords by OPAQUE (RFC 9807): the server never sees one, and what it stores cannot be tried offline without its setup.
//!
//! One suite for client and server: ristretto255, triple Diffie-Hellman, SHA-512, Argon2id. Here are the steps with bytes in
//! and out; tickets, throttling and what is stored under which handle are the server's. What the server stores is bound to
//! the app and the canonical handle. Randomness is a parameter.

use crate::frames::AppId;
use crate::handle::Handle;
use bytes::Bytes;
use opaque_ke::argon2::{Algorithm, Argon2, Params, Version};
use opaque_ke::ciphersuite::CipherSuite;
use opaque_ke::errors::{InternalError, ProtocolError};
use opaque_ke::generic_array::{ArrayLength, GenericArray};
use opaque_ke::ksf::Ksf;
use opaque_ke::{
    ClientLoginFinishParameters, ClientRegistrationFinishParameters, CredentialFinalization, CredentialRequest,
    CredentialResponse, RegistrationRequest, RegistrationResponse, RegistrationUpload, ServerLoginParameters,
    ServerRegistration,
};
use rand_core::CryptoRngCore;
use std::fmt;
use zeroize::Zeroizing;

/// Argon2id: 19 MiB, 2 passes, 1 lane (OWASP's first recommendation). Part of every stored password: a change needs a
/// second suite beside this one.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;

/// Why a step failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpaqueError {
    /// The other side's message is no such message.
    #[error("message of the password exchange is not valid")]
    Message,
    /// Wrong password, or nobody has this handle: they look alike.
    #[error("password is wrong")]
    WrongPassword,
    /// The stored setup or password file is damaged.
    #[error("stored password data is not valid")]
    Stored,
    /// The key stretching could not be done, for want of memory.
    #[error("password could not be processed")]
    Stretching,
}

/// The cipher suite: ristretto255, triple Diffie-Hellman with SHA-512, [`Stretch`].
#[derive(Debug, Clone, Copy)]
pub struct Suite;

impl CipherSuite for Suite {
    type OprfCs = opaque_ke::Ristretto255;
    type KeyExchange = opaque_ke::TripleDh<opaque_ke::Ristretto255, sha2::Sha512>;
    type Ksf = Stretch;
}

/// Argon2id with parameters of our own, so that no change of a library's default ever makes passwords wrong.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stretch;

impl Ksf for Stretch {
    fn hash<L: ArrayLength<u8>>(&self, input: GenericArray<u8, L>) -> Result<GenericArray<u8, L>, InternalError> {
        let params = Params::new(MEMORY_KIB, PASSES, 1, None).map_err(|_| InternalError::KsfError)?;
        let mut out = GenericArray::default();
        // The input is the output of an oblivious PRF keyed per handle: it is its own salt (RFC 9807 §6.3).
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(&input, &[0; 16], &mut out)
            .map_err(|_| InternalError::KsfError)?;
        Ok(out)
    }
}

// ---- client

/// A registration, on the client, between its two messages.
pub struct ClientRegistration {
    state: opaque_ke::ClientRegistration<Suite>,
    password: Zeroizing<Vec<u8>>,
}

impl ClientRegistration {
    /// The first message, for `OpaqueRegister`.
    ///
    /// # Errors
    /// None in practice.
    pub fn start(password: &str, rng: &mut (impl CryptoRngCore + ?Sized)) -> Result<(Self, Bytes), OpaqueError> {
        let password = password_bytes(password);
        let start = opaque_ke::ClientRegistration::start(&mut &mut *rng, &password).map_err(client_error)?;
        let message = Bytes::copy_from_slice(&start.message.serialize());
        Ok((Self { state: start.state, password }, message))
    }

    /// The last message, for `OpaqueRegisterFinish`. Takes as long as Argon2id takes.
    ///
    /// # Errors
    /// `Message` when the server's answer is not valid.
    pub fn finish(self, answer: &[u8], rng: &mut (impl CryptoRngCore + ?Sized)) -> Result<Bytes, OpaqueError> {
        let answer = RegistrationResponse::deserialize(answer).map_err(client_error)?;
        let parameters = ClientRegistrationFinishParameters::default();
        let finish = self.state.finish(&mut &mut *rng, &self.password, answer, parameters).map_err(client_error)?;
        Ok(Bytes::copy_from_slice(&finish.message.serialize()))
    }
}

/// A login, on the client, between its two messages.
pub struct ClientLogin {
    state: opaque_ke::ClientLogin<Suite>,
    password: Zeroizing<Vec<u8>>,
}

impl ClientLogin {
    /// The first message, for `OpaqueLogin`.
    ///
    /// # Errors
    /// None in practice.
    pub fn start(password: &str, rng: &mut (impl CryptoRngCore + ?Sized)) -> Result<(Self, Bytes), OpaqueError> {
        let password = password_bytes(password);
        let start = opaque_ke::ClientLogin::start(&mut &mut *rng, &password).map_err(client_error)?;
        let message = Bytes::copy_from_slice(&start.message.serialize());
        Ok((Self { state: start.state, password }, message))
    }

    /// The last message, for `OpaqueLoginFinish`. Takes as long as Argon2id takes.
    ///
    /// # Errors
    /// `WrongPassword`, `Message`.
    pub fn finish(
        self,
        app: &AppId,
        answer: &[u8],
        rng: &mut (impl CryptoRngCore + ?Sized),
    ) -> Result<Bytes, OpaqueError> {
        let answer = CredentialResponse::deserialize(answer).map_err(client_error)?;
        let context = context(app);
        let parameters = ClientLoginFinishParameters { context: Some(&context), ..Default::default() };
        let finish = self.state.finish(&mut &mut *rng, &self.password, answer, parameters).map_err(client_error)?;
        Ok(Bytes::copy_from_slice(&finish.message.serialize()))
    }
}

// ---- server

/// The server's long-lived secret for passwords. Losing it makes every password wrong; with it and the database, passwords
/// can be tried offline.
pub struct ServerSetup(opaque_ke::ServerSetup<Suite>);

impl ServerSetup {
    /// A new one.
    pub fn new(rng: &mut (impl CryptoRngCore + ?Sized)) -> Self {
        Self(opaque_ke::ServerSetup::new(&mut &mut *rng))
    }

    /// For keeping.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.0.serialize().to_vec())
    }

    /// The reverse of [`to_bytes`](Self::to_bytes).
    ///
    /// # Errors
    /// `Stored`.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, OpaqueError> {
        opaque_ke::ServerSetup::deserialize(bytes).map(Self).map_err(|_| OpaqueError::Stored)
    }

    /// Answers the first message of a registration. Nothing is to be kept.
    ///
    /// # Errors
    /// `Message`.
    pub fn register(&self, app: &AppId, handle: &Handle, message: &[u8]) -> Result<Bytes, OpaqueError> {
        let message = RegistrationRequest::deserialize(message).map_err(server_error)?;
        let start = ServerRegistration::<Suite>::start(&self.0, message, &credential_id(app, handle));
        Ok(Bytes::copy_from_slice(&start.map_err(server_error)?.message.serialize()))
    }

    /// Answers the first message of a login; without a password file the answer looks the same and the login fails at its end.
    ///
    /// # Errors
    /// `Message`, `Stored`.
    pub fn login(
        &self,
        app: &AppId,
        handle: &Handle,
        password_file: Option<&PasswordFile>,
        message: &[u8],
        rng: &mut (impl CryptoRngCore + ?Sized),
    ) -> Result<(ServerLogin, Bytes), OpaqueError> {
        let message = CredentialRequest::deserialize(message).map_err(server_error)?;
        let file = password_file.map(|file| ServerRegistration::deserialize(&file.0)).transpose();
        let context = context(app);
        let start = opaque_ke::ServerLogin::start(
            &mut &mut *rng,
            &self.0,
            file.map_err(|_| OpaqueError::Stored)?,
            message,
            &credential_id(app, handle),
            ServerLoginParameters { context: Some(&context), ..Default::default() },
        )
        .map_err(server_error)?;
        let answer = Bytes::copy_from_slice(&start.message.serialize());
        Ok((ServerLogin { state: start.state, context }, answer))
    }
}

/// What the server keeps of a password.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordFile(Bytes);

impl PasswordFile {
    /// From the last message of a registration.
    ///
    /// # Errors
    /// `Message`.
    pub fn from_upload(message: &[u8]) -> Result<Self, OpaqueError> {
        let upload = RegistrationUpload::<Suite>::deserialize(message).map_err(server_error)?;
        Ok(Self(Bytes::copy_from_slice(&ServerRegistration::finish(upload).serialize())))
    }

    /// For keeping.
    pub fn to_bytes(&self) -> Bytes {
        self.0.clone()
    }

    /// The reverse of [`to_bytes`](Self::to_bytes).
    ///
    /// # Errors
    /// `Stored`.
    pub fn from_bytes(bytes: Bytes) -> Result<Self, OpaqueError> {
        ServerRegistration::<Suite>::deserialize(&bytes).map_err(|_| OpaqueError::Stored)?;
        Ok(Self(bytes))
    }
}

/// A login, on the server, between its two messages. Lives in the socket's memory.
pub struct ServerLogin {
    state: opaque_ke::ServerLogin<Suite>,
    context: Vec<u8>,
}

impl ServerLogin {
    /// Checks the last message: only `Ok` proves the handle.
    ///
    /// # Errors
    /// `WrongPassword`, `Message`.
    pub fn finish(self, message: &[u8]) -> Result<(), OpaqueError> {
        let message = CredentialFinalization::deserialize(message).map_err(server_error)?;
        let parameters = ServerLoginParameters { context: Some(&self.context), ..Default::default() };
        self.state.finish(message, parameters).map(drop).map_err(server_error)
    }
}

macro_rules! redacted {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )*};
}
redacted!(ClientRegistration, ClientLogin, ServerSetup, ServerLogin, PasswordFile);

fn context(app: &AppId) -> Vec<u8> {
    [b"parlour-opaque-1 ", app.as_str().as_bytes()].concat()
}

/// App and handle; an app's name has no zero byte.
fn credential_id(app: &AppId, handle: &Handle) -> Vec<u8> {
    [app.as_str().as_bytes(), &[0], handle.canonical().as_bytes()].concat()
}

/// What PRECIS OpaqueString (RFC 8265 §4.2) makes of a password, so that the same one typed on another keyboard has the
/// same bytes: spaces become the plain one, then NFC. Nothing is refused: which characters are known differs between
/// versions of Unicode, and a password must not change with them.
fn password_bytes(password: &str) -> Zeroizing<Vec<u8>> {
    let spaced: String = password.chars().map(|c| if is_space(c) { ' ' } else { c }).collect();
    Zeroizing::new(crate::unicode::nfc(&Zeroizing::new(spaced)).into_bytes())
}

/// Space separators (Unicode's category Zs).
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}')
}

fn client_error(error: ProtocolError) -> OpaqueError {
    match error {
        ProtocolError::InvalidLoginError => OpaqueError::WrongPassword,
        ProtocolError::LibraryError(InternalError::KsfError) => OpaqueError::Stretching,
        _ => OpaqueError::Message,
    }
}

fn server_error(error: ProtocolError) -> OpaqueError {
    match error {
        ProtocolError::InvalidLoginError => OpaqueError::WrongPassword,
        _ => OpaqueError::Message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::SignIn;
    use rand_core::OsRng;

    fn den() -> (AppId, Handle) {
        (AppId::parse("den").unwrap(), Handle::parse(SignIn::Username, "ada").unwrap())
    }

    fn register(setup: &ServerSetup, password: &str) -> PasswordFile {
        let (app, handle) = den();
        let (client, message) = ClientRegistration::start(password, &mut OsRng).unwrap();
        let answer = setup.register(&app, &handle, &message).unwrap();
        PasswordFile::from_upload(&client.finish(&answer, &mut OsRng).unwrap()).unwrap()
    }

    fn log_in(setup: &ServerSetup, file: Option<&PasswordFile>, password: &str) -> Result<(), OpaqueError> {
        let (app, handle) = den();
        let (client, message) = ClientLogin::start(password, &mut OsRng)?;
        let (server, answer) = setup.login(&app, &handle, file, &message, &mut OsRng)?;
        server.finish(&client.finish(&app, &answer, &mut OsRng)?)
    }

    #[test]
    fn a_registered_password_logs_in_and_no_other() {
        let setup = ServerSetup::new(&mut OsRng);
        let file = register(&setup, "correct horse");
        let setup = ServerSetup::from_bytes(&setup.to_bytes()).unwrap();
        let file = PasswordFile::from_bytes(file.to_bytes()).unwrap();
        assert_eq!(log_in(&setup, Some(&file), "correct horse"), Ok(()));
        assert_eq!(log_in(&setup, Some(&file), "correct hors"), Err(OpaqueError::WrongPassword));
        assert_eq!(log_in(&setup, None, "correct horse"), Err(OpaqueError::WrongPassword));
        assert_eq!(
            log_in(&ServerSetup::new(&mut OsRng), Some(&file), "correct horse"),
            Err(OpaqueError::WrongPassword)
        );
    }

    #[test]
    fn composed_and_decomposed_letters_are_one_password() {
        assert_eq!(password_bytes("sch\u{f6}n"), password_bytes("scho\u{308}n"));
    }

    #[test]
    fn a_login_for_another_app_fails() {
        let setup = ServerSetup::new(&mut OsRng);
        let file = register(&setup, "correct horse");
        let (app, handle) = den();
        let (client, message) = ClientLogin::start("correct horse", &mut OsRng).unwrap();
        let (_, answer) = setup.login(&app, &handle, Some(&file), &message, &mut OsRng).unwrap();
        let porch = AppId::parse("porch").unwrap();
        assert_eq!(client.finish(&porch, &answer, &mut OsRng), Err(OpaqueError::WrongPassword));
    }

    #[test]
    fn rubbish_is_refused_without_a_panic() {
        let setup = ServerSetup::new(&mut OsRng);
        let (app, handle) = den();
        for len in [0, 1, 31, 32, 33, 64, 96, 192, 320, 400] {
            let rubbish = vec![0xff; len];
            assert!(setup.register(&app, &handle, &rubbish).is_err());
            assert!(setup.login(&app, &handle, None, &rubbish, &mut OsRng).is_err());
            assert!(PasswordFile::from_upload(&rubbish).is_err());
            let (client, _) = ClientLogin::start("x", &mut OsRng).unwrap();
            assert!(client.finish(&app, &rubbish, &mut OsRng).is_err());
            let (client, _) = ClientRegistration::start("x", &mut OsRng).unwrap();
            assert!(client.finish(&rubbish, &mut OsRng).is_err());
        }
    }

    #[test]
    fn every_character_that_opaque_string_takes_becomes_the_same() {
        use precis_profiles::OpaqueString;
        use precis_profiles::precis_core::profile::PrecisFastInvocation as _;
        let mut taken = 0;
        for c in '\0'..=char::MAX {
            let password = format!("a{c}\u{301}");
            if let Ok(prepared) = OpaqueString::enforce(password.as_str()) {
                taken += 1;
                assert_eq!(*password_bytes(&password), prepared.as_bytes(), "{}", password.escape_unicode());
            }
        }
        assert!(taken > 100_000, "{taken}");
    }
}
