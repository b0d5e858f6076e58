//! Strangers publish on the topics of the use cases, and do no harm.

use super::*;

#[test]
fn what_strangers_publish_stops_no_machine() {
    let told = score::told().unwrap();
    let mut play = Play::<Score>::new(std::slice::from_ref(&told));
    play.run(1_500);
    let mut update: score::Update = play.read::<score::Update>(Some(told.clone())).pop().unwrap();
    (update.state.number, update.state.minute, update.state.speed) = (usize::MAX, u32::MAX, 0);
    play.say(Some(told.clone()), &update);
    play.say(score::wishes(), &score::Wish { number: usize::MAX, speed: 0 });
    play.run(1_500);
    let minutes: Vec<u32> =
        play.read::<score::Update>(Some(told)).iter().map(|update| update.state.minute).collect();
    let played = u32::try_from(minutes.len()).unwrap();
    assert!(minutes.ends_with(&[played - 3, played - 2]), "{minutes:?}");

    let mut play = Play::<Pointers>::new(&[]);
    let stranger = pointer::Caught { n: u32::MAX, who: "x".into(), name: "x".into() };
    play.say(pointer::game(), &stranger);
    let (x, y) = pointer::ball(1);
    play.say(pointer::pointers(), &pointer::Pointer { who: "a".into(), name: "a".into(), x, y });
    play.run(20);
    assert_eq!(play.read::<pointer::Caught>(pointer::game()).last().unwrap().n, 1);
}

#[test]
fn nobody_ends_anothers_orders_or_takes_the_place_of_its_notices() {
    let mut play = Play::<Trades>::new(&[]);
    let place =
        trade::TradeMessage::Place { symbol: "ibm".into(), side: trade::Side::Buy, cents: 1, quantity: 1 };
    let order = play.say(trade::orders("ada"), &place);
    play.run(100);
    play.say(trade::orders("eve"), &trade::TradeMessage::Filled { order, cents: 1 });
    play.say(trade::orders("ada"), &trade::TradeMessage::Cancelled { order });
    play.say(trade::orders("ada"), &trade::TradeMessage::Cancel { order });
    play.run(100);
    let answers: Vec<trade::TradeMessage> = play.read(trade::orders("ada"));
    let ends = answers.iter().filter(|said| matches!(said, trade::TradeMessage::Cancelled { .. })).count();
    assert_eq!(ends, 2, "the stranger's, and the exchange's own: {answers:?}");
    // The limits hold for a crowd of orders at once as for one after the other.
    for _ in 0..200 {
        play.say(trade::orders("eve"), &place);
    }
    play.run(100);
    let answers: Vec<trade::TradeMessage> = play.read(trade::orders("eve"));
    let accepted = answers.iter().filter(|said| matches!(said, trade::TradeMessage::Accepted { .. })).count();
    let rejected = answers.iter().filter(|said| matches!(said, trade::TradeMessage::Rejected { .. })).count();
    assert_eq!((accepted, rejected), (50, 150));

    let mut play = Play::<Notices>::new(&[]);
    let moved = order::OrderMessage::Moved { order: Offset(1), item: "x".into(), step: order::Step::Shipped };
    // The id is so long that there is no topic for the visitor's notices.
    let long = order::orders(&"a".repeat(113));
    for _ in 0..10_001 {
        play.say_as_server(long.clone(), &moved);
        play.say(order::orders("eve"), &moved);
    }
    play.say_as_server(order::orders("ada"), &moved);
    play.run(20);
    assert_eq!(play.read::<notice::NoticeMessage>(notice::notices("ada")).len(), 1);
    assert_eq!(play.read::<notice::NoticeMessage>(notice::notices("eve")).len(), 0);
}

/// Decoding the edit would overflow the stack, in the server and in every page.
#[test]
fn an_edit_that_nests_without_end_is_not_looked_into() {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    use fourways_shared::use_case::text;

    let mut play = Play::<Texts>::new(&[]);
    let nested = [117, 1].repeat(300_000);
    let bomb = [&[1, 1, 7, 0, 8, 1, 4][..], b"text", &[1], &nested, &[0]].concat();
    play.say(text::edits("a"), &text::Edit { update: BASE64_STANDARD.encode(&bomb).into() });
    let damaged = text::State { through: Offset(0), update: BASE64_STANDARD.encode(&bomb).into() };
    play.say_as_server(text::states("a"), &damaged);
    play.restart();
    assert_eq!(play.log.len(), 2);
}

#[test]
fn one_file_too_many_is_refused_and_the_others_go_on() {
    let mut play = Play::<Uploads>::new(&[]);
    for n in 0..33 {
        let begun = upload::UploadMessage::Begun { name: "a".into(), bytes: 3 };
        play.say(upload::job("ada", &n.to_string()), &begun);
    }
    play.run(20);
    for n in 0..33 {
        play.put(upload::pieces("ada", &n.to_string()).unwrap(), Data::Bytes(b"a b".to_vec().into()), None);
    }
    play.run(100);
    let end =
        |n: usize| play.read::<upload::UploadMessage>(upload::job("ada", &n.to_string())).pop().unwrap();
    assert!((0..32).all(|n| matches!(end(n), upload::UploadMessage::Done(_))), "{:?}", end(0));
    assert!(matches!(end(32), upload::UploadMessage::Refused { .. }));
}
