// Follows an event stream with tmaxmax/go-sse, which reconnects by itself, and prints each message's n.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"

	"github.com/tmaxmax/go-sse"
)

func main() {
	request, err := http.NewRequest(http.MethodGet, os.Args[1], http.NoBody)
	if err != nil {
		log.Fatal(err)
	}
	connection := sse.NewConnection(request)
	connection.Buffer(nil, 1<<20)
	connection.SubscribeToAll(func(event sse.Event) {
		var body struct{ N int }
		if err := json.Unmarshal([]byte(event.Data), &body); err != nil {
			log.Fatalf("%q %q: %v", event.Type, event.Data, err)
		}
		if event.Type == "" {
			fmt.Println(body.N)
		}
	})
	log.Fatal(connection.Connect())
}
