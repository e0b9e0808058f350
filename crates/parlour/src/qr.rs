//! QR codes in a terminal: two modules per character, dark on light whatever the terminal's colours.

use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};

/// The code as lines of half blocks; `None` when the text does not fit into a QR code.
pub(crate) fn lines(text: &str) -> Option<Vec<String>> {
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
