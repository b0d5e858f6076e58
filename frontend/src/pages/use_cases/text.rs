//! One text, several writers. Typing becomes an edit, edits merge in any order, and edits made offline wait in the
//! outbox, over a reload too.

use std::{collections::BTreeMap, rc::Rc};

use fourways_model::format::grouped;
use fourways_shared::{
    Cursor, Event, Policy, Technique,
    use_case::{
        self,
        text::{Caret, DOCUMENT, Edit, State, carets, edits, states},
    },
};
use leptos::{html, prelude::*};

use super::{NameField, Parts, paper::Paper, visitor};
use crate::{
    browser::{clock, page},
    components::{
        change::Change as _,
        dynamic::{part, text},
    },
    streams::live::{Begin, Live, Plan},
};

/// Silence after which a writer counts as gone, in milliseconds.
const GONE_MS: f64 = 12_000.0;
/// Interval at which a caret that does not move is announced, in milliseconds.
const ALIVE_MS: u64 = 4_000;

/// Carets of the other writers, with the time at which each was last heard of.
type Carets = BTreeMap<Box<str>, (Caret, f64)>;

/// The visitor's own caret, of which the other writers are told.
#[derive(Clone, Copy)]
struct OwnCaret {
    live: Live,
    area: NodeRef<html::Textarea>,
    name: RwSignal<String>,
}

impl OwnCaret {
    /// Tells the others where the caret is now.
    fn tell(self) {
        let Some(area) = self.area.try_get_untracked().flatten() else { return };
        let at = area.selection_end().ok().flatten().unwrap_or_default();
        let said = Caret { who: page::id().into(), name: self.name.get_untracked().into(), at };
        self.live.outbox.send_unconfirmed(carets(DOCUMENT).as_ref(), &said);
    }

    /// Tells the others of the caret while the text has the focus, and forgets writers who are gone, until the page is
    /// left.
    fn keep_told(self, others: RwSignal<Carets>) {
        let beat = set_interval_with_handle(
            move || {
                let is_here =
                    self.area.try_get_untracked().flatten().is_some_and(|area| page::has_focus(&area));
                if is_here {
                    self.tell();
                }
                others.change(|others| others.retain(|_, (_, at_ms)| clock::now_ms() - *at_ms < GONE_MS));
            },
            std::time::Duration::from_millis(ALIVE_MS),
        );
        on_cleanup(move || {
            if let Ok(beat) = beat {
                beat.clear();
            }
        });
    }
}

pub(super) fn open(technique: RwSignal<Technique>) -> Parts {
    let name = visitor::name();
    let paper = Rc::new(Paper::new(page::random_seed()));
    let content = RwSignal::new(String::new());
    let others = RwSignal::new(Carets::new());
    let area = NodeRef::<html::Textarea>::new();
    let hear = {
        let paper = Rc::clone(&paper);
        move |events: &[Event]| {
            let held = area.get_untracked().and_then(|area| hold(&paper, &area));
            if merge(&paper, events, others) {
                show(&paper, content, area, held);
            }
        }
    };
    let topics: Vec<_> = [edits(DOCUMENT), carets(DOCUMENT)].into_iter().flatten().collect();
    let begin = states(DOCUMENT)
        .map_or(Begin::After(fourways_shared::After::Earliest), |topic| Begin::State(topic, cursor_after));
    let plan = Plan { topics, begin, policy: Policy::All, poll_ms: 1_000.0, is_binary: false };
    // Edits that a break left out are in the next whole text; until then, those that come are merged.
    let live = Live::open(technique, plan, hear, || {});
    live.outbox.keep("fourways-text-unsent");
    // Edits made before a reload and not sent yet are in the text all the same.
    if let Some(topic) = edits(DOCUMENT) {
        for (_, Edit { update }) in live.outbox.waiting::<Edit>(&topic) {
            paper.merge(&update);
        }
        content.set(paper.content());
    }
    let own = OwnCaret { live, area, name };
    own.keep_told(others);
    let typed = {
        let paper = StoredValue::new_local(Rc::clone(&paper));
        move |event| {
            let now: String = event_target_value(&event);
            if let Some(update) = paper.with_value(|paper| paper.write(&now)) {
                live.outbox.publish(edits(DOCUMENT), &Edit { update });
            }
            content.set(now);
            own.tell();
        }
    };
    // Beneath the text lies the same text, invisible, with the others' carets in it.
    let mirror = move || content.with(|content| others.with(|others| mirror(content, others)));
    let writers = move || {
        others.with(|others| match others.len() {
            0 => "You write alone; open this page in another window.".to_owned(),
            1 => "One other writes here.".to_owned(),
            many => format!("{many} others write here."),
        })
    };
    let count =
        move || format!("{} characters", grouped(content.with(|content| content.chars().count() as u64)));
    let view = view! {
        <div class="editing card-b">
            <div class="row"><NameField name=name /><p class="cap" role="status" data-testid="writers">{text(writers)}</p><span class="sp"></span><p class="cap mono">{text(count)}</p></div>
            <div class="paper">
                <div class="mirror" aria-hidden="true">{part(mirror)}</div>
                <textarea node_ref=area aria-label="The text" spellcheck="false" rows="10" maxlength="100000" data-testid="paper"
                    prop:value=move || content.get() on:input=typed on:keyup=move |_| own.tell() on:pointerup=move |_| own.tell()></textarea>
            </div>
            <p class="cap">"Minutes that everybody on this server writes. Go offline, write on, come back: nothing is lost and nothing is asked."</p>
        </div>
    };
    Parts { live, sends: live, view: view.into_any() }
}

