// Follows an event stream with launchdarkly/eventsource, which reconnects by itself, and prints each message's n.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"

	"github.com/launchdarkly/eventsource"
)

func main() {
	stream, err := eventsource.SubscribeWithURL(os.Args[1],
		eventsource.StreamOptionErrorHandler(func(err error) eventsource.StreamErrorHandlerResult {
			log.Print(err)
			return eventsource.StreamErrorHandlerResult{CloseNow: false}
		}))
	if err != nil {
		log.Fatal(err)
	}
	for event := range stream.Events {
		var body struct{ N int }
		if err := json.Unmarshal([]byte(event.Data()), &body); err != nil {
			log.Fatalf("%q %q: %v", event.Event(), event.Data(), err)
		}
		if event.Event() == "" {
			fmt.Println(body.N)
		}
	}
}
