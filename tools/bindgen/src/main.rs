//! `bindgen MODULE.wasm OUT_DIR`: writes `ocelli.js`, `ocelli.d.ts` and `ocelli_bg.wasm` for the worker.

use std::process::ExitCode;

use wasm_bindgen_cli_support::Bindgen;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [module, out_dir] = arguments.as_slice() else {
        eprintln!("usage: bindgen MODULE.wasm OUT_DIR");
        return ExitCode::from(2);
    };
    match generate(module, out_dir) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("bindgen: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn generate(module: &str, out_dir: &str) -> Result<(), String> {
    let mut bindgen = Bindgen::new();
    // The page says where the module is: without `import.meta` the worker is a valid classic script, too.
    bindgen.input_path(module).out_name("ocelli").typescript(true).omit_default_module_path(true);
    bindgen.web(true).map_err(|error| format!("{error:#}"))?;
    bindgen.generate(out_dir).map_err(|error| format!("{module}: {error:#}"))?;
    reference_lib(&format!("{out_dir}/ocelli.d.ts")).map_err(|error| format!("{out_dir}: {error}"))
}

/// Names the library that declares `Symbol.dispose`, which is in no project's `lib` by default.
fn reference_lib(declarations: &str) -> std::io::Result<()> {
    let text = std::fs::read_to_string(declarations)?;
    std::fs::write(declarations, format!("/// <reference lib=\"esnext.disposable\" />\n{text}"))
}
