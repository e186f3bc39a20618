#!/usr/bin/env bash
# Builds, serves and tests Ocelli. `./build.sh` alone lists the verbs.
# Tools and results go to .tools/, target/, www/node_modules/ and www/dist/, none of which git sees.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

wasm_target=wasm32-unknown-unknown
wasm_target_dir=target/wasm
wasm_modules=target/wasm/modules
glue=www/dist/ocelli/wasm
# 8 kB less to download without the places of panics: a stack trace has their functions.
wasm_flags=-Zlocation-detail=none
wasm_features=ocelli/engine-module,ocelli/together,ocelli/snapshots,ocelli/import-module,ocelli-pictures/exports

usage() {
  cat <<'TEXT'
usage: ./build.sh VERB
  setup            install what is missing
  build            the wasm module and the page, into www/dist
  serve [PORT]     build, then serve the page (default port 8080)
  check            format, lints, types and the tests that need neither a GPU nor a browser
  test             everything CI runs: format, lints, native tests, page tests in Chromium and Firefox
  test NAME...     some tests: NAME is a file or folder of tests/cpu, tests/gpu or tests (`kernels`), or a page test
                   (`api.test.ts`); `bundlers` is the npm package in projects of five bundlers, which no other verb runs
  bench [ARGS]     kernels on this device
  bench --model [PKG] [ARGS]
                   a whole model on this device, by default a random one of the shape in benches/shapes/mid.json; ARGS as of
                   `ocelli bench`
  bench --against-ort [ARGS]
                   the same shape beside onnxruntime-web in Chromium, in turns; ARGS as of www/bench/peer.mjs
  bench --scale 3b a random model of Ministral 3 3B's size, natively and in Chromium, within 2 GiB of GPU memory; takes hours on
                   a software GPU, 9 GB of disk, and stops the native tower after OCELLI_FULL_LAYERS layers
  fixtures         remake the golden data of tests/fixtures with Python
TEXT
}

main() {
  local verb=${1:-}
  (($#)) && shift
  case $verb in
    # With `;`: in an `&&` list `set -e` would look away.
    setup) setup_build; setup_test ;;
    build) setup_build; build_all ;;
    serve) setup_build; build_all; serve "$@" ;;
    check) setup_build; check ;;
    test) setup_build; setup_test; if (($#)); then test_some "$@"; else test_all; fi ;;
    bench) bench "$@" ;;
    fixtures) fixtures ;;
    *) usage; [[ -z $verb || $verb == help ]] || exit 2 ;;
  esac
}

# --- saying and checking -------------------------------------------------------------------------------------------------

say() { printf '\n== %s\n' "$*"; }

fail() {
  printf 'build.sh: %s\n' "$*" >&2
  exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }

# Whether the inputs of step $1 (the other arguments: files and folders) are those of its last run.
unchanged() { [[ -f target/stamps/$1 && $(cat "target/stamps/$1") == "$(fingerprint "${@:2}")" ]]; }

done_with() {
  mkdir -p target/stamps
  fingerprint "${@:2}" >"target/stamps/$1"
}

fingerprint() { find "$@" -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum; }

# --- setting up ----------------------------------------------------------------------------------------------------------

setup_build() {
  has node && has npm || fail "Node.js 20 or later with npm is missing: https://nodejs.org"
  (($(node -p 'parseInt(process.versions.node)') >= 20)) || fail "Node.js $(node --version) is too old: 20 or later is needed"
  setup_rust
  setup_wasm
  setup_npm
}

# The pinned toolchain; a stable one of the same version serves as well where rustup cannot fetch by number.
setup_rust() {
  has rustup || fail "rustup is missing: https://rustup.rs"
  has cc || apt_install gcc libc6-dev
  local pinned
  pinned=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
  rustup run "$pinned" rustc --version >/dev/null 2>&1 && return
  if [[ $(rustup run stable rustc --version 2>/dev/null) == "rustc $pinned "* ]]; then
    say "rustup's stable toolchain is $pinned: linking it under that name"
    rustup toolchain link "$pinned" "$(rustup run stable rustc --print sysroot)"
  else
    say "installing Rust $pinned by rustup"
    rustup toolchain install "$pinned" --profile minimal --component rustfmt,clippy ||
      fail "Rust $pinned is missing and rustup could not install it"
  fi
}

