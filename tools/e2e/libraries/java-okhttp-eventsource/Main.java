// Follows an event stream with okhttp-eventsource, told to reconnect after every error, and prints each message's n.
import com.launchdarkly.eventsource.ErrorStrategy;
import com.launchdarkly.eventsource.EventSource;
import com.launchdarkly.eventsource.MessageEvent;
import java.net.URI;
import org.json.JSONObject;

public class Main {
    public static void main(String[] args) {
        try (EventSource source = new EventSource.Builder(URI.create(args[0]))
                .errorStrategy(ErrorStrategy.alwaysContinue())
                .build()) {
            for (MessageEvent event : source.messages()) {
                JSONObject body = new JSONObject(event.getData());
                if (event.getEventName().equals("message")) {
                    System.out.println(body.getInt("n"));
                }
            }
        }
    }
}
