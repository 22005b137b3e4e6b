// SPDX-License-Identifier: Apache-2.0
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicLong;

/**
 * A small search service on the JDK's own HTTP server: an ordinary Java program that knows nothing
 * of checkpoints. It needs some thousand requests to become fast, and some memory to be so.
 *
 * <pre>usage: java -Dsun.net.httpserver.nodelay=true CatalogService.java [PORT [PRODUCTS [CACHE-MB]]]</pre>
 *
 * <ul>
 *   <li>{@code GET /search?q=WORDS&limit=N} ranks the products that match and answers JSON
 *   <li>{@code GET /health} answers {@code {"status":"up","served":N}}
 * </ul>
 *
 * It listens on the loopback address (port 0: any free port) and prints {@code ready PORT}.
 */
public final class CatalogService {
    private static final String[] ADJECTIVES = {"red", "light", "folding", "silent", "steel",
        "wooden", "small", "waterproof", "electric", "quiet", "heavy", "portable"};
    private static final String[] NOUNS = {"lamp", "chair", "bicycle", "kettle", "table", "drill",
        "tent", "camera", "radio", "clock", "ladder", "stove"};
    private static final int THREADS = 8;
    private static final int BLOCKS_PER_MEGABYTE = 16;

    private final List<Product> products = new ArrayList<>();
    private final Map<String, int[]> index = new HashMap<>();
    private final AtomicLong served = new AtomicLong();
    /** Stands for the caches that real services keep; held so that it stays alive. */
    private final byte[][] cache;

    private CatalogService(int nrProducts, int cacheMegabytes) {
        Random random = new Random(42);
        for (int id = 0; id < nrProducts; id++) {
            products.add(Product.random(id, random));
        }
        indexWords();
        cache = new byte[cacheMegabytes * BLOCKS_PER_MEGABYTE][(1 << 20) / BLOCKS_PER_MEGABYTE];
        for (byte[] block : cache) {
            random.nextBytes(block);
        }
    }

    private void indexWords() {
        Map<String, List<Integer>> lists = new HashMap<>();
        for (Product product : products) {
            for (String word : product.name.split(" ")) {
                lists.computeIfAbsent(word, key -> new ArrayList<>()).add(product.id);
            }
        }
        lists.forEach((word, ids) ->
            index.put(word, ids.stream().mapToInt(Integer::intValue).toArray()));
    }

    /** Ranks by the number of words that match, then by price. */
    private String search(String query, int limit) {
        Map<Integer, Integer> scores = new HashMap<>();
        for (String word : query.toLowerCase(Locale.ROOT).split("\\s+")) {
            for (int id : index.getOrDefault(word, new int[0])) {
                scores.merge(id, 1, Integer::sum);
            }
        }
        List<Map.Entry<Integer, Integer>> ranked = new ArrayList<>(scores.entrySet());
        ranked.sort((a, b) -> {
            int byScore = Integer.compare(b.getValue(), a.getValue());
            return byScore != 0 ? byScore : Long.compare(
                products.get(a.getKey()).priceCents, products.get(b.getKey()).priceCents);
        });
        StringBuilder json = new StringBuilder("{\"query\":");
        appendString(json, query);
        json.append(",\"matches\":").append(ranked.size()).append(",\"products\":[");
        for (int i = 0; i < Math.min(limit, ranked.size()); i++) {
            json.append(i == 0 ? "" : ",");
            products.get(ranked.get(i).getKey()).appendTo(json);
        }
        return json.append("]}\n").toString();
    }

    private void handleSearch(HttpExchange exchange) throws IOException {
        Map<String, String> parameters = parameters(exchange.getRequestURI().getRawQuery());
        int limit = Integer.parseInt(parameters.getOrDefault("limit", "10"));
        answer(exchange, search(parameters.getOrDefault("q", ""), limit));
    }

    private void handleHealth(HttpExchange exchange) throws IOException {
        answer(exchange, "{\"status\":\"up\",\"served\":" + served.get() + ",\"cache_mb\":"
            + cache.length / BLOCKS_PER_MEGABYTE + "}\n");
    }

    private void answer(HttpExchange exchange, String json) throws IOException {
        byte[] body = json.getBytes(StandardCharsets.UTF_8);
        served.incrementAndGet();
        exchange.getResponseHeaders().set("Content-Type", "application/json");
        exchange.sendResponseHeaders(200, body.length);
        try (OutputStream out = exchange.getResponseBody()) {
            out.write(body);
        }
    }

    private static Map<String, String> parameters(String query) {
        Map<String, String> result = new HashMap<>();
        for (String pair : query == null ? new String[0] : query.split("&")) {
            int equals = pair.indexOf('=');
            if (equals > 0) {
                result.put(pair.substring(0, equals),
                    URLDecoder.decode(pair.substring(equals + 1), StandardCharsets.UTF_8));
            }
        }
        return result;
    }

    private static void appendString(StringBuilder json, String text) {
        json.append('"');
        for (char c : text.toCharArray()) {
            if (c == '"' || c == '\\') {
                json.append('\\').append(c);
            } else if (c < ' ') {
                json.append(String.format("\\u%04x", (int) c));
            } else {
                json.append(c);
            }
        }
        json.append('"');
    }

    private static final class Product {
        final int id;
        final String name;
        final long priceCents;
        final int[] ratings;

        private Product(int id, String name, long priceCents, int[] ratings) {
            this.id = id;
            this.name = name;
            this.priceCents = priceCents;
            this.ratings = ratings;
        }

        static Product random(int id, Random random) {
            String name = ADJECTIVES[random.nextInt(ADJECTIVES.length)] + " "
                + ADJECTIVES[random.nextInt(ADJECTIVES.length)] + " "
                + NOUNS[random.nextInt(NOUNS.length)];
            int[] ratings = random.ints(20, 1, 6).toArray();
            return new Product(id, name, 100 + random.nextInt(100_000), ratings);
        }

        void appendTo(StringBuilder json) {
            json.append("{\"id\":").append(id).append(",\"name\":");
            appendString(json, name);
            json.append(",\"price\":").append(priceCents / 100).append('.')
                .append(String.format("%02d", priceCents % 100)).append(",\"rating\":")
                .append(Arrays.stream(ratings).average().orElse(0)).append('}');
        }
    }

    public static void main(String[] args) throws IOException {
        int port = args.length > 0 ? Integer.parseInt(args[0]) : 0;
        int nrProducts = args.length > 1 ? Integer.parseInt(args[1]) : 2000;
        int cacheMegabytes = args.length > 2 ? Integer.parseInt(args[2]) : 0;
        CatalogService service = new CatalogService(nrProducts, cacheMegabytes);
        InetSocketAddress address = new InetSocketAddress(InetAddress.getLoopbackAddress(), port);
        HttpServer server = HttpServer.create(address, 0);
        ExecutorService pool = Executors.newFixedThreadPool(THREADS);
        server.setExecutor(pool);
        server.createContext("/search", service::handleSearch);
        server.createContext("/health", service::handleHealth);
        server.start();
        System.out.println("ready " + server.getAddress().getPort());
    }
}
