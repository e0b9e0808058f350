//! `parlour client …`.

use clap::{Args, Subcommand, ValueEnum};
use parlour_client::api::{
    Allowed, GroupRole, KeptHistory, LEAST_EXPIRY_S, LEAST_TIMER_S, MOST_EXPIRY_S, MOST_TIMER_S, Timer,
};
use serde::Deserialize;
use std::path::PathBuf;

#[derive(Args)]
#[command(after_help = "\
Begin:
  parlour client sign-up --server http://127.0.0.1:7448 --app bell --handle +15550100100
  parlour client sign-up --server http://127.0.0.1:7448 --app den --handle alice --password-file pw
  parlour client whoami
  parlour client device add               links another device of yours, by a code
  parlour client link --server http://127.0.0.1:7448 --code '482 719 356 021'     there

Talk:
  parlour client send alice@den 'Hello, Alice'
  parlour client read --follow
  parlour client requests                 who asks to write to me
  parlour client accept 3f2a              the first characters of an id are enough
  parlour client reach set --from bell ask

Several people on one machine have several homes:
  parlour client --home ~/bot whoami      or: export PARLOUR_HOME=~/bot

Script:
  parlour client run --json < commands    one JSON object per line in and out (docs/cli.md)

Exit codes: 0 done, 1 failure, 2 wrong usage, 3 needs input (code, password, yes), 4 no connection (a message is
queued), 5 not found or not reachable, 6 refused by the server, 7 the home is in use, 8 wrong code, password or
passphrase, 9 not signed in here.")]
pub(crate) struct ClientArgs {
    /// Where this client lives: its keys and messages
    #[arg(long, value_name = "DIR", env = "PARLOUR_HOME", global = true, help_heading = "Home")]
    pub(crate) home: Option<PathBuf>,
    /// File with the passphrase that locks the home (asked for at a terminal)
    #[arg(long, value_name = "FILE", env = "PARLOUR_PASSPHRASE_FILE", global = true, help_heading = "Home")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Prints JSON, one object per line
    #[arg(long, global = true, help_heading = "Output")]
    pub(crate) json: bool,
    /// Tells about progress on stderr, though it is not a terminal
    #[arg(long, global = true, help_heading = "Output")]
    pub(crate) progress: bool,
    #[command(subcommand)]
    pub(crate) command: ClientCommand,
}

