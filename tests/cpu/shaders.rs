//! Every shader, assembled in the way of the kernels: valid for naga and tint, within the limits of every WebGPU device, and with its Rust
//! module, its reference and its rows in the kernel table.

mod assembly;
mod bounds;
#[path = "../gpu/kernels/table/mod.rs"]
mod table;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

use naga::valid::{Capabilities, ModuleInfo, ShaderStages, SubgroupOperationSet, ValidationFlags, Validator};
use naga::{AddressSpace, Module, StorageAccess};
use ocelli::config::{KvPrecision, MAX_HEAD_DIM};
use ocelli::gpu::features::{LARGE_BYTES, LARGE_THREADS};
use ocelli::gpu::{Access, Features, Kernel};
use ocelli::kernels::attention::Source;
use ocelli::kernels::attention_step::Results;
use ocelli::kernels::cache::PAGE;
use ocelli::kernels::gemv::{Gemv, Tuning};
use ocelli::kernels::rope_append::HeadValues;
use ocelli::kernels::{
    ScoreOptions, attention, attention_join, attention_step, gated_matvec, matmul, matvec, rope_append,
};
use ocelli::layout::{Layout, MatrixShape};
use ocelli::shader::FILES;

/// The default limits of WebGPU, which every device meets.
const MAX_STORAGE_BUFFERS: usize = 8;
const MAX_WORKGROUP_BYTES: u32 = 16 * 1024;
const MAX_INVOCATIONS: u32 = 256;
const MAX_WORKGROUP_Z: u32 = 64;

const MAX_LINES: usize = 200;
/// Suffixes of files with alternative implementations of a kernel, most of them with an optional feature.
const TWINS: [&str; 5] = ["_subgroup", "_f16", "_dp4a", "_tile", "_quads"];

/// All kernels of the table in `tests/gpu/kernels`, every tuning of a table, and attention of every head width.
fn kernels() -> Vec<Kernel> {
    let rows = table::GROUPS.iter().flat_map(|(_, rows)| rows()).map(|case| case.kernel);
    let mut known = HashSet::new();
    let all = rows.chain(tunings()).chain(head_dims()).filter(|kernel| known.insert(kernel.clone()));
    let all: Vec<Kernel> = all.collect();
    assert!(all.len() > 500, "{} kernels", all.len());
    all
}

/// Every tuning that a device may choose, at demanding sizes.
fn tunings() -> Vec<Kernel> {
    use attention_step as step;
    let mut kernels = Vec::new();
    for rows in [1, 2, 4, 5, 8] {
        for head_dim in [64, 80, 128, 256] {
            kernels.extend(step::Tuning::ALL.map(|tuning| {
                let q_layout = step::query_layout(head_dim, KvPrecision::F16, rows, tuning);
                step::kernel(head_dim, KvPrecision::F16, rows, q_layout, Results::Partial, scores(rows), tuning)
            }));
        }
        for layout in [Layout::F32, Layout::Q4_0, Layout::Q6K] {
            let weight = (layout, MatrixShape { rows: 64, cols: 9216 });
            let gemv = |fused_outputs, tuning| Gemv::new(weight, rows, fused_outputs, true, tuning);
            kernels.extend(Tuning::ALL.map(|tuning| gated_matvec::kernel(&gemv(2, tuning))));
            kernels.extend(Tuning::ALL.map(|tuning| matvec::kernel(&gemv(1, tuning))));
        }
    }
    let matmul = |layout| matmul::Tuning::ALL.map(|tuning| matmul::kernel(layout, false, tuning));
    kernels.into_iter().chain(Layout::ALL.into_iter().flat_map(matmul)).collect()
}

/// Each combination of window and soft cap in turn.
fn scores(index: usize) -> ScoreOptions {
    ScoreOptions { is_windowed: index % 2 == 1, is_capped: index % 4 > 1 }
}

