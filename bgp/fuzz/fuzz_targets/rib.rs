//! [`rib::fuzz::operations`] for libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rib::fuzz::operations(data));
