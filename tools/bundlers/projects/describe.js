import { Engine } from "ocelli";

/** The demo model's description of its first picture. */
export async function describe() {
  const engine = await Engine.load("/models/demo/");
  const picture = { type: "image_url", image_url: { url: "/models/demo/gallery/scene-01.png" } };
  const completion = await engine.chat.completions.create({
    messages: [{ role: "user", content: [picture, { type: "text", text: "Describe this image." }] }],
    temperature: 0,
  });
  engine.unload();
  return completion.choices[0].message.content;
}
