//! Who is signed in, and what of this server is there: asked when the app begins, and again now and then, because tokens end.

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

/// What the server says of whoever asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Who {
    /// It has not said yet.
    #[default]
    Unknown,
    /// It asks nobody who they are.
    Anybody,
    /// It knows the token in the browser's cookie.
    SignedIn(String),
    /// It wants a token, and there is none, or one that is not valid any more.
    Stranger,
}

/// The app's session. Copies are the same.
#[derive(Clone, Copy)]
pub(crate) struct Session {
    pub(crate) who: RwSignal<Who>,
    /// `Some(false)`: the programs behind the use cases do not run on this server.
    pub(crate) use_cases: RwSignal<Option<bool>>,
    is_asked: RwSignal<bool>,
}

impl Session {
    /// Asks for as long as the app lives.
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
                    Err(operate::Refused::Stranger { .. }) => Who::Stranger,
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

/// In the header: who is signed in, and the way in or out; nothing where the server asks nobody.
#[component]
pub(crate) fn SignedIn(
    /// The app's.
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

/// Under the header: that a token is wanted, and where to put it.
#[component]
pub(crate) fn Notice(
    /// The app's.
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

/// Opens the form to sign in with.
#[component]
pub(crate) fn SignInButton(
    /// On the button.
    words: &'static str,
) -> impl IntoView {
    let session = expect_context::<Session>();
    let open = move |_| {
        session.is_asked.set(true);
        page::focus("#token");
    };
    view! { <button class="btn" data-testid="sign-in-open" on:click=open>{words}</button> }
}

/// Has the browser keep a token where no script reads it, and begins anew with it.
#[component]
fn SignIn() -> impl IntoView {
    let token = RwSignal::new(String::new());
    let said = RwSignal::new(String::new());
    let sign_in = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let text = token.get_untracked();
        wasm_bindgen_futures::spawn_local(async move {
            match operate::sign_in(text.trim()).await {
                // All streams begin anew with what the token grants.
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
