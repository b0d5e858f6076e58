//! The publisher of notices: one feed per visitor of what happened to its orders, uploads and trades.

use std::collections::{HashMap, VecDeque};

use fourways_shared::{
    Event, Filter, Offset,
    use_case::{self, notice, order, trade, upload},
};

use super::{Due, Machine, Publication, Readers, filter, visitor};

/// Most notices that wait to be published; further ones are left out.
const MAX_PENDING: usize = 10_000;
/// Most visitors whose last notice is remembered; beyond it, all are forgotten. No visitor gets a notice twice even
/// then, since each has a key.
const MAX_TOLD: usize = 50_000;

#[derive(Default)]
pub(super) struct Notices {
    pending: VecDeque<(Box<str>, notice::NoticeMessage, Offset)>,
    /// For each visitor, the offset of the last event that it got a notice of.
    told: HashMap<Box<str>, Offset>,
}

impl Machine for Notices {
    fn reads(&self) -> Vec<Filter> {
        ["use-case.order.*", "use-case.upload.>", "use-case.trade.*", "use-case.notice.*"]
            .into_iter()
            .filter_map(filter)
            .collect()
    }

    fn apply(&mut self, event: &Event, _: u64) {
        if let Some(visitor) = visitor(&event.topic, "notice") {
            if let Some(notice::NoticeMessage::Notice { of: Some(of), .. }) =
                use_case::read_if_from_server(event)
            {
                if self.told.len() >= MAX_TOLD {
                    self.told.clear();
                }
                let told = self.told.entry(visitor.into()).or_default();
                *told = of.max(*told);
                self.pending.retain(|(whose, _, offset)| &**whose != visitor || *offset > of);
            }
            return;
        }
        let Some((visitor, about, text)) = happened(event) else { return };
        // An id that is too long for the topic of its notices belongs to no visitor.
        if notice::notices(visitor).is_none() {
            return;
        }
        let of = event.cursor.offset;
        if self.told.get(visitor).is_some_and(|told| *told >= of) || self.pending.len() >= MAX_PENDING {
            return;
        }
        let said = notice::NoticeMessage::Notice { about: about.into(), text: text.into(), of: Some(of) };
        self.pending.push_back((visitor.into(), said, of));
    }

    fn due(&mut self, _: u64, _: &mut Readers) -> Due {
        let says = self.pending.iter().filter_map(|(visitor, said, of)| {
            Publication::of(notice::notices(visitor), said).map(|say| say.once(&format!("notice-{}", of.0)))
        });
        Due { says: says.collect(), again: None }
    }
}

/// Returns the visitor that an event concerns, and the subject and text of its notice; `None` if it needs no notice.
fn happened(event: &Event) -> Option<(&str, &'static str, String)> {
    if let Some(visitor) = visitor(&event.topic, "order") {
        return match use_case::read_if_from_server(event)? {
            order::OrderMessage::Moved {
                item,
                step: step @ (order::Step::Shipped | order::Step::Delivered),
                ..
            } => Some((visitor, "order", format!("Your {item} was {}", step.words()))),
            _ => None,
        };
    }
    if let Some(visitor) = visitor(&event.topic, "upload") {
        return match use_case::read_if_from_server(event)? {
            upload::UploadMessage::Done(found) => {
                let text = format!("A file is indexed: {} words in {} lines", found.words, found.lines);
                Some((visitor, "upload", text))
            }
            upload::UploadMessage::Refused { why } => {
                Some((visitor, "upload", format!("A file was refused: {why}")))
            }
            _ => None,
        };
    }
    let visitor = visitor(&event.topic, "trade")?;
    match use_case::read_if_from_server(event)? {
        trade::TradeMessage::Filled { cents, .. } => {
            Some((visitor, "trade", format!("An order was filled at {}.{:02}", cents / 100, cents % 100)))
        }
        _ => None,
    }
}