#[derive(Subcommand)]
pub(crate) enum ClientCommand {
    /// Makes an account, and this home its first device
    SignUp(SignUpArgs),
    /// Makes this home one more device of an account, by its recovery key
    SignIn(SignInArgs),
    /// Makes this home one more device of an account, by a code that another of its devices shows
    Link(LinkArgs),
    /// The account's devices: which there are, adding, naming, removing
    #[command(subcommand)]
    Device(DeviceCommand),
    /// What the recovery key brings back, if all devices are lost
    #[command(subcommand)]
    Backup(BackupCommand),
    /// What the server holds about you: every row, in words, with its end (a download with --json)
    Holdings,
    /// Accounts of other apps that this home answers for, too
    #[command(subcommand)]
    Account(AccountCommand),
    /// Who am I here
    Whoami,
    /// Writes to somebody; a first message arrives as a request
    Send(SendArgs),
    /// Shows or sets how long the messages of a conversation stay
    Expiry(ExpiryArgs),
    /// Keeps a message beyond its time, for oneself, where the conversation allows it
    Keep {
        /// An address, or a conversation
        conversation: String,
        /// The message, as `read` shows it; without it: all of the conversation
        message: Option<String>,
        /// Does not keep it any longer
        #[arg(long)]
        no: bool,
    },
    /// Shows what is kept for oneself: conversations, and single messages, newest first
    Archive,
    /// Shows a message that can be seen once; it is gone then
    Open {
        /// An address, or a conversation
        conversation: String,
        /// The message, as `read` shows it
        message: String,
    },
    /// Shows messages: what is new, or a conversation
    Read(ReadArgs),
    /// Shows who asks to write to me
    Requests {
        /// Also shows what they wrote and who they say they are
        #[arg(long)]
        show: bool,
    },
    /// Lets somebody in
    Accept {
        /// The request, as `requests` shows it
        id: String,
    },
    /// Forgets a request; the other side is not told
    Decline {
        /// The request, as `requests` shows it
        id: String,
    },
    /// Blocks whoever asked, or the other side of a conversation
    Block {
        /// A request, a conversation, or an address
        id: String,
    },
    /// Takes a block back
    Unblock {
        /// A conversation or an address
        id: String,
    },
    /// Shows or changes who may contact me
    #[command(subcommand)]
    Reach(ReachCommand),
    /// Makes an invite: it reaches this account without telling its handle
    Invite(InviteArgs),
    /// Shows the safety number with somebody, to compare with theirs
    Verify {
        /// Their address, or a conversation
        with: String,
        /// Remembers that the numbers were the same
        #[arg(long, conflicts_with = "differs")]
        matches: bool,
        /// Remembers that they were not
        #[arg(long)]
        differs: bool,
    },
    /// Lists conversations, newest first
    Conversations,
    /// Counts what came, what waits, and what could not be shown
    Status,
    /// Reacts to a message
    React {
        /// Address or conversation
        conversation: String,
        /// The message's id, as `read` shows it (the first characters are enough)
        message: String,
        /// An emoji; an empty text takes the reaction back
        emoji: String,
    },
    /// Changes the text of an own message
    Edit {
        /// Address or conversation
        conversation: String,
        /// The message's id
        message: String,
        /// The new text
        text: String,
    },
    /// Deletes an own message for everybody
    Delete {
        /// Address or conversation
        conversation: String,
        /// The message's id
        message: String,
    },
    /// Sets the name that people I talk to see
    Name {
        /// The name
        name: String,
    },
    /// Switches delivered and read reports, and whether people see each other writing
    Reports {
        /// Tell others when their message arrived
        #[arg(long, value_name = "on|off", value_parser = on_off, action = clap::ArgAction::Set)]
        delivered: bool,
        /// Tell others when I read their message
        #[arg(long, value_name = "on|off", value_parser = on_off, action = clap::ArgAction::Set)]
        read: bool,
        /// Let others see when I am writing, and see it of them
        #[arg(long, value_name = "on|off", value_parser = on_off, action = clap::ArgAction::Set, default_value = "on")]
        typing: bool,
    },
    /// Groups
    #[command(subcommand)]
    Group(GroupCommand),
    /// Deletes the account at the server and this home
    DeleteAccount {
        /// Does not ask
        #[arg(long)]
        yes: bool,
    },
    /// Stays connected: commands on stdin, events on stdout, JSON Lines; ends at the end of stdin
    #[command(after_help = "\
Example:
  echo '{\"id\":1,\"do\":\"send\",\"to\":\"alice@den\",\"text\":\"hi\"}' | parlour client run --json
The schema, with every command and event: docs/cli.md")]
    Run,
}

#[derive(Args)]
pub(crate) struct ServerArgs {
    /// The server: http://host:port, https://host, ws://… or wss://…; remembered by the home
    #[arg(long, value_name = "URL")]
    pub(crate) server: Option<String>,
    /// Certificates (PEM) to trust beside the public ones, for a server with a certificate of its own; remembered
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct ProofArgs {
    /// The app: bell, den, porch, or as the server calls it
    #[arg(long)]
    pub(crate) app: String,
    /// Phone number, username or @handle, as the app wants it
    #[arg(long)]
    pub(crate) handle: String,
    /// The code from the SMS; without it one is requested
    #[arg(long, conflicts_with = "password_file")]
    pub(crate) code: Option<String>,
    /// File with the password (`-`: stdin; asked for at a terminal)
    #[arg(long, value_name = "F")]
    pub(crate) password_file: Option<PathBuf>,
}

#[derive(Args)]
#[command(after_help = "\
With a phone number, in a script (exit code 3 means: call again with --code):
  parlour client sign-up --server URL --app bell --handle +15550100100
  parlour client sign-up --server URL --app bell --handle +15550100100 --code 123456

The recovery key is shown once. Whoever has it and the handle can add devices to the account: keep it on paper.")]
pub(crate) struct SignUpArgs {
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    #[command(flatten)]
    pub(crate) proof: ProofArgs,
    /// Locks the new home with a passphrase (asked for, or from --passphrase-file)
    #[arg(long)]
    pub(crate) passphrase: bool,
    /// Writes the recovery key into a new file instead of showing it
    #[arg(long, value_name = "F")]
    pub(crate) recovery_key_file: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct SignInArgs {
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    #[command(flatten)]
    pub(crate) proof: ProofArgs,
    /// File with the recovery key's 24 words (`-`: stdin; asked for at a terminal)
    #[arg(long, value_name = "F")]
    pub(crate) recovery_key_file: Option<PathBuf>,
    /// Locks the new home with a passphrase (asked for, or from --passphrase-file)
    #[arg(long)]
    pub(crate) passphrase: bool,
}

#[derive(Args)]
#[command(after_help = "\
The other device shows the code: Settings, Devices, “Add a device”, or parlour client device add. It works for one try, and
this waits until somebody there says yes. Then conversations and messages come, end-to-end encrypted.

