/** The package as npm installs it. */
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";

/** Packs the package and unpacks the tarball into the `node_modules` of a project; returns both. */
export function installInto(project: string): { installed: string; tarball: string } {
  const installed = join(project, "node_modules/ocelli");
  mkdirSync(installed, { recursive: true });
  const [{ filename }] = JSON.parse(
    execFileSync("npm", ["pack", "--json", "--pack-destination", project], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }),
  ) as [{ filename: string }];
  const tarball = join(project, filename);
  execFileSync("tar", ["-xzf", tarball, "--strip-components=1", "-C", installed]);
  return { installed, tarball };
}
