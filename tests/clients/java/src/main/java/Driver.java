// SPDX-License-Identifier: Apache-2.0
import com.alibaba.nacos.api.PropertyKeyConst;
import com.alibaba.nacos.api.naming.NamingFactory;
import com.alibaba.nacos.api.naming.NamingService;
import com.alibaba.nacos.api.naming.listener.NamingEvent;
import com.alibaba.nacos.api.naming.pojo.Instance;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/** Drives the published Java client: JSON commands in, JSON answers and subscription events out, one a line. */
public class Driver {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static NamingService naming;

    private static synchronized void say(Map<String, Object> line) {
        try {
            System.out.println(JSON.writeValueAsString(line));
            System.out.flush();
        } catch (Exception e) {
            throw new IllegalStateException(e);
        }
    }

    private static Map<String, Object> line(Object... pairs) {
        Map<String, Object> map = new LinkedHashMap<>();
        for (int i = 0; i < pairs.length; i += 2) {
            map.put((String) pairs[i], pairs[i + 1]);
        }
        return map;
    }

    private static List<Object> plain(List<Instance> hosts) {
        List<Object> list = new ArrayList<>();
        for (Instance h : hosts) {
            list.add(line("ip", h.getIp(), "port", h.getPort(), "healthy", h.isHealthy(), "weight", h.getWeight(),
                "metadata", h.getMetadata(), "cluster", h.getClusterName()));
        }
        return list;
    }

    private static String text(JsonNode c, String name, String otherwise) {
        return c.hasNonNull(name) ? c.get(name).asText() : otherwise;
    }

    private static List<String> clusters(JsonNode c) {
        String text = text(c, "clusters", "");
        return text.isEmpty() ? new ArrayList<>() : Arrays.asList(text.split(","));
    }

    private static Instance instance(JsonNode c) {
        Instance i = new Instance();
        i.setIp(c.get("ip").asText());
        i.setPort(c.get("port").asInt());
        i.setWeight(c.hasNonNull("weight") ? c.get("weight").asDouble() : 1.0);
        i.setClusterName(text(c, "cluster", "DEFAULT"));
        i.setEphemeral(!c.hasNonNull("ephemeral") || c.get("ephemeral").asBoolean());
        Map<String, String> metadata = new HashMap<>();
        if (c.hasNonNull("metadata")) {
            c.get("metadata").fields().forEachRemaining(e -> metadata.put(e.getKey(), e.getValue().asText()));
        }
        i.setMetadata(metadata);
        return i;
    }

    private static Object run(JsonNode c) throws Exception {
        String service = text(c, "service", null);
        String group = text(c, "group", "DEFAULT_GROUP");
        switch (c.get("op").asText()) {
            case "register":
                naming.registerInstance(service, group, instance(c));
                return null;
            case "deregister":
                naming.deregisterInstance(service, group, instance(c));
                return null;
            case "list":
                return plain(naming.getAllInstances(service, group, clusters(c), false));
            case "select":
                return plain(naming.selectInstances(service, group, clusters(c),
                    !c.hasNonNull("healthy") || c.get("healthy").asBoolean(), false));
            case "subscribe":
                naming.subscribe(service, group, clusters(c), event ->
                    say(line("event", "hosts", "service", service, "hosts", plain(((NamingEvent) event).getInstances()))));
                return null;
            case "status":
                return naming.getServerStatus();
            default:
                throw new IllegalArgumentException("unknown op");
        }
    }

    public static void main(String[] args) throws Exception {
        Properties properties = new Properties();
        properties.put(PropertyKeyConst.SERVER_ADDR, args[0]);
        if (args.length > 1 && !args[1].isEmpty()) {
            properties.put(PropertyKeyConst.NAMESPACE, args[1]);
        }
        if (args.length > 2 && !args[2].isEmpty()) {
            properties.put(PropertyKeyConst.CONTEXT_PATH, args[2]);
        }
        if (args.length > 4) {
            properties.put(PropertyKeyConst.USERNAME, args[3]);
            properties.put(PropertyKeyConst.PASSWORD, args[4]);
        }
        naming = NamingFactory.createNamingService(properties);
        ExecutorService pool = Executors.newFixedThreadPool(8);
        say(line("event", "ready"));
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String text = in.readLine(); text != null; text = in.readLine()) {
            JsonNode c = JSON.readTree(text);
            pool.execute(() -> {
                try {
                    say(line("id", c.get("id").asInt(), "ok", true, "result", run(c)));
                } catch (Exception e) {
                    say(line("id", c.get("id").asInt(), "ok", false, "error", String.valueOf(e)));
                }
            });
        }
        System.exit(0);
    }
}
