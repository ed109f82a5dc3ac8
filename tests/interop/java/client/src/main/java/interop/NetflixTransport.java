package interop;

import com.netflix.discovery.Jersey3DiscoveryClientOptionalArgs;
import com.netflix.discovery.shared.transport.jersey3.Jersey3TransportClientFactories;
import org.springframework.boot.autoconfigure.condition.ConditionalOnProperty;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;

/** Netflix's own way to speak with a registry (Jersey 3), in the place of Spring's RestClient. */
@Configuration
@ConditionalOnProperty("eureka.client.jersey.enabled")
class NetflixTransport {

    @Bean
    Jersey3TransportClientFactories factories() {
        return new Jersey3TransportClientFactories();
    }

    @Bean
    Jersey3DiscoveryClientOptionalArgs arguments() {
        return new Jersey3DiscoveryClientOptionalArgs();
    }
}
