//! Signing up and signing in on an empty home.
//!
//! | step | asks | then |
//! |---|---|---|
//! | `Apps` | `Apps` | how the app signs in; the handle is made canonical |
//! | `Prove` | `ProveCode`, or OPAQUE's two messages | a ticket |
//! | `View` (signing in) | `AccountOfTicket` | the device list, checked against the recovery key |
//! | `Register` | `Register` / `AddDevice` | the identity is stored *before* it is asked |
//! | `Publish` | `PublishKeyPackages` (see [`crate::keypackages`]) | `Event::Done` |
//!
//! A crash or a lost socket before `Register` leaves nothing behind; after it, the stored identity says `Registering`: the
//! next `Authenticate` tells whether the request had arrived, and signing up again with the same handle goes on with it.
//! The recovery words are stored only in that state, and erased with the answer.

use crate::api::{Failure, IntentId, Proof, Reply, Role, Showing};
use crate::engine::{Engine, Purpose, is_temporary};
use crate::state::{Backup, Identity, Stage};
use parlour_e2ee::{BackupSecret, DeviceKeys, RootKey};
use parlour_proto::device_list::{Action, DeviceList, Draft, SIGN_DOMAIN, Signer};
use parlour_proto::frames::{AccountRef, AccountView, Answer, AppId, AppInfo, Request, SignIn};
use parlour_proto::handle::Handle;
use parlour_proto::ids::{AccountId, DeviceId, Secret, UnixMillis};
use parlour_proto::opaque::{ClientLogin, ClientRegistration};
use parlour_proto::problem::{Code, Problem};
use rand_core::CryptoRngCore;
use zeroize::Zeroizing;

/// A sign-up or sign-in under way.
pub(crate) struct SignUp {
    pub(crate) intent: IntentId,
    app: AppId,
    typed: String,
    proof: Proof,
    /// Signing in with it; `None`: signing up.
    recovery: Option<RootKey>,
    step: Step,
    info: Option<AppInfo>,
    handle: Option<Handle>,
    /// Of a new account, until the reply.
    words: Option<Zeroizing<String>>,
}

enum Step {
    Apps,
    Prove,
    OpaqueRegister(Box<ClientRegistration>),
    OpaqueLogin(Box<ClientLogin>),
    OpaqueLast,
    View(Secret),
    Register(Request),
    /// Signing in with what an interrupted sign-up stored.
    Resume,
    Publish,
}

impl Engine {
    pub(crate) fn start_sign_up(
        &mut self,
        intent: IntentId,
        app: AppId,
        typed: String,
        proof: Proof,
        recovery_words: Option<Zeroizing<String>>,
    ) {
        let registering =
            self.s.identity.get(&()).is_some_and(|identity| matches!(identity.stage, Stage::Registering { .. }));
        if self.sign_up.is_some() || (self.s.identity.contains(&()) && !registering) {
            return self.done(intent, Err(Failure::AlreadySignedIn));
        }
        let recovery = match recovery_words.map(|words| RootKey::from_recovery_words(&words)).transpose() {
            Ok(recovery) => recovery,
            Err(_) => {
                return self
                    .done(intent, Err(Failure::BadInput("these are not the 24 words of a recovery key".into())));
            }
        };
        self.sign_up = Some(SignUp {
            intent,
            app,
            typed,
            proof,
            recovery,
            step: Step::Apps,
            info: None,
            handle: None,
            words: None,
        });
    }

    /// The socket is gone: what was not stored is forgotten.
    pub(crate) fn sign_up_interrupted(&mut self) {
        if let Some(sign_up) = self.sign_up.take() {
            self.done(sign_up.intent, Err(Failure::Offline));
        }
    }

    fn fail_sign_up(&mut self, failure: Failure) {
        if let Some(sign_up) = self.sign_up.take() {
            self.done(sign_up.intent, Err(failure));
        }
    }

