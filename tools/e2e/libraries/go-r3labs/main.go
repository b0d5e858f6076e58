// Follows an event stream with r3labs/sse and prints each message's n. It gives up where a stream ends, so it is called again.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/r3labs/sse/v2"
)

func main() {
	client := sse.NewClient(os.Args[1], sse.ClientMaxBufferSize(1<<20))
	for {
		err := client.SubscribeRaw(func(event *sse.Event) {
			var body struct{ N int }
			if err := json.Unmarshal(event.Data, &body); err != nil {
				log.Fatalf("%q %q: %v", event.Event, event.Data, err)
			}
			if len(event.Event) == 0 {
				fmt.Println(body.N)
			}
		})
		log.Print("the stream has ended: ", err)
		time.Sleep(time.Second)
	}
}
