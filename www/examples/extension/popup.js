/** Sends a picture to the document that holds the model, and shows the answer. Closing the popup ends the answer. */
import { ask, dataUrl } from "./model.js";

const answer = document.getElementById("answer");

document.getElementById("file").addEventListener("change", async ({ target }) => {
  answer.textContent = "";
  answer.dataset.state = "busy";
  try {
    const picture = await dataUrl(target.files[0]);
    await ask({ picture, question: "Describe this image." }, { onText: (text) => answer.append(text) });
    answer.dataset.state = "done";
  } catch (error) {
    answer.append(error.message);
    answer.dataset.state = "failed";
  }
});