    /// Asks what the present step needs.
    pub(crate) fn settle_sign_up(&mut self, rng: &mut dyn CryptoRngCore) {
        if !self.inbox.is_open() || !self.may(&Purpose::SignUp) {
            return;
        }
        let Some(mut sign_up) = self.sign_up.take() else { return };
        let request = match &sign_up.step {
            Step::Apps => Ok(Some(Request::Apps)),
            Step::Prove => prove(&mut sign_up, rng).map(Some),
            Step::View(ticket) => Ok(Some(Request::AccountOfTicket { ticket: ticket.clone() })),
            Step::Register(request) => Ok(Some(request.clone())),
            Step::Resume => {
                self.authenticate();
                Ok(None)
            }
            _ => Ok(None),
        };
        match request {
            Ok(request) => {
                self.sign_up = Some(sign_up);
                if let Some(request) = request {
                    self.ask(Role::Inbox, Purpose::SignUp, || request);
                }
            }
            Err(failure) => self.done(sign_up.intent, Err(failure)),
        }
    }

    pub(crate) fn on_sign_up_answer(&mut self, result: Result<Answer, Problem>, rng: &mut dyn CryptoRngCore) {
        let Some(mut sign_up) = self.sign_up.take() else { return };
        let answer = match result {
            Ok(answer) => answer,
            Err(problem) => {
                if matches!(sign_up.step, Step::Register(_)) && !is_temporary(&problem) {
                    self.s.identity.remove(&());
                }
                return self.done(sign_up.intent, Err(Failure::Refused(problem)));
            }
        };
        let next = match (std::mem::replace(&mut sign_up.step, Step::OpaqueLast), answer) {
            (Step::Apps, Answer::Apps(apps)) => choose_app(&mut sign_up, &apps),
            (Step::OpaqueRegister(client), Answer::Opaque { message }) => client
                .finish(&message, rng)
                .map(|message| self.ask_last(Request::OpaqueRegisterFinish { message }))
                .map_err(|_| wrong_password()),
            (Step::OpaqueLogin(client), Answer::Opaque { message }) => client
                .finish(&sign_up.app, &message, rng)
                .map(|message| self.ask_last(Request::OpaqueLoginFinish { message }))
                .map_err(|_| wrong_password()),
            (Step::Prove | Step::OpaqueLast, Answer::Ticket { ticket, exists }) => {
                self.on_ticket(&mut sign_up, ticket, exists, rng)
            }
            (Step::View(ticket), Answer::Account(view)) => self.add_device(&mut sign_up, ticket, &view, rng),
            (Step::Register(_), Answer::Registered(signed_in)) => {
                self.sign_up = Some(sign_up);
                self.on_registered(&signed_in);
                return;
            }
            _ => Err(Failure::Suspicious("an answer that does not belong to the question".into())),
        };
        match next {
            Ok(step) => {
                sign_up.step = step;
                self.sign_up = Some(sign_up);
                self.again = true;
            }
            Err(failure) => self.done(sign_up.intent, Err(failure)),
        }
    }

    fn ask_last(&mut self, request: Request) -> Step {
        self.ask(Role::Inbox, Purpose::SignUp, || request);
        Step::OpaqueLast
    }

    fn on_ticket(
        &mut self,
        sign_up: &mut SignUp,
        ticket: Secret,
        exists: bool,
        rng: &mut dyn CryptoRngCore,
    ) -> Result<Step, Failure> {
        if sign_up.recovery.is_some() {
            if !exists {
                return Err(Failure::Refused(Problem::new(
                    Code::NotAuthenticated,
                    "there is no account with this handle",
                )));
            }
            return Ok(Step::View(ticket));
        }
        if exists {
            let display = sign_up.handle.as_ref().map(Handle::display).unwrap_or_default();
            let ours = self
                .s
                .identity
                .get(&())
                .is_some_and(|identity| identity.handle == display && identity.account.app == sign_up.app);
            return if ours {
                Ok(Step::Resume)
            } else {
                Err(Failure::Refused(Problem::new(
                    Code::HandleTaken,
                    "this handle has an account: sign in with its recovery key",
                )))
            };
        }
        self.register(sign_up, ticket, rng)
    }

