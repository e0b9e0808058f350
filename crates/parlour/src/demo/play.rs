//! The play: three people, three apps. The words are written here; everything else happens.

use super::actor::{Actor, Role, expect};
use super::stage::{Line, styled, text};
use super::theatre::Theatre;
use crate::exit::Trouble;
use crate::out::Style;
use parlour_client::api::{ConversationId, Event, Intent, Proof, Reply, Request, Target};
use parlour_proto::frames::{AppId, ReachRule};
use zeroize::Zeroizing;

const SAM: Role = Role { name: "Sam", app: "bell", handle: "+15550100123", style: Style::Yellow };
const MAYA: Role = Role { name: "Maya", app: "den", handle: "maya", style: Style::Cyan };
const NOOR: Role = Role { name: "Noor", app: "porch", handle: "noor", style: Style::Magenta };
const PASSWORDS: [&str; 2] = ["marzipan-lighthouse-9", "quince-telescope-4"];

const FIRST: &str = "Hi Maya, is the market on this Saturday?";
const CHAT: [(bool, &str); 3] = [
    (false, "Sam! It is. I bring the quince jam."),
    (true, "Then I bring bread. And I still owe you for the kettle."),
    (false, "You owe me nothing. Ten o'clock by the fountain?"),
];
const POSTER: &str = "Hello, I saw your poster. Do you still have jars for Saturday?";
const SOLD: &str = "Two left. I keep them for you.";

/// The whole play.
pub(super) async fn play(theatre: &mut Theatre) -> Result<(), Trouble> {
    opening(theatre).await;
    let url = theatre.host.url();
    let mut sam = Actor::enter(SAM, &theatre.homes, &url).await?;
    let mut maya = Actor::enter(MAYA, &theatre.homes, &url).await?;
    let mut noor = Actor::enter(NOOR, &theatre.homes, &url).await?;
    sign_ups(theatre, &mut sam, &mut maya, &mut noor).await?;
    closed_door(theatre, &mut sam, &maya).await?;
    door_opened(theatre, &mut maya).await?;
    let sams = asked(theatre, &mut sam, &mut maya).await?;
    let mayas = accepted(theatre, &mut maya).await?;
    talk(theatre, (&mut sam, sams), (&mut maya, mayas)).await?;
    invited(theatre, &mut noor, &mut maya).await?;
    proof(theatre).await?;
    for actor in [sam, maya, noor] {
        actor.leave().await;
    }
    Ok(())
}

async fn opening(theatre: &Theatre) {
    theatre.paragraph(&vec![]).await;
    theatre.paragraph(&vec![styled(Style::Bold, "Parlour"), text(": several apps, one private backbone.")]).await;
    let where_ = format!(
        "A server runs in this process on {}, with its files in {}. Three people sign up on three apps that have nothing in \
         common, and meet. Left: what they do and see. Right: what the server's files hold after it.",
        theatre.host.url(),
        theatre.data.display(),
    );
    theatre.paragraph(&vec![styled(Style::Dim, where_)]).await;
    theatre.paragraph(&vec![]).await;
}

async fn sign_ups(theatre: &mut Theatre, sam: &mut Actor, maya: &mut Actor, noor: &mut Actor) -> Result<(), Trouble> {
    sam.request_code().await?;
    let code = theatre.code().await.map_err(Trouble::failure)?;
    sam.sign_up(Proof::Code(code.clone())).await?;
    maya.sign_up(Proof::Password(Zeroizing::new(PASSWORDS[0].to_owned()))).await?;
    noor.sign_up(Proof::Password(Zeroizing::new(PASSWORDS[1].to_owned()))).await?;
    let left = [
        does(sam, &format!("signs up on Bell with a phone number and the code {code}")),
        does(maya, "signs up on Den with a username and a password"),
        does(noor, "signs up on Porch with a public @handle and a password"),
        vec![],
        vec![styled(
            Style::Dim,
            "Passwords go through OPAQUE: not even a hash of them reaches the server. Each device leaves key packages, so that it can be written to while it is away.",
        )],
    ];
    let mut right = theatre.changes().map_err(Trouble::failure)?;
    right.push(vec![]);
    right.push(theatre.search("Maya's and Noor's passwords", &PASSWORDS).map_err(Trouble::failure)?);
    theatre.card("Three people on three apps", &left, &right).await;
    Ok(())
}

async fn closed_door(theatre: &mut Theatre, sam: &mut Actor, maya: &Actor) -> Result<(), Trouble> {
    let answer = sam.write(Target::Address(maya.address.clone()), FIRST).await;
    let Err(refusal) = answer else {
        return Err(Trouble::failure(anyhow::anyhow!("a closed door let somebody in")));
    };
    let left = [
        does(sam, &format!("writes to {}", maya.address)),
        says(sam, FIRST),
        vec![],
        vec![styled(Style::Red, "✗ "), text(refusal.message)],
        vec![],
        vec![styled(
            Style::Dim,
            "Other apps are off until a person turns them on. Whether there is a Maya at all, Sam cannot tell: both answer alike, in the same time.",
        )],
    ];
    let right = theatre.changes().map_err(Trouble::failure)?;
    theatre.card("A closed door", &left, &right).await;
    Ok(())
}

