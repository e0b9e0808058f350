//! QR codes in a terminal: two modules per character.

use crate::out::Out;
use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};

/// White on black: with colours, the code is right whatever the terminal's own are; without, it fits dark terminals.
const WHITE_ON_BLACK: &str = "\x1b[97;40m";

/// Shows a text as a QR code, unless it is too long for one.
pub(crate) fn show(out: Out, text: &str) {
    for line in lines(text).into_iter().flatten() {
        out.line(if out.colour { format!("    {WHITE_ON_BLACK}{line}\x1b[0m") } else { format!("    {line}") });
    }
}

/// The code as lines of half blocks; `None` when the text does not fit into a QR code.
fn lines(text: &str) -> Option<Vec<String>> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    let picture = code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build();
    Some(picture.lines().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    #[test]
    fn sixty_digits_fit_a_small_square() {
        let lines = super::lines(&"1234567890".repeat(6)).unwrap();
        assert!(lines.len() <= 17, "{}", lines.len());
        assert!(lines.iter().all(|line| line.chars().count() == lines[0].chars().count()));
    }
}
