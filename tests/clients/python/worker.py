"""Runs the functions of a client's script, as it is told: a line of JSON in, a line of JSON out.

`python worker.py SCRIPT` imports the script. `["stream", "chat"]` calls its `stream("chat")`, and the answer is
`{"result": ...}` or `{"error": "the traceback"}`. It needs nothing but Python, in the environment of the client.
"""

import asyncio
import importlib
import json
import os
import sys
import traceback


async def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a library prints is no answer
    script = importlib.import_module(sys.argv[1])
    while line := await asyncio.to_thread(sys.stdin.readline):
        name, *arguments = json.loads(line)
        try:
            answer = {"result": await getattr(script, name)(*arguments)}
        except Exception:
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), file=answers)


asyncio.run(main())
