//! Cache lines that products of many rows and attention read, measured on a device: the shaders are instrumented to log every index of a
//! read. Neighbouring threads are assumed to read at the same time.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;

use ocelli::config::KvPrecision;
use ocelli::gpu::{Allocator, Dispatch, Faults, Gpu, GpuOptions, Purpose, Recording, Slice};
use ocelli::kernels::attention::{self, Attention, Heads, KeysValues, Shape, Source};
use ocelli::kernels::attention_step::{self, AttentionStep};
use ocelli::kernels::cache::{Cache, PAGE, rope_table_at};
use ocelli::kernels::matmul::{self, Tuning};
use ocelli::kernels::{Linear, Scoring};
use ocelli::layout::{LaneLayout, Layout, MatrixShape};
use ocelli::weights::{RowShard, Weight};

/// Bytes of a cache line.
const LINE: u64 = 64;
/// Threads that read at the same time.
const LANES: usize = 32;
/// Most logged reads of all threads for each place in the text.
const READS: usize = 1 << 19;
/// Most lines touched for each needed line.
pub(super) const MOST: f64 = 1.2;
/// The limit for scales of scales: their rows are not whole lines, and the last load repeats an entry (docs/performance.md).
const MOST_OF_FEW: f64 = 1.7;
/// Sizes of the measured products: rows and columns of any tile, inputs of Ministral 3 3B.
const ROWS: usize = 128;
const COLUMNS: usize = 512;
pub(super) const INPUTS: usize = 3072;
/// Inputs and outputs of the products of a layer of Ministral 3 3B.
const LAYER: [(usize, usize); 4] = [(3072, 6144), (4096, 3072), (3072, 18432), (9216, 3072)];
/// Layouts that together have every kind of plane.
pub(super) const LAYOUTS: [Layout; 5] = [Layout::F16, Layout::Q8_0, Layout::Q6K, Layout::Q4K, Layout::Q4_0];
/// Rows of a chunk of a prompt.
const CHUNK: usize = 256;

/// A shader that logs its reads in an additional last buffer.
struct Watched {
    text: String,
    /// Buffer name and element size of every read in the text.
    places: Vec<(String, u64)>,
}

impl Watched {
    /// Instruments a shader for `threads` threads of a workgroup.
    fn new(source: &str, threads: usize) -> Self {
        // Multiplications read no buffer and take long to compile.
        let multiplies = |line: &&str| line.trim_start().starts_with("acc") && line.contains("= ");
        let source = &source.lines().filter(|line| !multiplies(line)).collect::<Vec<_>>().join("\n");
        let module = naga::front::wgsl::parse_str(source).expect("valid WGSL");
        let of_buffer = |variable: &naga::GlobalVariable| match module.types[variable.ty].inner {
            naga::TypeInner::Array { stride, .. } => Some((variable.name.clone()?, u64::from(stride))),
            _ => None,
        };
        let is_read = |space| matches!(space, naga::AddressSpace::Storage { .. });
        let read = module.global_variables.iter().filter(|(_, variable)| is_read(variable.space));
        let buffers: BTreeMap<String, u64> = read.filter_map(|(_, variable)| of_buffer(variable)).collect();
        let mut places = Vec::new();
        let body = watched(source, &buffers, &mut places);
        let thread = body.split_once("@builtin(local_invocation_index) ").expect("a thread's number").1;
        let thread = thread.split(':').next().expect("a name");
        let (binding, count, reads) = (source.matches("var<storage").count() + 1, places.len(), READS / threads);
        let own = format!(
            "@group(0) @binding({binding}) var<storage, read_write> log_of_reads: array<u32>;\n\
             var<private> watcher: u32;\nvar<private> reads: array<u32, {count}>;\n\
             fn watch(place: u32, index: u32) -> u32 {{\n  if reads[place] < {reads}u {{\n    \
             log_of_reads[(watcher * {count}u + place) * {reads}u + reads[place]] = index + 1u;\n  }}\n  \
             reads[place]++;\n  return index;\n}}\n"
        );
        let (before, main) = body.split_once("fn main(").expect("an entry point");
        let (head, rest) = main.split_once("{\n").expect("a body");
        Self { text: format!("{before}fn main({head}{{\n  watcher = {thread};\n{rest}{own}"), places }
    }
}