/// Every head width that a model may have.
fn head_dims() -> impl Iterator<Item = Kernel> {
    let widths = (4..=MAX_HEAD_DIM).step_by(4);
    widths.zip(KvPrecision::ALL.into_iter().cycle()).flat_map(|(head_dim, precision)| {
        let rows = [1, 4, 8, 3][head_dim / 4 % 4];
        let tuning = attention::Tuning::ALL[head_dim / 4 % attention::Tuning::ALL.len()];
        let step = if head_dim % 8 == 0 { attention_step::Tuning::SUBGROUPS } else { attention_step::Tuning::SOFTWARE };
        let results = [Results::Partial, Results::Plain, Results::Gated][head_dim % 3];
        let norms = [None, Some(HeadValues::Plain), Some(HeadValues::Normed), Some(HeadValues::Keys)];
        [
            attention::kernel(head_dim, Source::Cache(precision), head_dim % 8 == 0, scores(head_dim / 8), tuning),
            attention::kernel(head_dim, Source::Rows(precision.min(KvPrecision::F16)), false, scores(0), tuning),
            attention_step::kernel(
                head_dim,
                precision,
                rows,
                attention_step::query_layout(head_dim, precision, rows, step),
                results,
                scores(head_dim / 12),
                step,
            ),
            attention_join::kernel(head_dim, head_dim % 8 == 0),
            rope_append::kernel(head_dim, norms[head_dim / 4 % 4], 1 + head_dim / 8 % 2, precision),
        ]
    })
}

/// Attention reads the page table once a tile.
#[test]
fn no_tile_lies_in_two_pages() {
    for tuning in attention::Tuning::ALL {
        for head_dim in (4..=MAX_HEAD_DIM).step_by(4) {
            let tiles = KvPrecision::ALL.map(|kv| tuning.fitting(head_dim, Source::Cache(kv)).tile());
            assert!(tiles.iter().all(|&tile| PAGE.is_multiple_of(tile)), "{head_dim}: {tuning:?}");
        }
    }
    for tuning in attention_step::Tuning::ALL {
        assert!(PAGE.is_multiple_of(tuning.tile()), "{tuning:?}");
    }
}

/// naga's capabilities for a kernel: only those that it declares to need. `unpack2x16float` is core in WebGPU; naga counts it because
/// OpenGL may lack it.
fn capabilities(needs: Features) -> Capabilities {
    let mut all = Capabilities::SHADER_FLOAT16_IN_FLOAT32;
    all.set(Capabilities::SHADER_FLOAT16, needs.contains(Features::F16));
    all.set(Capabilities::SUBGROUP, needs.contains(Features::SUBGROUPS));
    all
}

/// A kernel that naga has accepted.
struct Checked {
    kernel: Kernel,
    source: String,
    module: Module,
    info: ModuleInfo,
}

/// Every kernel, assembled and validated once for all tests.
static CHECKED: LazyLock<Vec<Checked>> = LazyLock::new(|| {
    let check = |kernel: Kernel| {
        let source = kernel.source().expect("WGSL");
        let (module, info) = parse(&kernel, &source);
        Checked { kernel, source, module, info }
    };
    kernels().into_iter().map(check).collect()
});

fn parse(kernel: &Kernel, source: &str) -> (Module, ModuleInfo) {
    let (name, source) = (kernel.name(), kernel.needs().directives(false) + source);
    let module = naga::front::wgsl::parse_str(&source)
        .unwrap_or_else(|error| panic!("{name}: {}", error.emit_to_string_with_path(&source, name)));
    let info = Validator::new(ValidationFlags::all(), capabilities(kernel.needs()))
        .subgroup_stages(ShaderStages::COMPUTE)
        .subgroup_operations(SubgroupOperationSet::all())
        .validate(&module)
        .unwrap_or_else(|error| panic!("{name}: {}", error.emit_to_string_with_path(&source, name)));
    (module, info)
}

#[test]
fn naga_accepts_every_kernel_with_the_features_it_names_alone() {
    for Checked { kernel, source, .. } in &*CHECKED {
        let asks = |line: &&str| line.starts_with("enable ") || line.starts_with("requires ");
        assert_eq!(source.lines().find(asks), None, "{}", kernel.name());
    }
}