/// Merges edits into the text, and moves the others' carets. True if the text has changed.
fn merge(paper: &Paper, events: &[Event], others: RwSignal<Carets>) -> bool {
    let mut is_changed = false;
    for event in events {
        if use_case::rest(&event.topic, "live").is_some() {
            if let Some(caret) = use_case::read::<Caret>(event).filter(|caret| *caret.who != *page::id()) {
                others.change(|others| _ = others.insert(caret.who.clone(), (caret, clock::now_ms())));
            }
        } else if let Some(update) = update_of(event) {
            is_changed |= paper.merge(&update);
        }
    }
    is_changed
}

/// Returns the cursor after which the edits follow that a whole text does not contain; `None` if the text is not the
/// server's.
fn cursor_after(event: &Event) -> Option<Cursor> {
    let State { through, .. } = use_case::read_if_from_server(event)?;
    Some(Cursor { epoch: event.cursor.epoch, offset: through })
}

/// Returns the update that an edit, or a whole text, brings.
fn update_of(event: &Event) -> Option<Box<str>> {
    use_case::read(event).map(|Edit { update }| update)
}

type Held = (yrs::StickyIndex, yrs::StickyIndex);

/// Returns both ends of the selection as sticky indices, which keep their place while the text changes.
fn hold(paper: &Paper, area: &web_sys::HtmlTextAreaElement) -> Option<Held> {
    let [start, end] = [area.selection_start(), area.selection_end()].map(|at| at.ok().flatten());
    Some((paper.hold(start?)?, paper.hold(end?)?))
}

/// Shows the current text, with the selection where it was.
fn show(paper: &Paper, content: RwSignal<String>, area: NodeRef<html::Textarea>, held: Option<Held>) {
    let now = paper.content();
    if let Some(area) = area.get_untracked() {
        area.set_value(&now);
        if let Some((start, end)) =
            held.and_then(|(start, end)| Some((paper.place(&start)?, paper.place(&end)?)))
        {
            // If the selection can't be set, it is at the end.
            drop(area.set_selection_range(start, end));
        }
    }
    content.set(now);
}

fn mirror(content: &str, others: &Carets) -> AnyView {
    let units: Vec<u16> = content.encode_utf16().collect();
    let mut places: Vec<(usize, &str)> =
        others.values().map(|(caret, _)| ((caret.at as usize).min(units.len()), &*caret.name)).collect();
    places.sort_unstable();
    let mut from = 0;
    let mut pieces = Vec::new();
    for (at, name) in places {
        pieces.push(view! { <span>{String::from_utf16_lossy(&units[from..at])}</span> }.into_any());
        pieces.push(view! { <i class="caret"><b>{name.to_owned()}</b></i> }.into_any());
        from = at;
    }
    // The line break at the end needs a character after it to have a height.
    pieces.push(view! { <span>{String::from_utf16_lossy(&units[from..]) + "\u{200b}"}</span> }.into_any());
    pieces.collect_view().into_any()
}
