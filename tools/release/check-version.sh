#!/usr/bin/env bash
# Fails unless the crates, the npm package and the changelog have the version $1.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
version=$1
package=$(node -p 'require("./www/package.json").version')
for crate in . cpu grammar pictures src synth; do
  of_crate=$(sed -n '/^\[package\]/,/^\[/s/^version = "\(.*\)"/\1/p' "$crate/Cargo.toml")
  [[ $of_crate == "$version" ]] || { echo "$crate/Cargo.toml has version $of_crate, not $version" >&2; exit 1; }
done
others=$(grep -hE '^ocelli[a-z-]* = \{ version = ' Cargo.toml ./*/Cargo.toml | grep -vF "version = \"$version\"" || true)
[[ -z $others ]] || { echo "a crate needs another version: $others" >&2; exit 1; }
[[ $package == "$version" ]] || { echo "www/package.json has version $package, not $version" >&2; exit 1; }
grep -q "^## $version " CHANGELOG.md || { echo "CHANGELOG.md has no section $version" >&2; exit 1; }
