/** Converts prompts to chat messages. Pictures are copied, because a session sends them again with every later prompt. */
import type { ChatMessage, ImagePart, PictureInput, TextPart } from "../api/openai.js";
import { failure } from "./failure.js";
import type { MessageContent, Prompt, PromptMessage } from "./types.js";

/** Input types of a session besides text, and true if a system message is allowed. */
export interface Accepts {
  images: boolean;
  system: boolean;
}

/** Rejects with the fault of the prompt. */
export async function chatMessages(prompt: Prompt, accepts: Accepts): Promise<ChatMessage[]> {
  const messages = typeof prompt === "string" ? [{ role: "user" as const, content: prompt }] : prompt;
  if (!Array.isArray(messages)) throw new TypeError("a prompt is a string or a list of messages");
  if (messages.length === 0) throw failure("SyntaxError", "a list of messages has at least one");
  check(messages, accepts);
  return Promise.all(messages.map((message) => chatMessage(message, accepts)));
}

function check(messages: PromptMessage[], accepts: Accepts): void {
  for (const [index, { role, prefix }] of messages.entries()) {
    if (!["system", "user", "assistant"].includes(role)) throw new TypeError(`messages[${index}].role is ${String(role)}`);
    if (role === "system" && (index > 0 || !accepts.system)) throw new TypeError("a system message comes first or not at all");
    if (prefix && (role !== "assistant" || index < messages.length - 1)) {
      throw failure("SyntaxError", "prefix is for a last message of the assistant");
    }
  }
}

/** The messages of a prompt that asks for an answer. A last message of the assistant is continued only if it is a prefix. */
export async function askedMessages(prompt: Prompt, accepts: Accepts): Promise<ChatMessage[]> {
  const messages = await chatMessages(prompt, accepts);
  const last = typeof prompt === "string" ? undefined : prompt.at(-1);
  // The engine continues every last message of the assistant; an empty turn of the user makes the next one an answer of its own.
  return last?.role === "assistant" && !last.prefix ? [...messages, { role: "user", content: "" }] : messages;
}

async function chatMessage({ role, content }: PromptMessage, accepts: Accepts): Promise<ChatMessage> {
  if (typeof content === "string") return { role, content };
  if (!Array.isArray(content)) throw new TypeError("content is a string or a list");
  const parts = await Promise.all(content.map((part) => chatPart(part, accepts)));
  if (role === "user") return { role, content: parts };
  const texts = parts.filter((part) => part.type === "text");
  if (texts.length < parts.length) throw failure("NotSupportedError", `a message of the ${role} holds text alone`);
  return { role, content: texts };
}

async function chatPart({ type, value }: MessageContent, accepts: Accepts): Promise<TextPart | ImagePart> {
  if (type === "text") {
    if (typeof value !== "string") throw new TypeError("the value of a text is a string");
    return { type, text: value };
  }
  if (type !== "image") throw failure("NotSupportedError", `parts of type ${String(type)} are not supported`);
  if (!accepts.images) throw failure("NotSupportedError", "pictures must be announced in expectedInputs");
  if (typeof value === "string") throw new TypeError("the value of an image is no string");
  return { type: "image_url", image_url: { url: await copied(value) } };
}

async function copied(value: Exclude<MessageContent["value"], string>): Promise<PictureInput> {
  if (value instanceof Blob) return value;
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) return new Blob([value as BufferSource]);
  if (typeof AudioBuffer !== "undefined" && value instanceof AudioBuffer) throw new TypeError("the value of an image is no audio");
  return createImageBitmap(value as ImageBitmapSource);
}
