/** The page: questions about pictures, answered on this device. */
import { render } from "preact";
import { startLanguage } from "./state/appearance.js";
import { listenForEnd, start } from "./state/session.js";
import { App } from "./views/app.js";
import { followAppearance, keepFocus } from "./views/dom.js";
import { language } from "./words/language.js";

/** All views are made anew in another language. */
function Page() {
  return <App key={language.value} />;
}

await startLanguage();
followAppearance();
keepFocus();
const root = document.getElementById("page");
if (root) render(<Page />, root);
performance.mark("interactive");
listenForEnd();
void start();
