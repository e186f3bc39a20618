#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| drop(ocelli_fuzz::extent(bytes)));
