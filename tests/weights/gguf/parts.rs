//! A GGUF file, parsed and written again: a second implementation of the format.

/// A tensor of a file.
#[derive(Clone)]
pub(crate) struct Tensor {
    pub(crate) name: String,
    /// Fastest first.
    pub(crate) dims: Vec<u64>,
    pub(crate) kind: u32,
    pub(crate) data: Vec<u8>,
    /// Offset in the header, if it is not the real one.
    pub(crate) offset: Option<u64>,
}

/// A whole file.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) version: u32,
    pub(crate) alignment: usize,
    /// Key, type of the value, its bytes.
    pub(crate) pairs: Vec<(String, u32, Vec<u8>)>,
    pub(crate) tensors: Vec<Tensor>,
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(count);
        self.0 = rest;
        bytes
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take(4).try_into().expect("4 bytes"))
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take(8).try_into().expect("8 bytes"))
    }

    fn text(&mut self) -> String {
        let len = self.u64() as usize;
        String::from_utf8(self.take(len).to_vec()).expect("UTF-8")
    }

    /// Skips a value.
    fn value(&mut self, kind: u32) {
        match kind {
            0 | 1 | 7 => drop(self.take(1)),
            2 | 3 => drop(self.take(2)),
            4..=6 => drop(self.take(4)),
            8 => drop(self.text()),
            9 => {
                let (kind, count) = (self.u32(), self.u64());
                (0..count).for_each(|_| self.value(kind));
            }
            _ => drop(self.take(8)),
        }
    }
}

/// Bytes of a block and elements in it, by ggml's number.
fn block(kind: u32) -> (u64, u64) {
    match kind {
        0 => (4, 1),
        1 | 30 => (2, 1),
        2 => (18, 32),
        8 => (34, 32),
        12 => (144, 256),
        13 => (176, 256),
        14 => (210, 256),
        other => panic!("type {other}"),
    }
}

/// A string in the encoding of the format.
pub(crate) fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

impl Parts {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut reader = Reader(bytes);
        assert_eq!(reader.take(4), b"GGUF");
        let version = reader.u32();
        let (tensors, pairs) = (reader.u64(), reader.u64());
        let pair = |reader: &mut Reader<'_>| {
            let (key, kind) = (reader.text(), reader.u32());
            let before = reader.0;
            reader.value(kind);
            (key, kind, before[..before.len() - reader.0.len()].to_vec())
        };
        let pairs = (0..pairs).map(|_| pair(&mut reader)).collect();
        let entry = |reader: &mut Reader<'_>| {
            let name = reader.text();
            let dims: Vec<u64> = (0..reader.u32()).map(|_| reader.u64()).collect();
            (name, dims, reader.u32(), reader.u64())
        };
        let entries: Vec<_> = (0..tensors).map(|_| entry(&mut reader)).collect();
        let data = (bytes.len() - reader.0.len()).next_multiple_of(32);
        let tensor = |(name, dims, kind, offset): (String, Vec<u64>, u32, u64)| {
            let (bytes_of_block, elements) = block(kind);
            let len = dims.iter().product::<u64>() / elements * bytes_of_block;
            let start = data + offset as usize;
            Tensor { name, dims, kind, data: bytes[start..start + len as usize].to_vec(), offset: None }
        };
        Self { version, alignment: 32, pairs, tensors: entries.into_iter().map(tensor).collect() }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut head = b"GGUF".to_vec();
        head.extend(self.version.to_le_bytes());
        head.extend((self.tensors.len() as u64).to_le_bytes());
        head.extend((self.pairs.len() as u64).to_le_bytes());
        for (key, kind, value) in &self.pairs {
            head.extend([text(key), kind.to_le_bytes().to_vec(), value.clone()].concat());
        }
        let mut data = Vec::new();
        for tensor in &self.tensors {
            head.extend(text(&tensor.name));
            head.extend((tensor.dims.len() as u32).to_le_bytes());
            head.extend(tensor.dims.iter().flat_map(|size| size.to_le_bytes()));
            head.extend(tensor.kind.to_le_bytes());
            head.extend(tensor.offset.unwrap_or(data.len() as u64).to_le_bytes());
            data.extend(&tensor.data);
            data.resize(data.len().next_multiple_of(self.alignment), 0);
        }
        head.resize(head.len().next_multiple_of(self.alignment), 0);
        [head, data].concat()
    }

    pub(crate) fn tensor(&mut self, name: &str) -> &mut Tensor {
        self.tensors.iter_mut().find(|tensor| tensor.name == name).expect(name)
    }

    /// Puts a value in place of a key's, or adds it.
    pub(crate) fn set(&mut self, key: &str, kind: u32, value: Vec<u8>) {
        self.remove(key);
        self.pairs.push((key.into(), kind, value));
    }

    pub(crate) fn set_u32(&mut self, key: &str, value: u32) {
        self.set(key, 4, value.to_le_bytes().to_vec());
    }

    pub(crate) fn set_f32(&mut self, key: &str, value: f32) {
        self.set(key, 6, value.to_le_bytes().to_vec());
    }

    pub(crate) fn set_text(&mut self, key: &str, value: &str) {
        self.set(key, 8, text(value));
    }

    pub(crate) fn remove(&mut self, key: &str) {
        self.pairs.retain(|(other, ..)| other != key);
    }

    /// Renames a key.
    pub(crate) fn rename(&mut self, key: &str, new: &str) {
        let pair = self.pairs.iter_mut().find(|(other, ..)| other == key).expect(key);
        pair.0 = new.into();
    }
}
