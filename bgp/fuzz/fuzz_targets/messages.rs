//! [`bgp::fuzz::messages`] for libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bgp::fuzz::messages(data));
