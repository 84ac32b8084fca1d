"""Ids that llama.cpp gives for text, of a GGUF file: encoder(path) for tokens.py.

Needs xllamacpp from PyPI, whose server is asked on the loopback address; the file needs
a model, too.
"""
import http.client
import json
import urllib.parse

import xllamacpp


def encoder(path):
    params = xllamacpp.CommonParams()
    params.model.path = path
    params.n_ctx, params.warmup, params.cpuparams.n_threads = 64, False, 1
    server = xllamacpp.Server(params)
    address = urllib.parse.urlparse(server.listening_address)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)

    def encode(line):
        body = json.dumps({"content": line, "add_special": False, "parse_special": True})
        connection.request("POST", "/tokenize", body, {"Content-Type": "application/json"})
        answer = json.loads(connection.getresponse().read())
        return answer["tokens"]
    encode.server = server  # lives as long as the encoder
    return encode
