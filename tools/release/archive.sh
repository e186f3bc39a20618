#!/usr/bin/env bash
# Packs the command of target $1 with licences, notices, completions and the demo model into target/release-archives, with a SHA-256 beside it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
target=$1
version=$(sed -n '/^\[package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
name=ocelli-$version-$target
out=target/release-archives
folder=$out/$name
rm -rf "$folder"
mkdir -p "$folder/completions"
binary=$(find "target/$target/release" -maxdepth 1 -type f \( -name ocelli -o -name ocelli.exe \))
[[ $binary ]] || { echo "target/$target/release has no command: build it first" >&2; exit 1; }
cp "$binary" README.md CHANGELOG.md LICENSE-APACHE LICENSE-MIT THIRD-PARTY.txt "$folder"
cp -r www/models/demo "$folder/demo"
for shell in bash elvish fish powershell zsh; do "$binary" completions "$shell" >"$folder/completions/ocelli.$shell"; done
tar -czf "$out/$name.tar.gz" -C "$out" "$name"
rm -r "$folder"
# Not every system has sha256sum.
(cd "$out" && { sha256sum "$name.tar.gz" 2>/dev/null || shasum -a 256 "$name.tar.gz"; } >"$name.tar.gz.sha256")
echo "$out/$name.tar.gz"
