/** Sends a picture to the document that holds the model, and shows the answer. Closing the popup ends the answer. */
const answer = document.getElementById("answer");

document.getElementById("file").addEventListener("change", async ({ target }) => {
  answer.textContent = "";
  answer.dataset.state = "busy";
  const { error } = await chrome.runtime.sendMessage("open");
  if (error) return show({ error });
  const port = chrome.runtime.connect();
  port.onMessage.addListener(show);
  port.postMessage({ picture: await dataUrl(target.files[0]), question: "Describe this image." });
});

function show({ text = "", error, isDone }) {
  answer.append(error ?? text);
  if (error || isDone) answer.dataset.state = error ? "failed" : "done";
}

function dataUrl(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}
