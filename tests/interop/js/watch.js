// Says at once which instances of a service eureka-js-client 4.5.0 knows; without SECONDS it keeps to its defaults.
// node watch.js PORT_OF_REGISTRY SERVICE [SECONDS]
const { Eureka } = require("eureka-js-client");

const [registryPort, service, seconds] = process.argv.slice(2);
const port = 9292 + Number(seconds || 0);
const say = (line) => console.log(JSON.stringify(line));
const quiet = { debug() {}, info() {}, warn() {}, error() {} };
const every = seconds ? { heartbeatInterval: seconds * 1000, registryFetchInterval: seconds * 1000 } : {};

const client = new Eureka({
  logger: quiet,
  instance: {
    app: "js-watcher",
    instanceId: `127.0.0.1:js-watcher:${port}`,
    hostName: "127.0.0.1",
    ipAddr: "127.0.0.1",
    vipAddress: "js-watcher",
    port: { $: port, "@enabled": "true" },
    dataCenterInfo: { "@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo", name: "MyOwn" },
  },
  eureka: { host: "127.0.0.1", port: Number(registryPort), servicePath: "/eureka/apps/", ...every },
});

client.start((error) => {
  say({ did: "watching", error: error ? String(error) : null });
  let before = "";
  setInterval(() => {
    const ids = client
      .getInstancesByAppId(service)
      .map((one) => one.instanceId)
      .sort();
    if (ids.join() !== before) {
      before = ids.join();
      say({ did: "seen", by: "client", ids });
    }
  }, 10);
});
