/** Error messages: what went wrong and what to do next. */
import { storeProblem } from "../state/kept.js";
import { problem, type Advice, type Problem } from "../state/problem.js";
import { words } from "../words/index.js";

export function adviceOf({ code, advice: own }: { code: string; advice?: Advice | undefined }): Advice {
  const advice: Readonly<Record<string, Advice>> = words.problems.codes;
  return own ?? advice[code] ?? words.problems.other;
}

/** The error that concerns the whole page. */
export function PageProblem() {
  const shown = problem.value;
  return (
    <div class="problem" id="problem" role="alert" data-code={shown?.code}>
      {shown && <Text {...shown} />}
    </div>
  );
}

function Text(shown: Problem) {
  const { code, message, subject } = shown;
  const { title, next } = adviceOf(shown);
  return (
    <>
      <p class="problem-title">{words.problems.of(subject, title)}</p>
      <p>{next}</p>
      <details>
        <summary>{words.problems.details}</summary>
        <code>
          {code}: {message}
        </code>
      </details>
    </>
  );
}

/** Why something is not kept. */
export function StoreNote() {
  const why = storeProblem.value;
  return (
    <div class="notice" id="not-kept" role="status" hidden={why === null}>
      {why && <p>{words.store[why]}</p>}
      {why === "outdated" && (
        <button type="button" class="quiet" onClick={() => location.reload()}>
          {words.store.reload}
        </button>
      )}
    </div>
  );
}
