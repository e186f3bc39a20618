"""llama.cpp's tests of its server against `ocelli serve`, adapted in address and model alone: `llama_cpp.py [FOLDER]`.

FOLDER is `tools/server/tests` of llama.cpp at COMMIT; without it the files are fetched from GitHub. They are changed by SUBSTITUTIONS, and
llama_cpp_plugin.py starts `ocelli serve` in place of llama-server. The tests that fail must be those of DECLINED.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

from document import is_current
from servers import COMMAND, DEMO, WORK, tools_package

COMMIT = "0c1e57098"
ADDRESS = f"https://raw.githubusercontent.com/ggml-org/llama.cpp/{COMMIT}/tools/server/tests/"
# SHA-256 of the files as they were when DECLINED was written.
FILES = json.loads((Path(__file__).parent / "llama_cpp.json").read_text())

# The model of the tests is llama.cpp's own, and so are the number of tokens of its prompts, its pictures, and the number of its build.
SUBSTITUTIONS = [
    ('["prompt_tokens"] == n_prompt', '["prompt_tokens"] > 0'),
    ('    assert res.body["system_fingerprint"].startswith("b")\n', ""),
    ('            assert data["system_fingerprint"].startswith("b")\n', ""),
    ('    assert res.system_fingerprint is not None and res.system_fingerprint.startswith("b")\n', ""),
    ('        assert res.system_fingerprint is not None and res.system_fingerprint.startswith("b")\n', ""),
    ('data["model"] == "llama-test-model"', 'data["model"] == "tools"'),
    ("requests.get(", "picture("),
]
# Not the tests of llama.cpp's own pages and proxies, nor of its own address /completion.
CHOSEN = "not cors and not static_assets and (openai_library or not test_completion.py)"
LLAMA = "meta-llama-Llama-3.3-70B-Instruct"
# Tests that fail, by the reason for which they may.
DECLINED = {
    "they are about addresses of llama.cpp alone (`/apply-template`, `/tokenize`, `/chat/completions/input_tokens`)": [
        "test_apply_chat_template",
        "test_anthropic_thinking_history_in_template",
        "test_logit_bias",
        "test_chat_completions_token_count",
        "test_vision_chat_completion_token_count",
    ],
    "fields of llama.cpp alone, refused by name: `grammar`, `json_schema`, `timings_per_token`, `return_progress`, `id_slot`, `verbose`, `add_generation_prompt`, `content` of embeddings, objects as `prompt`": [
        "test_completion_with_grammar",
        "test_completion_with_json_schema",
        "test_chat_completion_with_timings_per_token",
        "test_return_progress",
        "test_responses_stream_with_llama_telemetry",
        "test_chat_completions_multiple_choices",
        "test_verbose_debug",
        "test_chat_template_continue_final_message_vllm_compat",
        r"test_vision_completion[What is this: <__media__>\n-IMG",
        r"test_vision_embeddings[What is this: <__media__>\n-IMG",
        "test_vision_embeddings_oai_content",
    ],
    "answers have fields of llama.cpp alone: `__verbose`, `content` of a completion, `models` beside `data`": [
        "test_chat_template",
        "test_chat_template_assistant_prefill",
        "test_correct_api_key",
        "test_correct_api_key_anthropic_header",
        "test_models_supports_multimodal_capability",
        "test_v1_models_supports_multimodal_capability",
    ],
    "the first piece of a stream has the content `\"\"`, as in OpenAI's API, and not `null`": [
        "test_chat_completion_stream",
        "test_logprobs_stream",
        *[f"test_completion_without_tool_call_fast[{LLAMA}-128-{case}-CompletionMode.STREAMED" for case in ("tools0-None", "tools1-None", "tools2-none")],
    ],
    "errors have OpenAI's types and codes (`invalid_request_error`, `context_length_exceeded`, `invalid_api_key`)": [
        "test_context_size_exceeded",
        "test_context_size_exceeded_stream",
        "test_embedding_error_prompt_too_long",
        "test_incorrect_api_key",
    ],
    "the server fetches no pictures": [r"test_vision_chat_completion[What is this:\n-IMG_URL", r"test_vision_chat_completion[Test test\n-IMG_URL"],
    "an absolute path must lead into the folder of pictures": ["test_local_media_file[../../../tools-file:////mtmd"],
    "two answers in succession are one, and no messages at all are refused": ["test_invalid_chat_completion_req[messages7", "test_anthropic_empty_messages"],
    "inputs of embeddings that are token ids, objects without a type, or empty, or are in `content`": [
        *[f"test_embedding_mixed_input[{case}" for case in ("-", *[f"input{number}-" for number in (2, 3, 5, 6, 7, 8, 9, 10)])],
        "test_embedding_content_text_same_as_string",
        "test_embedding_pooling_none",
        "test_embedding_pooling_none_oai",
    ],
    "facts of llama.cpp's model: numbers of tokens, no pictures": [
        "test_chat_completion_cached_tokens",
        "test_embedding_usage_single",
        "test_embedding_usage_multiple",
        "test_anthropic_tool_result_with_image",
        "test_anthropic_vision_format_accepted",
    ],
}


def fetch(folder: Path | None, to: Path):
    shutil.rmtree(to, ignore_errors=True)
    (to / "unit").mkdir(parents=True)
    for name, wanted in FILES.items():
        text = (folder / name).read_bytes() if folder else urllib.request.urlopen(ADDRESS + name).read()
        if hashlib.sha256(text).hexdigest() != wanted:
            sys.exit(f"{name} is another file than at {COMMIT}")
        text = text.decode()
        if name != "utils.py":
            for old, new in SUBSTITUTIONS:
                text = text.replace(old, new)
        (to / name).write_text(text)
    shutil.copy(Path(__file__).parent / "llama_cpp_plugin.py", to / "conftest.py")


def run(folder: Path | None) -> dict[str, bool]:
    """Outcomes by test."""
    tests, results, media = WORK / "llama.cpp", WORK / "llama-cpp.json", WORK / "media"
    fetch(folder, tests)
    # The path of a picture that the tests name.
    (media / "mtmd").mkdir(parents=True, exist_ok=True)
    shutil.copy(DEMO / "gallery/scene-01.png", media / "mtmd/test-1.jpeg")
    models = {"OCELLI_COMMAND": COMMAND, "OCELLI_TOOLS": str(tools_package()), "OCELLI_PICTURES": str(DEMO / "gallery"), "OCELLI_MEDIA": str(media)}
    line = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore", "--tb=no", "-m", "not slow", "-k", CHOSEN, "unit"]
    subprocess.run(line, cwd=tests, env={**os.environ, **models, "OCELLI_RESULTS": str(results)}, stdout=subprocess.DEVNULL)
    return {name.removeprefix("unit/"): passed for name, passed in json.loads(results.read_text()).items()}


def reason_of(test: str) -> str | None:
    """The reason why a test is declined; DECLINED has beginnings of names."""
    name = test.split("::")[1]

    def is_of(begin: str) -> bool:
        return name.startswith(begin) if "[" in begin else name.split("[")[0] == begin

    return next((reason for reason, names in DECLINED.items() if any(map(is_of, names))), None)


def tables(outcomes: dict[str, bool]) -> str:
    lines = ["| file | passed | declined |", "|---|---|---|"]
    for file in sorted({test.split("::")[0] for test in outcomes}):
        of = [passed for test, passed in outcomes.items() if test.startswith(file)]
        lines.append(f"| `{file}` | {of.count(True)} | {of.count(False)} |")
    lines += ["", "| declined, because | tests |", "|---|---|"]
    for reason, names in DECLINED.items():
        count = sum(reason_of(test) == reason for test, passed in outcomes.items() if not passed)
        shown = dict.fromkeys(f"`{name.split('[')[0].removeprefix('test_')}`" for name in names)
        lines.append(f"| {reason} | {count}: {', '.join(shown)} |")
    return "\n".join(lines)


def main():
    folder = next((Path(name) for name in sys.argv[1:] if name != "--write"), None)
    outcomes = run(folder)
    failed = [test for test, passed in outcomes.items() if not passed and reason_of(test) is None]
    passed = [test for test, passed in outcomes.items() if passed and reason_of(test)]
    print("\n".join([f"{test} failed" for test in failed] + [f"{test} is declined, and passed" for test in passed]))
    sys.exit(0 if is_current("llama.cpp", "./build.sh clients --llama-cpp", tables(outcomes)) and not failed + passed else 1)


if __name__ == "__main__":
    main()
