//! [`agent::fuzz::objects`] for libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| agent::fuzz::objects(data));
