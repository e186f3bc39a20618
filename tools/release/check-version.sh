#!/usr/bin/env bash
# Fails unless the command, the npm package and the changelog have the version $1.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
version=$1
command=$(sed -n '/^\[package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
package=$(node -p 'require("./www/package.json").version')
[[ $command == "$version" ]] || { echo "Cargo.toml has version $command, not $version" >&2; exit 1; }
[[ $package == "$version" ]] || { echo "www/package.json has version $package, not $version" >&2; exit 1; }
grep -q "^## $version " CHANGELOG.md || { echo "CHANGELOG.md has no section $version" >&2; exit 1; }