async fn door_opened(theatre: &mut Theatre, maya: &mut Actor) -> Result<(), Trouble> {
    let from = AppId::parse(SAM.app).map_err(|problem| Trouble::usage(problem.detail))?;
    let reply = maya.intent(Intent::SetReach { from, rule: ReachRule::Ask }).await?;
    let rules = expect(match reply {
        Reply::Reach(rules) => Some(rules),
        _ => None,
    })?;
    let mut left = vec![does(maya, "lets people on Bell ask:"), vec![]];
    left.extend(rules.iter().map(|(app, rule)| {
        let (style, meaning) = match rule {
            ReachRule::Ask => (Style::Green, "everyone there may ask"),
            ReachRule::Invite => (Style::Yellow, "only with an invite"),
            ReachRule::Nobody => (Style::Dim, "nobody"),
        };
        vec![text(format!("  {:<8}", app.as_str())), styled(style, meaning)]
    }));
    // Then she puts her phone away.
    maya.disconnect().await?;
    left.extend([vec![], does(maya, "puts the phone away: no connection")]);
    let right = theatre.changes().map_err(Trouble::failure)?;
    theatre.card("Maya turns Bell on", &left, &right).await;
    Ok(())
}

async fn asked(theatre: &mut Theatre, sam: &mut Actor, maya: &mut Actor) -> Result<ConversationId, Trouble> {
    let conversation = sam.write(Target::Address(maya.address.clone()), FIRST).await?;
    let left = [
        does(sam, "asks again, while Maya is away"),
        says(sam, FIRST),
        vec![],
        vec![styled(
            Style::Dim,
            "Her device took part without being there: Sam's device made an MLS group with one of her key packages, under a hybrid of ML-KEM-768 and X25519. What waits for her is sealed: whose mailbox, which room, which message, all of it.",
        )],
    ];
    let mut right = theatre.changes().map_err(Trouble::failure)?;
    right.push(vec![]);
    right.extend(theatre.newest_waiting(6).map_err(Trouble::failure)?);
    right.push(vec![]);
    right.push(theatre.search(&format!("“{FIRST}”"), &[FIRST]).map_err(Trouble::failure)?);
    theatre.card("Sam asks", &left, &right).await;
    Ok(conversation)
}

async fn accepted(theatre: &mut Theatre, maya: &mut Actor) -> Result<ConversationId, Trouble> {
    maya.connect().await?;
    let request = wait_for_request(maya).await?;
    let reply = maya.intent(Intent::Accept { request: request.id }).await?;
    let conversation = expect(match reply {
        Reply::Conversation(conversation) => Some(conversation.id),
        _ => None,
    })?;
    theatre.until("empty mailboxes", |theatre| Ok(theatre.waiting()? == 0)).await.map_err(Trouble::failure)?;
    let mut left = vec![
        does(maya, "is back"),
        vec![
            styled(Style::Bold, "  A request. "),
            text(format!("Somebody on {} wants to write to you.", request.from.app)),
        ],
        does(maya, "accepts"),
    ];
    left.extend(shown(maya, conversation).await?);
    left.push(vec![]);
    left.push(vec![styled(Style::Dim, "With the acceptance, Sam got a door token inside the conversation: he is no stranger any more. What her device acknowledged is erased and overwritten.")]);
    let mut right = theatre.changes().map_err(Trouble::failure)?;
    right.push(vec![]);
    right.extend(theatre.newest_waiting(4).map_err(Trouble::failure)?);
    theatre.card("Maya accepts, and the server forgets", &left, &right).await;
    Ok(conversation)
}

async fn wait_for_request(actor: &mut Actor) -> Result<Request, Trouble> {
    if let Reply::Requests(requests) = actor.intent(Intent::Requests).await?
        && let Some(request) = requests.into_iter().next()
    {
        return Ok(request);
    }
    actor
        .until("a request", |event| match event {
            Event::Request(request) => Some(request.clone()),
            _ => None,
        })
        .await
}

/// The last message of a conversation, as it stands on this device.
async fn shown(actor: &mut Actor, conversation: ConversationId) -> Result<Vec<Line>, Trouble> {
    let reply = actor.intent(Intent::Messages { conversation, before: None, limit: 1 }).await?;
    let messages = expect(match reply {
        Reply::Messages(messages) => Some(messages),
        _ => None,
    })?;
    Ok(messages.iter().map(|message| vec![text("  "), styled(Style::Bold, format!("“{}”", message.text))]).collect())
}

