//! Rows of the table as files, for browsers to run: `www/test/kernels.test.ts`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use ocelli::Result;
use ocelli::gpu::{Access, Buffer, Dispatch, Features, Gpu};
use serde::Serialize;

use crate::bench::{Bench, FOREIGN, POISON};
use crate::case::Case;

/// Most bytes of the buffers of a row that is written.
const MOST: u64 = 2 << 20;

/// Rows that stand for all: of every text of a kernel the first.
#[derive(Debug, Default)]
pub(crate) struct Export {
    seen: BTreeSet<Vec<String>>,
    rows: Vec<Row>,
    /// What the rows' spans are of.
    bytes: Vec<u8>,
}

#[derive(Debug, Serialize)]
struct Table<'a> {
    /// Words that say that a number is to be left as it is.
    left: [u32; 2],
    rows: &'a [Row],
}

/// From where to where, in bytes.
type Span = [usize; 2];

#[derive(Debug, Serialize)]
struct Row {
    name: String,
    uses: Features,
    tolerance: f64,
    launches: Vec<Launch>,
    buffers: Vec<Span>,
    outputs: Vec<Expected>,
}

#[derive(Debug, Serialize)]
struct Launch {
    kernel: String,
    source: String,
    /// Whether each storage binding is written.
    writes: Vec<bool>,
    params: Span,
    /// For each storage binding a buffer of the row, the first byte and their number.
    binds: Vec<[u64; 3]>,
    grid: [u32; 3],
}

#[derive(Debug, Serialize)]
struct Expected {
    buffer: usize,
    holds: &'static str,
    /// The largest number, which differences are told relative to.
    largest: f32,
    words: Span,
}

impl Export {
    /// Takes a row whose inputs are on the GPU and that has not been run, if it is one to write.
    pub(crate) fn take(&mut self, case: &Case, bench: &Bench<'_>) -> Result<()> {
        let dispatches: Vec<&Dispatch> = bench.recording.dispatches().collect();
        let texts = dispatches.iter().map(|dispatch| source(dispatch)).collect();
        let mut buffers: Vec<Buffer> = Vec::new();
        let bound = dispatches.iter().flat_map(|dispatch| &dispatch.buffers).map(|slice| &slice.buffer);
        for buffer in bound.chain(bench.outputs().map(|output| output.buffer())) {
            if !buffers.iter().any(|known| known.is(buffer)) {
                buffers.push(buffer.clone());
            }
        }
        let copies = bench.recording.commands().len() - dispatches.len();
        if copies > 0 || buffers.iter().map(Buffer::bytes).sum::<u64>() > MOST || !self.seen.insert(texts) {
            return Ok(());
        }
        let place = |buffer: &Buffer| buffers.iter().position(|known| known.is(buffer)).unwrap_or_default();
        let launches = dispatches.iter().map(|dispatch| Launch {
            kernel: dispatch.kernel.name().to_string(),
            source: source(dispatch),
            writes: dispatch
                .kernel
                .bindings()
                .expect("bindings")
                .iter()
                .map(|access| *access == Access::ReadWrite)
                .collect(),
            params: self.keep(&dispatch.params),
            binds: dispatch.buffers.iter().map(|s| [place(&s.buffer) as u64, s.offset, s.bytes]).collect(),
            grid: dispatch.grid,
        });
        let launches = launches.collect();
        let outputs = bench.outputs().map(|output| Expected {
            buffer: place(output.buffer()),
            holds: output.holds(),
            largest: output.largest(),
            words: self.keep(output.words()),
        });
        let outputs = outputs.collect();
        let buffers = buffers.iter().map(|buffer| Ok(self.keep(&contents(bench.gpu, buffer)?)));
        let buffers = buffers.collect::<Result<_>>()?;
        let name = format!("{} {}", case.kernel, case.sizes);
        self.rows.push(Row { name, uses: case.uses, tolerance: case.tolerance, launches, buffers, outputs });
        Ok(())
    }

    fn keep(&mut self, bytes: &[u8]) -> Span {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        let end = self.bytes.len();
        self.bytes.resize(end.next_multiple_of(4), 0);
        [start, end]
    }

    /// Writes what was taken.
    ///
    /// # Panics
    /// If it cannot be written.
    pub(crate) fn write(&self, folder: &Path) {
        let table = Table { left: [POISON, FOREIGN].map(f32::to_bits), rows: &self.rows };
        fs::create_dir_all(folder).expect("a folder for the table");
        fs::write(folder.join("table.json"), serde_json::to_vec(&table).expect("rows")).expect("write the table");
        fs::write(folder.join("table.bin"), &self.bytes).expect("write the table's numbers");
        println!("{} rows for browsers, {} bytes", self.rows.len(), self.bytes.len());
    }
}

/// The shader as a browser takes it.
fn source(dispatch: &Dispatch) -> String {
    dispatch.kernel.needs().directives(true) + &dispatch.kernel.source().expect("WGSL")
}

fn contents(gpu: &Gpu, buffer: &Buffer) -> Result<Vec<u8>> {
    let words: Vec<u32> = pollster::block_on(gpu.read_as(&buffer.all()))?;
    Ok(bytemuck::cast_slice(&words).to_vec())
}
