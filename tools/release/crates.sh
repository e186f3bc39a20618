#!/usr/bin/env bash
# Packs the crates as cargo publishes them into target/crates/packed, installs the command from them alone, without a network, into
# target/crates/installed, and asks it about a picture.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
out=$PWD/target/crates
crates=(cpu grammar pictures src synth)

# A crate has no files outside its folder, and those of this repository share some.
rm -rf "$out/tree" "$out/packed"
mkdir -p "$out/tree" "$out/packed"
git ls-files -z --cached --others --exclude-standard -- Cargo.toml Cargo.lock build.rs README.md 'LICENSE-*' THIRD-PARTY.txt \
  bin wasm "${crates[@]}" shaders www/src/api/models.json www/models/demo/tokenizer.json | xargs -0 cp --parents -t "$out/tree"
cd "$out/tree"
mv shaders src/
mv www/models/demo/tokenizer.json synth/
for crate in "${crates[@]}"; do cp LICENSE-* "$crate"; done
# The repository's own crates cannot be published by mistake.
for crate in . "${crates[@]}"; do sed -i '/^publish = false/d' "$crate/Cargo.toml"; done
names=(ocelli ocelli-cpu ocelli-grammar ocelli-pictures ocelli-synth ocelli-command)
# shellcheck disable=SC2046 # several options
CARGO_TARGET_DIR=$out/packing cargo package --quiet --no-verify --offline --allow-dirty $(printf -- '-p %s ' "${names[@]}")
cp "$out"/packing/package/*.crate "$out/packed"

# Outside the repository, whose workspace and toolchain are none of the crates'.
RUSTUP_TOOLCHAIN=$(rustup show active-toolchain | cut -d' ' -f1)
export RUSTUP_TOOLCHAIN
unpacked=$(mktemp -d)
trap 'rm -rf "$unpacked"' EXIT
cd "$unpacked"
patches=()
for file in "$out"/packed/*.crate; do
  tar -xzf "$file"
  folder=$(basename "$file" .crate)
  name=${folder%-*}
  [[ $name == ocelli-command ]] || patches+=(--config "patch.crates-io.$name.path='$unpacked/$folder'")
done
CARGO_TARGET_DIR=$out/build cargo install --quiet --offline --debug --force --root "$out/installed" --path ocelli-command-* "${patches[@]}"
cd "$out/../.."
"$out/installed/bin/ocelli" describe www/models/demo www/models/demo/gallery/scene-01.png
ls -l "$out/packed"
