"""Renders conversations by apply_chat_template of transformers, for the goldens of
codegen/jinja.

    pip install transformers jinja2
    python testdata/peers/chat_templates.py > codegen/jinja/testdata/goldens.json

Templates are those of codegen/jinja/templates, others of the kinds that tokenizers
bring, and many small ones for single features of Jinja.
"""
import json, pathlib

from transformers import PreTrainedTokenizerFast
from tokenizers import Tokenizer, models

here = pathlib.Path(__file__).resolve().parents[2]

def m(role, content, **more):
    return {"role": role, "content": content, **more}

tool = {"type": "function", "function": {"name": "get_weather", "description": "The weather of a city, in °C.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string", "enum": ["Köln", "Paris"]}, "days": {"type": "integer", "minimum": 1, "maximum": 2.5}},
                       "required": ["city"], "strict": True, "nothing": None, "empty": [], "none": {}}}}
calls = [{"type": "function", "id": "call_1", "function": {"name": "get_weather", "arguments": {"city": "Köln", "days": 2}}}]

conversations = [
    {"messages": [m("user", "Hello")]},
    {"messages": [m("system", "Be brief."), m("user", "  Who are you?\n")]},
    {"messages": [m("user", "Hi"), m("assistant", "Hello there."), m("user", "And \"you\"?"), m("assistant", " Fine \n")]},
    {"messages": [m("system", "Sys\ntem"), m("user", "é 世界 <b>"), m("assistant", "a\\b"), m("user", "")]},
    {"messages": [m("user", "Weather?"), m("assistant", "", tool_calls=calls), m("tool", "{\"c\": 3.5}", name="get_weather", tool_call_id="call_1"), m("assistant", "3.5 °C")], "tools": [tool]},
    {"messages": [m("system", "S"), m("user", "Weather?")], "tools": [tool, tool]},
    {"messages": [m("assistant", "I begin."), m("user", "No.")]},
    {"messages": [m("user", "think"), m("assistant", "<think>\nwell\n</think>\n\nyes"), m("user", "again")]},
]

