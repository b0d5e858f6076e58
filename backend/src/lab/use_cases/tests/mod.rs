mod strangers;

use std::{collections::HashSet, sync::Arc};

use fourways_shared::{
    After, Cursor, Data, Epoch, Event, Offset, Policy, Technique, Topic,
    use_case::{self, notice, order, pointer, score, trade, upload},
};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    notice::Notices, order::Orders, pointer::Pointers, score::Score, text::Texts, trade::Trades,
    upload::Uploads, *,
};
use fourways_log::{
    engine::{MemoryEngine, Retention, RetentionRule, Shard},
    subscription::Subscription,
};

/// A simulation: a log, a machine that reads it, and a clock.
struct Play<M> {
    machine: M,
    log: Vec<Event>,
    keys: HashSet<(Topic, EventId)>,
    now_us: u64,
    readers: Readers,
    _watching: Subscription,
}

const EPOCH: Epoch = Epoch::from_bits(1);

impl<M: Machine + Default> Play<M> {
    /// Creates a simulation with a subscriber to these topics.
    fn new(watched: &[Topic]) -> Self {
        let engine = MemoryEngine::new(EPOCH, vec![RetentionRule::for_all(Retention::default())], 1);
        let nothing: Topic = "x".parse().unwrap();
        let topics: Vec<Filter> = watched.iter().chain([&nothing]).map(Into::into).collect();
        let watching = Subscription::new(
            &engine.tail(),
            &topics,
            After::Head,
            Policy::All,
            Technique::Sse,
            Shard::DIRECT,
        );
        let readers = Readers::new(Arc::new(engine), None);
        let now_us = 1_700_000_000_000_000;
        Self {
            machine: M::default(),
            log: Vec::new(),
            keys: HashSet::new(),
            now_us,
            readers,
            _watching: watching,
        }
    }

    fn put(&mut self, topic: Topic, data: Data, id: Option<EventId>) -> Offset {
        let offset = Offset(self.log.len() as u64 + 1);
        let cursor = Cursor { epoch: EPOCH, offset };
        let name = EventName::DEFAULT;
        let event = Event { topic, cursor, name, id, published_at_us: self.now_us, data };
        if self.machine.reads().iter().any(|filter| filter.matches(event.topic.as_str())) {
            self.machine.apply(&event, self.now_us);
        }
        self.log.push(event);
        offset
    }

    fn say<T: Serialize>(&mut self, topic: Option<Topic>, said: &T) -> Offset {
        self.put(topic.unwrap(), Data::json(said), None)
    }

    /// Publishes an event with a key of the server, like a machine does.
    fn say_as_server<T: Serialize>(&mut self, topic: Option<Topic>, said: &T) -> Offset {
        let id = format!("{}{}", EventId::SERVER_PREFIX, self.log.len()).parse().unwrap();
        self.put(topic.unwrap(), Data::json(said), Some(id))
    }

    /// Advances the clock in steps of 20 ms, and publishes the machine's due events at each.
    fn run(&mut self, ms: u64) {
        for _ in 0..ms.div_ceil(20) {
            for turn in 0.. {
                assert!(turn < 10_000, "it never comes to rest");
                let Due { says, again } = self.machine.due(self.now_us, &mut self.readers);
                let has_said = !says.is_empty();
                for Publication { topic, data, key } in says {
                    // An event whose key is known is not kept again, like in the engine.
                    let known = |key: &EventId| !self.keys.insert((topic.clone(), key.clone()));
                    if !key.as_ref().is_some_and(known) {
                        self.put(topic, data, key);
                    }
                }
                if !has_said || again.is_some_and(|again| !again.is_zero()) {
                    break;
                }
            }
            self.now_us += 20_000;
        }
    }

    /// Restarts the server: a new machine begins with the events of the log.
    fn restart(&mut self) {
        self.machine = M::default();
        let heard: Vec<Filter> = self.machine.reads();
        for event in self.log.iter().filter(|event| heard.iter().any(|f| f.matches(event.topic.as_str()))) {
            self.machine.apply(event, event.published_at_us);
        }
    }

    fn read<T: DeserializeOwned>(&self, topic: Option<Topic>) -> Vec<T> {
        let topic = topic.unwrap();
        self.log.iter().filter(|event| event.topic == topic).filter_map(use_case::read).collect()
    }
}

