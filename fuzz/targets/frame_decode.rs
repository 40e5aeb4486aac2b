//! Any bytes as one frame. See `fanwire_fuzz::frame_decode`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fanwire_fuzz::frame_decode(data));
