package interop;

import com.netflix.config.ConfigurationManager;
import com.netflix.hystrix.HystrixCommand;
import com.netflix.hystrix.HystrixCommandGroupKey;
import com.netflix.hystrix.HystrixCommandKey;
import com.netflix.hystrix.HystrixCommandProperties;
import com.netflix.hystrix.contrib.metrics.eventstream.HystrixMetricsStreamServlet;
import com.netflix.turbine.init.TurbineInit;
import com.netflix.turbine.streaming.servlet.TurbineStreamServlet;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import org.eclipse.jetty.servlet.ServletContextHandler;
import org.eclipse.jetty.servlet.ServletHolder;

/** Netflix's own programs: "hystrix" calls two commands and shows them, "turbine HOST:PORT,..." adds up others. */
public class Main {
    public static void main(String[] args) throws Exception {
        ServletContextHandler context = new ServletContextHandler();
        if (args[0].equals("turbine")) {
            var config = ConfigurationManager.getConfigInstance();
            config.setProperty("turbine.aggregator.clusterConfig", "default");
            // A list separator of its own, since commons-configuration would split at commas.
            config.setProperty("turbine.ConfigPropertyBasedDiscovery.default.instances", args[1].replace(",", "\\,"));
            config.setProperty("turbine.instanceUrlSuffix", "/hystrix.stream");
            TurbineInit.init();
            context.addServlet(new ServletHolder(new TurbineStreamServlet()), "/turbine.stream");
        } else {
            context.addServlet(new ServletHolder(new HystrixMetricsStreamServlet()), "/hystrix.stream");
            Thread calls = new Thread(Main::call, "calls");
            calls.setDaemon(true);
            calls.start();
        }
        Server server = new Server();
        ServerConnector connector = new ServerConnector(server);
        connector.setHost("127.0.0.1");
        server.addConnector(connector);
        server.setHandler(context);
        server.start();
        System.out.println("{\"port\":" + connector.getLocalPort() + "}");
        System.in.transferTo(java.io.OutputStream.nullOutputStream()); // until whoever started us is gone
        System.exit(0);
    }

    private static void call() {
        for (int n = 0; ; n++) {
            for (var strategy : HystrixCommandProperties.ExecutionIsolationStrategy.values()) {
                try {
                    new Command(strategy, n % 4 == 0).execute();
                } catch (RuntimeException expected) {
                    // every fourth call fails
                }
            }
            try {
                Thread.sleep(50);
            } catch (InterruptedException end) {
                return;
            }
        }
    }

    private static class Command extends HystrixCommand<String> {
        private final boolean fails;

        Command(HystrixCommandProperties.ExecutionIsolationStrategy strategy, boolean fails) {
            super(Setter.withGroupKey(HystrixCommandGroupKey.Factory.asKey("orders"))
                    .andCommandKey(HystrixCommandKey.Factory.asKey("order" + strategy))
                    .andCommandPropertiesDefaults(HystrixCommandProperties.Setter()
                            .withExecutionIsolationStrategy(strategy)));
            this.fails = fails;
        }

        @Override
        protected String run() {
            if (fails) {
                throw new IllegalStateException("as asked for");
            }
            return "fine";
        }
    }
}