    fn register(&mut self, sign_up: &mut SignUp, ticket: Secret, rng: &mut dyn CryptoRngCore) -> Result<Step, Failure> {
        let root = RootKey::generate(rng);
        let keys = DeviceKeys::generate(rng);
        let account = AccountId::random(rng);
        let device = DeviceId::random(rng);
        let draft = Draft::first(account, self.server_time(), add_action(device, &keys));
        let link = draft.with_signature(&root.sign(SIGN_DOMAIN, &draft.body()));
        let links = vec![link];
        let request = Request::Register { ticket, account, root_key: root.public(), links: links.clone(), device };
        let account = AccountRef { app: sign_up.app.clone(), account };
        let words = root.recovery_words();
        self.s.backup.insert((), Backup::of(&root));
        self.store_identity(sign_up, account, device, &keys, root.public(), links, words.clone());
        Ok(Step::Register(request))
    }

    fn add_device(
        &mut self,
        sign_up: &mut SignUp,
        ticket: Secret,
        view: &AccountView,
        rng: &mut dyn CryptoRngCore,
    ) -> Result<Step, Failure> {
        let Some(root) = &sign_up.recovery else { return Err(Failure::NotSignedIn) };
        if view.root_key != root.public() {
            return Err(Failure::BadInput("this recovery key belongs to another account".into()));
        }
        if view.account.app != sign_up.app {
            return Err(Failure::Suspicious("the account is of another app".into()));
        }
        let list = DeviceList::verify(view.account.account, &view.root_key, &view.links)
            .map_err(|error| Failure::Suspicious(format!("device list: {error}")))?;
        let keys = DeviceKeys::generate(rng);
        let device = DeviceId::random(rng);
        let draft = list.draft(self.server_time(), add_action(device, &keys), Signer::Root);
        let link = draft.with_signature(&root.sign(SIGN_DOMAIN, &draft.body()));
        let mut links = view.links.clone();
        links.push(link.clone());
        let root_key = view.root_key;
        let restore = Some(BackupSecret::of(root).to_bytes());
        self.s.backup.insert((), Backup { restore, ..Backup::of(root) });
        self.store_identity(sign_up, view.account.clone(), device, &keys, root_key, links, Zeroizing::default());
        Ok(Step::Register(Request::AddDevice { ticket, link, device }))
    }

    #[allow(clippy::too_many_arguments, reason = "each is one field of the record")]
    fn store_identity(
        &mut self,
        sign_up: &SignUp,
        account: AccountRef,
        device: DeviceId,
        keys: &DeviceKeys,
        root: [u8; 32],
        links: Vec<bytes::Bytes>,
        words: Zeroizing<String>,
    ) {
        let sign_in = sign_up.info.as_ref().map(|info| info.sign_in);
        let handle = sign_up.handle.as_ref().map(Handle::display).unwrap_or_default();
        self.s.identity.insert(
            (),
            Identity {
                stage: Stage::Registering { words },
                account,
                device,
                keys: keys.to_bytes(),
                root,
                public_handle: matches!(sign_in, Some(SignIn::Username | SignIn::AtHandle)),
                handle,
                name: String::new(),
                picture: None,
                profile: 0,
                links,
                delivered_reports: true,
                read_reports: true,
                typing_reports: true,
                last_resort_made: UnixMillis(0),
                restored: UnixMillis(0),
                lost_since: UnixMillis(0),
                showing_untold: Vec::new(),
                incarnation: 0,
                device_name: String::new(),
                seen_told: UnixMillis(0),
                own: None,
                showing: Showing::default(),
            },
        );
    }