/// The text with `watch` around every index of a buffer read.
fn watched(text: &str, buffers: &BTreeMap<String, u64>, places: &mut Vec<(String, u64)>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(open) = rest.find('[') {
        let (before, from) = rest.split_at(open);
        out += before;
        let name = before.rsplit(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
        let mut depth = 0;
        let close = from.find(|c| {
            depth += i32::from(c == '[') - i32::from(c == ']');
            depth == 0
        });
        let close = close.expect("a bracket that closes");
        let is_written = from[close + 1..].trim_start().starts_with("= ");
        match buffers.get(name) {
            Some(&bytes) if !is_written => {
                places.push((name.to_owned(), bytes));
                let place = places.len() - 1;
                let index = watched(&from[1..close], buffers, places);
                write!(out, "[watch({place}u, {index})").expect("text");
            }
            _ => write!(out, "[{}", watched(&from[1..close], buffers, places)).expect("text"),
        }
        rest = &from[close..];
        out.push(']');
        rest = &rest[1..];
    }
    out + rest
}

/// Replaces the device's shaders by ones that log the reads of some threads of a workgroup.
#[derive(Debug)]
struct Watching(usize);

impl Faults for Watching {
    fn lose_at_submission(&self) -> bool {
        false
    }

    fn lose_at_write(&self) -> bool {
        false
    }

    fn leave_out_launches(&self) -> bool {
        false
    }

    fn refuse_to_open(&self) -> bool {
        false
    }

    fn source(&self, _: &str, source: String) -> String {
        Watched::new(&source, self.0).text
    }
}

/// Reads of a buffer by a workgroup.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Reads {
    /// Bytes of the elements read.
    bytes: u64,
    /// Lines touched by the reads, and lines needed for their bytes.
    touched: u64,
    needed: u64,
}

impl Reads {
    /// Lines touched for each needed line.
    pub(super) fn lines(self) -> f64 {
        if self.needed == 0 { 0.0 } else { self.touched as f64 / self.needed as f64 }
    }
}

/// Runs the first workgroup of a launch, of `threads` threads, and returns its reads of each buffer.
pub(super) fn reads(threads: usize, launch: impl FnOnce(&Gpu) -> Dispatch) -> BTreeMap<String, Reads> {
    let options = GpuOptions { faults: Some(Arc::new(Watching(threads))), ..GpuOptions::default() };
    let gpu = pollster::block_on(Gpu::open_with(options)).expect("a device");
    let mut dispatch = launch(&gpu);
    let watched = Watched::new(&dispatch.kernel.source().expect("WGSL"), threads);
    let log = gpu.alloc("log", Purpose::Activations, 4 * (watched.places.len() * READS) as u64).expect("memory");
    dispatch.grid = [1, 1, 1];
    dispatch.buffers.push(log.all());
    let mut recording = Recording::new();
    recording.dispatch(dispatch).expect("a launch");
    gpu.run("watched", &recording).expect("a run");
    let log: Vec<u32> = pollster::block_on(gpu.read_as(&log.all())).expect("the log");
    let mut elements: BTreeMap<&str, BTreeSet<u32>> = BTreeMap::new();
    let mut found: BTreeMap<String, Reads> = BTreeMap::new();
    for (place, (name, bytes)) in watched.places.iter().enumerate() {
        for lanes in (0..threads).collect::<Vec<_>>().chunks(LANES) {
            for turn in 0..READS / threads {
                let of_lane = |&thread: &usize| log[(thread * watched.places.len() + place) * (READS / threads) + turn];
                let indices: BTreeSet<u32> =
                    lanes.iter().map(of_lane).filter_map(|index| index.checked_sub(1)).collect();
                if indices.is_empty() {
                    break;
                }
                assert!(turn + 1 < READS / threads, "{name} is read more often than is taken down");
                let lines: BTreeSet<u64> = indices.iter().map(|&index| u64::from(index) * bytes / LINE).collect();
                let reads = found.entry(name.clone()).or_default();
                reads.touched += lines.len() as u64;
                reads.needed += (indices.len() as u64 * bytes).div_ceil(LINE);
                elements.entry(name).or_default().extend(indices);
            }
        }
    }
    for (name, bytes) in &watched.places {
        let read = elements.get(name.as_str()).map_or(0, BTreeSet::len);
        found.entry(name.clone()).or_default().bytes = read as u64 * bytes;
    }
    found
}

pub(super) fn zeros(gpu: &Gpu, bytes: u64) -> Slice {
    gpu.alloc("zeros", Purpose::Activations, bytes).expect("memory").all()
}