/// The compiler of Chromium.
#[test]
#[ignore = "needs tint on the path"]
fn tint_accepts_every_kernel() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("shaders");
    fs::create_dir_all(&folder).expect("a folder for shaders");
    let kernels = &*CHECKED;
    let files: Vec<_> = (0..kernels.len()).map(|index| folder.join(format!("{index}.wgsl"))).collect();
    for (Checked { kernel, source, .. }, path) in kernels.iter().zip(&files) {
        fs::write(path, kernel.needs().directives(true) + source).expect("write a shader");
    }
    let tint = |path: &Path| Command::new("tint").args(["--format", "wgsl"]).arg(path).output();
    // Its start takes longer than its work: several run in parallel.
    let check = |half: usize| {
        for (Checked { kernel, .. }, path) in kernels.iter().zip(&files).skip(half).step_by(2) {
            let output = tint(path).expect("tint runs");
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}: tint says\n{said}", kernel.name());
            assert!(!said.contains("warning"), "{}: tint says\n{said}", kernel.name());
        }
    };
    std::thread::scope(|scope| [0, 1].map(|half| scope.spawn(move || check(half))).map(|thread| thread.join()))
        .into_iter()
        .for_each(|checked| checked.expect("shaders that tint accepts"));
}

#[test]
fn every_kernel_stays_within_the_default_limits() {
    for Checked { kernel, module, .. } in &*CHECKED {
        let name = kernel.name();
        let bytes = workgroup_bytes(module);
        let is_large = kernel.needs().contains(Features::LARGE_WORKGROUPS);
        let (most_bytes, most_threads) =
            if is_large { (LARGE_BYTES, LARGE_THREADS) } else { (MAX_WORKGROUP_BYTES, MAX_INVOCATIONS) };
        assert!(bytes <= most_bytes, "{name}: {bytes} bytes of workgroup memory");
        let [entry] = &module.entry_points[..] else { panic!("{name}: {} entry points", module.entry_points.len()) };
        assert_eq!(entry.name, "main", "{name}");
        let [x, y, z] = entry.workgroup_size;
        assert!(x * y * z <= most_threads && z <= MAX_WORKGROUP_Z, "{name}: {x} x {y} x {z} invocations");
        assert!(
            kernel.bindings().expect("bindings").len() <= MAX_STORAGE_BUFFERS,
            "{name}: {} storage buffers",
            kernel.bindings().expect("bindings").len()
        );
    }
}

/// Workgroup memory as browsers count it.
fn workgroup_bytes(module: &Module) -> u32 {
    let shared = module.global_variables.iter().filter(|(_, variable)| variable.space == AddressSpace::WorkGroup);
    shared.map(|(_, variable)| module.types[variable.ty].inner.size(module.to_ctx()).next_multiple_of(16)).sum()
}

#[test]
fn bindings_equal_those_of_the_kernel() {
    for Checked { kernel, module, info, .. } in &*CHECKED {
        let mut found = BTreeMap::new();
        for (handle, variable) in module.global_variables.iter() {
            let Some(binding) = &variable.binding else { continue };
            assert_eq!(binding.group, 0, "{}", kernel.name());
            assert!(!info.get_entry_point(0)[handle].is_empty(), "{}: {:?} is unused", kernel.name(), variable.name);
            found.insert(binding.binding, variable.space);
        }
        let storage = kernel.bindings().expect("bindings").into_iter().map(|access| AddressSpace::Storage {
            access: match access {
                Access::Read => StorageAccess::LOAD,
                Access::ReadWrite => StorageAccess::LOAD | StorageAccess::STORE,
            },
        });
        let said: BTreeMap<_, _> = (0..).zip(std::iter::once(AddressSpace::Uniform).chain(storage)).collect();
        assert_eq!(found, said, "{}", kernel.name());
    }
}

/// Contents of the files of a folder that end in `.extension`, by name without it.
fn texts(folder: &str, extension: &str) -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let paths = fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let text = |path: &Path| fs::read_to_string(path).expect("a text file");
    let stem = |path: &Path| path.file_stem().and_then(|stem| stem.to_str()).expect("a plain name").to_owned();
    paths
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .map(|path| (stem(&path), text(&path)))
        .collect()
}

