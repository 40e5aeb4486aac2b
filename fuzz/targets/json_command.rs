//! Any text as a client's JSON. See `fanwire_fuzz::json_command`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fanwire_fuzz::json_command(data));
