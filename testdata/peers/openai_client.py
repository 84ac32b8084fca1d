"""Talks to a running `lorac serve` by the client of OpenAI, for TestServeOpenAIClient.

    pip install openai
    python testdata/peers/openai_client.py http://127.0.0.1:8000/v1
"""
import sys, threading

import openai

client = openai.OpenAI(base_url=sys.argv[1], api_key="none", max_retries=0, timeout=120)
hi = [{"role": "user", "content": "hi"}]

models = [m.id for m in client.models.list().data]
assert models == ["talk", "base"], models
assert client.models.retrieve("base").id == "base"

c = client.chat.completions.create(model="talk", messages=hi)
assert c.choices[0].message.content == "hello" and c.choices[0].message.role == "assistant", c
assert c.choices[0].finish_reason == "stop" and c.object == "chat.completion" and c.model == "talk", c
assert c.usage.completion_tokens == 5 and c.usage.prompt_tokens > 5 and c.usage.total_tokens == c.usage.prompt_tokens + 5, c.usage
base = client.chat.completions.create(model="base", messages=hi, max_tokens=8)
assert base.choices[0].message.content != "hello", base
assert client.chat.completions.create(model="talk", messages=hi).choices[0].message.content == "hello"

said, usage, finish = "", None, None
for part in client.chat.completions.create(model="talk", messages=hi, stream=True, stream_options={"include_usage": True}):
    assert part.object == "chat.completion.chunk", part
    for x in part.choices:
        said += x.delta.content or ""
        finish = x.finish_reason or finish
    usage = part.usage or usage
assert (said, finish, usage.completion_tokens) == ("hello", "stop", 5), (said, finish, usage)

c = client.chat.completions.create(model="talk", messages=hi, stop=["ll"])
assert c.choices[0].message.content == "he" and c.choices[0].finish_reason == "stop", c
c = client.chat.completions.create(model="talk", messages=hi, max_completion_tokens=2)
assert c.choices[0].message.content == "he" and c.choices[0].finish_reason == "length", c
c = client.chat.completions.create(model="talk", messages=hi, n=3, temperature=1.5, seed=5, max_tokens=6)
again = client.chat.completions.create(model="talk", messages=hi, n=3, temperature=1.5, seed=5, max_tokens=6)
texts = [x.message.content for x in c.choices]
assert len(set(texts)) > 1 and texts == [x.message.content for x in again.choices], texts
parts = [{"role": "user", "content": [{"type": "text", "text": "h"}, {"type": "text", "text": "i"}]}]
assert client.chat.completions.create(model="talk", messages=parts).choices[0].message.content == "hello"

t = client.completions.create(model="base", prompt=["ab", "cd"], max_tokens=3, temperature=0)
assert [x.index for x in t.choices] == [0, 1] and t.usage.completion_tokens <= 6 and t.object == "text_completion", t
said = "".join(x.choices[0].text for x in client.completions.create(model="base", prompt="ab", max_tokens=3, temperature=0, stream=True) if x.choices)
assert said == t.choices[0].text, (said, t)

def fails(kind, call, **more):
    try:
        call()
    except kind as e:
        for k, v in more.items():
            assert getattr(e, k) == v, (k, getattr(e, k), e)
        return
    raise AssertionError(f"no {kind}")

create = client.chat.completions.create
fails(openai.NotFoundError, lambda: create(model="other", messages=hi), code="model_not_found")
fails(openai.BadRequestError, lambda: create(model="talk", messages=[]))
fails(openai.BadRequestError, lambda: create(model="talk", messages=hi, logprobs=True), param="logprobs")
fails(openai.BadRequestError, lambda: create(model="talk", messages=hi, temperature=3), param="temperature")
fails(openai.BadRequestError, lambda: create(model="talk", messages=[{"role": "user", "content": "x" * 500}]), code="context_length_exceeded")
fails(openai.BadRequestError, lambda: create(model="talk", messages=hi, extra_body={"strange": 1}))
fails(openai.BadRequestError, lambda: create(model="talk", messages=hi, tools=[{"type": "function", "function": {"name": "f"}}]))

# Many at once say what each says alone.
questions = ["hi", "you", "a", "bc", "def", "hello", "x y", "zz", "0", "1"]
alone = [create(model="talk", messages=[{"role": "user", "content": q}], max_tokens=20).choices[0].message.content for q in questions]
together = [None] * len(questions)
def ask(i):
    together[i] = create(model="talk", messages=[{"role": "user", "content": questions[i]}], max_tokens=20).choices[0].message.content
threads = [threading.Thread(target=ask, args=(i,)) for i in range(len(questions))]
[x.start() for x in threads]
[x.join() for x in threads]
assert together == alone, (together, alone)
print("all is well")
