//! Any directory of journal segments. See `fanwire_fuzz::journal_recovery`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fanwire_fuzz::journal_recovery(data));
