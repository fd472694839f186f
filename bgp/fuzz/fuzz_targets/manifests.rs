//! [`routelet::fuzz::manifests`] for libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| routelet::fuzz::manifests(data));
