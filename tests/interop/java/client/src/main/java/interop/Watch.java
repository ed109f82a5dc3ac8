package interop;

import java.util.List;
import java.util.TreeSet;
import java.util.function.Supplier;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.CommandLineRunner;
import org.springframework.boot.autoconfigure.condition.ConditionalOnProperty;
import org.springframework.cloud.client.ServiceInstance;
import org.springframework.cloud.client.discovery.DiscoveryClient;
import org.springframework.cloud.loadbalancer.core.ServiceInstanceListSupplier;
import org.springframework.cloud.loadbalancer.support.LoadBalancerClientFactory;
import org.springframework.stereotype.Component;

/** Says at once which instances of a service the client knows, and which of them the load balancer would call. */
@Component
@ConditionalOnProperty("interop.watch")
class Watch implements CommandLineRunner {

    private final DiscoveryClient directory;
    private final LoadBalancerClientFactory balancers;
    private final String service;

    Watch(
            DiscoveryClient directory,
            LoadBalancerClientFactory balancers,
            @Value("${interop.watch}") String service) {
        this.directory = directory;
        this.balancers = balancers;
        this.service = service;
    }

    @Override
    public void run(String... arguments) {
        watch("client", () -> directory.getInstances(service));
        ServiceInstanceListSupplier found =
                balancers.getProvider(service, ServiceInstanceListSupplier.class).getObject();
        watch("balancer", () -> found.get().blockFirst());
    }

    private void watch(String by, Supplier<List<ServiceInstance>> known) {
        Thread thread = new Thread(() -> {
            String before = "";
            while (true) {
                TreeSet<String> ids = new TreeSet<>();
                known.get().forEach(one -> ids.add('"' + one.getInstanceId() + '"'));
                String now = String.join(",", ids);
                if (!now.equals(before)) {
                    before = now;
                    System.out.println("{\"did\":\"seen\",\"by\":\"" + by + "\",\"ids\":[" + now + "]}");
                }
                try {
                    Thread.sleep(10);
                } catch (InterruptedException ended) {
                    return;
                }
            }
        }, "watch " + by);
        thread.setDaemon(true);
        thread.start();
    }
}
