//! Any stream under any chunking. See `fanwire_fuzz::inbox_chunking`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fanwire_fuzz::inbox_chunking(data));