/// The names in a list such as `rows, width = 2 * (a + b)`, up to the parenthesis that closes it.
fn names_of_list(text: &str) -> Vec<&str> {
    let (mut depth, mut items, mut start) = (0, Vec::new(), 0);
    for (at, character) in text.char_indices() {
        match character {
            '(' => depth += 1,
            ')' if depth > 0 => depth -= 1,
            ',' | ')' if depth == 0 => {
                items.push(&text[start..at]);
                start = at + 1;
                if character == ')' {
                    break;
                }
            }
            _ => {}
        }
    }
    let names = items.iter().map(|item| item.split('=').next().unwrap_or_default().trim());
    names.filter(|name| !name.is_empty()).collect()
}

/// Names of the parameters of an assembled shader.
fn fields(source: &str) -> Vec<String> {
    let (_, fields) = source.split_once("struct Params {").expect("parameters");
    let (fields, _) = fields.split_once('}').expect("the end of the parameters");
    fields.lines().filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned())).collect()
}

#[test]
fn parameters_have_the_names_and_the_order_of_the_shader() {
    assert_eq!(names_of_list("m, k4 = f(a, 2) / 4,\n  eps,\n) rest"), ["m", "k4", "eps"]);
    let kernels = kernels();
    let mut compared = 0;
    for (file, module) in texts("src/kernels", "rs").into_iter().filter(|(file, _)| file != "mod") {
        let Some((_, list)) = module.split_once("params!(") else { continue };
        let names = names_of_list(list);
        let mut longest = Vec::new();
        for kernel in kernels.iter().filter(|kernel| kernel.shader().file() == file) {
            let fields = fields(&kernel.source().expect("a shader"));
            // Some fields are only there in kernels that use them.
            let shared: Vec<_> = names.iter().filter(|name| fields.iter().any(|field| field == *name)).collect();
            assert_eq!(shared, fields.iter().collect::<Vec<_>>(), "{}", kernel.name());
            longest = if fields.len() > longest.len() { fields } else { longest };
        }
        assert_eq!(names, longest, "{file}");
        compared += 1;
    }
    assert!(compared > 12, "only {compared} kernels were compared");
}

#[test]
fn every_shader_file_is_short_and_in_use() {
    let used: BTreeSet<_> = CHECKED.iter().flat_map(|checked| assembly::files(&checked.source)).collect();
    for file in FILES {
        let lines = file.text.lines().count();
        assert!(lines <= MAX_LINES, "{} has {lines} lines", file.path);
        assert!(used.contains(file.path), "no kernel uses {}", file.path);
    }
}

#[test]
fn every_kernel_has_shader_module_reference_and_rows() {
    let names = |folder, extension| {
        let mut names: BTreeSet<String> = texts(folder, extension).into_keys().collect();
        names.remove("mod");
        names
    };
    let files = names("shaders", "wgsl");
    let twin_of = |name: &String| TWINS.iter().find_map(|ending| Some(name.strip_suffix(ending)?.to_owned()));
    let (twins, shaders): (BTreeSet<_>, BTreeSet<_>) = files.into_iter().partition(|name| twin_of(name).is_some());
    for twin in &twins {
        assert!(twin_of(twin).is_some_and(|name| shaders.contains(&name)), "{twin}.wgsl is the twin of no shader");
    }
    assert!(!shaders.is_empty());
    assert_eq!(names("src/kernels", "rs"), shaders, "src/kernels/*.rs and shaders/*.wgsl");
    assert_eq!(names("src/reference", "rs"), shaders, "src/reference/*.rs and shaders/*.wgsl");
    // The table itself checks that a row runs the kernel it names.
    let run: BTreeSet<String> =
        table::GROUPS.iter().flat_map(|(_, rows)| rows()).map(|row| row.kernel.shader().file().into()).collect();
    assert_eq!(
        shaders.union(&twins).cloned().collect::<BTreeSet<_>>(),
        run,
        "shaders/*.wgsl and rows in tests/gpu/kernels"
    );
}
