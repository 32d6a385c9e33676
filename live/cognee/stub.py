"""A language model and an embedding model for a real Cognee server, without either.

Speaks OpenAI's API on a port of the loopback interface. Embeddings are hashed words, so that texts
with common words are close. A knowledge graph is the capitalised words of a text. `GET /` counts the
calls, which is how a test sees that there were none.

A text with the word `stubrefuses` in it is refused as with a wrong key, and one with `stubdawdles` is
answered after some seconds.
"""
import base64, hashlib, json, math, re, struct, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

DIMENSIONS = 384
counts = {"chat": 0, "embeddings": 0}


def embed(text):
    vector = [0.0] * DIMENSIONS
    for word in re.findall(r"\w+", text.lower()):
        # Several places for each word: two words that share one do not hide each other.
        digest = hashlib.blake2b(word.encode(), digest_size=32).digest()
        for (place,) in struct.iter_unpack("<I", digest):
            vector[place % DIMENSIONS] += 1.0 if place >> 31 else -1.0
    length = math.sqrt(sum(x * x for x in vector)) or 1.0
    return [x / length for x in vector]


def instance(schema, root, text):
    """Something that the JSON schema allows."""
    if "$ref" in schema:
        target = root
        for part in schema["$ref"].lstrip("#/").split("/"):
            target = target[part]
        return instance(target, root, text)
    for choice in ("anyOf", "oneOf", "allOf"):
        if choice in schema:
            options = schema[choice]
            return None if {"type": "null"} in options else instance(options[0], root, text)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    properties = schema.get("properties", {})
    if {"nodes", "edges"} <= set(properties):
        words = list(dict.fromkeys(re.findall(r"\b[A-Z]\w+", text)))[:20]
        nodes = [{"id": w, "name": w, "type": "Concept", "description": w} for w in words]
        edges = [
            {"source_node_id": a, "target_node_id": b, "relationship_name": "next_to", "description": f"{a} {b}"}
            for a, b in zip(words, words[1:])
        ]
        return {"nodes": nodes, "edges": edges}
    match schema.get("type"):
        case "object" | None:
            return {name: instance(inner, root, text) for name, inner in properties.items()}
        case "array":
            return []
        case "integer" | "number":
            return 0
        case "boolean":
            return False
        case "null":
            return None
    return " ".join(text.split())[:120]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, body, status=200):
        body = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer(counts)

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)) or b"{}")
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        if self.path.endswith("/embeddings"):
            texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
            counts["embeddings"] += len(texts)
            data = []
            for i, text in enumerate(texts):
                vector = embed(str(text))
                if body.get("encoding_format") == "base64":
                    vector = base64.b64encode(struct.pack(f"<{DIMENSIONS}f", *vector)).decode()
                data.append({"object": "embedding", "index": i, "embedding": vector})
            return self.answer({"object": "list", "model": body.get("model"), "data": data, "usage": usage})
        counts["chat"] += 1
        text = "\n".join(str(m.get("content")) for m in body.get("messages", []) if m["role"] == "user")
        if "stubrefuses" in text:
            return self.answer({"error": {"message": "stub refuses", "code": "invalid_api_key"}}, 401)
        if "stubdawdles" in text:
            time.sleep(4)
        wanted = body.get("response_format") or {}
        content = "an answer"
        if wanted.get("type") == "json_schema":
            schema = wanted["json_schema"].get("schema", {})
            content = json.dumps(instance(schema, schema, text))
        message = {"role": "assistant", "content": content}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        self.answer({
            "id": "chatcmpl-stub", "object": "chat.completion", "created": 0,
            "model": body.get("model", "stub"), "choices": [choice], "usage": usage,
        })


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
