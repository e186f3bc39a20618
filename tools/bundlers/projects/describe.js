import { Engine } from "ocelli";

/** The demo model's description of its first picture, and an answer that has a format, for which another module is loaded. */
export async function describe() {
  const engine = await Engine.load("/models/demo/");
  const picture = { type: "image_url", image_url: { url: "/models/demo/gallery/scene-01.png" } };
  const completion = await engine.chat.completions.create({
    messages: [{ role: "user", content: [picture, { type: "text", text: "Describe this image." }] }],
    temperature: 0,
  });
  const colour = await engine.chat.completions.create({
    messages: [{ role: "user", content: "Name a colour." }],
    response_format: { type: "regex", regex: "red|green" },
  });
  engine.unload();
  return [completion, colour].map(({ choices }) => choices[0].message.content).join(" ");
}