#[test]
fn an_order_is_paid_packed_shipped_and_delivered_once_over_restarts() {
    let mut play = Play::<Orders>::new(&[]);
    let (ada, ben) = (order::orders("ada"), order::orders("ben"));
    let placed = play.say(ada.clone(), &order::OrderMessage::Placed { item: "kettle".into() });
    play.run(500);
    play.say(ben.clone(), &order::OrderMessage::Placed { item: "lamp".into() });
    for _ in 0..8 {
        play.run(1_600);
        play.restart();
    }
    let steps = |topic| -> Vec<(Offset, order::Step)> {
        let moved = |said| match said {
            order::OrderMessage::Moved { order, step, .. } => Some((order, step)),
            order::OrderMessage::Placed { .. } => None,
        };
        play.read(topic).into_iter().filter_map(moved).collect()
    };
    assert_eq!(steps(ada), order::Step::ALL.map(|step| (placed, step)));
    assert_eq!(steps(ben).len(), 4);
}

#[test]
fn a_notice_goes_to_its_own_visitor_once() {
    let mut play = Play::<Notices>::new(&[]);
    let shipped =
        order::OrderMessage::Moved { order: Offset(1), item: "kettle".into(), step: order::Step::Shipped };
    let paid =
        order::OrderMessage::Moved { order: Offset(1), item: "kettle".into(), step: order::Step::Paid };
    play.say_as_server(order::orders("ada"), &paid);
    play.say_as_server(order::orders("ada"), &shipped);
    play.run(40);
    play.restart();
    play.run(40);
    play.say_as_server(trade::orders("ada"), &trade::TradeMessage::Filled { order: Offset(9), cents: 1234 });
    play.say(notice::notices("ben"), &notice::NoticeMessage::Read { through: Offset(1) });
    play.run(40);
    let texts: Vec<String> = play
        .read(notice::notices("ada"))
        .into_iter()
        .map(|said| match said {
            notice::NoticeMessage::Notice { text, .. } => text.into(),
            notice::NoticeMessage::Read { .. } => "read".to_owned(),
        })
        .collect();
    assert_eq!(texts, ["Your kettle was shipped", "An order was filled at 12.34"]);
    assert_eq!(play.read::<notice::NoticeMessage>(notice::notices("ben")).len(), 1);
}

#[test]
fn the_match_is_the_record_minute_by_minute_and_goes_on_after_a_restart() {
    let topic = score::told().unwrap();
    let mut play = Play::<Score>::new(std::slice::from_ref(&topic));
    // The last match is the final.
    play.say(score::wishes(), &score::Wish { number: 63, speed: 15 });
    for _ in 0..4 {
        play.run(3_000);
        play.restart();
    }
    let told: Vec<score::Update> = play.read(Some(topic));
    assert_eq!(told[0].change, score::Change::KickOff);
    let over = told.iter().position(|update| update.state.is_over).expect("it ends");
    let end = &told[over].state;
    assert_eq!(end.teams.each_ref().map(|team| &**team), ["Argentina", "France"]);
    assert_eq!((end.minute, end.goals.each_ref().map(Vec::len), end.shoot_out), (120, [3, 3], Some([4, 2])));
    let goals = told[..=over].iter().filter(|update| matches!(update.change, score::Change::Goal { .. }));
    assert_eq!(goals.count(), 6, "each goal is told once");
    let minutes: Vec<u32> = told[..=over].iter().map(|update| update.state.minute).collect();
    assert!(minutes.is_sorted() && minutes.windows(2).all(|pair| pair[1] - pair[0] <= 1), "{minutes:?}");
    // Without a subscriber, nothing is published.
    let mut alone = Play::<Score>::new(&[]);
    alone.run(1_000);
    assert!(alone.log.is_empty());
}

