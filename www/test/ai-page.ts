/** The page of the AI SDK's tests: the provider, the tests' calls, and a chat in React. */
import { useChat, type UseChatHelpers } from "@ai-sdk/react";
import { DirectChatTransport, ToolLoopAgent, type ChatTransport, type LanguageModel, type UIMessage } from "ai";
import { createElement as h, StrictMode } from "react";
import { createRoot } from "react-dom/client";

export { createOpenAICompatible } from "@ai-sdk/openai-compatible";
export { describe, failures, objects, tools } from "./ai-calls.js";
export { ownOnly } from "./ai-own.js";

/** The last state of the chat from the hook. */
export const shown: { chat: UseChatHelpers<UIMessage> | null } = { chat: null };

function Chat({ transport }: { transport: ChatTransport<UIMessage> }) {
  const chat = useChat({ transport });
  shown.chat = chat;
  const text = ({ parts }: UIMessage) => parts.map((part) => (part.type === "text" ? part.text : "")).join("");
  return h("ol", null, ...chat.messages.map((message) => h("li", { key: message.id, className: message.role }, text(message))));
}

/** Shows a chat with the model, which runs in this page: no request leaves it. */
export function mountChat(element: HTMLElement, model: LanguageModel): void {
  const transport = new DirectChatTransport({ agent: new ToolLoopAgent({ model, temperature: 0, maxOutputTokens: 40 }) });
  // The SDK's own types are incompatible with each other under `exactOptionalPropertyTypes`.
  const chat = h(Chat, { transport: transport as unknown as ChatTransport<UIMessage> });
  createRoot(element).render(h(StrictMode, null, chat));
}