  parlour client link --server http://127.0.0.1:7448 --code '482 719 356 021' --name 'Kitchen laptop'")]
pub(crate) struct LinkArgs {
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    /// The digits that the other device shows (asked for at a terminal)
    #[arg(long)]
    pub(crate) code: Option<String>,
    /// What the other devices call this one
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Locks the new home with a passphrase (asked for, or from --passphrase-file)
    #[arg(long)]
    pub(crate) passphrase: bool,
}

#[derive(Subcommand)]
pub(crate) enum AccountCommand {
    /// Shows for which accounts this home answers
    List,
    /// Answers for another account, too, by a code that one of its devices shows
    Link {
        /// The digits that the other device shows (asked for at a terminal)
        #[arg(long)]
        code: Option<String>,
        /// What the account's other devices call this one
        #[arg(long)]
        name: Option<String>,
    },
    /// Does not answer for a linked account any more, and erases everything of it here
    Unlink {
        /// Its address
        address: String,
    },
    /// Says whether and when messages of an account are shown here; they go on coming
    Show {
        /// Its address
        address: String,
        /// They are read elsewhere
        #[arg(long)]
        off: bool,
        /// Shown without a sound in these hours, such as 22:00-07:00
        #[arg(long, value_name = "FROM-UNTIL")]
        quiet: Option<String>,
    },
}

#[derive(Subcommand)]
pub(crate) enum DeviceCommand {
    /// Shows which devices there are
    List,
    /// Shows a code by which another device is linked, waits for it, and gives it conversations and messages
    Add {
        /// Links whoever knows the code, without asking
        #[arg(long)]
        yes: bool,
    },
    /// Says what the other devices call this one
    Rename {
        /// The name
        name: String,
    },
    /// Takes a device off the account for good; this one: signs out and erases this home
    Remove {
        /// Its name, or the first characters of its id, as `list` shows it
        #[arg(value_name = "ID|NAME")]
        device: String,
        /// Does not ask
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Subcommand)]
pub(crate) enum BackupCommand {
    /// Shows which messages are in it, and how far back it reaches
    Show,
    /// Says which messages are to be in it; what is not to be kept any more is destroyed at the server
    Set {
        /// `off`, `all`, or so many last days: `30d`
        #[arg(long, value_parser = kept_history)]
        history: KeptHistory,
    },
}

/// Reads `off`, `all` or `30d`.
pub(crate) fn kept_history(text: &str) -> Result<KeptHistory, String> {
    let days = |text: &str| text.strip_suffix('d')?.parse().ok().filter(|days| *days > 0);
    match text {
        "off" => Ok(KeptHistory::Off),
        "all" => Ok(KeptHistory::All),
        text => days(text).map(KeptHistory::Days).ok_or_else(|| "off, all, or days such as 30d".to_owned()),
    }
}

#[derive(Args)]
#[command(after_help = "\
  parlour client send alice@den 'Hello, Alice'
  parlour client send --invite pinv… 'Hello from the poster'
  echo 'long text' | parlour client send alice@den -

Without a connection the message is queued and exit code 4 says so: the next command that connects sends it.")]
pub(crate) struct SendArgs {
    /// Writes to whoever made this invite; then there is no ADDRESS
    #[arg(long, value_name = "TOKEN")]
    pub(crate) invite: Option<String>,
    /// `handle@app` or a conversation, then the text (`-`: stdin)
    #[arg(value_name = "ADDRESS> <TEXT", required = true, num_args = 1..=2)]
    pub(crate) words: Vec<String>,
    /// Writes from this account, where the home answers for several (a conversation has its own)
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) from: Option<String>,
    /// Answers a message (its id, as `read` shows it)
    #[arg(long, value_name = "MESSAGE")]
    pub(crate) reply_to: Option<String>,
    #[command(flatten)]
    pub(crate) timer: TimerArgs,
    /// Only stores it; the next command that connects sends it
    #[arg(long, conflicts_with = "timeout")]
    pub(crate) no_wait: bool,
    /// Keeps trying to connect and waits so long until the server has it
    #[arg(long, value_name = "SECONDS")]
    pub(crate) timeout: Option<u64>,
}

/// How a message ends before its conversation's time.
#[derive(Args)]
#[group(multiple = false)]
pub(crate) struct TimerArgs {
    /// It is gone so long after it was read: 5s to 4w
    #[arg(long, value_name = "TIME", value_parser = timer)]
    after_reading: Option<u32>,
    /// It is gone so long after it was sent: 5s to 4w
    #[arg(long, value_name = "TIME", value_parser = timer)]
    after_sending: Option<u32>,
    /// It can be seen once (`open`)
    #[arg(long)]
    once: bool,
}

impl TimerArgs {
    pub(crate) fn timer(&self) -> Option<Timer> {
        let once = self.once.then_some(Timer::Once);
        self.after_reading.map(Timer::Reading).or(self.after_sending.map(Timer::Sending)).or(once)
    }
}

/// `30s`, `5m`, `1h`, `7d`, `4w`, as seconds.
fn seconds(text: &str) -> Option<u32> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return None,
    };
    number.parse::<u32>().ok()?.checked_mul(unit)
}

