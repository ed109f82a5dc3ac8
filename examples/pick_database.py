"""Balancing what is not HTTP, over a fixed list and without a registry: python examples/pick_database.py"""

import socket
import socketserver
import threading
from collections import Counter

from resilient import Instance, Runtime, pick


class Database(socketserver.StreamRequestHandler):
    """Stands for a database: says its name to who connects."""

    def handle(self) -> None:
        self.wfile.write(self.server.name.encode())  # type: ignore[attr-defined]


def database(name: str, role: str) -> Instance:
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Database)
    server.name = name  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return Instance(
        service="db", id=name, host="127.0.0.1", port=server.server_address[1], metadata={"role": role}
    )


def ask(role: str) -> str:
    tried: list[str] = []
    while True:
        try:
            with pick("db", where={"role": role}, avoid=tried) as chosen:
                tried.append(chosen.instance.id)
                address = (chosen.instance.host, chosen.instance.port)
                with socket.create_connection(address, timeout=1) as connection:
                    return connection.recv(100).decode()
        except OSError:  # on its way out of the block it was counted against this copy
            if len(tried) == 2:
                raise


with socket.socket() as closed:  # nobody listens here: a replica that is down
    closed.bind(("127.0.0.1", 0))
    port = closed.getsockname()[1]
    down = Instance(service="db", id="replica-3", host="127.0.0.1", port=port, metadata={"role": "replica"})
    listed = [
        database("primary", "primary"),
        database("replica-1", "replica"),
        database("replica-2", "replica"),
        down,
    ]
    with Runtime(instances={"db": listed}) as runtime:
        print("writes go to", ask("primary"))
        answers = Counter(ask("replica") for _ in range(100))
        print("reads were answered by", *sorted(answers))
        for one in runtime.balancer.nodes("db"):
            print(f"{one.id}: {one.state} {one.reason}".rstrip())
