from anthropic import Anthropic, transform_schema

from common import *

CLIENT, PACKAGE = "anthropic (Python)", "anthropic"

demo = Anthropic(base_url=DEMO, api_key="none", max_retries=0)
tools = Anthropic(base_url=TOOLS, api_key="none", max_retries=0)
SHOWN = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PICTURE_BASE64}}
# The client has no parameter for the temperature.
GREEDY = {"model": "claude", "max_tokens": 60, "extra_body": {"temperature": 0}}


def tool(of: dict) -> dict:
    return {"name": of["name"], "description": of["description"], "input_schema": of["parameters"]}


def test_chat():
    message = demo.messages.create(messages=asked(), **GREEDY)
    assert (message.content[0].text, message.stop_reason) == (GREETING, "end_turn")
    cut = demo.messages.create(messages=asked(), **{**GREEDY, "max_tokens": 3})
    assert (cut.stop_reason, cut.usage.output_tokens) == ("max_tokens", 3)


def test_stream():
    with demo.messages.stream(messages=asked(), **GREEDY) as stream:
        texts = list(stream.text_stream)
        message = stream.get_final_message()
    assert "".join(texts) == message.content[0].text == GREETING and 4 <= len(texts) <= message.usage.output_tokens


def test_picture():
    content = [SHOWN, {"type": "text", "text": DESCRIBE}]
    assert demo.messages.create(messages=[{"role": "user", "content": content}], **GREEDY).content[0].text == WANTED


def test_tools():
    options = {**GREEDY, "tools": [tool(PAINT)]}
    choice = {"type": "tool", "name": "paint", "disable_parallel_tool_use": True}
    message = demo.messages.create(messages=asked(), tool_choice=choice, **options)
    call = message.content[-1]
    assert (message.stop_reason, call.type, call.name) == ("tool_use", "tool_use", "paint")
    scene = Scene.model_validate(call.input)
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "Thanks!"}
    turns = [*asked(), {"role": "assistant", "content": message.content}, {"role": "user", "content": [result]}]
    after = demo.messages.create(messages=turns, **options)
    told, tokens = chat(DEMO, messages=asked() + called("paint", json.dumps(call.input), "Thanks!"), tools=[function(PAINT)])
    assert after.content[0].text == told
    assert after.usage.input_tokens + after.usage.cache_read_input_tokens == tokens
    with demo.messages.stream(messages=asked(), tool_choice=choice, **options) as stream:
        assert Scene.model_validate(stream.get_final_message().content[-1].input) == scene


def test_result_picture():
    call = {"type": "tool_use", "id": "call_1", "name": "look", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "call_1", "content": [SHOWN]}
    turns = [*asked("Look."), {"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]
    message = tools.messages.create(messages=turns, tools=[tool(LOOK)], **{**GREEDY, "max_tokens": 12})
    usage = message.usage
    assert (message.content[0].text, usage.input_tokens + usage.cache_read_input_tokens) == seen_in_a_result()


def test_schema():
    message = demo.messages.parse(messages=asked(), output_format=Scene, **{**GREEDY, "extra_body": {"temperature": 1}})
    assert isinstance(message.parsed_output, Scene)
    schema = {"format": {"type": "json_schema", "schema": transform_schema(Scene)}}
    Scene.model_validate_json(demo.messages.create(messages=asked(), output_config=schema, **GREEDY).content[0].text)


def test_abort():
    with Aborted() as aborted, tools.messages.stream(messages=asked(), **{**GREEDY, "max_tokens": ENDLESS}) as stream:
        for _, _ in zip(range(3), stream.text_stream):
            pass
        aborted.begun()
        stream.close()


def test_tokens():
    counted = demo.messages.count_tokens(model="claude", messages=asked()).input_tokens
    usage = demo.messages.create(messages=asked(), **GREEDY).usage
    assert counted == usage.input_tokens + usage.cache_read_input_tokens == post(DEMO, "/v1/tokenize", messages=asked())["count"]
    assert usage.output_tokens == 8