fn timer(text: &str) -> Result<u32, String> {
    let fits = seconds(text).filter(|seconds| (LEAST_TIMER_S..=MOST_TIMER_S).contains(seconds));
    fits.ok_or_else(|| "5s to 4w, such as 30s, 5m, 1h, 7d".to_owned())
}

/// How long messages stay; `off`: always.
#[derive(Clone, Copy)]
pub(crate) struct Lasting(pub(crate) Option<u32>);

fn lasting(text: &str) -> Result<Lasting, String> {
    if text == "off" {
        return Ok(Lasting(None));
    }
    let fits = seconds(text).filter(|seconds| (LEAST_EXPIRY_S..=MOST_EXPIRY_S).contains(seconds));
    fits.map(|seconds| Lasting(Some(seconds))).ok_or_else(|| "off, or 1h to 366d, such as 12h, 7d, 4w".to_owned())
}

#[derive(Args)]
#[command(after_help = "\
  parlour client expiry alice@den                    what goes now
  parlour client expiry alice@den --set 7d           what is said from now on is gone after a week
  parlour client expiry alice@den --set 7d --existing   what is there already, too

Everybody in the conversation sees the change. In a group, admins make it.")]
pub(crate) struct ExpiryArgs {
    /// An address, or a conversation
    pub(crate) conversation: String,
    /// How long messages stay after they were sent: 1h to 366d, or off
    #[arg(long, value_name = "TIME", value_parser = lasting)]
    pub(crate) set: Option<Lasting>,
    /// Also for what is there already
    #[arg(long)]
    pub(crate) existing: bool,
    /// Whether each may keep messages for themselves (`keep`)
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set)]
    pub(crate) archive: Option<bool>,
}

#[derive(Args)]
#[command(after_help = "\
  parlour client read                   what is new, everywhere
  parlour client read alice@den         the conversation with Alice
  parlour client read --follow --json   for scripts: a line per new or changed message, until Ctrl-C")]
pub(crate) struct ReadArgs {
    /// An address or a conversation; without it: what is new, everywhere
    pub(crate) conversation: Option<String>,
    /// Stays, and shows what comes
    #[arg(long)]
    pub(crate) follow: bool,
    /// How many messages of a conversation
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(crate) limit: u32,
    /// Leaves them unread
    #[arg(long)]
    pub(crate) keep_unread: bool,
}

#[derive(Subcommand)]
pub(crate) enum ReachCommand {
    /// Who may contact me, from each app
    Show,
    /// Changes a rule
    Set {
        /// The app they are on
        #[arg(long, value_name = "APP")]
        from: String,
        /// ask: everyone there may ask; invite: only with an invite of mine; nobody
        rule: Rule,
    },
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Rule {
    /// Everyone there may ask
    Ask,
    /// Only who holds an invite
    Invite,
    /// Nobody
    Nobody,
}

#[derive(Args)]
pub(crate) struct InviteArgs {
    /// How many people may use it
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) uses: u32,
    /// How many days it lives
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=365))]
    pub(crate) days: u32,
    /// Also as a QR code
    #[arg(long)]
    pub(crate) qr: bool,
    /// Revokes all invites instead
    #[arg(long, conflicts_with_all = ["uses", "days", "qr"])]
    pub(crate) revoke_all: bool,
}

