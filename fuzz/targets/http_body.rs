//! Request bodies of HTTP. See `fanwire_fuzz::http_body`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fanwire_fuzz::http_body(data));
