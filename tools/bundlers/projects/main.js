import { describe } from "./describe.js";

document.body.textContent = await describe().catch((error) => `${error.name} ${error.code}: ${error.message}`);
