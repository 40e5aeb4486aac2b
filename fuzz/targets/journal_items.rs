//! Any bytes as an item of a journal. See `fanwire_fuzz::journal_items`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fanwire_fuzz::journal_items(data));