# Two roads to the standard library for wasm32: rustup's, or where that cannot be fetched, Debian's compiler with its sources.
# OCELLI_WASM_ROAD=debian takes the second on purpose.
setup_wasm() {
  if [[ $(wasm_road) == rustup ]]; then
    say "wasm32: by rustup's target"
    return
  fi
  say "wasm32: by Debian's rustc-web and -Zbuild-std"
  apt_install rustc-web rust-web-src rust-web-clippy
}

wasm_road() {
  if [[ ! -f target/stamps/wasm-road || ${OCELLI_WASM_ROAD:-} ]]; then
    mkdir -p target/stamps
    choose_wasm_road >target/stamps/wasm-road
  fi
  cat target/stamps/wasm-road
}

choose_wasm_road() {
  local road=${OCELLI_WASM_ROAD:-}
  if [[ ! $road ]]; then
    if has_wasm_std; then
      road=rustup
    else
      printf '\n== trying: rustup target add %s\n' "$wasm_target" >&2
      timeout 120 rustup target add "$wasm_target" >&2 || timeout 120 rustup target add --toolchain stable "$wasm_target" >&2 || true
      if has_wasm_std; then road=rustup; else road=debian; fi
    fi
  fi
  echo "$road"
}

has_wasm_std() { [[ -d $(rustc --print sysroot)/lib/rustlib/$wasm_target/lib ]]; }

setup_npm() {
  [[ -d www/node_modules ]] && unchanged npm www/package.json www/package-lock.json && return
  say "installing the page's build and test tools from npm into www/node_modules"
  (cd www && npm ci --no-fund --no-audit)
  done_with npm www/package.json www/package-lock.json
}

# What the tests need beyond the build: a software Vulkan device and two browsers.
setup_test() {
  setup_gpu
  [[ ${CHROMIUM:-} ]] || has chromium || apt_install chromium fonts-dejavu-core
  [[ ${FIREFOX:-} ]] || has firefox-esr || apt_install firefox-esr
}

# Mesa brings a software device for the tests that run kernels, and RADV for those that only compile them.
setup_gpu() {
  [[ $(uname) == Linux ]] || return 0
  has apt-get && apt_install mesa-vulkan-drivers libvulkan1
  return 0
}

