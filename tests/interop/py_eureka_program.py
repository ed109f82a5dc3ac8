"""A service that uses py-eureka-client 0.13.3, with its own defaults but for name, port and registry."""

import asyncio
import json
import sys

import py_eureka_client.eureka_client as eureka_client


async def main(registry: str, app: str, port: int, renewal: int) -> None:
    def failed(kind: str, error: Exception) -> None:
        print(json.dumps({"did": "fail", "kind": kind}), flush=True)

    options = {"renewal_interval_in_secs": renewal, "duration_in_secs": 3 * renewal} if renewal else {}
    await eureka_client.init_async(
        eureka_server=registry,
        app_name=app,
        instance_host="127.0.0.1",
        instance_ip="127.0.0.1",
        instance_port=port,
        on_error=failed,
        **options,
    )
    print(json.dumps({"did": "init"}), flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        word, _, rest = line.strip().partition(" ")
        if word == "call":
            service, path = rest.split()
            try:
                answer = await eureka_client.do_service_async(service, path)
                print(json.dumps({"did": "call", "answer": answer}), flush=True)
            except Exception as error:
                print(json.dumps({"did": "call", "error": repr(error)}), flush=True)
        elif word == "stop":
            await eureka_client.stop_async()
            print(json.dumps({"did": "stop"}), flush=True)
            return


asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
