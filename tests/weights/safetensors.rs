//! The header reader against the `safetensors` crate.

use std::ops::Range;

use ocelli::Result;
use ocelli::import::safetensors::open_file;
use ocelli::import::tensors::{ElementType, TensorFile};
use ocelli::package::source::ByteSource;
use safetensors::SafeTensors;

use super::common::{XorShift, checkpoint, mutate};
use crate::common::MemorySource;

fn open(bytes: &[u8]) -> Result<TensorFile<MemorySource>> {
    pollster::block_on(open_file(MemorySource::new("weights", bytes)))
}

/// A small file of several number formats.
fn small_file() -> Vec<u8> {
    let header = r#"{"__metadata__":{"format":"pt"},"a":{"dtype":"BF16","shape":[3,4],"data_offsets":[0,24]},
        "b":{"dtype":"F32","shape":[2],"data_offsets":[24,32]},"c":{"dtype":"F16","shape":[],"data_offsets":[32,34]},
        "d":{"dtype":"I64","shape":[0,5],"data_offsets":[34,34]},"e":{"dtype":"F4","shape":[4],"data_offsets":[34,36]}}"#;
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &[7; 36]].concat()
}

/// Asserts that both readers see the same file if both accept it; returns the two verdicts.
fn compare(bytes: &[u8]) -> (bool, bool) {
    let (own, crates) = (open(bytes), SafeTensors::deserialize(bytes));
    if let (Ok(own), Ok(crates)) = (&own, &crates) {
        assert_eq!(own.tensors.len(), crates.len());
        for (name, view) in crates.iter() {
            let info = &own.tensors[name];
            assert_eq!((info.kind, &info.shape[..]), (ElementType::Plain(view.dtype()), view.shape()));
            assert_eq!(&bytes[info.range.start as usize..info.range.end as usize], view.data());
        }
    }
    (own.is_ok(), crates.is_ok())
}

#[test]
fn real_files_read_alike() {
    assert_eq!(compare(&small_file()), (true, true));
    for name in ["untied", "text_long", "fp8"] {
        assert_eq!(compare(&checkpoint(name).0["model.safetensors"]), (true, true), "{name}");
    }
}

#[test]
fn mutated_headers_never_panic_and_are_judged_alike() {
    let valid = small_file();
    let header_len = u64::from_le_bytes(valid[..8].try_into().expect("8 bytes")) as usize;
    let mut random = XorShift(0xD1B5_4A32_D192_ED03);
    let (mut accepted, mut stricter) = (0, 0);
    for case in 0..5000 {
        let mut header = valid[8..8 + header_len].to_vec();
        mutate(&mut header, &mut random);
        // Every tenth file keeps the old length in its header.
        let len = if case % 10 == 0 { header_len } else { header.len() } as u64;
        let bytes = [&len.to_le_bytes(), header.as_slice(), &valid[8 + header_len..]].concat();
        match compare(&bytes) {
            (true, true) => accepted += 1,
            // The crate takes the last of two tensors of one name.
            (false, true) => {
                stricter += 1;
                let error = open(&bytes).expect_err("refused");
                assert!(error.to_string().contains("twice"), "{error}");
            }
            // The crate requires strings in the metadata, which our reader ignores.
            (true, false) => {
                let text = String::from_utf8_lossy(&header).into_owned();
                assert!(text.contains("__metadata__"), "{text}");
            }
            (false, false) => {}
        }
    }
    assert!(accepted > 50, "only {accepted} mutations left a file intact");
    assert!(stricter < 50, "{stricter}");
}

#[test]
fn mutated_files_never_panic() {
    let mut random = XorShift(0xA076_1D64_78BD_642F);
    for _ in 0..5000 {
        let mut bytes = small_file();
        mutate(&mut bytes, &mut random);
        let _ = open(&bytes);
    }
}

/// A file of any claimed length, such as a server may report.
struct Boundless {
    header_len: u64,
}

impl ByteSource for Boundless {
    fn name(&self) -> &str {
        "boundless"
    }

    async fn len(&self) -> Result<u64> {
        Ok(u64::MAX)
    }

    async fn read(&self, range: Range<u64>) -> Result<Vec<u8>> {
        assert_eq!(range, 0..8, "nothing more is asked for");
        Ok(self.header_len.to_le_bytes().to_vec())
    }
}

#[test]
fn no_header_is_long_enough_to_exhaust_memory() {
    for header_len in [100_000_001, 1 << 33, u64::MAX - 8, u64::MAX] {
        let error = pollster::block_on(open_file(Boundless { header_len })).err().expect("a refusal");
        assert!(error.to_string().contains(&header_len.to_string()), "{error}");
    }
}
