/** Fills a folder with what the README's lines need of a clone, whose folder `www` is given, in which `./build.sh build` has run: its build script does nothing any more. */
import { chmod, cp, writeFile } from "node:fs/promises";
import { join } from "node:path";

export async function cloneInto(folder, www) {
  for (const part of ["package.json", "README.md", "dist/ocelli", "models/demo"]) {
    await cp(join(www, part), join(folder, "www", part), { recursive: true });
  }
  await writeFile(join(folder, "build.sh"), "#!/bin/sh\n[ $1 = build ]\n");
  await chmod(join(folder, "build.sh"), 0o755);
}
