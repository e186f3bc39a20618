import asyncio

from pydantic_ai import Agent, BinaryContent, ModelRequest, ModelResponse, NativeOutput, ToolCallPart, ToolReturnPart, UserPromptPart
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

from common import *

CLIENT, PACKAGE = "pydantic-ai (Python)", "pydantic-ai-slim"
SHOWN = BinaryContent(PICTURE_FILE.read_bytes(), media_type="image/png")


def agent(server: str = DEMO, kind=OpenAIChatModel, settings=None, **more) -> Agent:
    model = kind("gpt-4o", provider=OpenAIProvider(base_url=f"{server}/v1", api_key="none"))
    return Agent(model, model_settings={"temperature": 0, **(settings or {})}, retries=0, **more)


def test_chat():
    for kind in OpenAIChatModel, OpenAIResponsesModel:
        result = agent(kind=kind).run_sync("Hello")
        assert (result.output, result.response.finish_reason) == (GREETING, "stop")
        later = agent(kind=kind).run_sync("Hello", message_history=result.all_messages())
        turns = asked() + [{"role": "assistant", "content": GREETING}] + asked()
        assert later.output == chat(DEMO, messages=turns)[0]


def test_stream():
    stream = agent().run_stream_sync("Hello")
    texts = list(stream.stream_text(delta=True, debounce_by=None))
    assert "".join(texts) == GREETING and 4 <= len(texts) <= stream.usage.output_tokens


def test_picture():
    for kind in OpenAIChatModel, OpenAIResponsesModel:
        assert agent(kind=kind).run_sync([SHOWN, DESCRIBE]).output == WANTED


def test_tools():
    # The answer is a call of a tool that is required.
    painted = []
    painter = agent(settings={"parallel_tool_calls": False}, output_type=Scene)
    result = painter.run_sync("Hello")
    assert isinstance(result.output, Scene) and result.response.finish_reason == "tool_call"
    call = ToolCallPart("paint", {"shape": "star", "count": 2}, "call_1")
    turns = [ModelRequest([UserPromptPart("Hello")]), ModelResponse([call])]
    looped = agent()

    @looped.tool_plain
    def paint(shape: Literal["circle", "star"], count: Literal[1, 2, 3]) -> str:
        painted.append((shape, count))
        return "Thanks!"

    after = looped.run_sync(message_history=turns)
    assert painted == [("star", 2)] and after.response.finish_reason == "stop" and after.usage.input_tokens > 150


def test_result_picture():
    turns = [
        ModelRequest([UserPromptPart("Look.")]),
        ModelResponse([ToolCallPart("look", {}, "call_1")]),
        ModelRequest([ToolReturnPart("look", [SHOWN], "call_1")]),
    ]

    def looked(kind):
        looking = agent(TOOLS, kind=kind, settings={"max_tokens": 12})
        looking.tool_plain(lambda: "", name="look", description="Takes a picture.")
        return looking.run_sync(message_history=turns)

    responded = looked(OpenAIResponsesModel)
    assert (responded.output, responded.usage.input_tokens) == seen_in_a_result()
    # In chats the client itself moves the picture into a message of the user after the result.
    assert looked(OpenAIChatModel).usage.input_tokens > responded.usage.input_tokens


def test_schema():
    for kind in OpenAIChatModel, OpenAIResponsesModel:
        assert isinstance(agent(kind=kind, output_type=NativeOutput(Scene)).run_sync("Hello").output, Scene)


def test_abort():
    async def aborted():
        async with agent(TOOLS, settings={"max_tokens": ENDLESS}).run_stream("Hello") as stream:
            texts = stream.stream_text(delta=True, debounce_by=None)
            for _ in range(3):
                await anext(texts)
            watched.begun()
            await stream.cancel()

    with Aborted() as watched:
        asyncio.run(aborted())


def test_tokens():
    usage = agent().run_sync("Hello").usage
    assert usage.input_tokens == post(DEMO, "/v1/tokenize", messages=asked())["count"]
    assert (usage.output_tokens, usage.requests) == (8, 1)
