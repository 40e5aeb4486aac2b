//! Any stream of a WebSocket client under any chunking. See `fanwire_fuzz::websocket_reader`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fanwire_fuzz::websocket_reader(data));
