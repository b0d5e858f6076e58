//! A job with its progress: a file goes up in pieces, the server hashes, packs and indexes it, and every step is an
//! event. The topic of the job is its whole state: after a reload, a cut or a restart, the page reads the topic again
//! and is where it was.

use fourways_model::format::{bytes, fixed, grouped};
use fourways_shared::{
    Event, EventId, Technique,
    use_case::{
        self,
        upload::{self, Found, MAX_BYTES, PIECE_BYTES, Step, UploadMessage},
    },
};
use leptos::{html, prelude::*};
use wasm_bindgen_futures::JsFuture;

use super::{Parts, visitor};
use crate::{
    browser::{page, task, timer},
    components::{
        change::Change as _,
        dynamic::{part, text},
    },
    delivery::publish::{self, PublishOutcome},
    streams::live::{Live, Plan},
};

/// Storage key of the job that this window began last; a window that began none shows the browser's last job.
const JOB: &str = "fourways-job";
const RETRY_MS: f64 = 500.0;

/// The state of a job, as its log tells it.
#[derive(Clone, Default, PartialEq)]
struct Job {
    file: Option<(String, u64)>,
    step: Option<(Step, u64, u64)>,
    found: Option<Found>,
    /// Reason why the job ended early.
    ended: Option<String>,
    log: Vec<String>,
}

impl Job {
    fn take(&mut self, said: UploadMessage) {
        match said {
            UploadMessage::Begun { name, bytes: size } => {
                self.log.push(format!("{name}, {}", bytes(size)));
                self.file = Some((name.into(), size));
            }
            UploadMessage::Cancelled => self.end("cancelled".to_owned()),
            UploadMessage::Refused { why } => self.end(format!("refused: {why}")),
            UploadMessage::Step { step, done, of } => {
                if self.step.is_none_or(|(before, ..)| before != step) {
                    self.log.push(format!("{} begins", step.words()));
                }
                self.step = Some((step, done, of));
            }
            UploadMessage::Done(found) => {
                self.log.push("done".to_owned());
                self.found = Some(found);
            }
        }
    }

    fn end(&mut self, why: String) {
        self.log.push(why.clone());
        self.ended = Some(why);
    }

    /// True while some pieces of the file are still to come.
    fn is_receiving(&self) -> bool {
        self.file.is_some()
            && self.ended.is_none()
            && self.step.is_none_or(|(step, done, of)| step == Step::Receive && done < of)
    }

    fn is_running(&self) -> bool {
        self.file.is_some() && self.ended.is_none() && self.found.is_none()
    }

    /// Returns the number of bytes that are at the server.
    fn received(&self) -> u64 {
        self.step.map_or(0, |(step, done, of)| if step == Step::Receive { done } else { of })
    }

    /// Returns the label of the button that chooses a file.
    fn label(&self) -> &'static str {
        let is_half = self.is_receiving() && self.received() > 0;
        if is_half { "Choose the same file again to go on" } else { "Choose a file" }
    }
}

pub(super) fn open(technique: RwSignal<Technique>) -> Parts {
    let visitor = visitor::id();
    let name =
        RwSignal::new(page::kept_here(JOB).or_else(|| page::kept(JOB)).unwrap_or_else(page::random_id));
    let job = RwSignal::new(Job::default());
    let trouble = RwSignal::new(String::new());
    let plan = {
        let visitor = visitor.clone();
        move |name: &str| Plan { poll_ms: 500.0, ..Plan::all_of([upload::job(&visitor, name)]) }
    };
    let hear = move |events: &[Event]| {
        job.change(|job| events.iter().filter_map(use_case::read).for_each(|said| job.take(said)));
    };
    let live = Live::open(technique, plan(&name.get_untracked()), hear, move || job.set(Job::default()));
    let chosen = {
        let visitor = visitor.clone();
        move |event: leptos::ev::Event| {
            let input: web_sys::HtmlInputElement = event_target(&event);
            let Some(file) = input.files().and_then(|files| files.get(0)) else { return };
            let size = match size_of(&file) {
                Ok(size) => size,
                Err(why) => return trouble.set(why),
            };
            trouble.set(String::new());
            let known = job.get_untracked();
            // Choosing the same file again resumes where the pieces stopped coming.
            let goes_on = known.is_receiving() && known.file == Some((file.name(), size));
            if !goes_on && known.file.is_some() {
                name.set(page::random_id());
                job.set(Job::default());
                live.change(plan(&name.get_untracked()));
            }
            page::keep(JOB, &name.get_untracked());
            page::keep_here(JOB, &name.get_untracked());
            let from = if goes_on { known.received() } else { 0 };
            let (visitor, name) = (visitor.clone(), name.get_untracked());
            task::spawn(async move {
                if let Some(why) = read_and_send(&visitor, &name, &file, from, job).await {
                    let _gone = trouble.try_set(why);
                }
            });
            // Cleared, so that the same file can be chosen again.
            input.set_value("");
        }
    };
    let cancel = move |_| {
        live.outbox.publish(upload::job(&visitor, &name.get_untracked()), &UploadMessage::Cancelled);
    };
    let steps = move || {
        let job = job.get();
        Step::ALL.map(|step| bar(&job, step))
    };
    let log =
        move || job.with(|job| job.log.iter().map(|line| view! { <li>{line.clone()}</li> }).collect_view());
    let found = move || job.with(|job| job.found.as_ref().map(found_view));
    let input = NodeRef::<html::Input>::new();
    let pick = move |_| {
        if let Some(input) = input.get_untracked() {
            input.click();
        }
    };
    let label = move || job.with(Job::label);
    let view = view! {
        <div class="job card-b">
            <div class="row">
                <input type="file" class="vh" node_ref=input tabindex="-1" aria-label="File" data-testid="file" on:change=chosen />
                <button type="button" class="btn pri" data-testid="choose" on:click=pick>{text(label)}</button>
                <button type="button" class="btn" data-testid="cancel" disabled=move || !job.with(Job::is_running) on:click=cancel>"Cancel"</button>
                <span class="cap">"Up to 16 MB; hashed, packed and indexed by this server, and kept as long as its log keeps it."</span>
            </div>
            <p class="trouble" role="alert">{text(move || trouble.get())}</p>
            <div class="bars-list" data-testid="steps">{part(steps)}</div>
            <div data-testid="found">{part(found)}</div>
            <div class="joblog mono" role="log" aria-label="Log" tabindex="0"><ol data-testid="log">{part(log)}</ol></div>
        </div>
    };
    Parts { live, sends: live, view: view.into_any() }
}