#[derive(Subcommand)]
pub(crate) enum GroupCommand {
    /// Makes a group
    Create {
        /// Its title, for members only
        title: String,
        /// Addresses, or conversations of two
        members: Vec<String>,
    },
    /// Adds people; who never let me in is asked first, and comes in by accepting
    Add {
        /// The group: its title or id
        group: String,
        /// Addresses, or conversations of two
        #[arg(required = true)]
        members: Vec<String>,
    },
    /// Does not ask somebody any more
    Uninvite {
        /// The group: its title or id
        group: String,
        /// Their address or name, as `group show` shows it
        member: String,
    },
    /// Makes a link by which others join
    #[command(after_help = "\
Examples:
  parlour client group link Choir --approve --uses 5
  parlour client group join 'parlour:invite/den/…'      there
Whoever has the link can pass it on. Revoke it: group unlink.")]
    Link {
        /// The group: its title or id
        group: String,
        /// Who uses it becomes a request, and comes in when I accept
        #[arg(long)]
        approve: bool,
        /// How many can use it
        #[arg(long, default_value_t = 1)]
        uses: u32,
        /// How many days it is good
        #[arg(long, default_value_t = 7)]
        days: u32,
        /// Also shows it as a QR code
        #[arg(long)]
        qr: bool,
    },
    /// Lists my links to a group
    Links {
        /// The group: its title or id
        group: String,
    },
    /// Revokes a link of mine
    Unlink {
        /// The group: its title or id
        group: String,
        /// The first characters of its id, as `group links` shows it; all without
        link: Option<String>,
    },
    /// Joins by somebody's link; with approval it may take its time
    Join {
        /// The link
        link: String,
    },
    /// Shows where I asked to join and nothing came yet
    Joining,
    /// Does not wait to join any more
    StopJoining {
        /// The first characters of its id, as `group joining` shows it
        join: String,
    },
    /// Removes somebody
    Remove {
        /// The group: its title or id
        group: String,
        /// Their address or name
        member: String,
    },
    /// Shows who is in it, and who may do what
    Show {
        /// The group: its title or id
        group: String,
    },
    /// Changes the title, for everybody
    Rename {
        /// The group: its title or id
        group: String,
        /// The new title
        title: String,
    },
    /// Gives a member a role (owners may)
    Role {
        /// The group: its title or id
        group: String,
        /// Their address or name, or `me`
        member: String,
        /// The role
        role: RoleName,
    },
    /// Says who may do what (admins may); what is not named stays
    Rules {
        /// The group: its title or id
        group: String,
        /// Who may bring people in
        #[arg(long)]
        add: Option<AllowedName>,
        /// Who may write
        #[arg(long)]
        write: Option<AllowedName>,
        /// Who may change name and picture
        #[arg(long)]
        change: Option<AllowedName>,
        /// How many days back somebody who is added is given what was said, from now on; 0: nothing
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(0..=366))]
        history: Option<u32>,
    },
    /// Puts a flooded group into attributed mode (any member may; admins end it): the server is told who sends each message, not what it
    /// says, and lets each send only so many
    Attributed {
        /// The group: its title or id
        group: String,
        /// Whether
        mode: OnOff,
    },
    /// Leaves
    Leave {
        /// The group: its title or id
        group: String,
    },
}

/// On or off.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum OnOff {
    /// On
    On,
    /// Off
    Off,
}

/// What somebody may do in a group.
#[derive(Clone, Copy, ValueEnum, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RoleName {
    /// Writes, reacts, leaves
    Member,
    /// Also adds, removes members, sets rules
    Admin,
    /// Also removes anybody and gives roles
    Owner,
}

/// Whom a rule of a group lets do something.
#[derive(Clone, Copy, ValueEnum, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AllowedName {
    /// Every member
    Everyone,
    /// Admins and owners
    Admins,
}

impl From<RoleName> for GroupRole {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Member => Self::Member,
            RoleName::Admin => Self::Admin,
            RoleName::Owner => Self::Owner,
        }
    }
}

impl From<AllowedName> for Allowed {
    fn from(name: AllowedName) -> Self {
        match name {
            AllowedName::Everyone => Self::Everyone,
            AllowedName::Admins => Self::Admins,
        }
    }
}

fn on_off(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("on or off".to_owned()),
    }
}
