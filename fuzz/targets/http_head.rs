//! Request heads of HTTP. See `fanwire_fuzz::http_head`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fanwire_fuzz::http_head(data));
