//! Was der Server hat, auf Deutsch: seine eigenen Worte sind englisch, die Nummern seiner Arten bleiben gleich.

/// Name, why it is kept, and what erases it before its end.
pub type Kind = [&'static str; 3];

const ACCOUNT: &str = "das Löschen des Kontos";
const USED: &str = "Verbrauchen oder Widerrufen";
const DEVICE: &str = "das Entfernen des Geräts";

/// A kind by its number.
pub fn kind(number: u32) -> Option<Kind> {
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
pub fn besides(name: &str) -> Option<[&'static str; 2]> {
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