# Installs those of the Debian packages that are missing, or says which they are.
apt_install() {
  local package missing=() as_root=()
  for package in "$@"; do
    [[ $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) == "install ok installed" ]] || missing+=("$package")
  done
  ((${#missing[@]})) || return 0
  has apt-get || fail "missing, under their Debian names: ${missing[*]}"
  if [[ $(id -u) != 0 ]]; then
    has sudo && sudo -n true 2>/dev/null || fail "missing, and no right to install: ${missing[*]}"
    as_root=(sudo -n)
  fi
  say "installing Debian packages: ${missing[*]}"
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null
}

# --- building ------------------------------------------------------------------------------------------------------------

build_all() {
  build_wasm
  build_glue
  build_page
}

build_wasm() {
  say "building the wasm modules"
  build_wasm_module ocelli ocelli engine-module
  build_wasm_module ocelli_full ocelli engine-module,together,snapshots
  build_wasm_module ocelli_import ocelli import-module
  build_wasm_module ocelli_pictures ocelli-pictures exports
  # Smaller still without the fields of what `Debug` prints.
  wasm_target_dir=target/wasm-grammar wasm_flags="$wasm_flags -Zfmt-debug=shallow" build_wasm_module ocelli_grammar ocelli-grammar
}

# Module $1: crate $2 with the features $3. A crate's modules are all built under its own name.
build_wasm_module() {
  cargo_wasm build --lib --profile wasm --package "$2" --features "${3:-}"
  mkdir -p "$wasm_modules"
  cp "$wasm_target_dir/$wasm_target/wasm/${2//-/_}.wasm" "$wasm_modules/$1.wasm"
}

# `cargo` for wasm32 on the road chosen, in target folders of its own: native builds keep theirs.
cargo_wasm() (
  options=(--no-default-features --target "$wasm_target" --target-dir "$wasm_target_dir" "${@:2}")
  # Without RUSTC_BOOTSTRAP a stable compiler refuses flags with -Z.
  export RUSTC_BOOTSTRAP=1 RUSTFLAGS="${RUSTFLAGS:-} $wasm_flags"
  if [[ $(wasm_road) == rustup ]]; then
    cargo "$1" "${options[@]}"
  else
    cargo=(cargo "$1")
    [[ $1 != clippy ]] || cargo=("$(dpkg -L rust-web-clippy | grep 'bin/cargo-clippy$')" clippy)
    RUSTC=$(dpkg -L rustc-web | grep 'bin/rustc$') CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=$(echo "$(rustc --print sysroot)"/lib/rustlib/*/bin/rust-lld) \
      "${cargo[@]}" -Zbuild-std=std,panic_abort "${options[@]}"
  fi
)

# JavaScript for the module, and the module made smaller.
build_glue() {
  local module inputs=("$wasm_modules" tools/bindgen/Cargo.lock tools/bindgen/src www/package-lock.json)
  [[ -f $glue/ocelli_bg.wasm ]] && unchanged glue "${inputs[@]}" && return
  say "writing its JavaScript side and optimising it"
  cargo build --quiet --locked --manifest-path tools/bindgen/Cargo.toml --target-dir target/tools
  mkdir -p "$glue"
  for module in ocelli ocelli_full ocelli_import ocelli_pictures ocelli_grammar; do
    target/tools/debug/bindgen "$wasm_modules/$module.wasm" "$glue" "$module"
    # Features are read from the module. --all-features would emit what no browser loads.
    # Each pass leaves something for the next: three are 0.3 % smaller than one.
    for size in -Oz -Os -Oz; do
      www/node_modules/.bin/wasm-opt "$size" "$glue/${module}_bg.wasm" -o "$glue/${module}_bg.wasm"
    done
  done
  done_with glue "${inputs[@]}"
}

build_page() {
  local inputs=("$glue" www/src www/demo www/models www/build.mjs www/package.json www/package-lock.json www/tsconfig.types.json)
  [[ -f www/dist/index.html ]] && unchanged page "${inputs[@]}" && return
  say "building the npm package and the page"
  (cd www && node build.mjs)
  done_with page "${inputs[@]}"
}

serve() { node www/serve.mjs "${1:-8080}"; }

# --- testing -------------------------------------------------------------------------------------------------------------

# `cargo` with clippy in the compiler's place: one compilation of the workspace serves lints, tests and the command.
cargo_native() {
  RUSTC_WORKSPACE_WRAPPER=$(rustup which clippy-driver) CLIPPY_ARGS=-D__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__ cargo "$@"
}

check() {
  say "format"
  cargo fmt --check
  say "format, lints and types of the page"
  # The types of the module are made with it.
  [[ -f $glue/ocelli.d.ts ]] || build_all
  (cd www && npm run --silent check)
  say "lints, and tests without a GPU"
  cargo_native test --package ocelli --package ocelli-command --lib --test cpu
  # By itself: what it is tested with would have all else compiled anew.
  cargo_native test --package ocelli-grammar
}

test_all() {
  say "format"
  cargo fmt --check
  say "the wasm module and the page, beside the native tests: building; output of the first in target/page.log"
  mkdir -p target
  (build_all && say "lints, wasm32" && cargo_wasm clippy --lib --workspace --features "$wasm_features" -- -D warnings) >target/page.log 2>&1 &
  local page=$!
  cargo_native build --all-targets --package ocelli --package ocelli-command --package ocelli-synth
  wait "$page" || { cat target/page.log; fail "the wasm module or the page did not build"; }
  say "documentation of the crate"
  RUSTDOCFLAGS=-Dwarnings cargo doc --quiet --no-deps --lib --package ocelli --package ocelli-grammar --package ocelli-pictures --package ocelli-synth
  say "native tests"
  cargo_native test --package ocelli --package ocelli-command
  cargo_native test --package ocelli-grammar
  ! has tint || cargo_native test --test cpu tint -- --ignored
  say "format, lints and types of the page"
  (cd www && npm run --silent check)
  test_page
}

# The tests named: `engine` is a file or folder of tests/cpu, tests/gpu or tests, `api.test.ts` one of www/test.
test_some() {
  local name page=() folder binary
  local -A filters=()
  for name; do
    name=$(basename "$name" .rs)
    if [[ $name == bundlers ]]; then
      build_all
      test_bundlers
    elif [[ $name == schemas ]]; then
      cargo_native test --package ocelli-grammar
    elif [[ -f www/test/$name ]]; then
      page+=("${name%.test.ts}")
    elif [[ -f tests/$name/main.rs ]]; then
      filters[$name]+=' '
    else
      folder=$(find tests/cpu tests/gpu -maxdepth 1 \( -name "$name" -o -name "$name.rs" \) -printf '%h')
      [[ $folder ]] || fail "no tests are called $name: tests/cpu, tests/gpu, tests and www/test have them"
      filters[${folder##*/}]+=" $name::"
    fi
  done
  for binary in "${!filters[@]}"; do
    # shellcheck disable=SC2086 # several filters
    cargo_native test --test "$binary" -- ${filters[$binary]}
  done
  ((${#page[@]})) || return 0
  build_all
  cargo_native test --test gpu -- kernels::export
  cargo_native test --test cpu -- tokenizer::export
  test_page "${page[@]}"
}

test_page() {
  say "page tests in Chromium and Firefox"
  pack_fixtures
  local chromium=${CHROMIUM:-$(command -v chromium)} firefox=${FIREFOX:-$(command -v firefox-esr)}
  (cd www && CHROMIUM=$chromium FIREFOX=$firefox node test.mjs "$@")
}

# The npm package in projects of the bundlers that people use, in Chromium alone: it is the bundlers that differ.
test_bundlers() {
  local folder=tools/bundlers
  if [[ ! -d $folder/node_modules ]] || ! unchanged bundlers "$folder/package-lock.json"; then
    say "installing bundlers from npm into $folder/node_modules (470 MB)"
    # Not `npm ci`: it refuses where the registry lacks what other systems would install.
    npm install --prefix "$folder" --no-save --ignore-scripts --no-fund --no-audit
    done_with bundlers "$folder/package-lock.json"
  fi
  say "the npm package in projects of Vite, webpack, Rollup, esbuild and Next.js"
  (cd www && CHROMIUM=${CHROMIUM:-$(command -v chromium)} OCELLI_BROWSER=Chromium node test.mjs bundlers)
}

# The checkpoints of the native tests as packages, for the same comparison in browsers.
pack_fixtures() {
  # With a test: what the command depends on is built with other features without one.
  cargo_native build --quiet --bin ocelli --test cpu
  local checkpoint quant inputs=(target/debug/ocelli tests/fixtures/checkpoints tests/fixtures/gguf)
  mkdir -p target/fixture-packages
  unchanged fixture-packages "${inputs[@]}" && return
  for checkpoint in tests/fixtures/checkpoints/*/; do
    for quant in f32 f16 q8_0 q4_0 q4_64; do
      target/debug/ocelli pack "$checkpoint" --quant "$quant" --out "target/fixture-packages/$(basename "$checkpoint")-$quant"
    done
  done
  local text
  for text in tests/fixtures/gguf/*.gguf; do
    [[ $text != */mmproj.gguf && $text != */tokenizer.gguf ]] || continue
    target/debug/ocelli pack "$text" --mmproj tests/fixtures/gguf/mmproj.gguf --out "target/fixture-packages/gguf-$(basename "$text" .gguf)"
  done
  # Pairs that llama.cpp's converter wrote.
  for text in tests/fixtures/gguf/*/text.gguf; do
    checkpoint=$(dirname "$text")
    target/debug/ocelli pack "$text" --mmproj "$checkpoint/mmproj.gguf" --out "target/fixture-packages/gguf-$(basename "$checkpoint")"
  done
  target/debug/ocelli pack tests/fixtures/gguf/q4_k.gguf --mmproj tests/fixtures/gguf/mmproj.gguf --quant compact \
    --out target/fixture-packages/gguf-q4_k_compact
  done_with fixture-packages "${inputs[@]}"
}

# --- golden data ---------------------------------------------------------------------------------------------------------

fixtures() {
  setup_python
  setup_llama_cpp
  PYTHON=$PWD/.tools/py/bin/python LLAMA_CPP=$PWD/.tools/llama.cpp tests/fixtures/make_all.sh
}

setup_python() {
  has python3 || apt_install python3 python3-venv
  if [[ ! -x .tools/py/bin/python ]] || ! unchanged python tests/fixtures/requirements.txt; then
    say "installing the Python reference environment into .tools/py (torch makes it several GB)"
    python3 -m venv .tools/py
    .tools/py/bin/pip install --quiet -r tests/fixtures/requirements.txt
    done_with python tests/fixtures/requirements.txt
  fi
}

# The sources of llama.cpp's converter, of which a release of its Python binding has a copy.
setup_llama_cpp() {
  [[ -f .tools/llama.cpp/convert_hf_to_gguf.py ]] && return
  local release=llama_cpp_python-0.3.36 archive=.tools/llama_cpp_python.tar.gz
  say "downloading llama.cpp's converter into .tools/llama.cpp"
  mkdir -p .tools/llama.cpp
  curl -sfL -o "$archive" "https://files.pythonhosted.org/packages/ec/e9/e7de2b0463ea3ffbf0ede6cb21b58c1258a8f6521aae45ca773a59fe7cf3/$release.tar.gz"
  echo "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e  $archive" | sha256sum --check --quiet
  tar -xzf "$archive" -C .tools/llama.cpp --strip-components 3 "$release/vendor/llama.cpp/"{convert_hf_to_gguf.py,conversion,gguf-py}
}

# --- benchmarks ----------------------------------------------------------------------------------------------------------

bench() {
  case ${1:-} in
    --model) bench_model "${@:2}" ;;
    --against-ort) bench_against_ort "${@:2}" ;;
    --scale)
      [[ ${2:-} == 3b ]] || fail "the only scale there is: 3b"
      setup_build
      setup_test
      build_all
      bench_scale ministral-3-3b
      ;;
    *)
      setup_rust
      setup_gpu
      cargo bench "$@"
      ;;
  esac
}

mid_shape=benches/shapes/mid.json

# A random package of the mid-size shape, kept in target/bench/mid.
mid_package() {
  unchanged mid-package "$mid_shape" synth && [[ -f target/bench/mid/model.json ]] && return
  say "making a random model of the shape in $mid_shape"
  rm -rf target/bench/mid
  mkdir -p target/bench
  cargo run --quiet -- synth --shape "$mid_shape" --out target/bench/mid
  done_with mid-package "$mid_shape" synth
}

bench_model() {
  setup_rust
  setup_gpu
  local package=target/bench/mid
  if [[ ${1:-} && $1 != -* ]]; then
    package=$1
    shift
  else
    mid_package
  fi
  mkdir -p target/bench
  cargo build --quiet --release --bin ocelli
  target/release/ocelli bench "$package" --report target/bench/model.json "$@" | tee target/bench/model.md
}

# Both runtimes read models of one shape: Ocelli a package, onnxruntime-web what its own model builder makes.
bench_against_ort() {
  setup_build
  setup_test
  build_all
  mid_package
  onnx_models
  local version=1.30.0 ort=.tools/ort
  if ! grep -qs "\"version\": \"$version\"" "$ort/node_modules/onnxruntime-web/package.json"; then
    say "installing onnxruntime-web $version from npm into $ort (150 MB)"
    npm install --prefix "$ort" --no-save --ignore-scripts --no-fund --no-audit "onnxruntime-web@$version"
  fi
  local chromium=${CHROMIUM:-$(command -v chromium)}
  CHROMIUM=$chromium node www/bench/peer.mjs --shape "$mid_shape" --package target/bench/mid --onnx target/bench/onnx \
    --ort "$ort" --out target/bench "$@"
}

# The decoder and the tower as ONNX, kept in target/bench/onnx.
onnx_models() {
  unchanged onnx "$mid_shape" benches/onnx && [[ -f target/bench/onnx/tower.onnx ]] && return
  setup_python
  .tools/py/bin/pip install --quiet --no-deps -r benches/onnx/requirements.txt
  say "making the same shape as ONNX"
  rm -rf target/bench/onnx
  mkdir -p target/bench/onnx
  local log=target/bench/onnx.log
  .tools/py/bin/python benches/onnx/decoder.py "$mid_shape" target/bench/onnx/decoder >"$log" 2>&1 || fail "no decoder: see $log"
  .tools/py/bin/python benches/onnx/tower.py "$mid_shape" target/bench/onnx >>"$log" 2>&1 || fail "no tower: see $log"
  done_with onnx "$mid_shape" benches/onnx
}

# A package and a GGUF pair of random numbers in the model's shape, kept in target/scale; then both roads to an answer.
bench_scale() {
  local shape=$1 folder=target/scale
  mkdir -p "$folder"
  [[ -f $folder/$shape/model.json ]] ||
    cargo run --quiet -- synth --shape "$shape" --quant compact --vision-quant q4_64 --out "$folder/$shape"
  [[ -d $folder/$shape-gguf ]] || cargo run --quiet -- synth --shape "$shape" --gguf --out "$folder/$shape-gguf"
  say "natively: 1024 x 1024 pixels at the end of 4096 tokens, within 2 GiB"
  OCELLI_FULL_SIZE=$PWD/$folder/$shape cargo test --test gpu full_size -- --ignored --nocapture
  say "in Chromium: the GGUF pair imported, loaded from Cache Storage, a small picture and two tokens"
  local pair=("$PWD/$folder/$shape-gguf"/*mmproj*.gguf) text
  text=$(find "$PWD/$folder/$shape-gguf" -name '*.gguf' ! -name '*mmproj*')
  (cd www && node bench/scale.mjs "$text" "${pair[0]}")
}

main "$@"
