/** Conversations as trees: paths, versions, and the part of a path that the model is given. */
import type { Id, Message } from "../store/schema.js";

export type Messages = ReadonlyMap<Id, Message>;

/** The messages from the first to `leaf`. */
export function pathTo(leaf: Id | null, messages: Messages): Message[] {
  const path: Message[] = [];
  for (let at = leaf; at !== null && path.length <= messages.size; ) {
    const message = messages.get(at);
    if (!message) break;
    path.unshift(message);
    at = message.parent;
  }
  return path;
}

/** The messages with the same parent and role, the oldest first. */
export function versionsOf(message: Message, messages: Messages): Message[] {
  return [...messages.values()]
    .filter(({ parent, role }) => parent === message.parent && role === message.role)
    .sort((one, other) => one.at - other.at);
}

/** The leaf below `message` that is reached by the newest messages. */
export function newestLeaf(message: Message, messages: Messages): Message {
  const [newest] = [...messages.values()].filter(({ parent }) => parent === message.id).sort((one, other) => other.at - one.at);
  return newest ? newestLeaf(newest, messages) : message;
}

/** `message` and everything that hangs on it. */
export function below(message: Message, messages: Messages): Message[] {
  const children = [...messages.values()].filter(({ parent }) => parent === message.id);
  return [message, ...children.flatMap((child) => below(child, messages))];
}

/** The messages of `path` that are sent: those of its last topic, without questions that have no answer, except the last one. */
export function sentOf(path: readonly Message[]): Message[] {
  const topic = path.slice(
    Math.max(
      0,
      path.findLastIndex(({ isTopic }) => isTopic),
    ),
  );
  return topic.filter((message, index) => {
    if (index === topic.length - 1) return true;
    const answer = message.role === "user" ? topic[index + 1] : message;
    return answer?.role === "assistant" && answer.end !== "failed" && answer.text !== "";
  });
}
