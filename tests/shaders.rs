//! Every shader, assembled as the kernels do it: valid for naga and tint, within what any WebGPU device offers, and with its
//! Rust module, its reference and its rows in the kernel table.
#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use naga::valid::{Capabilities, ModuleInfo, ShaderStages, SubgroupOperationSet, ValidationFlags, Validator};
use naga::{AddressSpace, Module, StorageAccess};
use ocelli::config::{KvPrecision, MAX_HEAD_DIM, RopePairs};
use ocelli::gpu::{Access, Features, Kernel};
use ocelli::kernels::gemv::Tuning;
use ocelli::kernels::rope_append::Heads;
use ocelli::kernels::{
    accept, activation, attention, attention_join, attention_step, embed_rows, gated_matvec, glu, matmul, matvec,
    patch_merge, patchify, qkv_matvec, rms_norm, rope, rope_append, sample, sample_filter, sample_scan,
};
use ocelli::shader::FILES;
use ocelli::weights::layout::{Layout, MatrixShape};

/// The default limits of WebGPU, which every device meets.
const MAX_STORAGE_BUFFERS: usize = 8;
const MAX_WORKGROUP_BYTES: u32 = 16 * 1024;
const MAX_INVOCATIONS: u32 = 256;
const MAX_WORKGROUP_Z: u32 = 64;

const MAX_LINES: usize = 200;
/// Endings of files that do a kernel's work with an optional feature.
const TWINS: [&str; 3] = ["_subgroup", "_f16", "_dp4a"];

/// Every kernel in every layout and head width.
fn kernels() -> Vec<Kernel> {
    let plain = [activation::kernel, glu::kernel, patch_merge::kernel, patchify::kernel];
    let more = [accept::kernel, rope::kernel, sample::kernel, sample_filter::kernel, sample_scan::kernel];
    let norms = lanes().map(|(uses, emulated)| rms_norm::kernel(rms_norm::Tuning { uses, emulated }));
    let layouts = Layout::ALL.map(|layout| embed_rows::kernel(layout, 1));
    let head_dims = (4..=MAX_HEAD_DIM).step_by(4);
    let shapes = KvPrecision::ALL.into_iter().flat_map(|kv| head_dims.clone().map(move |head_dim| (head_dim, kv)));
    let cached = shapes.flat_map(|(head_dim, kv)| {
        let tuning = if head_dim % 3 == 0 { attention::Tuning::SOFTWARE } else { attention::Tuning::HARDWARE };
        [attention::kernel(head_dim, kv, tuning)]
    });
    let plain = plain.into_iter().chain(more).map(|kernel| kernel());
    plain.chain(norms).chain(layouts).chain(cached).chain(matmuls()).chain(gemv()).chain(steps()).collect()
}

/// How threads may meet: in workgroup memory, in subgroups, or in emulated ones.
fn lanes() -> [(Features, usize); 3] {
    [(Features::NONE, 0), (Features::SUBGROUPS, 0), (Features::NONE, 8)]
}

/// Products of many rows, in every layout, for hardware and software, with and without inputs that end inside a block.
fn matmuls() -> impl Iterator<Item = Kernel> {
    let shapes = matmul::Tuning::ALL.into_iter().flat_map(|tuning| [(false, tuning), (true, tuning)]);
    shapes.flat_map(|(ragged, tuning)| Layout::ALL.map(|layout| matmul::kernel(layout, ragged, tuning)))
}