alternate = "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
kinds = {
    "llama2": "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}{% for message in loop_messages %}" + alternate + "{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}",
    "llama3": "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}",
    "chatml": "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
    "zephyr": "{% for message in messages %}\n{% if message['role'] == 'user' %}\n{{ '<|user|>\n' + message['content'] + eos_token }}\n{% elif message['role'] == 'system' %}\n{{ '<|system|>\n' + message['content'] + eos_token }}\n{% elif message['role'] == 'assistant' %}\n{{ '<|assistant|>\n'  + message['content'] + eos_token }}\n{% endif %}\n{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}",
    "gemma": "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}{% for message in messages %}" + alternate + "{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}{{'<start_of_turn>model\n'}}{% endif %}",
    "mistral": """{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}

{#- Alternation, without tools. #}
{%- set ns = namespace() %}
{%- set ns.index = 0 %}
{%- for message in loop_messages %}
    {%- if not (message.role == "tool" or message.role == "tool_results" or (message.tool_calls is defined and message.tool_calls is not none)) %}
        {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}
            {{- raise_exception("roles must alternate") }}
        {%- endif %}
        {%- set ns.index = ns.index + 1 %}
    {%- endif %}
{%- endfor %}

{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if tools is not none and (message == user_messages[-1]) %}
            {{- "[AVAILABLE_TOOLS] [" }}
            {%- for tool in tools %}
                {%- set tool = tool.function %}
                {{- '{"type": "function", "function": {' }}
                {%- for key, val in tool.items() if key != "return" %}
                    {%- if val is string %}
                        {{- '"' + key + '": "' + val + '"' }}
                    {%- else %}
                        {{- '"' + key + '": ' + val|tojson }}
                    {%- endif %}
                    {%- if not loop.last %}
                        {{- ", " }}
                    {%- endif %}
                {%- endfor %}
                {{- "}}" }}
                {%- if not loop.last %}
                    {{- ", " }}
                {%- else %}
                    {{- "]" }}
                {%- endif %}
            {%- endfor %}
            {{- "[/AVAILABLE_TOOLS]" }}
        {%- endif %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message.tool_calls is defined and message.tool_calls is not none %}
        {{- "[TOOL_CALLS] [" }}
        {%- for tool_call in message.tool_calls %}
            {%- set out = tool_call.function|tojson %}
            {{- out[:-1] }}
            {%- if not tool_call.id is defined or tool_call.id|length != 6 %}
                {{- raise_exception("Tool call IDs should be strings with length 6!") }}
            {%- endif %}
            {{- ', "id": "' + tool_call.id + '"}' }}
        {%- endfor %}
        {{- "]" + eos_token }}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"]|trim + eos_token}}
    {%- elif message["role"] == "tool" %}
        {%- if message.content is defined and message.content.content is defined %}
            {%- set content = message.content.content %}
        {%- else %}
            {%- set content = message.content %}
        {%- endif %}
        {{- '[TOOL_RESULTS] {"content": ' + content|string + ', "call_id": "' + message.tool_call_id + '"}[/TOOL_RESULTS]' }}
    {%- else %}
        {{- raise_exception("Only user and assistant roles are supported") }}
    {%- endif %}
{%- endfor %}
""",
    "llama3.1": """{{- bos_token }}
{%- if custom_tools is defined %}
    {%- set tools = custom_tools %}
{%- endif %}
{%- if not tools_in_user_message is defined %}
    {%- set tools_in_user_message = true %}
{%- endif %}
{%- if not date_string is defined %}
    {%- set date_string = "26 Jul 2024" %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}

{#- The system's text. #}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}

{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{%- if builtin_tools is defined or tools is not none %}
    {{- "Environment: ipython\\n" }}
{%- endif %}
{%- if builtin_tools is defined %}
    {{- "Tools: " + builtin_tools | reject('equalto', 'code_interpreter') | join(", ") + "\\n\\n"}}
{%- endif %}
{{- "Today Date: " + date_string + "\\n\\n" }}
{{- system_message }}
{{- "<|eot_id|>" }}

{%- if tools_in_user_message and not tools is none %}
    {%- if messages | length != 0 %}
        {%- set first_user_message = messages[0]['content']|trim %}
        {%- set messages = messages[1:] %}
    {%- else %}
        {{- raise_exception("Cannot put tools in the first user message when there's no first user message!") }}
{%- endif %}
    {{- '<|start_header_id|>user<|end_header_id|>\\n\\n' -}}
    {{- "Given the following functions, please respond with JSON.\\n\\n" }}
    {%- for t in tools %}
        {{- t | tojson(indent=4) }}
        {{- "\\n\\n" }}
    {%- endfor %}
    {{- first_user_message + "<|eot_id|>"}}
{%- endif %}

{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls|length == 1 %}
            {{- raise_exception("This model only supports single tool-calls at once!") }}
        {%- endif %}
        {%- set tool_call = message.tool_calls[0].function %}
        {%- if builtin_tools is defined and tool_call.name in builtin_tools %}
            {%- for arg_name, arg_val in tool_call.arguments | items %}
                {{- arg_name + '="' + arg_val + '"' }}
                {%- if not loop.last %}
                    {{- ", " }}
                {%- endif %}
                {%- endfor %}
        {%- else  %}
            {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}
            {{- '{"name": "' + tool_call.name + '", ' }}
            {{- '"parameters": ' }}
            {{- tool_call.arguments | tojson }}
            {{- "}" }}
        {%- endif %}
        {%- if builtin_tools is defined %}
            {{- "<|eom_id|>" }}
        {%- else %}
            {{- "<|eot_id|>" }}
        {%- endif %}
    {%- elif message.role == "tool" or message.role == "ipython" %}
        {{- "<|start_header_id|>ipython<|end_header_id|>\\n\\n" }}
        {%- if message.content is mapping or message.content is iterable %}
            {{- message.content | tojson }}
        {%- else %}
            {{- message.content }}
        {%- endif %}
        {{- "<|eot_id|>" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
""",
    "qwen3": """{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.multi_step_tool = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is string %}
        {%- set content = message.content %}
    {%- else %}
        {%- set content = '' %}
    {%- endif %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set reasoning_content = '' %}
        {%- if message.reasoning_content is string %}
            {%- set reasoning_content = message.reasoning_content %}
        {%- else %}
            {%- if '</think>' in content %}
                {%- set reasoning_content = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
                {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
            {%- endif %}
        {%- endif %}
        {%- if loop.index0 > ns.last_query_index %}
            {%- if loop.last or (not loop.last and reasoning_content) %}
                {{- '<|im_start|>' + message.role + '\\n<think>\\n' + reasoning_content.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
            {%- else %}
                {{- '<|im_start|>' + message.role + '\\n' + content }}
            {%- endif %}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\\n' + content }}
        {%- endif %}
        {%- if message.tool_calls %}
            {%- for tool_call in message.tool_calls %}
                {%- if (loop.first and content) or (not loop.first) %}
                    {{- '\\n' }}
                {%- endif %}
                {%- if tool_call.function %}
                    {%- set tool_call = tool_call.function %}
                {%- endif %}
                {{- '<tool_call>\\n{"name": "' }}
                {{- tool_call.name }}
                {{- '", "arguments": ' }}
                {%- if tool_call.arguments is string %}
                    {{- tool_call.arguments }}
                {%- else %}
                    {{- tool_call.arguments | tojson }}
                {%- endif %}
                {{- '}\\n</tool_call>' }}
            {%- endfor %}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == "tool" %}
        {%- if loop.first or (messages[loop.index0 - 1].role != "tool") %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\\n<tool_response>\\n' }}
        {{- content }}
        {{- '\\n</tool_response>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}
            {{- '<|im_end|>\\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}
""",
    "macros": """{%- macro tag(name, body='-', n=1) -%}
  <{{ name }}{% if n > 1 %} n={{ n }}{% endif %}>{{ body }}</{{ name }}>
{%- endmacro -%}
{%- macro render(value) -%}
    {%- if value is mapping -%}
        {%- for k, v in value | dictsort -%}{{ k }}={{ render(v) }};{%- endfor -%}
    {%- elif value is sequence and value is not string -%}
        [{% for v in value %}{{ render(v) }}{{ "," if not loop.last }}{% endfor %}]
    {%- else -%}
        {{ value }}
    {%- endif -%}
{%- endmacro -%}
{%- for message in messages -%}
    {{ tag(message.role, message['content'] | trim, n=loop.index) }}
    {%- if message.tool_calls %}{{ render(message.tool_calls) }}{% endif %}
{%- endfor -%}
{{ tag('end') }}""",
}