#[test]
fn an_order_to_trade_ends_once_and_only_its_own_visitor_ends_it() {
    let mut play = Play::<Trades>::new(&[]);
    let (ada, ben) = (trade::orders("ada"), trade::orders("ben"));
    let place = |symbol: &str, side, cents| trade::TradeMessage::Place {
        symbol: symbol.into(),
        side,
        cents,
        quantity: 2,
    };
    let high = play.say(ada.clone(), &place("ibm", trade::Side::Buy, 10_000_000));
    let low = play.say(ada.clone(), &place("ibm", trade::Side::Buy, 1));
    let wrong = play.say(ada.clone(), &place("none", trade::Side::Buy, 1));
    let free = play.say(ada.clone(), &place("ibm", trade::Side::Sell, 0));
    for _ in 0..3 {
        play.run(100);
        play.restart();
    }
    let books: Vec<trade::Book> = play.read(trade::book("ibm"));
    assert_eq!(books.last().unwrap().bids, [(1, 2)]);
    play.say(ben, &trade::TradeMessage::Cancel { order: low });
    play.run(100);
    play.say(ada.clone(), &trade::TradeMessage::Cancel { order: low });
    play.say(ada.clone(), &trade::TradeMessage::Cancel { order: high });
    play.run(100);
    play.restart();
    play.run(100);
    let ends = |said: &trade::TradeMessage| match said {
        trade::TradeMessage::Filled { order, .. } => Some(("filled", *order)),
        trade::TradeMessage::Cancelled { order } => Some(("cancelled", *order)),
        trade::TradeMessage::Rejected { order, .. } => Some(("rejected", *order)),
        _ => None,
    };
    let said: Vec<trade::TradeMessage> = play.read(ada);
    let mut ended: Vec<_> = said.iter().filter_map(ends).collect();
    ended.sort_unstable();
    assert_eq!(ended, [("cancelled", low), ("filled", high), ("rejected", wrong), ("rejected", free)]);
    let books: Vec<trade::Book> = play.read(trade::book("ibm"));
    assert_eq!(books.last().unwrap(), &trade::Book::default());
}

#[test]
fn quotes_come_as_fast_as_their_topic_says_and_are_of_the_record() {
    let topic = trade::quotes("aapl", 20).unwrap();
    let mut play = Play::<Trades>::new(std::slice::from_ref(&topic));
    play.run(10_000);
    let quotes: Vec<trade::Quote> = play.read(Some(topic));
    assert!((49..=51).contains(&quotes.len()), "a quarter of 20 a second: {}", quotes.len());
    assert!(quotes.iter().all(|quote| (1_000..90_000).contains(&quote.cents) && quote.day.len() == 10));
    assert!(quotes.windows(2).all(|pair| pair[0].n < pair[1].n));
}

#[test]
fn a_file_is_hashed_packed_and_indexed_over_a_restart() {
    let mut play = Play::<Uploads>::new(&[]);
    let text = "the cat sat on the mat\n".repeat(30_000);
    let (job, pieces) = (upload::job("ada", "1"), upload::pieces("ada", "1"));
    play.say(job.clone(), &upload::UploadMessage::Begun { name: "cat.txt".into(), bytes: text.len() as u64 });
    let parts: Vec<&[u8]> = text.as_bytes().chunks(upload::PIECE_BYTES).collect();
    for (at, part) in parts.iter().enumerate() {
        play.put(pieces.clone().unwrap(), Data::Bytes(part.to_vec().into()), None);
        play.run(20);
        if at == 2 {
            play.restart();
        }
    }
    play.run(100);
    play.restart();
    play.run(100);
    let said: Vec<upload::UploadMessage> = play.read(job);
    let done: Vec<&upload::Found> = said
        .iter()
        .filter_map(|said| if let upload::UploadMessage::Done(found) = said { Some(found) } else { None })
        .collect();
    let [found] = done[..] else { panic!("it is done once: {said:?}") };
    // The output of sha256sum for this text.
    assert_eq!(&*found.sha256, "b0b051d7303ff47b4d4c80d979336a8f3f05f8e6faf2292e839ba31d5ad460c3");
    assert_eq!((found.lines, found.words), (30_000, 180_000));
    assert_eq!(found.commonest[0], ("the".into(), 60_000));
    assert!(found.packed_bytes < 10_000);
    let received = |said: &upload::UploadMessage| {
        matches!(said, upload::UploadMessage::Step { step: upload::Step::Receive, .. })
    };
    assert!(said.iter().filter(|said| received(said)).count() >= parts.len());
}

#[test]
fn a_file_that_is_too_large_is_refused_and_a_cancelled_one_is_let_go() {
    let mut play = Play::<Uploads>::new(&[]);
    let (large, cut) = (upload::job("ada", "1"), upload::job("ada", "2"));
    play.say(large.clone(), &upload::UploadMessage::Begun { name: "a".into(), bytes: upload::MAX_BYTES + 1 });
    play.say(cut.clone(), &upload::UploadMessage::Begun { name: "b".into(), bytes: 10 });
    play.run(40);
    play.put(upload::pieces("ada", "2").unwrap(), Data::Bytes(b"12345".to_vec().into()), None);
    play.say(cut.clone(), &upload::UploadMessage::Cancelled);
    play.put(upload::pieces("ada", "2").unwrap(), Data::Bytes(b"12345".to_vec().into()), None);
    play.run(40);
    assert!(matches!(
        play.read(large)[..],
        [upload::UploadMessage::Begun { .. }, upload::UploadMessage::Refused { .. }]
    ));
    let said: Vec<upload::UploadMessage> = play.read(cut);
    assert!(!said.iter().any(|said| matches!(said, upload::UploadMessage::Done(_))), "{said:?}");
}

