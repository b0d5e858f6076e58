//! The shop behind "your order shipped": each order of a visitor is paid, packed, shipped and delivered at set times.

use std::collections::BTreeMap;

use fourways_shared::{
    Event, Filter, Offset, Topic,
    use_case::{
        self,
        order::{OrderMessage, Step},
    },
};

use super::{Due, Machine, Publication, Readers, filter, until};

/// Most open orders at once; further ones are ignored.
const MAX_ORDERS: usize = 10_000;

#[derive(Default)]
pub(super) struct Orders {
    open: BTreeMap<Offset, Order>,
}

struct Order {
    topic: Topic,
    item: Box<str>,
    placed_us: u64,
    next: Step,
}

impl Machine for Orders {
    fn reads(&self) -> Vec<Filter> {
        filter("use-case.order.*").into_iter().collect()
    }

    fn apply(&mut self, event: &Event, at_us: u64) {
        match use_case::read(event) {
            Some(OrderMessage::Placed { item }) if self.open.len() < MAX_ORDERS => {
                let order = Order { topic: event.topic.clone(), item, placed_us: at_us, next: Step::Paid };
                self.open.insert(event.cursor.offset, order);
            }
            // Only the shop's own moves count: a move by a stranger could end an order.
            Some(OrderMessage::Moved { order, step, .. }) if use_case::is_from_server(event) => {
                match Step::ALL.into_iter().find(|later| *later > step) {
                    Some(next) => {
                        if let Some(order) =
                            self.open.get_mut(&order).filter(|order| order.topic == event.topic)
                        {
                            order.next = next;
                        }
                    }
                    None => drop(self.open.remove(&order)),
                }
            }
            _ => {}
        }
    }

    fn due(&mut self, now_us: u64, _: &mut Readers) -> Due {
        let mut due = Due::default();
        for (offset, order) in &self.open {
            let at_us = order.placed_us + order.next.after_s() * 1_000_000;
            if at_us > now_us {
                let wait = until(at_us, now_us);
                due.again = Some(due.again.map_or(wait, |again| again.min(wait)));
                continue;
            }
            let said = OrderMessage::Moved { order: *offset, item: order.item.clone(), step: order.next };
            let key = format!("order-{}-{}", offset.0, order.next.words());
            due.says.extend(Publication::of(Some(order.topic.clone()), &said).map(|say| say.once(&key)));
        }
        due
    }
}