features = [
    "{{ 1 + 2 * 3 ** 2 // 2 - 7 % 4 }} {{ 7 / 2 }} {{ -3 // 2 }} {{ -7 % 3 }} {{ 1.5 + 1 }} {{ 10 // 3.0 }}",
    "{{ [1, 'a', none, true, 2.0, {'k': 'v'}] }} {{ {'a': [1]} }} {{ none }} {{ true }}",
    "{{ 'a' ~ 1 ~ none }} {{ 'ab' * 2 }} {{ 'x' in 'xy' }} {{ 3 not in [1, 2] }} {{ 1 < 2 < 3 }} {{ 1 < 2 > 3 }}",
    "{{ messages[0].content[0] }}{{ messages[0]['content'][-1:] }}{{ messages[0]['content'][::-1] }}{{ messages[-1].role }}",
    "{{ nothing }}|{{ nothing | default('d') }}|{{ '' | default('d', true) }}|{{ nothing is defined }}|{{ messages[9] is defined }}",
    "{{ nothing.more }}",
    "{{ 'a' + 1 }}",
    "{{ messages | map(attribute='role') | join('/') }} {{ messages | map(attribute='content') | map('trim') | map('upper') | list }}",
    "{{ messages | selectattr('role', 'in', ['user', 'tool']) | list | length }} {{ messages | rejectattr('role', '==', 'user') | map(attribute='role') | list }} {{ [0, 1, '', 'a'] | select | list }} {{ [1, 2, 3] | select('odd') | list }}",
    "{% for i in range(5) %}{% if i == 1 %}{% continue %}{% endif %}{% if i == 3 %}{% break %}{% endif %}{{ i }}{% endfor %}",
    "{% for x in [] %}a{% else %}none{% endfor %}{% for x in [1] %}a{% else %}none{% endfor %}{% for x in nothing %}{% endfor %}",
    "{% for x in [1, 2, 3] if x != 2 %}{{ loop.index }}/{{ loop.length }}:{{ x }}{{ loop.first }}{{ loop.last }}{{ loop.revindex }} {% endfor %}",
    "{% for x in 'ab' %}{{ loop.cycle('odd', 'even') }}{{ loop.previtem }}{{ loop.nextitem }}{% endfor %}",
    "{% set x = 1 %}{% for i in [1, 2] %}{% set x = x + i %}{{ x }}{% endfor %}{{ x }}",
    "{% set x = 1 %}{% if true %}{% set x = 2 %}{% endif %}{{ x }}{% if false %}{% set y = 2 %}{% endif %}{{ y }}",
    "{% set ns = namespace(a=1, b=[]) %}{% for i in range(3) %}{% set ns.a = ns.a + i %}{% set ns.b = ns.b + [i] %}{% endfor %}{{ ns.a }}{{ ns.b }}",
    "{% set t %}<{{ messages[0].role }}>{% endset %}{{ t | upper }}{{ t | length }}",
    "{% set a, b = 1, 'x' %}{{ a }}{{ b }}{% for k, v in {'p': 1, 'q': 2}.items() %}{{ k }}{{ v }}{% endfor %}",
    "{% filter upper %}abc{{ messages[0].role }}{% endfilter %}",
    "  {%- if true %}  x  {%- endif %}  \n  {% if true %}\n  y\n  {% endif %}\n z {%+ if true %}\n w\n{% endif +%}\n v",
    "a\n  {# comment #}\n  b {#- c -#}  d\n{% raw %}{{ not }} {% x %}{% endraw %} e\n\n",
    "\n\nx{{ 'y' -}}  \n {{- 'z' }}\n",
    "{{ '\\n\\t\\'\\\"\\\\ \\u00e9 \\x41' }}{{ \"it's\" }}{{ 'one' 'two' }}",
    "{{ 'a,b,,c'.split(',') }}{{ ' a  b '.split() }}{{ 'a,b,c'.split(',', 1) }}{{ 'a.b.c'.rsplit('.', 1) }}{{ 'x'.join(['1', '2']) }}",
    "{{ ' x '.strip() }}{{ 'xxaxx'.strip('x') }}{{ 'xxa'.lstrip('x') }}{{ 'axx'.rstrip('x') }}{{ 'abc'.replace('b', 'B') }}{{ 'aXb'.lower() }}{{ 'ab'.title() }}{{ 'hELLO w'.capitalize() }}",
    "{{ 'abc'.startswith('ab') }}{{ 'abc'.endswith(('x', 'c')) }}{{ 'abcb'.find('b') }}{{ 'abcb'.count('b') }}{{ 'é1'.find('1') }}",
    "{{ {'a': 1}.get('a') }}{{ {'a': 1}.get('b') }}{{ {'a': 1}.get('b', 3) }}{{ {'a': 1, 'b': 2}.keys() | list }}{{ {'a': 1}.values() | list }}",
    "{{ {'b': 'é\"</s>', 'a': [1, 2.5, true, none], 'c': {}} | tojson }}{{ {'b': [], 'a': {'x': 1}} | tojson(indent=2) }}",
    "{{ [3, 1, 2] | sort }}{{ [3, 1] | sort(reverse=true) }}{{ ['b', 'a'] | first }}{{ [1, 2] | last }}{{ [1, 2] | reverse | list }}{{ [1, 1, 2] | unique | list }}{{ [1, 2] | sum }}{{ [1, 5, 2] | max }}{{ [4, 2] | min }}",
    "{{ '3' | int + 1 }}{{ 'x' | int }}{{ '2.5' | float }}{{ 3.7 | int }}{{ 2.567 | round(2) }}{{ -3 | abs }}{{ 5 | string }}",
    "{{ 'a\nb' | indent(2) }}|{{ 'a\nb' | indent(2, true) }}|{{ ' a ' | trim }}|{{ 'ab' | capitalize }}",
    "{{ 1 is number }}{{ 'a' is string }}{{ [] is sequence }}{{ {} is mapping }}{{ none is none }}{{ 1 is odd }}{{ 4 is divisibleby 2 }}{{ 1 is boolean }}{{ true is boolean }}{{ 1.0 is float }}{{ 2 is integer }}{{ 'a' is iterable }}{{ raise_exception is callable }}",
    "{{ 'a' if messages else 'b' }}{{ 'a' if false }}{{ 1 if 0 else 2 if 0 else 3 }}{{ not 1 == 2 }}{{ 0 or 'x' }}{{ 1 and 'y' }}{{ (1,)[0] }}",
    "{{ 1 == 1.0 }}{{ true == 1 }}{{ 'a' == none }}{{ [1] == [1] }}{{ {'a': 1} == {'a': 1} }}{{ 'a' < 'b' }}{{ 2 >= 2.0 }}",
    "{%- for message in messages -%}{%- if message.role == 'assistant' -%}{% generation %}{{ message.content }}{% endgeneration %}{%- else -%}{{ message.content }}{%- endif -%}{%- endfor -%}",
    "{% set messages = messages[:1] %}{{ messages | length }}{% set range = 3 %}{{ range }}{% set string = 'c' %}{{ string }}{% set c = 1 %}{{ c }}{% set _x = 2 %}{{ _x }}",
    "{{ messages | tojson }}",
    "{{ messages[0] }}",
    "{% for m in messages %}{% set r = m.role %}{% if loop.first %}{% set r = 'first' %}{% endif %}{{ r }} {% endfor %}{{ r }}",
    "{{ {'a': {'b': 1}}['a']['b'] }}{{ [[1, 2], [3]][0][1] }}{{ ({'x': 1}).x }}{{ messages[0]['nope'] }}{{ messages[0].nope | length }}",
]