#[test]
fn the_first_in_the_log_catches_the_ball() {
    let mut play = Play::<Pointers>::new(&[]);
    let at = |who: &str, (x, y)| pointer::Pointer { who: who.into(), name: who.into(), x, y };
    for n in 1..=3 {
        play.say(pointer::pointers(), &at("far", (0.0, 0.0)));
        play.say(pointer::pointers(), &at(&format!("p{n}"), pointer::ball(n)));
        play.say(pointer::pointers(), &at("late", pointer::ball(n)));
        play.run(20);
        play.restart();
    }
    let caught: Vec<pointer::Caught> = play.read(pointer::game());
    let who: Vec<(u32, &str)> = caught.iter().map(|caught| (caught.n, &*caught.who)).collect();
    assert_eq!(who, [(1, "p1"), (2, "p2"), (3, "p3")]);
}

#[test]
fn a_text_is_put_down_whole_now_and_then_and_a_late_writer_needs_only_what_follows() {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    use fourways_shared::use_case::text;
    use yrs::{Doc, GetString as _, Text as _, Transact as _, Update, updates::decoder::Decode as _};

    let mut play = Play::<Texts>::new(&[]);
    let doc = Doc::new();
    let written = doc.get_or_insert_text(text::TEXT);
    for n in 0..250 {
        let update = {
            let mut transaction = doc.transact_mut();
            written.insert(&mut transaction, n % 7, "x");
            transaction.encode_update_v1()
        };
        play.say(text::edits("a"), &text::Edit { update: BASE64_STANDARD.encode(update).into() });
        if n == 130 {
            play.restart();
        }
        if n == 60 {
            play.say(text::edits("a"), &text::Edit { update: "no update".into() });
            let stranger = text::State { through: Offset(u64::MAX), update: "no update".into() };
            play.say(text::states("a"), &stranger);
        }
        play.run(20);
    }
    let mut states: Vec<text::State> = play.read(text::states("a"));
    states.remove(0);
    assert_eq!(states.len(), 2, "each is put down once");
    let late = Doc::new();
    let merge = |update: &str| {
        let bytes = BASE64_STANDARD.decode(update).unwrap();
        late.transact_mut().apply_update(Update::decode_v1(&bytes).unwrap()).unwrap();
    };
    merge(&states[1].update);
    let edits = text::edits("a").unwrap();
    let after =
        play.log.iter().filter(|event| event.topic == edits && event.cursor.offset > states[1].through);
    let after: Vec<text::Edit> = after.filter_map(use_case::read).collect();
    assert!((30..100).contains(&after.len()), "{}", after.len());
    for edit in &after {
        merge(&edit.update);
    }
    let read = |doc: &Doc| doc.get_or_insert_text(text::TEXT).get_string(&doc.transact());
    assert_eq!(read(&late), read(&doc));
}

/// The clock is paused, so time passes only while every task waits.
#[tokio::test(start_paused = true)]
async fn what_was_said_is_heard_and_holds_nothing_up() {
    let retention = vec![RetentionRule::for_all(Retention::default())];
    let engine: Arc<dyn Engine> = Arc::new(MemoryEngine::new(EPOCH, retention, 1));
    let topic = trade::orders("ada").unwrap();
    let mut log = Reader::of_server(&engine.tail()).read(&[(&topic).into()], After::Earliest);
    let machine = tokio::spawn({
        let engine = Arc::clone(&engine);
        let readers = Readers::new(Arc::clone(&engine), None);
        async move { drive((engine, readers), Trades::default()).await }
    });
    let began = tokio::time::Instant::now();
    for placed in 1..=5_u32 {
        let said = trade::TradeMessage::Place {
            symbol: "ibm".into(),
            side: trade::Side::Buy,
            cents: 1,
            quantity: placed,
        };
        let draft = Draft { name: EventName::DEFAULT, data: Data::json(&said) };
        engine.append(Append { topic: topic.clone(), drafts: vec![draft], key: None }).await.unwrap();
        let mut is_accepted = false;
        while !is_accepted {
            let batch = log.next(256, Instant::now() + Duration::from_mins(1)).await.unwrap();
            is_accepted = batch.events.iter().any(|event| {
                matches!(use_case::read(event.event()), Some(trade::TradeMessage::Accepted { .. }))
            });
        }
    }
    assert!(began.elapsed() < REFUSED, "{:?}", began.elapsed());
    machine.abort();
}
