//! [`routelet::fuzz::objects`] for libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| routelet::fuzz::objects(data));
