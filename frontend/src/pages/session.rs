//! The session: who is signed in, and whether the use cases run. Asked for when the app begins, and again every 30
//! seconds, because tokens expire.

use leptos::prelude::*;

use crate::{
    browser::{page, timer},
    components::{
        dynamic::{part, text},
        icon::Icon,
    },
    delivery::{lab, operate},
};

const EVERY_MS: f64 = 30_000.0;

/// The visitor, as the server knows them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Who {
    /// The server has not answered yet.
    #[default]
    Unknown,
    /// The server asks for no token.
    Anybody,
    /// The token in the browser's cookie is valid; holds its subject.
    SignedIn(String),
    /// The server asks for a token, and the browser has none that is still valid.
    Stranger,
}

/// The session of the app. Copies share the signals, which live as long as the app.
#[derive(Clone, Copy)]
pub(crate) struct Session {
    pub(crate) who: RwSignal<Who>,
    /// `Some(false)` if the server's part of the use cases does not run.
    pub(crate) use_cases: RwSignal<Option<bool>>,
    is_asked: RwSignal<bool>,
}

impl Session {
    /// Asks for the session now and then, for as long as the app lives.
    pub(crate) fn begin() -> Self {
        let session = Self {
            who: RwSignal::new(Who::Unknown),
            use_cases: RwSignal::new(None),
            is_asked: RwSignal::new(false),
        };
        wasm_bindgen_futures::spawn_local(async move {
            loop {
                let who = match operate::session().await {
                    Ok(Some(subject)) => Who::SignedIn(subject),
                    Ok(None) => Who::Anybody,
                    Err(operate::Refused::Unauthorized { .. }) => Who::Stranger,
                    Err(operate::Refused::Other(_)) => session.who.get_untracked(),
                };
                if session.who.get_untracked() != who {
                    session.who.set(who);
                }
                let use_cases = lab::has_use_cases().await.or(session.use_cases.get_untracked());
                if session.use_cases.get_untracked() != use_cases {
                    session.use_cases.set(use_cases);
                }
                timer::sleep(EVERY_MS).await;
            }
        });
        session
    }
}

/// The sign-in state in the header, with a button to sign in or out; nothing where the server asks for no token.
#[component]
pub(crate) fn SignedIn(
    /// Session of the app.
    session: Session,
) -> impl IntoView {
    let sign_out = move |_| {
        wasm_bindgen_futures::spawn_local(async move {
            if operate::sign_out().await.is_ok() {
                page::reload();
            }
        });
    };
    part(move || match session.who.get() {
        Who::Unknown | Who::Anybody => None,
        Who::SignedIn(subject) => Some(
            view! {
                <span class="who">
                    <span data-testid="who">{format!("Signed in as {subject}")}</span>
                    <button class="btn ghost" data-testid="sign-out" on:click=sign_out>"Sign out"</button>
                </span>
            }
            .into_any(),
        ),
        Who::Stranger => Some(view! { <span class="who"><SignInButton words="Sign in" /></span> }.into_any()),
    })
}

/// A banner under the header that a token is needed, and the form for it.
#[component]
pub(crate) fn Notice(
    /// Session of the app.
    session: Session,
) -> impl IntoView {
    let stranger = move || {
        (session.who.get() == Who::Stranger).then(|| view! {
            <div class="banner" role="status" data-testid="stranger">
                <Icon name="warn" />
                <span><b>"Not signed in. "</b>"This server asks for a token, so nothing is shown or measured until you sign in."</span>
            </div>
        })
    };
    view! {
        {part(stranger)}
        {part(move || session.is_asked.get().then(|| view! { <SignIn /> }))}
    }
}

/// A button that opens the sign-in form.
#[component]
pub(crate) fn SignInButton(
    /// Text on the button.
    words: &'static str,
) -> impl IntoView {
    let session = expect_context::<Session>();
    let open = move |_| {
        session.is_asked.set(true);
        page::focus("#token");
    };
    view! { <button class="btn" data-testid="sign-in-open" on:click=open>{words}</button> }
}

/// The sign-in form: it has the server put a token into a cookie that no script can read, and reloads the page.
#[component]
fn SignIn() -> impl IntoView {
    let token = RwSignal::new(String::new());
    let said = RwSignal::new(String::new());
    let sign_in = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let text = token.get_untracked();
        wasm_bindgen_futures::spawn_local(async move {
            match operate::sign_in(text.trim()).await {
                // After the reload, all streams begin with the rights of the token.
                Ok(()) => page::reload(),
                Err(refused) => drop(said.try_set(refused.words().to_owned())),
            }
        });
    };
    view! {
        <form class="sign form" aria-label="Sign in" on:submit=sign_in>
            <label class="field"><span>"Token (JWT) of your identity provider"</span>
                <input class="input" id="token" type="password" autocomplete="off" data-testid="token" on:input=move |event| token.set(event_target_value(&event)) />
            </label>
            <button class="btn pri" data-testid="sign-in">"Sign in"</button>
            <span class="bad-n" role="alert" data-testid="sign-in-said">{text(move || said.get())}</span>
        </form>
    }
}
