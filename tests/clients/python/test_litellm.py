import litellm

from common import *

CLIENT, PACKAGE = "litellm (Python)", "litellm"


def complete(server: str = DEMO, **more):
    to = {"model": "openai/gpt-4o", "api_base": f"{server}/v1", "api_key": "none", "max_retries": 0}
    return litellm.completion(**{**to, "temperature": 0, "messages": asked(), **more})


def test_chat():
    answer = complete()
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == (GREETING, "stop")
    cut = complete(max_tokens=3)
    assert (cut.choices[0].finish_reason, cut.usage.completion_tokens) == ("length", 3)
    # Anthropic's messages.
    answer = complete(model="anthropic/claude-3-5-sonnet-latest", api_base=DEMO, max_tokens=60)
    assert answer.choices[0].message.content == GREETING
    response = litellm.responses(model="openai/gpt-4o", input="Hello", api_base=f"{DEMO}/v1", api_key="none", temperature=0)
    assert response.output[0].content[0].text == GREETING


def test_stream():
    chunks = list(complete(stream=True, stream_options={"include_usage": True}))
    texts = [text for chunk in chunks if chunk.choices and (text := chunk.choices[0].delta.content)]
    assert "".join(texts) == GREETING and 4 <= len(texts) <= chunks[-1].usage.completion_tokens


def test_picture():
    assert complete(messages=about_the_picture()).choices[0].message.content == WANTED
    to = {"model": "anthropic/claude-3-5-sonnet-latest", "api_base": DEMO, "max_tokens": 60}
    assert complete(messages=about_the_picture(), **to).choices[0].message.content == WANTED


def test_tools():
    answer = complete(tools=[function(PAINT)], tool_choice="required", parallel_tool_calls=False)
    message = answer.choices[0].message
    call = message.tool_calls[0]
    assert (answer.choices[0].finish_reason, call.function.name) == ("tool_calls", "paint")
    Scene.model_validate_json(call.function.arguments)
    result = {"role": "tool", "tool_call_id": call.id, "content": "Thanks!"}
    after = complete(messages=[*asked(), message, result], tools=[function(PAINT)])
    turns = asked() + called("paint", call.function.arguments, "Thanks!")
    assert (after.choices[0].message.content, after.usage.prompt_tokens) == chat(DEMO, messages=turns, tools=[function(PAINT)])


def test_result_picture():
    # The client itself moves the picture into a message of the user after the result.
    turns = asked("Look.") + called("look", "{}", [{"type": "image_url", "image_url": {"url": PICTURE}}])
    answer = complete(TOOLS, messages=turns, tools=[function(LOOK)], max_tokens=12)
    wanted = post(TOOLS, "/v1/chat/completions", messages=about_the_picture(), max_tokens=1)["usage"]["prompt_tokens_details"]
    assert answer.usage.prompt_tokens_details.image_tokens == wanted["image_tokens"] > 8


def test_schema():
    Scene.model_validate_json(complete(response_format=Scene, temperature=1.5).choices[0].message.content)


def test_abort():
    with Aborted() as aborted:
        stream = complete(TOOLS, max_tokens=ENDLESS, stream=True)
        assert sum(1 for _, _ in zip(range(3), stream)) == 3
        aborted.begun()
        # The wrapper has no such method itself.
        stream.completion_stream.close()


def test_tokens():
    usage = complete().usage
    assert usage.prompt_tokens == post(DEMO, "/v1/tokenize", messages=asked())["count"]
    assert (usage.completion_tokens, usage.total_tokens) == (8, usage.prompt_tokens + 8)
