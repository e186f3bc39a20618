/** A line that says where pictures and questions go, with a button to return to this device. */
import { isServed, type Server } from "../state/server.js";
import { leaveServer } from "../state/session.js";
import { words } from "../words/index.js";

export function SentTo({ server }: { server: Server | undefined }) {
  return server ? (
    <p class="sent-to">
      <span>{words.server.sentTo(server.address)}</span>
      {!isServed && (
        <button type="button" class="quiet" onClick={leaveServer}>
          {words.server.leave}
        </button>
      )}
    </p>
  ) : null;
}