/// The kernels for a few rows, in every layout, for hardware and software, one row and many, with and without what is optional.
fn gemv() -> Vec<Kernel> {
    let mut kernels = Vec::new();
    for layout in Layout::ALL {
        let emulated = Tuning { uses: Features::NONE, emulated: 16, ..Tuning::SUBGROUPS };
        let others = [(1, Tuning::SUBGROUPS), (8, Tuning { row_groups: 2, ..Tuning::SUBGROUPS }), (2, emulated)];
        let dot = [(1, Tuning::DOT), (8, Tuning { lane_groups: 8, ..Tuning::DOT }), (4, Tuning::DOT_SOFTWARE)];
        for (m, tuning) in [(1, Tuning::HARDWARE), (1, Tuning::SOFTWARE), (4, Tuning::SOFTWARE), (8, Tuning::HARDWARE)]
            .into_iter()
            .chain(others)
            .chain(dot.into_iter().filter(|_| layout.is_quantised()))
        {
            for (cols, norm) in [(512, true), (512, false), (588, m > 1)] {
                if layout.is_k_quant() && cols == 588 {
                    continue;
                }
                let weight = (layout, MatrixShape { rows: 64, cols });
                kernels.push(matvec::kernel(weight, m, norm, tuning));
                kernels.push(gated_matvec::kernel(weight, m, norm, tuning));
                let pairs = if norm { RopePairs::Half } else { RopePairs::Interleaved };
                let precision = if m == 1 { KvPrecision::F16 } else { KvPrecision::F32 };
                let heads = Heads { q: 2, kv: 1, dim: 8 * m, pairs };
                let kernel = qkv_matvec::kernel(weight, m, (heads, precision), false, tuning);
                if kernel.bindings().expect("bindings").len() <= MAX_STORAGE_BUFFERS {
                    kernels.push(kernel);
                }
            }
        }
    }
    let weight = (Layout::F16, MatrixShape { rows: 64, cols: 64 });
    let heads = Heads { q: 2, kv: 1, dim: 16, pairs: RopePairs::Interleaved };
    kernels.push(qkv_matvec::kernel(weight, 1, (heads, KvPrecision::F16), true, Tuning::HARDWARE));
    kernels
}

/// The kernels that read their position from the GPU, in every precision and head width.
fn steps() -> Vec<Kernel> {
    let [subgroups, emulated] = [lanes()[1], lanes()[2]].map(|(uses, emulated)| attention_step::Tuning {
        uses,
        emulated,
        ..attention_step::Tuning::HARDWARE
    });
    let tunings = [attention_step::Tuning::HARDWARE, attention_step::Tuning::SOFTWARE, subgroups, emulated];
    let mut kernels = Vec::new();
    for dim in (4..=MAX_HEAD_DIM).step_by(4) {
        kernels.push(attention_join::kernel(dim));
        for (index, precision) in KvPrecision::ALL.into_iter().enumerate() {
            let pairs = if dim % 8 == 0 { RopePairs::Half } else { RopePairs::Interleaved };
            kernels.push(rope_append::kernel((dim, pairs), precision));
            for tuning in tunings {
                let rows = [1, 4, 8, 128][(dim / 4 + index) % 4];
                kernels.push(attention_step::kernel(dim, precision, rows, dim % 3 == 0, tuning));
            }
        }
    }
    kernels
}

/// What naga must know to take a kernel. Nothing that a WebGPU device may lack but what the kernel says that it needs:
/// `unpack2x16float` is core there, naga counts it because OpenGL may lack it.
fn capabilities(needs: Features) -> Capabilities {
    let mut all = Capabilities::SHADER_FLOAT16_IN_FLOAT32;
    all.set(Capabilities::SHADER_FLOAT16, needs.f16);
    all.set(Capabilities::SUBGROUP, needs.subgroups);
    all
}

fn parse(kernel: &Kernel) -> (Module, ModuleInfo) {
    let (name, source) = (kernel.name(), kernel.needs().directives(false) + &kernel.source().expect("WGSL"));
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
    for kernel in kernels() {
        parse(&kernel);
        let source = kernel.source().expect("WGSL");
        let asks = |line: &&str| line.starts_with("enable ") || line.starts_with("requires ");
        assert_eq!(source.lines().find(asks), None, "{}", kernel.name());
    }
}

