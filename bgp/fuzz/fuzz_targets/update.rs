//! [`bgp::fuzz::update`] for libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bgp::fuzz::update(data));