def tokenizer(bos, eos):
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE(vocab={bos: 0, eos: 1, "u": 2}, merges=[], unk_token="u")), bos_token=bos, eos_token=eos)

out, templates = [], []
def render(template, name, which, prompt, bos, eos):
    t = tokenizer(bos, eos)
    c = conversations[which]
    g = {"conversation": which, "prompt": prompt, "bos": bos, "eos": eos}
    if name:
        g["name"] = name
    else:
        if template not in templates:
            templates.append(template)
        g["template"] = templates.index(template)
    try:
        g["text"] = t.apply_chat_template(c["messages"], tools=c.get("tools"), chat_template=template, add_generation_prompt=prompt, tokenize=False)
    except Exception as e:
        g["error"] = str(e).split("\n")[0][:80]
    out.append(g)

for path in sorted((here / "codegen/jinja/templates").glob("*.jinja")):
    bos, eos = ("<|begin_of_text|>", "<|end_of_text|>") if path.stem == "llama3" else ("<s>", "</s>")
    for i in range(len(conversations)):
        for prompt in (False, True):
            render(path.read_text(), path.stem, i, prompt, bos, eos)
for name, template in kinds.items():
    for i in range(len(conversations)):
        render(template, "", i, i % 2 == 0 or i == 7, "<s>", "</s>")
for template in features:
    render(template, "", 2, True, "<s>", "</s>")

lines = lambda key, list: f'"{key}": [\n' + ",\n".join(json.dumps(x, ensure_ascii=False) for x in list) + "\n]"
print("{" + ",\n".join([lines("conversations", conversations), lines("templates", templates), lines("goldens", out)]) + "}")
