//! Rows of the table as files, for browsers to run: `www/test/kernels.test.ts`.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use ocelli::Result;
use ocelli::gpu::{Access, Buffer, Dispatch, Features, Gpu, Kernel};
use ocelli::kernels::cases::{Case, FOREIGN, Harness, Holds, POISON};
use serde::Serialize;

use super::{table, tiers};

/// Size limit of the buffers of an exported row.
const MOST: u64 = 2 << 20;

/// Exported rows: the first of every kernel.
#[derive(Debug, Default)]
struct Export {
    seen: HashSet<Kernel>,
    rows: Vec<Row>,
    /// Bytes that the rows' spans refer to.
    bytes: Vec<u8>,
}

#[derive(Debug, Serialize)]
struct Table<'a> {
    /// Words that mark a number that the kernel must not overwrite.
    left: [u32; 2],
    rows: &'a [Row],
}

/// Start and end, in bytes.
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
    /// For each storage binding, true if it is written.
    writes: Vec<bool>,
    params: Span,
    /// For each storage binding: buffer of the row, first byte, number of bytes.
    binds: Vec<[u64; 3]>,
    grid: [u32; 3],
}

#[derive(Debug, Serialize)]
struct Expected {
    buffer: usize,
    holds: Holds,
    /// The largest number, the scale of differences.
    largest: f32,
    words: Span,
}

impl Export {
    /// Exports a row, if it is the first of its kernel and small enough.
    fn take(&mut self, gpu: &Gpu, case: &Case, seed: u64) -> Result<()> {
        if self.seen.contains(&case.kernel) {
            return Ok(());
        }
        let mut harness = Harness::new(gpu, seed);
        case.record(&mut harness)?;
        let dispatches: Vec<&Dispatch> = harness.recording.dispatches().collect();
        let mut buffers: Vec<Buffer> = Vec::new();
        let bound = dispatches.iter().flat_map(|dispatch| &dispatch.buffers).map(|slice| &slice.buffer);
        for buffer in bound.chain(harness.outputs().map(|output| &output.buffer)) {
            if !buffers.iter().any(|known| known.is(buffer)) {
                buffers.push(buffer.clone());
            }
        }
        if buffers.iter().map(Buffer::bytes).sum::<u64>() > MOST {
            return Ok(());
        }
        self.seen.insert(case.kernel.clone());
        let place = |buffer: &Buffer| buffers.iter().position(|known| known.is(buffer)).unwrap_or_default();
        let mut launches = Vec::new();
        for dispatch in dispatches {
            let bindings = dispatch.kernel.bindings()?;
            launches.push(Launch {
                kernel: dispatch.kernel.name().to_owned(),
                source: dispatch.kernel.needs().directives(true) + &dispatch.kernel.source()?,
                writes: bindings.iter().map(|access| *access == Access::ReadWrite).collect(),
                params: self.keep(&dispatch.params),
                binds: dispatch.buffers.iter().map(|s| [place(&s.buffer) as u64, s.offset, s.bytes]).collect(),
                grid: dispatch.grid,
            });
        }
        let outputs = harness.outputs().map(|output| Expected {
            buffer: place(&output.buffer),
            holds: output.holds,
            largest: output.largest(),
            words: self.keep(output.bytes()),
        });
        let outputs = outputs.collect();
        let buffers = buffers.iter().map(|buffer| Ok(self.keep(&contents(gpu, buffer)?))).collect::<Result<_>>()?;
        let (name, uses) = (format!("{case:?}"), case.kernel.needs());
        self.rows.push(Row { name, uses, tolerance: case.tolerance, launches, buffers, outputs });
        Ok(())
    }

    fn keep(&mut self, bytes: &[u8]) -> Span {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        let end = self.bytes.len();
        self.bytes.resize(end.next_multiple_of(4), 0);
        [start, end]
    }

    /// Writes the exported rows.
    fn write(&self, folder: &Path) {
        let table = Table { left: [POISON, FOREIGN].map(f32::to_bits), rows: &self.rows };
        fs::create_dir_all(folder).expect("a folder for the table");
        fs::write(folder.join("table.json"), serde_json::to_vec(&table).expect("rows")).expect("write the table");
        fs::write(folder.join("table.bin"), &self.bytes).expect("write the table's numbers");
        println!("{} rows for browsers, {} bytes", self.rows.len(), self.bytes.len());
    }
}

fn contents(gpu: &Gpu, buffer: &Buffer) -> Result<Vec<u8>> {
    let words: Vec<u32> = pollster::block_on(gpu.read_as(&buffer.all()))?;
    Ok(bytemuck::cast_slice(&words).to_vec())
}

/// A device with every feature writes all tiers, for browsers that have them.
#[test]
fn the_table_for_browsers_is_written() {
    let gpu = pollster::block_on(Gpu::open()).expect("a device");
    if tiers::features(&gpu) != tiers::ALL || std::env::var_os("OCELLI_KERNEL").is_some() {
        return;
    }
    let mut export = Export::default();
    for case in table::GROUPS.iter().flat_map(|(_, rows)| rows()) {
        let seed = export.rows.len() as u64 + 1;
        export.take(&gpu, &case, seed).expect("a row");
    }
    assert!(export.rows.len() > 500, "{} rows", export.rows.len());
    export.write(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("kernel-table"));
}