/// Returns the size of a file in bytes.
///
/// # Errors
/// If the file is too large; the text says so.
fn size_of(file: &web_sys::File) -> Result<u64, String> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a file's size")]
    let size = file.size() as u64;
    if size > MAX_BYTES {
        return Err(format!("{} is too large; up to {} can be sent.", file.name(), bytes(MAX_BYTES)));
    }
    Ok(size)
}

/// Sends the pieces of a file from an offset on; returns what is in the way.
async fn read_and_send(
    visitor: &str,
    name: &str,
    file: &web_sys::File,
    from: u64,
    job: RwSignal<Job>,
) -> Option<String> {
    let Ok(buffer) = JsFuture::from(file.array_buffer()).await else {
        return Some("The file can't be read.".to_owned());
    };
    let content = js_sys::Uint8Array::new(&buffer).to_vec();
    send(visitor, name, &file.name(), &content, from, job).await
}

/// Sends the missing pieces one by one. Each has a key, so a piece whose answer was lost is stored once. Returns the
/// reason if the server refuses a piece.
async fn send(
    visitor: &str,
    name: &str,
    file: &str,
    content: &[u8],
    from: u64,
    job: RwSignal<Job>,
) -> Option<String> {
    let (topic, pieces) = (upload::job(visitor, name)?, upload::pieces(visitor, name)?);
    let begun = use_case::write(&UploadMessage::Begun { name: file.into(), bytes: content.len() as u64 });
    let id: EventId = format!("begin-{name}").parse().ok()?;
    // Retried until the page is gone.
    while job.try_with_untracked(|_| ()).is_some() {
        match publish::json(&topic, &begun, Some(&id)).await {
            PublishOutcome::Kept => break,
            PublishOutcome::Refused(why) => return Some(why),
            PublishOutcome::Lost => timer::sleep(RETRY_MS).await,
        }
    }
    let first = usize::try_from(from).unwrap_or_default() / PIECE_BYTES;
    for (n, piece) in content.chunks(PIECE_BYTES).enumerate().skip(first) {
        let id: EventId = format!("piece-{name}-{n}").parse().ok()?;
        // Retried until the job has ended, or the page is gone.
        while job.try_with_untracked(|job| job.ended.is_none())? {
            match publish::bytes(&pieces, piece, &id).await {
                PublishOutcome::Kept => break,
                PublishOutcome::Refused(why) => return Some(why),
                PublishOutcome::Lost => timer::sleep(RETRY_MS).await,
            }
        }
    }
    None
}

fn bar(job: &Job, step: Step) -> AnyView {
    let share = match job.step {
        Some((now, done, of)) if now == step => percent(done, of),
        Some((now, ..)) if now > step => 100.0,
        _ => 0.0,
    };
    let share = if job.found.is_some() { 100.0 } else { share };
    let words = fixed(share, 0);
    view! {
        <div class="bar">
            <span>{step.words()}</span>
            <progress max="100" value=words.clone() aria-label=step.words()></progress>
            <span class="mono">{format!("{words} %")}</span>
        </div>
    }
    .into_any()
}

#[expect(clippy::cast_precision_loss, reason = "a share for people")]
fn percent(done: u64, of: u64) -> f64 {
    if of == 0 { 100.0 } else { done as f64 / of as f64 * 100.0 }
}

fn found_view(found: &Found) -> AnyView {
    let words = found.commonest.iter().map(|(word, count)| format!("{word} {}", grouped(*count)));
    view! {
        <dl class="found">
            <dt>"SHA-256"</dt><dd class="mono" data-testid="sha">{found.sha256.to_string()}</dd>
            <dt>"Packed"</dt><dd class="mono">{bytes(found.packed_bytes)}</dd>
            <dt>"Words, lines"</dt><dd class="mono">{format!("{}, {}", grouped(found.words), grouped(found.lines))}</dd>
            <dt>"Commonest"</dt><dd class="mono">{words.collect::<Vec<_>>().join(", ")}</dd>
        </dl>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_what_its_log_says() {
        let mut job = Job::default();
        assert!(!job.is_running());
        job.take(UploadMessage::Begun { name: "a.txt".into(), bytes: 10 });
        job.take(UploadMessage::Step { step: Step::Receive, done: 4, of: 10 });
        assert!(job.is_receiving() && job.is_running() && job.received() == 4);
        job.take(UploadMessage::Step { step: Step::Receive, done: 10, of: 10 });
        job.take(UploadMessage::Step { step: Step::Hash, done: 5, of: 10 });
        assert!(!job.is_receiving() && job.received() == 10);
        job.take(UploadMessage::Done(Found::default()));
        assert!(!job.is_running());
        job.take(UploadMessage::Refused { why: "x".into() });
        assert_eq!(job.ended.as_deref(), Some("refused: x"));
    }
}