async fn talk(
    theatre: &mut Theatre,
    sam: (&mut Actor, ConversationId),
    maya: (&mut Actor, ConversationId),
) -> Result<(), Trouble> {
    let mut left = Vec::new();
    for (by_sam, words) in CHAT {
        let (writer, reader) = if by_sam { (&mut *sam.0, &mut *maya.0) } else { (&mut *maya.0, &mut *sam.0) };
        let conversation = if by_sam { sam.1 } else { maya.1 };
        writer.write(Target::Conversation(conversation), words).await?;
        let (_, message) = reader.reads(words).await?;
        left.push(says(writer, &message.text));
        left.push(vec![]);
    }
    theatre.until("empty mailboxes", |theatre| Ok(theatre.waiting()? == 0)).await.map_err(Trouble::failure)?;
    left.push(vec![styled(Style::Dim, "Sam reads on Bell, Maya on Den; neither learns what the other signs in with. Sends come over sockets that nobody is signed in on: nothing that is stored tells which of the two wrote.")]);
    let mut right = theatre.changes().map_err(Trouble::failure)?;
    right.push(vec![]);
    right.extend(theatre.newest_waiting(4).map_err(Trouble::failure)?);
    right.push(vec![]);
    let words: Vec<&str> = CHAT.iter().map(|(_, words)| *words).collect();
    right.push(theatre.search("every line of this", &words).map_err(Trouble::failure)?);
    theatre.card("They talk", &left, &right).await;
    Ok(())
}

async fn invited(theatre: &mut Theatre, noor: &mut Actor, maya: &mut Actor) -> Result<(), Trouble> {
    let from = AppId::parse(NOOR.app).map_err(|problem| Trouble::usage(problem.detail))?;
    maya.intent(Intent::SetReach { from, rule: ReachRule::Invite }).await?;
    let reply = maya.intent(Intent::CreateInvite { uses: 1, ttl_s: 7 * 86_400 }).await?;
    let invite = expect(match reply {
        Reply::Invite { text, .. } => Some(text),
        _ => None,
    })?;
    noor.write(Target::Invite(invite.clone()), POSTER).await?;
    let request = wait_for_request(maya).await?;
    let reply = maya.intent(Intent::Accept { request: request.id }).await?;
    let conversation = expect(match reply {
        Reply::Conversation(conversation) => Some(conversation.id),
        _ => None,
    })?;
    maya.write(Target::Conversation(conversation), SOLD).await?;
    noor.reads(SOLD).await?;
    theatre.until("empty mailboxes", |theatre| Ok(theatre.waiting()? == 0)).await.map_err(Trouble::failure)?;
    let short: String = invite.chars().take(28).collect();
    let left = [
        does(maya, "lets people on Porch ask who hold an invite, and makes one for a poster:"),
        vec![styled(Style::Dim, format!("  {short}…"))],
        does(noor, "scans it and asks"),
        says(noor, POSTER),
        does(maya, "accepts"),
        says(maya, SOLD),
        vec![],
        vec![styled(
            Style::Dim,
            "The invite reaches Maya without telling who she is. The server holds a digest of it; it worked once and is gone.",
        )],
    ];
    let mut right = theatre.changes().map_err(Trouble::failure)?;
    right.push(vec![]);
    right.push(theatre.search("the invite, and what was written", &[&invite, POSTER, SOLD]).map_err(Trouble::failure)?);
    theatre.card("Noor, by invite", &left, &right).await;
    Ok(())
}

async fn proof(theatre: &mut Theatre) -> Result<(), Trouble> {
    let mut words: Vec<&str> = CHAT.iter().map(|(_, words)| *words).collect();
    words.extend([FIRST, POSTER, SOLD]);
    let waiting = theatre.waiting().map_err(Trouble::failure)?;
    let left = [
        vec![text("Every file of the server, byte by byte: database, write-ahead log, keys.")],
        vec![],
        vec![styled(
            Style::Dim,
            "What it knows, for how long, and why: parlour audit. What it could learn while it runs, and where the limits are: SECURITY.md.",
        )],
    ];
    let look = |what: &str, texts: &[&str]| theatre.search(what, texts).map_err(Trouble::failure);
    let right = [
        look("all that was written", &words)?,
        look("the passwords", &PASSWORDS)?,
        look("Sam's phone number", &[SAM.handle])?,
        vec![
            styled(if waiting == 0 { Style::Green } else { Style::Yellow }, "  "),
            text(format!("{waiting} messages wait anywhere")),
        ],
    ];
    theatre.card("What is left", &left, &right).await;
    ending(theatre).await;
    Ok(())
}

async fn ending(theatre: &Theatre) {
    let next = [
        ("parlour up", "the same server for you; everything is kept in ./parlour-data"),
        ("parlour client sign-up --help", "an account from the command line"),
        ("parlour client run --json", "a bot: JSON Lines in and out"),
        ("parlour audit --data parlour-data", "what a server stores, and why"),
    ];
    theatre.paragraph(&vec![]).await;
    theatre.paragraph(&vec![styled(Style::Bold, "Next")]).await;
    for (command, what) in next {
        theatre.paragraph(&vec![styled(Style::Green, format!("  {command:<35}")), styled(Style::Dim, what)]).await;
    }
    theatre.paragraph(&vec![]).await;
}

fn does(actor: &Actor, what: &str) -> Line {
    vec![
        styled(actor.role.style, format!("● {}", actor.role.name)),
        styled(Style::Dim, format!(" on {} ", actor.role.app)),
        text(what),
    ]
}

fn says(actor: &Actor, words: &str) -> Line {
    vec![styled(actor.role.style, format!("  {:>4} ┃ ", actor.role.name)), text(words)]
}
