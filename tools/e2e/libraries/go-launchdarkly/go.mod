module example.com/launchdarkly

go 1.26

require github.com/launchdarkly/eventsource v1.11.0