    /// The account is there (also found out by signing in): the words leave the store, key packages are next.
    pub(crate) fn registration_proven(&mut self) {
        let Some(identity) = self.s.identity.get_mut(&()) else { return };
        if let Stage::Registering { words } = std::mem::replace(&mut identity.stage, Stage::Live) {
            if let Some(sign_up) = &mut self.sign_up {
                sign_up.words = Some(words);
                sign_up.step = Step::Publish;
            }
            self.new_on_the_list();
        }
    }

    /// The stored registration never arrived.
    pub(crate) fn registration_refused(&mut self) {
        self.s.identity.remove(&());
        self.fail_sign_up(Failure::Refused(Problem::new(Code::HandleTaken, "this handle has an account elsewhere")));
    }

    /// Whether a sign-up waits for key packages to be published; its intent, for progress.
    pub(crate) fn publishing_intent(&self) -> Option<IntentId> {
        self.sign_up.as_ref().filter(|sign_up| matches!(sign_up.step, Step::Publish)).map(|sign_up| sign_up.intent)
    }

    /// Key packages are there: the account can be used.
    pub(crate) fn finish_sign_up(&mut self) {
        if self.publishing_intent().is_none() {
            return;
        }
        let (Some(sign_up), Some(me)) = (self.sign_up.take(), self.me()) else { return };
        let reply = match sign_up.words {
            Some(words) if !words.is_empty() => Reply::SignedUp {
                account: me.account.clone(),
                address: crate::identity::address(me),
                recovery_key: words,
            },
            _ => Reply::Ok,
        };
        self.done(sign_up.intent, Ok(reply));
    }
}

fn add_action(device: DeviceId, keys: &DeviceKeys) -> Action {
    Action::Add { device, signing_key: keys.signing_public(), hpke_key: keys.hpke_public() }
}

fn wrong_password() -> Failure {
    Failure::Refused(Problem::new(Code::NotAuthenticated, "the password is wrong"))
}

fn choose_app(sign_up: &mut SignUp, apps: &[AppInfo]) -> Result<Step, Failure> {
    let info = apps.iter().find(|info| info.app == sign_up.app);
    let info = info.ok_or_else(|| Failure::Refused(Problem::new(Code::NoSuchApp, "no such app on this server")))?;
    let handle = Handle::parse(info.sign_in, &sign_up.typed).map_err(|error| Failure::BadInput(error.to_string()))?;
    let fits = match (&sign_up.proof, info.sign_in) {
        (Proof::Code(_), sign_in) => sign_in == SignIn::Phone,
        (Proof::Password(_), sign_in) => sign_in != SignIn::Phone,
    };
    if !fits {
        return Err(Failure::BadInput("this app signs in another way (code or password)".into()));
    }
    sign_up.info = Some(info.clone());
    sign_up.handle = Some(handle);
    Ok(Step::Prove)
}

fn prove(sign_up: &mut SignUp, rng: &mut dyn CryptoRngCore) -> Result<Request, Failure> {
    let app = sign_up.app.clone();
    let handle = sign_up.handle.as_ref().map(|handle| handle.canonical().to_owned()).unwrap_or_default();
    let broken = |_| Failure::BadInput("the password cannot be used".into());
    match &sign_up.proof {
        Proof::Code(code) => Ok(Request::ProveCode { app, handle, code: code.trim().to_owned() }),
        Proof::Password(password) if sign_up.recovery.is_some() => {
            let (client, message) = ClientLogin::start(password, rng).map_err(broken)?;
            sign_up.step = Step::OpaqueLogin(Box::new(client));
            Ok(Request::OpaqueLogin { app, handle, message })
        }
        Proof::Password(password) => {
            let (client, message) = ClientRegistration::start(password, rng).map_err(broken)?;
            sign_up.step = Step::OpaqueRegister(Box::new(client));
            Ok(Request::OpaqueRegister { app, handle, message })
        }
    }
}
