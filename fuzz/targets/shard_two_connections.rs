//! A whole shard, fed by two connections. See `fanwire_fuzz::shard_two_connections`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fanwire_fuzz::shard_two_connections(data));
