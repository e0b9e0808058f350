//! Was der Server hat, auf Deutsch: seine eigenen Worte sind englisch, die Nummern seiner Arten bleiben gleich.

/// Name, why it is kept, and what erases it before its end.
pub(super) type Kind = [&'static str; 3];

const ACCOUNT: &str = "das Löschen des Kontos";
const USED: &str = "Verbrauchen oder Widerrufen";
const DEVICE: &str = "das Entfernen des Geräts";

/// A kind by its number.
pub(super) fn kind(number: u32) -> Option<Kind> {
    Some(match number {
        1 => ["Konto", "Damit App, Wurzelschlüssel und Alter des Kontos zu finden sind", ACCOUNT],
        2 => ["Glied der Geräteliste", "Andere prüfen Geräte an der ganzen Kette", ACCOUNT],
        3 => ["Eintrag zum Passwort (OPAQUE)", "Zum Anmelden mit einem Passwort, das der Server nie sieht", ACCOUNT],
        4 => ["Regel zur Erreichbarkeit", "Wer das Konto anschreiben darf", ACCOUNT],
        5 => [
            "Prüfwert eines Türschlüssels",
            "Wer angenommen ist, erreicht das Konto ohne Zählung",
            "Entfernen oder Blockieren des Kontakts",
        ],
        6 => ["Einladung", "Erreicht das Konto ohne Adresse", USED],
        7 => [
            "Blockierung (verschlüsselter Prüfwert)",
            "Dem blockierten Konto wird geantwortet, als gäbe es niemanden",
            "Aufheben der Blockierung",
        ],
        8 => [
            "Eintrag im Verzeichnis (verschlüsselter Prüfwert)",
            "Damit das Konto zu seiner Adresse zu finden ist",
            ACCOUNT,
        ],
        10 => [
            "Eintrag für ähnliche Namen (verschlüsselter Prüfwert)",
            "Damit niemand eine Adresse bekommt, die wie eine andere aussieht",
            ACCOUNT,
        ],
        11 => ["Verweis einer Einladung", "Damit das Konto einer Einladung zu finden ist", USED],
        12 => [
            "Gerät",
            "Damit es sich anmelden kann und sein Postfach zu finden ist",
            "das Entfernen des Geräts; 90 Tage ohne Abholen",
        ],
        13 => ["Zähler der Schlüsselpakete", "Damit klar ist, welches das nächste ist", DEVICE],
        14 => ["Schlüsselpaket", "Andere nehmen das Gerät damit in Unterhaltungen auf, während es weg ist", "Vergeben"],
        15 => ["letztes Schlüsselpaket", "Wird vergeben, wenn kein anderes mehr da ist", "Ersetzen"],
        22 => [
            "Anfrage an Fremde (verschlüsselte Prüfwerte)",
            "Wer schon gefragt wurde, zählt nicht als neuer Mensch",
            ACCOUNT,
        ],
        23 => ["Zahl der Anfragen an Fremde", "Das Maß für neue Leute am Tag", ACCOUNT],
        26 => [
            "Stück der Sicherung (von den Geräten des Kontos verschlossen)",
            "Der Wiederherstellungsschlüssel bringt damit Kontakte und Unterhaltungen zurück",
            "die Geräte des Kontos",
        ],
        27 => ["Zahl der Stücke der Sicherung", "Eine Sicherung hat ein Maß", ACCOUNT],
        256 => [
            "wartende Zeile im Postfach (verschlossen)",
            "Zustellung an ein Gerät, das weg ist",
            "die Quittung des Geräts",
        ],
        _ => return None,
    })
}

/// Something that cannot be listed, by the server's name for it: what it is, and why it cannot be listed.
pub(super) fn besides(name: &str) -> Option<[&'static str; 2]> {
    let starts = |with| name.starts_with(with);
    Some(if starts("entries in rooms") {
        [
            "Einträge in Räumen: einer für jedes deiner Geräte in jeder Unterhaltung",
            "Jeder ist für seinen Raum verschlossen, und nichts Gespeichertes sagt, wem er gehört",
        ]
    } else if starts("messages of yours") {
        ["Nachrichten von dir, die auf andere warten, und Änderungen in Räumen", "Sie tragen keinen Absender"]
    } else if starts("that somebody wrote to you") {
        [
            "Dass dir jemand Fremdes geschrieben hat, und dass dich jemand blockiert hat",
            "Verschlüsselte Prüfwerte unter den Zeilen des anderen Kontos",
        ]
    } else if starts("that the mailboxes") {
        [
            "Dass die Postfächer von Geräten, die du entfernt hast, geschlossen sind",
            "Verschlüsselte Prüfwerte, die kein Konto nennen",
        ]
    } else if starts("what is in memory only") {
        [
            "Was nur im Speicher ist: laufende Anmeldungen, offene Verbindungen und woher sie kommen, Grenzen der Häufigkeit",
            "Es wird nicht gespeichert und ist weg, wenn die Verbindung es ist, oder eine Stunde später",
        ]
    } else {
        return None;
    })
}

/// What the server says of a row, or of how long it stays: its sentences and these, with the same gaps.
const SENTENCES: [(&str, &str); 21] = [
    ("{} on {}, with its root key", "{} auf {}, mit dem Wurzelschlüssel"),
    ("signing key {}, last connected on that day", "Signaturschlüssel {}, zuletzt verbunden an diesem Tag"),
    ("number {}", "Nummer {}"),
    ("from {}: ask", "von {}: darf anfragen"),
    ("from {}: invite", "von {}: nur mit Einladung"),
    ("from {}: nobody", "von {}: niemand"),
    ("invite {}, {} uses left", "Einladung {}, noch {}-mal gültig"),
    ("invite {}", "Einladung {}"),
    ("for contacts, number {}", "für Kontakte, Nummer {}"),
    ("for strangers, number {}", "für Fremde, Nummer {}"),
    ("when the others are used up", "wenn die anderen verbraucht sind"),
    ("{} for contacts, {} for strangers", "{} für Kontakte, {} für Fremde"),
    ("{} on that day", "{} an diesem Tag"),
    ("for device {}: message", "für Gerät {}: Nachricht"),
    ("for device {}: pointer to a commit", "für Gerät {}: Verweis auf eine Änderung"),
    ("for device {}: invitation into a room", "für Gerät {}: Einladung in einen Raum"),
    ("for device {}: not readable", "für Gerät {}: nicht lesbar"),
    ("{} after the room was last used", "{} nach der letzten Benutzung des Raums"),
    ("{}, commits {}", "{}, Änderungen {}"),
    ("{}, blocks until they are taken back", "{}, Blockierungen bis sie aufgehoben werden"),
    ("an hour", "eine Stunde"),
];

const UNITS: [(&str, &str); 5] =
    [("minute", "Minute"), ("minutes", "Minuten"), ("hour", "Stunde"), ("hours", "Stunden"), ("days", "Tage")];

/// A number of minutes, hours or days.
fn span(text: &str) -> Option<String> {
    let (count, unit) = text.split_once(' ')?;
    let (_, ours) = UNITS.iter().find(|(theirs, _)| *theirs == unit)?;
    count.bytes().all(|digit| digit.is_ascii_digit()).then(|| format!("{count} {ours}"))
}

/// A sentence of the server's in German, what stands in its gaps as well; one that is not known stays as it is.
pub(super) fn restated(text: &str) -> String {
    let known = SENTENCES.iter().find_map(|(theirs, ours)| gaps(theirs, text).map(|gaps| (ours, gaps)));
    let Some((ours, gaps)) = known else { return span(text).unwrap_or_else(|| text.to_owned()) };
    let mut pieces = ours.split("{}");
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for (gap, piece) in gaps.into_iter().zip(pieces) {
        out.push_str(&restated(gap));
        out.push_str(piece);
    }
    out
}

/// What stands in the gaps of a sentence; nothing where the text is another.
fn gaps<'a>(sentence: &str, text: &'a str) -> Option<Vec<&'a str>> {
    let mut pieces = sentence.split("{}");
    let mut rest = text.strip_prefix(pieces.next()?)?;
    let mut gaps = Vec::new();
    let mut pieces = pieces.peekable();
    while let Some(piece) = pieces.next() {
        let end = if pieces.peek().is_none() { rest.len().checked_sub(piece.len())? } else { rest.find(piece)? };
        let (gap, behind) = rest.split_at_checked(end)?;
        rest = behind.strip_prefix(piece)?;
        gaps.push(gap);
    }
    (rest.is_empty() && gaps.iter().all(|gap| !gap.is_empty())).then_some(gaps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_sentences_are_told_in_german_with_what_stands_in_them() {
        for (theirs, ours) in [
            ("ben.moss on den, with its root key", "ben.moss auf den, mit dem Wurzelschlüssel"),
            ("from porch: invite", "von porch: nur mit Einladung"),
            ("invite 00ff12ab", "Einladung 00ff12ab"),
            ("invite 00ff12ab, 3 uses left", "Einladung 00ff12ab, noch 3-mal gültig"),
            ("30 days after the room was last used", "30 Tage nach der letzten Benutzung des Raums"),
            ("30 days, commits 720 hours", "30 Tage, Änderungen 720 Stunden"),
            ("number ", "number "),
            ("something new, 30 days", "something new, 30 days"),
            ("1 hour", "1 Stunde"),
            ("90 minutes", "90 Minuten"),
            ("", ""),
            ("für die Katz", "für die Katz"),
        ] {
            assert_eq!(restated(theirs), ours);
        }
    }

    #[test]
    fn each_sentence_has_as_many_gaps_in_both_languages() {
        for (theirs, ours) in SENTENCES {
            assert_eq!(theirs.matches("{}").count(), ours.matches("{}").count(), "{theirs}");
            assert_ne!(restated(&theirs.replace("{}", "x")), theirs.replace("{}", "x"), "{theirs}");
        }
    }
}
