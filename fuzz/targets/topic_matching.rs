//! The filter tree against asking every filter. See `fanwire_fuzz::topic_matching`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fanwire_fuzz::topic_matching(data));
