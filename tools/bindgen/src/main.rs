//! `bindgen MODULE.wasm OUT_DIR NAME`: writes `NAME.js`, `NAME.d.ts` and `NAME_bg.wasm` for the worker.

use std::process::ExitCode;

use walrus::{Module, ModuleConfig};
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
    // The configuration that the generator uses for its own reading.
    let mut config = ModuleConfig::new();
    config.strict_validate(false).generate_dwarf(false).generate_name_section(true).generate_producers_section(true);
    let mut parsed = config.parse_file(module).map_err(|error| format!("{module}: {error:#}"))?;
    drop_c_functions(&mut parsed);
    // The page passes the address of the module: without `import.meta` the worker is a valid classic script, too.
    bindgen.input_module(name, parsed).out_name(name).typescript(true).omit_default_module_path(true);
    // After a fault in these modules they are started again and the conversation continues.
    bindgen.reset_state_function(matches!(name, "ocelli_grammar" | "ocelli_pictures"));
    bindgen.web(true).map_err(|error| format!("{error:#}"))?;
    bindgen.generate(out_dir).map_err(|error| format!("{module}: {error:#}"))?;
    reference_lib(&format!("{out_dir}/{name}.d.ts")).map_err(|error| format!("{out_dir}: {error}"))
}

/// Removes llguidance's exports for C, which nothing calls here, so that wasm-opt can remove the functions.
fn drop_c_functions(module: &mut Module) {
    let unused: Vec<_> =
        module.exports.iter().filter(|export| export.name.starts_with("llg_")).map(|export| export.id()).collect();
    unused.into_iter().for_each(|export| module.exports.delete(export));
}

/// Adds a reference to the library that declares `Symbol.dispose`, because no project has it in `lib` by default.
fn reference_lib(declarations: &str) -> std::io::Result<()> {
    let text = std::fs::read_to_string(declarations)?;
    std::fs::write(declarations, format!("/// <reference lib=\"esnext.disposable\" />\n{text}"))
}
