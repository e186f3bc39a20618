from openai import OpenAI

from common import *

CLIENT, PACKAGE = "openai (Python)", "openai"

demo = OpenAI(base_url=f"{DEMO}/v1", api_key="none", max_retries=0)
tools = OpenAI(base_url=f"{TOOLS}/v1", api_key="none", max_retries=0)


def test_chat():
    answer = demo.chat.completions.create(model="gpt-4o", messages=asked(), temperature=0)
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason, answer.model) == (GREETING, "stop", "demo")
    response = demo.responses.create(model="gpt-4o", input="Hello", temperature=0)
    assert (response.output_text, response.status) == (GREETING, "completed")
    # It is continued by its id, after the same turns.
    later = demo.responses.create(model="gpt-4o", input="Hello", temperature=0, previous_response_id=response.id)
    turns = asked() + [{"role": "assistant", "content": GREETING}] + asked()
    assert (later.output_text, later.usage.input_tokens) == chat(DEMO, messages=turns)
    cut = demo.chat.completions.create(model="gpt-4o", messages=asked(), temperature=0, max_tokens=3)
    assert (cut.choices[0].finish_reason, cut.usage.completion_tokens) == ("length", 3)


def test_stream():
    options = {"include_usage": True}
    chunks = list(demo.chat.completions.create(model="x", messages=asked(), temperature=0, stream=True, stream_options=options))
    texts = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    usage = chunks[-1].usage
    assert "".join(texts) == GREETING and 4 <= len(texts) <= usage.completion_tokens
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    with demo.responses.stream(model="x", input="Hello", temperature=0) as stream:
        pieces = [event.delta for event in stream if event.type == "response.output_text.delta"]
        assert "".join(pieces) == stream.get_final_response().output_text == GREETING


def test_picture():
    answer = demo.chat.completions.create(model="x", messages=about_the_picture(), temperature=0)
    assert answer.choices[0].message.content == WANTED
    assert answer.usage.prompt_tokens_details.image_tokens > 8
    parts = [{"type": "input_image", "image_url": PICTURE, "detail": "auto"}, {"type": "input_text", "text": DESCRIBE}]
    response = demo.responses.create(model="x", input=[{"role": "user", "content": parts}], temperature=0)
    assert response.output_text == WANTED
    file = demo.files.create(file=PICTURE_FILE, purpose="vision")
    parts[0] = {"type": "input_image", "file_id": file.id, "detail": "auto"}
    assert demo.responses.create(model="x", input=[{"role": "user", "content": parts}], temperature=0).output_text == WANTED


def test_tools():
    options = dict(model="x", temperature=0, tools=[function(PAINT)])
    answer = demo.chat.completions.create(messages=asked(), tool_choice="required", parallel_tool_calls=False, **options)
    call = answer.choices[0].message.tool_calls[0]
    assert (answer.choices[0].finish_reason, call.function.name) == ("tool_calls", "paint")
    Scene.model_validate_json(call.function.arguments)
    result = {"role": "tool", "tool_call_id": call.id, "content": "Thanks!"}
    after = demo.chat.completions.create(messages=[*asked(), answer.choices[0].message, result], **options)
    turns = asked() + called("paint", call.function.arguments, "Thanks!")
    wanted = chat(DEMO, messages=turns, tools=[function(PAINT)])
    assert (after.choices[0].message.content, after.usage.prompt_tokens) == wanted
    with demo.chat.completions.stream(messages=asked(), tool_choice="required", parallel_tool_calls=False, **options) as stream:
        streamed = stream.get_final_completion().choices[0].message.tool_calls[0]
    assert streamed.function.arguments == call.function.arguments


def test_result_picture():
    # Chats have no pictures in results by OpenAI's types, which nothing enforces; responses do.
    turns = asked("Look.") + called("look", "{}", [{"type": "image_url", "image_url": {"url": PICTURE}}])
    answer = tools.chat.completions.create(model="x", messages=turns, tools=[function(LOOK)], temperature=0, max_tokens=12)
    assert (answer.choices[0].message.content, answer.usage.prompt_tokens) == seen_in_a_result()
    call = {"type": "function_call", "call_id": "call_1", "name": "look", "arguments": "{}"}
    output = {"type": "function_call_output", "call_id": "call_1", "output": [{"type": "input_image", "image_url": PICTURE, "detail": "auto"}]}
    items = [{"role": "user", "content": "Look."}, call, output]
    options = dict(tools=[{"type": "function", "strict": False, **LOOK}], temperature=0, max_output_tokens=12)
    response = tools.responses.create(model="x", input=items, **options)
    assert (response.output_text, response.usage.input_tokens) == seen_in_a_result()


def test_schema():
    scene = demo.chat.completions.parse(model="x", messages=asked(), response_format=Scene, temperature=1.5, seed=3)
    assert isinstance(scene.choices[0].message.parsed, Scene)
    again = demo.responses.parse(model="x", input="Hello", text_format=Scene, temperature=1.5)
    assert isinstance(again.output_parsed, Scene)


def test_abort():
    with Aborted() as aborted:
        stream = tools.chat.completions.create(model="x", messages=asked(), max_tokens=ENDLESS, stream=True, temperature=0)
        assert [next(stream).object for _ in range(3)] == ["chat.completion.chunk"] * 3
        aborted.begun()
        stream.close()


def test_tokens():
    counted = demo.responses.input_tokens.count(model="x", input="Hello").input_tokens
    usage = demo.chat.completions.create(model="x", messages=asked(), temperature=0).usage
    assert counted == usage.prompt_tokens == post(DEMO, "/v1/tokenize", messages=asked())["count"]
    assert (usage.completion_tokens, usage.total_tokens) == (8, counted + 8)