/// A product of zeros.
fn product(gpu: &Gpu, layout: Layout, tuning: Tuning) -> Dispatch {
    let zeros = |bytes| zeros(gpu, bytes);
    let shape = MatrixShape { rows: COLUMNS, cols: INPUTS };
    let planes = layout.matrix_planes(shape).expect("planes").iter().map(|plane| zeros(plane.bytes)).collect();
    let part = RowShard { first_row: 0, rows: COLUMNS, planes };
    let weight = Weight { layout, shape, parts: vec![part] };
    let (x, y) = (zeros(4 * (ROWS * INPUTS) as u64), zeros(4 * (ROWS * COLUMNS) as u64));
    let linear = Linear {
        x: &x,
        m: ROWS,
        weight: &weight,
        bias: None,
        y: &y,
        y_stride: COLUMNS,
        y_offset: 0,
        accumulate: false,
    };
    let mut recording = Recording::new();
    matmul::record(&mut recording, tuning, &linear).expect("a product");
    recording.dispatches().next().expect("a launch").clone()
}

/// Rows of heads for two pages of tokens.
fn heads(gpu: &Gpu, heads: usize, head_dim: usize) -> Heads {
    let stride = heads * head_dim;
    Heads { buffer: zeros(gpu, 4 * (2 * PAGE * stride) as u64), stride, offset: 0 }
}

/// A cache of two pages.
pub(super) fn cache(gpu: &Gpu, kv_heads: usize, head_dim: usize, precision: KvPrecision) -> Cache {
    let plane = |bytes: u64| zeros(gpu, (2 * PAGE * kv_heads) as u64 * bytes);
    Cache { precision, planes: precision.head_bytes(head_dim).into_iter().map(plane).collect() }
}

/// An attention over zeros: of a prompt after a page, with a cache of 8 heads that four query heads share each, or of a picture with 16
/// heads.
fn attention(gpu: &Gpu, head_dim: usize, source: Source, tuning: attention::Tuning) -> Dispatch {
    let rows = |count| heads(gpu, count, head_dim);
    let (q_heads, kv_heads, causal_past) = match source {
        Source::Rows(_) => (16, 16, None),
        Source::Cache(_) => (32, 8, Some(PAGE)),
    };
    let (q, k, v, step) = (rows(q_heads), rows(kv_heads), rows(kv_heads), zeros(gpu, 4 * rope_table_at(2) as u64));
    let cache = &cache(gpu, kv_heads, head_dim, source.precision());
    let kv = match source {
        Source::Rows(precision) => KeysValues::Rows { k: &k, v: &v, precision },
        Source::Cache(_) => KeysValues::Cache { cache, step: &step },
    };
    let shape = Shape { q_tokens: PAGE, kv_tokens: 2 * PAGE, q_heads, kv_heads, head_dim, causal_past };
    let (mut recording, scoring) = (Recording::new(), Scoring::of_heads(head_dim));
    let out = &rows(q_heads).buffer;
    attention::record(&mut recording, &Attention { q: &q, gates: None, kv, out, shape, scoring, tuning })
        .expect("an attention");
    recording.dispatches().next().expect("a launch").clone()
}

/// An attention of a step after nearly two pages.
fn step(gpu: &Gpu, head_dim: usize, precision: KvPrecision, tuning: attention_step::Tuning) -> Dispatch {
    let (q_heads, kv_heads, words) = (32, 8, rope_table_at(2));
    let (q, out) = (heads(gpu, q_heads, head_dim), heads(gpu, q_heads, head_dim).buffer);
    let step = gpu.alloc("step", Purpose::Activations, 4 * words as u64).expect("memory");
    let mut numbers = vec![0; words];
    numbers[1] = 2 * PAGE as u32 - 1;
    gpu.write(&step, 0, bytemuck::cast_slice(&numbers)).expect("a write");
    let cache = &cache(gpu, kv_heads, head_dim, precision);
    let (step, partials) = (&step.all(), &out.clone());
    let attention = AttentionStep {
        q: &q,
        q_layout: attention_step::query_layout(head_dim, precision, q_heads / kv_heads, tuning),
        gates: None,
        cache,
        step,
        m: 1,
        scoring: Scoring::of_heads(head_dim),
        apart: false,
        q_heads,
        kv_heads,
        head_dim,
        splits: 1,
        out: &out,
        lane_layout: LaneLayout::NATURAL,
        partials,
        tuning,
    };
    let mut recording = Recording::new();
    attention_step::record(&mut recording, &attention).expect("an attention");
    recording.dispatches().next().expect("a launch").clone()
}

