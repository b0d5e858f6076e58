//! Fuzzes the parsers of short texts: cursors, topics, filters, event names and ids, readers' names, lab ids and tags.
//! Accepted cursors, topics, filters and lab ids are written as they were read.
#![no_main]

use fourways_shared::{
    After, Cursor, EventId, EventName, Filter, Topic,
    account::ReaderId,
    lab::{LabId, Tag},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(cursor) = text.parse::<Cursor>() {
        assert_eq!(cursor.to_string(), text);
    }
    if let Ok(topic) = Topic::parse(text) {
        assert_eq!(topic.as_str(), text);
        let filter = text.parse::<Filter>().expect("a topic is a filter");
        assert!(filter.matches(text) && !filter.is_pattern() && filter.covers(&filter));
        assert!(
            !text.contains(['\r', '\n', '\0', ' ', '"', '/']),
            "a topic is written into SSE fields, paths and JSON"
        );
    }
    if let Ok(filter) = text.parse::<Filter>() {
        assert_eq!(filter.to_string(), text);
        assert!(filter.covers(&filter) && Filter::all().covers(&filter));
    }
    if let Ok(name) = text.parse::<EventName>() {
        assert!(!name.as_str().contains(['\r', '\n']), "a name is written into an SSE field");
    }
    if let Ok(id) = text.parse::<EventId>() {
        assert!(!id.as_str().contains(['\r', '\n', '\0']), "an id is written into an SSE field");
    }
    drop(text.parse::<After>());
    drop(text.parse::<ReaderId>());
    if let Ok(id) = text.parse::<LabId>() {
        assert_eq!(id.as_str(), text);
    }
    if let Ok(tag) = text.parse::<Tag>() {
        assert_eq!(tag.to_string().parse::<Tag>(), Ok(tag));
    }
});
