//! `bindgen MODULE.wasm OUT_DIR NAME`: writes `NAME.js`, `NAME.d.ts` and `NAME_bg.wasm` for the worker.

use std::process::ExitCode;

use walrus::{FunctionBuilder, FunctionKind, Module, ModuleConfig};
use wasm_bindgen_cli_support::Bindgen;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [module, out_dir, name] = arguments.as_slice() else {
        eprintln!("usage: bindgen MODULE.wasm OUT_DIR NAME");
        return ExitCode::from(2);
    };
    match generate(module, out_dir, name) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("bindgen: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn generate(module: &str, out_dir: &str, name: &str) -> Result<(), String> {
    let mut bindgen = Bindgen::new();
    // As the generator reads modules itself.
    let mut config = ModuleConfig::new();
    config.strict_validate(false).generate_dwarf(false).generate_name_section(true).generate_producers_section(true);
    let mut parsed = config.parse_file(module).map_err(|error| format!("{module}: {error:#}"))?;
    drop_c_functions(&mut parsed);
    drop_backtraces(&mut parsed);
    // The page says where the module is: without `import.meta` the worker is a valid classic script, too.
    bindgen.input_module(name, parsed).out_name(name).typescript(true).omit_default_module_path(true);
    // A fault in these ends no conversation: they are started anew.
    bindgen.reset_state_function(matches!(name, "ocelli_grammar" | "ocelli_pictures"));
    bindgen.web(true).map_err(|error| format!("{error:#}"))?;
    bindgen.generate(out_dir).map_err(|error| format!("{module}: {error:#}"))?;
    reference_lib(&format!("{out_dir}/{name}.d.ts")).map_err(|error| format!("{out_dir}: {error}"))
}

/// What llguidance exports to C: nobody calls it here, and what is not exported can be removed.
fn drop_c_functions(module: &mut Module) {
    let unused: Vec<_> =
        module.exports.iter().filter(|export| export.name.starts_with("llg_")).map(|export| export.id()).collect();
    unused.into_iter().for_each(|export| module.exports.delete(export));
}

/// What the standard library prints the frames of a backtrace with, 27 kB: it finds none on this target.
fn drop_backtraces(module: &mut Module) {
    let local =
        module.funcs.iter_local().filter(|(id, _)| module.funcs.get(*id).name.as_deref().is_some_and(prints_frames));
    let unused: Vec<_> = local.map(|(id, function)| (id, function.ty(), function.args.clone())).collect();
    for (id, ty, args) in unused {
        let (takes, gives) = (module.types.params(ty).to_vec(), module.types.results(ty).to_vec());
        let mut builder = FunctionBuilder::new(&mut module.types, &takes, &gives);
        builder.func_body().unreachable();
        module.funcs.get_mut(id).kind = FunctionKind::Local(builder.local_func(args));
    }
}

/// By the mangled name, `_RNv..Cs<hash>_<length><crate>..`. The first crate is the function's own: those behind it are of types, and of who first
/// used a generic function, which others may use, too.
fn prints_frames(name: &str) -> bool {
    let path = name.split_once("Cs").and_then(|(_, path)| path.split_once('_')).map_or("", |(_, path)| path);
    path.starts_with("14rustc_demangle") || name.contains("21print_raw_with_column")
}

/// Names the library that declares `Symbol.dispose`, which is in no project's `lib` by default.
fn reference_lib(declarations: &str) -> std::io::Result<()> {
    let text = std::fs::read_to_string(declarations)?;
    std::fs::write(declarations, format!("/// <reference lib=\"esnext.disposable\" />\n{text}"))
}
