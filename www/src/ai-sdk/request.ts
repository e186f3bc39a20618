/** Calls of the AI SDK as requests to the engine. */
import type { LanguageModelV4CallOptions, LanguageModelV4FilePart, LanguageModelV4Message, SharedV4Warning } from "@ai-sdk/provider";
import type { ChatCompletionRequest, ChatMessage, FunctionTool, ImagePart, TextPart, ToolChoice } from "../index.js";

/** The name under which callers give options and find metadata: `providerOptions.ocelli`. */
export const PROVIDER = "ocelli";

type Message = LanguageModelV4Message;
type Of<Role extends Message["role"]> = Extract<Message, { role: Role }>;
type ToolResult = Extract<Of<"tool">["content"][number], { type: "tool-result" }>;

/** The request, and warnings about what is left out of it. Throws `TypeError` for content that no model of the engine reads. */
export function chatRequest(options: LanguageModelV4CallOptions): { request: ChatCompletionRequest; warnings: SharedV4Warning[] } {
  const warnings: SharedV4Warning[] = [];
  const { responseFormat: format, reasoning } = options;
  const tools: FunctionTool[] = [];
  for (const tool of options.tools ?? []) {
    if (tool.type === "function") tools.push(functionTool(tool));
    else warnings.push({ type: "unsupported", feature: `tool ${tool.id}`, details: "tools of providers do not run on this device" });
  }
  const request: ChatCompletionRequest = {
    messages: options.prompt.flatMap(messages),
    max_tokens: options.maxOutputTokens ?? null,
    temperature: options.temperature ?? null,
    top_p: options.topP ?? null,
    top_k: options.topK ?? null,
    presence_penalty: options.presencePenalty ?? null,
    frequency_penalty: options.frequencyPenalty ?? null,
    stop: options.stopSequences ?? null,
    seed: options.seed ?? null,
    ...(tools.length > 0 && { tools, tool_choice: toolChoice(options.toolChoice) }),
    ...(format?.type === "json" && { response_format: jsonFormat(format) }),
    ...(reasoning && reasoning !== "provider-default" && { reasoning_effort: reasoning }),
    ...options.providerOptions?.[PROVIDER],
  };
  return { request, warnings };
}

function functionTool(tool: Extract<NonNullable<LanguageModelV4CallOptions["tools"]>[number], { type: "function" }>): FunctionTool {
  const { name, description, inputSchema } = tool;
  return { type: "function", function: { name, ...(description && { description }), parameters: inputSchema as Record<string, unknown> } };
}

function toolChoice(choice: LanguageModelV4CallOptions["toolChoice"]): ToolChoice {
  if (choice?.type === "tool") return { type: "function", function: { name: choice.toolName } };
  return choice?.type ?? "auto";
}

function jsonFormat(format: Extract<NonNullable<LanguageModelV4CallOptions["responseFormat"]>, { type: "json" }>) {
  const { schema, name = "answer", description } = format;
  if (!schema) return { type: "json_object" as const };
  const json_schema = { name, schema: schema as Record<string, unknown>, ...(description && { description }) };
  return { type: "json_schema" as const, json_schema };
}

/** A message of the SDK as messages of the API: each result of a tool is one of its own. */
function messages(message: Message): ChatMessage[] {
  switch (message.role) {
    case "system":
      return [{ role: "system", content: message.content }];
    case "user":
      return [{ role: "user", content: message.content.map((part) => (part.type === "text" ? text(part.text) : file(part))) }];
    case "assistant":
      return [assistant(message)];
    case "tool":
      return message.content.filter((part) => part.type === "tool-result").map(toolResult);
  }
}

function assistant({ content }: Of<"assistant">): ChatMessage {
  const joined = (type: "text" | "reasoning") => content.flatMap((part) => (part.type === type ? [part.text] : [])).join("");
  const calls = content.filter((part) => part.type === "tool-call");
  const tool_calls = calls.map(({ toolCallId, toolName, input }) => ({
    id: toolCallId,
    type: "function" as const,
    function: { name: toolName, arguments: typeof input === "string" ? input : JSON.stringify(input) },
  }));
  const [said, thought] = [joined("text"), joined("reasoning")];
  return {
    role: "assistant",
    content: said || null,
    ...(thought && { reasoning_content: thought }),
    ...(tool_calls.length > 0 && { tool_calls }),
  };
}

function toolResult({ toolCallId, output }: ToolResult): ChatMessage {
  return { role: "tool", tool_call_id: toolCallId, content: resultContent(output) };
}

function resultContent(output: ToolResult["output"]): string | (TextPart | ImagePart)[] {
  switch (output.type) {
    case "text":
    case "error-text":
      return output.value;
    case "json":
    case "error-json":
      return JSON.stringify(output.value);
    case "execution-denied":
      return output.reason ?? "The user did not allow this call.";
    case "content":
      return output.value.map((part) => {
        if (part.type === "text") return text(part.text);
        if (part.type === "file") return file(part);
        throw new TypeError(`results of tools cannot have parts of type ${part.type}`);
      });
  }
}

function text(text: string): TextPart {
  return { type: "text", text };
}

/** A picture, with the `detail` of its provider options; a text file as its text. */
function file({
  mediaType,
  data,
  providerOptions,
}: Pick<LanguageModelV4FilePart, "mediaType" | "data" | "providerOptions">): TextPart | ImagePart {
  if (data.type === "text") return text(data.text);
  if (!/^image(\/|$)/.test(mediaType)) throw new TypeError(`the engine reads pictures, not files of type ${mediaType}`);
  if (data.type === "reference") throw new TypeError("the engine stores no files: pass the picture itself in place of a reference");
  const detail = providerOptions?.[PROVIDER]?.["detail"] as ImagePart["image_url"]["detail"];
  const url = data.type === "url" ? (data.originalUrl ?? data.url.href) : picture(data.data, mediaType);
  return { type: "image_url", image_url: { url, detail } };
}

/** Bytes as a file, base64 as a `data:` URL. */
function picture(data: Uint8Array | string, mediaType: string): string | Blob {
  const type = /^image\/[^*]/.test(mediaType) ? mediaType : "image/png";
  return typeof data === "string" ? `data:${type};base64,${data}` : new Blob([data as Uint8Array<ArrayBuffer>], { type });
}