/// Bytes that all workgroups of a layer's products read, if each reads `bytes` for `INPUTS` inputs.
fn of_layer(tuning: Tuning, bytes: u64) -> u64 {
    let of_product = |(inputs, outputs): (usize, usize)| {
        let workgroups = CHUNK.div_ceil(tuning.tile_rows()) * outputs.div_ceil(tuning.tile_columns());
        (workgroups * inputs) as u64 * bytes / INPUTS as u64
    };
    LAYER.into_iter().map(of_product).sum()
}

#[test]
fn neighbours_read_whole_lines_and_workgroups_share_few() {
    let mut table = format!(
        "a layer of Ministral 3 3B, {CHUNK} rows: MB that its workgroups read; lines touched for each that is needed\n"
    );
    let tilings = [Tuning::REGISTERS, Tuning::SMALL_TILE, Tuning::NARROW_TILE, Tuning::TILE, Tuning::LARGE_TILE];
    for layout in LAYOUTS {
        let mut before = 0;
        for tuning in tilings {
            let found = reads(tuning.threads, |gpu| product(gpu, layout, tuning));
            let read: Vec<_> = found.iter().filter(|(_, reads)| reads.bytes > 0).collect();
            let all = of_layer(tuning, read.iter().map(|(_, reads)| reads.bytes).sum());
            before = if tuning == Tuning::REGISTERS { all } else { before };
            let name = format!("{layout} {}x{}", tuning.tile_rows(), tuning.tile_columns());
            write!(table, "{name:<16} {:>8.1}, {:>4.2} x less:", all as f64 / 1e6, before as f64 / all as f64)
                .expect("text");
            for (buffer, reads) in read {
                let lines = reads.lines();
                write!(table, " {buffer} {lines:.2}").expect("text");
                let most = if buffer == "w_super_scales" { MOST_OF_FEW } else { MOST };
                assert!(!tuning.is_tiled() || lines <= most, "{name} touches {lines:.2} lines of {buffer}");
            }
            table.push('\n');
        }
    }
    insta::assert_snapshot!("lines_of_products", table);
}

/// A line of the table of attention: lines touched for each needed line, at most `most` for each buffer.
pub(super) fn lines_of(name: &str, found: &BTreeMap<String, Reads>, most: impl Fn(&str) -> f64) -> String {
    let mut line = format!("{name}:");
    for (buffer, reads) in found.iter().filter(|(_, reads)| reads.bytes > 0) {
        let lines = reads.lines();
        write!(line, " {buffer} {lines:.2}").expect("text");
        assert!(lines <= most(buffer), "{name} touches {lines:.2} lines of {buffer}");
    }
    line + "\n"
}

#[test]
fn neighbours_that_read_for_an_attention_share_the_lines() {
    use attention::Tuning;
    let mut table = "lines touched for each that is needed\n".to_owned();
    let tunings =
        [("staged", Tuning::HARDWARE), ("few registers", Tuning::FEW_REGISTERS), ("half as many", Tuning::ALL[4])];
    let cached = KvPrecision::ALL.map(|precision| (128, Source::Cache(precision)));
    let shapes = [Source::Rows(KvPrecision::F32), Source::Rows(KvPrecision::F16), Source::Cache(KvPrecision::F16)];
    let shapes = shapes.into_iter().map(|source| (64, source)).chain(cached);
    for (head_dim, source) in shapes {
        for (name, tuning) in tunings {
            let fitting = tuning.fitting(head_dim, source);
            let found = reads(fitting.lanes * fitting.lane_groups, |gpu| attention(gpu, head_dim, source, tuning));
            table += &lines_of(&format!("{head_dim:>3} {source:?} {name}"), &found, |_| MOST);
        }
    }
    use attention_step::Tuning as Step;
    let precisions = KvPrecision::ALL.into_iter();
    for (head_dim, precision) in [64, 128].into_iter().flat_map(|dim| precisions.clone().map(move |kv| (dim, kv))) {
        for (name, tuning) in
            [("apart", Step::APART), ("shared", Step::HARDWARE), ("few registers", Step::FEW_REGISTERS)]
        {
            let found = reads(tuning.threads, |gpu| step(gpu, head_dim, precision, tuning));
            let most = if tuning.shares_keys { MOST } else { f64::INFINITY };
            table += &lines_of(&format!("{head_dim:>3} {precision} a step, {name}"), &found, |_| most);
        }
    }
    insta::assert_snapshot!("lines_of_attention", table);
}
