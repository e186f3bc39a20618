/** Serves the built page: `node serve.mjs [PORT]`. */
import { fileURLToPath } from "node:url";
import { serve } from "./server.mjs";

const port = Number(process.argv[2] ?? 8080);
const { url } = await serve(fileURLToPath(new URL("dist", import.meta.url)), port);
console.log(`Ocelli is at ${url}`);
