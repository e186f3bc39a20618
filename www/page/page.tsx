/** The page: questions about pictures, answered on this device. */
import { render } from "preact";
import { listenForEnd, start } from "./state/session.js";
import { App } from "./views/app.js";

const root = document.getElementById("page");
if (root) render(<App />, root);
performance.mark("interactive");
listenForEnd();
void start();
