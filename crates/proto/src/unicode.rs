//! Normalisation (UAX 15). A browser brings its own, so that nobody downloads the tables.

/// Canonical composition.
pub(crate) fn nfc(text: &str) -> String {
    adapter::normalized(text, adapter::NFC)
}

/// Compatibility composition.
#[cfg(any(test, target_arch = "wasm32"))]
pub(crate) fn nfkc(text: &str) -> String {
    adapter::normalized(text, adapter::NFKC)
}

#[cfg(target_arch = "wasm32")]
mod adapter {
    pub(super) const NFC: &str = "NFC";
    pub(super) const NFKC: &str = "NFKC";

    pub(super) fn normalized(text: &str, form: &str) -> String {
        // Most text is its own normal form, and stays here.
        if text.is_ascii() { text.to_owned() } else { js_sys::JsString::from(text).normalize(form).into() }
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod adapter {
    use unicode_normalization::UnicodeNormalization as _;

    pub(super) const NFC: fn(&str) -> String = |text| text.nfc().collect();
    #[cfg(test)]
    pub(super) const NFKC: fn(&str) -> String = |text| text.nfkc().collect();

    pub(super) fn normalized(text: &str, form: fn(&str) -> String) -> String {
        form(text)
    }
}