#[test]
fn tint_accepts_every_kernel() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("shaders");
    fs::create_dir_all(&folder).expect("a folder for shaders");
    for kernel in kernels() {
        let path = folder.join(kernel.name().replace(['<', '>', ','], "-") + ".wgsl");
        fs::write(&path, kernel.needs().directives(true) + &kernel.source().expect("WGSL")).expect("write a shader");
        let output = match Command::new("tint").args(["--format", "wgsl"]).arg(&path).output() {
            Ok(output) => output,
            Err(error) => {
                let required = std::env::var("OCELLI_REQUIRE_TINT").is_ok_and(|value| value == "1");
                assert!(!required, "OCELLI_REQUIRE_TINT=1, but tint does not run: {error}");
                println!("NOT CHECKED WITH TINT: {error}. It is what Chromium compiles shaders with.");
                return;
            }
        };
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: tint says\n{said}", kernel.name());
        assert!(!said.contains("warning"), "{}: tint says\n{said}", kernel.name());
    }
}

#[test]
fn every_kernel_stays_within_the_default_limits() {
    for kernel in kernels() {
        let (module, _) = parse(&kernel);
        let name = kernel.name();
        let bytes = workgroup_bytes(&module);
        assert!(bytes <= MAX_WORKGROUP_BYTES, "{name}: {bytes} bytes of workgroup memory");
        let [entry] = &module.entry_points[..] else { panic!("{name}: {} entry points", module.entry_points.len()) };
        assert_eq!(entry.name, "main", "{name}");
        let [x, y, z] = entry.workgroup_size;
        assert!(x * y * z <= MAX_INVOCATIONS && z <= MAX_WORKGROUP_Z, "{name}: {x} x {y} x {z} invocations");
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

/// Chromium refused what a tuning for 128 threads asked for: native devices have more and say nothing.
#[test]
fn no_tuning_takes_more_workgroup_memory_than_every_device_has() {
    let mut kernels = Vec::new();
    for rows in [1, 2, 4, 5, 8] {
        for dim in [64, 80, 128, 256] {
            let step = |&tuning| attention_step::kernel(dim, KvPrecision::F16, rows, true, tuning);
            kernels.extend(attention_step::Tuning::ALL.iter().map(step));
        }
        for layout in [Layout::F32, Layout::Q4_0, Layout::Q6K] {
            let weight = (layout, MatrixShape { rows: 64, cols: 9216 });
            kernels.extend(Tuning::ALL.map(|tuning| gated_matvec::kernel(weight, rows, true, tuning)));
            kernels.extend(Tuning::ALL.map(|tuning| matvec::kernel(weight, rows, true, tuning)));
        }
    }
    kernels.extend(matmul::Tuning::ALL.map(|tuning| matmul::kernel(Layout::Q4_0, false, tuning)));
    kernels.extend(attention::Tuning::ALL.map(|tuning| attention::kernel(256, KvPrecision::F16, tuning)));
    for kernel in kernels {
        let source = kernel.needs().directives(false) + &kernel.source().expect("WGSL");
        let bytes = workgroup_bytes(&naga::front::wgsl::parse_str(&source).expect("WGSL"));
        assert!(bytes <= MAX_WORKGROUP_BYTES, "{}: {bytes} bytes of workgroup memory", kernel.name());
    }
}

#[test]
fn bindings_are_what_the_kernel_says() {
    for kernel in kernels() {
        let (module, info) = parse(&kernel);
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

#[test]
fn every_shader_file_is_short_and_in_use() {
    let kernels = kernels();
    let used: BTreeSet<_> = kernels.iter().flat_map(|kernel| kernel.shader().files().expect("files")).collect();
    for file in FILES {
        let lines = file.text.lines().count();
        assert!(lines <= MAX_LINES, "{} has {lines} lines", file.path);
        assert!(used.contains(file.name), "no kernel uses {}", file.path);
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
    let table: String = texts("tests/kernels", "rs").into_values().collect();
    for name in &shaders {
        assert!(table.contains(&format!("\"{name}\"")), "tests/kernels has no row for {name}");
        assert!(table.contains(&format!("kernels::{name}::record")), "tests/kernels never runs {name}");
    }
}
