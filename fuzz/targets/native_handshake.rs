//! A connection's first bytes. See `fanwire_fuzz::native_handshake`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fanwire_fuzz::native_handshake(data));
