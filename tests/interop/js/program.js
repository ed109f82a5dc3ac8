// A service that uses eureka-js-client 4.5.0; commands come on standard input, answers go to standard output.
// node program.js PORT_OF_REGISTRY APP [delta] [plain]
const http = require("http");
const readline = require("readline");
const { Eureka } = require("eureka-js-client");

const [registryPort, app, ...words] = process.argv.slice(2);
const say = (line) => console.log(JSON.stringify(line));
const quiet = { debug() {}, info() {}, warn() {}, error() {} };
const counted = { heartbeat: 0, registered: 0, registryUpdated: 0 };

const server = http.createServer((request, response) => {
  response.setHeader("Content-Type", "application/json");
  response.end(JSON.stringify({ from: app, path: request.url }));
});

server.listen(0, "127.0.0.1", () => {
  const port = server.address().port;
  const plain = words.includes("plain"); // as older configurations are written
  const client = new Eureka({
    logger: quiet,
    shouldUseDelta: words.includes("delta"),
    instance: {
      app,
      instanceId: `127.0.0.1:${app}:${port}`,
      hostName: "127.0.0.1",
      ipAddr: "127.0.0.1",
      vipAddress: app,
      port: plain ? port : { $: port, "@enabled": "true" },
      dataCenterInfo: plain
        ? { name: "MyOwn" }
        : { "@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo", name: "MyOwn" },
    },
    eureka: {
      host: "127.0.0.1",
      port: Number(registryPort),
      servicePath: "/eureka/apps/",
      heartbeatInterval: 200,
      registryFetchInterval: 200,
    },
  });
  for (const name of Object.keys(counted)) {
    client.on(name, () => {
      counted[name] += 1;
    });
  }
  client.start((error) => say({ did: "start", port, error: error ? String(error) : null }));

  const commands = {
    count: () => say({ did: "count", ...counted }),
    // Both of the client's indices, with what users of it read.
    known: (name) =>
      say({
        did: "known",
        byApp: client.getInstancesByAppId(name).map((one) => one.instanceId),
        byVip: client.getInstancesByVipAddress(name.toLowerCase()).map((one) => one.instanceId),
        ports: client.getInstancesByAppId(name).map((one) => one.port.$),
      }),
    call: (name, path) => {
      const [one] = client.getInstancesByAppId(name);
      if (!one) return say({ did: "call", error: "nobody" });
      const url = `http://${one.ipAddr}:${one.port.$}${path}`;
      http
        .get(url, (response) => {
          let body = "";
          response.on("data", (part) => (body += part));
          response.on("end", () => say({ did: "call", status: response.statusCode, body }));
        })
        .on("error", (error) => say({ did: "call", error: String(error) }));
    },
    stop: () =>
      client.stop((error) => {
        say({ did: "stop", error: error ? String(error) : null });
        process.exit(0);
      }),
  };
  readline.createInterface({ input: process.stdin }).on("line", (line) => {
    const [command, ...rest] = line.trim().split(" ");
    commands[command](...rest);
  });
});
