"""Says at once which instances py-eureka-client knows: python watch_py_eureka.py REGISTRY SERVICE [SECONDS]

Without SECONDS it keeps to its own interval.
"""

import asyncio
import json
import sys

import py_eureka_client.eureka_client as eureka_client


async def main(registry: str, service: str, every: int) -> None:
    options = {"renewal_interval_in_secs": every, "duration_in_secs": 3 * every} if every else {}
    client = await eureka_client.init_async(
        eureka_server=registry,
        app_name="py-watcher",
        instance_host="127.0.0.1",
        instance_ip="127.0.0.1",
        instance_port=9191 + every,
        **options,
    )
    print('{"did":"watching"}', flush=True)
    before: list[str] = []
    while True:
        known = sorted(one.instanceId for one in client.applications.get_application(service).up_instances)
        if known != before:
            before = known
            print(
                json.dumps({"did": "seen", "by": "client", "ids": known}, separators=(",", ":")), flush=True
            )
        await asyncio.sleep(0.01)


asyncio.run(main(sys.argv[1], sys.argv[2], int((*sys.argv, 0)[3])))
