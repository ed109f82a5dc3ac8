package interop;

import com.netflix.discovery.shared.transport.jersey.TransportClientFactories;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.cloud.client.ServiceInstance;
import org.springframework.cloud.client.discovery.DiscoveryClient;
import org.springframework.cloud.client.loadbalancer.LoadBalanced;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Primary;
import org.springframework.http.ResponseEntity;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.client.RestClient;

/** A service that registers with Eureka and calls other services by name, through Spring's load balancer. */
@SpringBootApplication
public class Client {

    public static void main(String[] arguments) {
        SpringApplication.run(Client.class, arguments);
    }

    /** The plain one: Eureka's client takes it to reach the registry, which has no name to look up. */
    @Bean
    @Primary
    RestClient.Builder plain() {
        return RestClient.builder();
    }

    @Bean
    @LoadBalanced
    RestClient.Builder byName() {
        return RestClient.builder();
    }

    @RestController
    static class Doors {

        private final DiscoveryClient directory;
        private final RestClient byName;
        private final String transport;

        Doors(
                DiscoveryClient directory,
                @LoadBalanced RestClient.Builder byName,
                TransportClientFactories<?> transport) {
            this.directory = directory;
            this.transport = transport.getClass().getSimpleName();
            this.byName = byName.build();
        }

        @GetMapping("/hello")
        Map<String, String> hello() {
            return Map.of("from", "java");
        }

        /** What this client speaks with the registry through. */
        @GetMapping("/transport")
        Map<String, String> transport() {
            return Map.of("transport", transport);
        }

        /** Calls {@code http://service/path} by name and hands on what came back. */
        @GetMapping("/call")
        ResponseEntity<String> call(@RequestParam String service, @RequestParam String path) {
            try {
                String url = "http://" + service + path;
                return ResponseEntity.ok(byName.get().uri(url).retrieve().body(String.class));
            } catch (RuntimeException error) {
                return ResponseEntity.status(502).body(error.toString());
            }
        }

        /** What this client's copy of the registry holds: service name to URLs. */
        @GetMapping("/known")
        Map<String, List<String>> known() {
            Map<String, List<String>> known = new TreeMap<>();
            for (String service : directory.getServices()) {
                List<ServiceInstance> found = directory.getInstances(service);
                known.put(service, found.stream().map(one -> one.getUri().toString()).toList());
            }
            return known;
        }
    }
}
